"""`podium signal`: send a signal to a run, which keeps it until it waits for it."""

import asyncio

import click

from podium.cli.options import common, session
from podium.cli.verbs import json_option, steer

__all__ = ["signal"]


@click.command(short_help="Send a signal to a run.")
@click.argument("run")
@click.argument("name")
@click.option("--payload", metavar="JSON", default="null", help="What the waiting step receives.")
@click.option("--by", metavar="WHO", help="Who sends it (default: you).")
@common
def signal(run: str, name: str, payload: str, by: str | None) -> int:
    """Send the signal NAME to a run; it is kept until a step waits for it."""
    value = json_option("--payload", payload)
    return asyncio.run(
        steer(
            session(),
            run,
            lambda handle, who: handle.signal(name, value, by=who),
            by=by,
            told=f"has got the signal {name!r}",
        )
    )
