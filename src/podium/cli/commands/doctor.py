"""`podium doctor`: is everything in order, and if not, what to do."""

import click

from podium.cli.checkup import examine
from podium.cli.options import common, session

__all__ = ["doctor"]


@click.command(short_help="Check the store and what lives on it.")
@common
def doctor() -> int:
    """Check the store, its disk, its processes and its runs. Exits 5 if a check fails."""
    return examine(session())
