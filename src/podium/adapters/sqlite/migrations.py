"""Bring the schema of a store up to date: numbered SQL files, each applied once and remembered.

`schema.sql` makes a new store in one go; `migrations/NNNN_name.sql` lead an old one to the same
place. A migration that was applied never changes (its checksum is kept), and a store of a newer
schema is refused rather than guessed at.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from podium.adapters.sqlite.clock import wall_clock_us
from podium.adapters.sqlite.failures import not_a_store
from podium.errors import StoreError

__all__ = [
    "APPLICATION_ID",
    "MIGRATIONS",
    "Migration",
    "check_identity",
    "load_migrations",
    "migrate",
]

Connection = Any  # the driver types every value as a union with an unknown
HERE: Final = Path(__file__).parent
APPLICATION_ID: Final = 0x506F6469  # "Podi", in the header of the file
HISTORY: Final = """
create table if not exists schema_migration (
  version integer primary key,
  name text not null,
  checksum text not null,
  applied_us integer not null
) strict"""


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema: `migrations/NNNN_name.sql`."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """Return the hash that is kept beside an applied migration."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load_migrations(directory: Path) -> tuple[Migration, ...]:
    """Return the migrations of a directory in order; numbers start at 1 without gaps."""
    found: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        number, _, name = path.stem.partition("_")
        found.append(Migration(version=int(number), name=name, text=path.read_text("utf-8")))
    if [step.version for step in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"Migrations in {str(directory)!r} are not numbered 1, 2, 3 ….")
    return tuple(found)


MIGRATIONS: Final = load_migrations(HERE / "migrations")


def migrate(
    db: Connection,
    path: Path,
    *,
    steps: Sequence[Migration] = MIGRATIONS,
    from_scratch: bool = True,
) -> None:
    """Create or upgrade the schema in one transaction; raises PDM-S002, S006 or S009.

    Safe to repeat. With `from_scratch`, an empty file gets `schema.sql` instead of all steps.
    """
    version = check_identity(db, path)
    db.pragma("journal_mode", "wal")
    if version == len(steps):
        _check_history(db, path, steps[:version])
        return
    if version > len(steps):
        raise _newer(path, version, len(steps))
    db.execute("begin immediate")
    try:
        if version == 0:
            db.execute(f"pragma application_id = {APPLICATION_ID}")
        db.execute(HISTORY)
        _check_history(db, path, steps[:version])
        if version == 0 and from_scratch:
            db.execute((HERE / "schema.sql").read_text("utf-8"))
        else:
            for step in steps[version:]:
                db.execute(step.text)
        _remember(db, steps[version:])
        db.execute("commit")
    finally:
        if db.in_transaction:
            db.execute("rollback")


def check_identity(db: Connection, path: Path) -> int:
    """Return the schema version of the file, 0 for an empty one; raises PDM-S006 if not ours."""
    if db.pragma("application_id") == APPLICATION_ID:
        return int(db.pragma("user_version"))
    if db.execute("select 1 from sqlite_schema limit 1").fetchone() is not None:
        raise not_a_store(path, "It is a database of another program.")
    return 0


def _remember(db: Connection, steps: Sequence[Migration]) -> None:
    now_us = wall_clock_us()
    db.executemany(
        "insert into schema_migration values (?, ?, ?, ?)",
        [(step.version, step.name, step.checksum, now_us) for step in steps],
    )
    db.execute(f"pragma user_version = {steps[-1].version}")


def _check_history(db: Connection, path: Path, steps: Sequence[Migration]) -> None:
    kept = dict(db.execute("select version, checksum from schema_migration"))
    for step in steps:
        if kept.get(step.version) != step.checksum:
            raise StoreError(
                f"Migration {step.version} of the store {str(path)!r} is not the one we know.",
                why=f"Its text changed after it was applied ({step.name}).",
                fix="Use the podium version that made this store, or restore a backup.",
                code="PDM-S009",
            )


def _newer(path: Path, version: int, known: int) -> StoreError:
    return StoreError(
        f"The store {str(path)!r} has schema {version}; this podium knows {known}.",
        why="A newer podium has upgraded the store, and schemas are never downgraded.",
        fix="Upgrade podium on this machine: pip install --upgrade podium.",
        code="PDM-S002",
    )
