"""`podium doctor`: is everything in order, and if not, what to do."""

import click

from podium.cli.checkup import examine
from podium.cli.options import common, session

__all__ = ["doctor"]


@click.command(short_help="Check the store and what lives on it.")
@click.option(
    "--section",
    metavar="N",
    default="",
    help="Only a section of the playbooks, such as 3.2; `3` means all of 3.x.",
)
@common
def doctor(section: str) -> int:
    """Check the store, what lives on it, and what leads in and out; nothing is changed.

    Goes through the sections of two playbooks: 1.x for the system, 3.x for its runs. Exits 5 if
    a check fails.
    """
    return examine(session(), section)
