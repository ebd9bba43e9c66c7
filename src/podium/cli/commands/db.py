"""`podium db`: the schema of the store, and what is forgotten of it."""

import asyncio
from pathlib import Path

import click

from podium.cli.checkup import migrate_store
from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session
from podium.cli.pruning import prune_store

__all__ = ["db"]


@click.group(cls=LazyGroup, short_help="Upgrade the store's schema; forget old runs.")
def db() -> None:
    """The schema of the store, and what is forgotten of it."""


@db.command()
@common
def migrate() -> int:
    """Create the store, or bring its schema up to date. Every command does so by itself."""
    return migrate_store(session())


@db.command()
@click.option("--runs", metavar="AGE", help="Forget closed runs that ended so long ago: 30d.")
@click.option("--logs", metavar="AGE", help="Forget lines of logs that are so old.")
@click.option(
    "--archive",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write runs there, as JSON lines, before they are forgotten.",
)
@click.option("--dry-run", is_flag=True, help="Only say how many runs it would be.")
@common
def prune(*, runs: str | None, logs: str | None, archive: Path | None, dry_run: bool) -> int:
    """Forget old closed runs and old logs now, as the settings or the options say.

    Options replace what `retention:` in podium.yaml says; without either, nothing is forgotten.
    Works in small transactions beside everything else, and may be stopped at any time.
    """
    work = prune_store(session(), runs=runs, logs=logs, archive=archive, dry_run=dry_run)
    return asyncio.run(work)
