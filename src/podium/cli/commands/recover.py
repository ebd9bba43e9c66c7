"""`podium recover`: continue every unfinished run of the store until all rest."""

import asyncio

import click

from podium.cli.options import common, session
from podium.cli.recovery import recover_all

__all__ = ["recover"]


@click.command(short_help="Continue every unfinished run.")
@common
def recover() -> int:
    """Continue every unfinished run until each has ended or waits for a person or a date.

    Exits 1 if a run failed on the way.
    """
    return asyncio.run(recover_all(session()))
