"""`podium dead-letters`: steps that were given up after crashes."""

import asyncio

import click

from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session
from podium.cli.parked import list_all

__all__ = ["dead_letters"]


@click.group("dead-letters", cls=LazyGroup, short_help="List parked work.")
def dead_letters() -> None:
    """Steps that were given up because their process died again and again."""


@dead_letters.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@common
def list_dead_letters(limit: int) -> int:
    """List parked work, the oldest first."""
    return asyncio.run(list_all(session(), limit=limit))
