"""`podium dead-letters`: steps that were given up after crashes."""

import asyncio

import click

from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session
from podium.cli.parked import list_all, settle

__all__ = ["dead_letters"]


@click.group("dead-letters", cls=LazyGroup, short_help="List, replay and discard parked work.")
def dead_letters() -> None:
    """Steps that were given up because their process died again and again."""


@dead_letters.command("list")
@click.option(
    "--status",
    default="parked",
    show_default=True,
    help='parked, replayed, discarded or expired; "" for all.',
)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@common
def list_dead_letters(status: str, limit: int) -> int:
    """List parked work, the oldest first."""
    return asyncio.run(list_all(session(), status=status, limit=limit))


@dead_letters.command()
@click.argument("letter", metavar="STEP_RECORD_ID")
@click.option("--by", metavar="WHO", help="Who asks (default: you).")
@common
def replay(letter: str, by: str | None) -> int:
    """Run the parked step again in its run, with all its recoveries."""
    return asyncio.run(settle(session(), letter, "replay", by=by))


@dead_letters.command()
@click.argument("letter", metavar="STEP_RECORD_ID")
@click.option("--by", metavar="WHO", help="Who asks (default: you).")
@common
def discard(letter: str, by: str | None) -> int:
    """Take the step from the list for good; its run stays as it is."""
    return asyncio.run(settle(session(), letter, "discard", by=by))
