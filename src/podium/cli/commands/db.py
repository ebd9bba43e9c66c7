"""`podium db`: the schema of the store."""

import click

from podium.cli.checkup import migrate_store
from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session

__all__ = ["db"]


@click.group(cls=LazyGroup, short_help="Bring the store's schema up to date.")
def db() -> None:
    """The schema of the store."""


@db.command()
@common
def migrate() -> int:
    """Create the store, or bring its schema up to date. Every command does so by itself."""
    return migrate_store(session())
