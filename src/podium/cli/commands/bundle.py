"""`podium bundle`: an incident in one file."""

import asyncio
from pathlib import Path

import click

from podium.cli.bundling import write_bundle
from podium.cli.options import common, session

__all__ = ["bundle"]


@click.command(short_help="Collect everything about a run in one redacted file.")
@click.argument("run")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it (default: RUN.zip here).",
)
@click.option("--with-payloads", is_flag=True, help="Include inputs and outputs.")
@common
def bundle(run: str, *, output: Path | None, with_payloads: bool) -> int:
    """Collect what somebody far away needs to look at a run: events, logs, definition, health.

    Known secrets are taken out. Inputs and outputs are left out unless you ask for them. An
    existing file is not overwritten.
    """
    work = write_bundle(session(), run, output=output, with_payloads=with_payloads)
    return asyncio.run(work)
