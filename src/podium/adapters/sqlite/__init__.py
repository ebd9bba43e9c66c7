"""The embedded store: one SQLite file, one writer thread, readers of their own."""

from podium.adapters.sqlite.clock import StoreClock
from podium.adapters.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "StoreClock"]
