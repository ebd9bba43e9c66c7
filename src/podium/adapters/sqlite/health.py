"""What an operator asks of a store file without opening it for work: version, integrity, size."""

from pathlib import Path
from typing import Any

import apsw

from podium.adapters.sqlite.failures import translated
from podium.adapters.sqlite.migrations import MIGRATIONS, check_identity

__all__ = ["examine"]

FAULTS_MAX = 10


def examine(path: Path) -> dict[str, Any]:
    """Return facts about a store file; raises `StoreError` if it cannot be read as one.

    Reads every page, so it takes a while on a large store; it changes nothing.
    """
    with translated(path):
        connection: Any = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(5_000)
            schema = check_identity(connection, path)
            found = connection.pragma("integrity_check", FAULTS_MAX)
        finally:
            connection.close()
    faults = [found] if isinstance(found, str) else [row[0] for row in found]
    return {
        "sqlite": apsw.sqlite_lib_version(),
        "schema": schema,
        "schema_known": len(MIGRATIONS),
        "faults": [] if faults == ["ok"] else faults,
        "size_bytes": path.stat().st_size,
    }
