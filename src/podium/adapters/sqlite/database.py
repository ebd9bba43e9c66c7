"""Connections to the file by the names of the queries: readers, and the one that writes."""

import ctypes
import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw

from podium.adapters.sqlite.files import CHECKPOINT_PAGES
from podium.adapters.sqlite.queries import SQL
from podium.ports.store import StoreStats

__all__ = [
    "Database",
    "Reader",
    "Transaction",
    "Values",
    "make_durable",
    "open_reader",
    "open_writer",
]

Values = tuple[Any, ...]

BUSY_POLL_MAX_S: Final = 0.002
FOREIGN_WINDOW_S: Final = 0.25


def patience(stats: StoreStats, *, wait_s: float) -> Callable[[int], bool]:
    """Return a busy handler that polls for `wait_s` with jitter, far finer than SQLite's own.

    SQLite has no queue for its write lock: a process that polls every 100 ms may starve beside
    one that commits every 0.2 ms.
    """
    started = 0.0

    def wait(calls: int) -> bool:
        nonlocal started
        if calls == 0:
            started = time.monotonic()
            stats.busy += 1
        time.sleep(random.uniform(0.1, 1.0) * BUSY_POLL_MAX_S)  # noqa: S311
        return time.monotonic() - started < wait_s

    return wait


def _connect(path: Path, flags: int, stats: StoreStats, *, wait_s: float) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=flags, statementcachesize=100)
    connection.set_busy_handler(patience(stats, wait_s=wait_s))
    return connection


def open_writer(path: Path, stats: StoreStats, *, wait_s: float) -> apsw.Connection:
    """Open the connection that writes, creating the file if need be."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = _connect(path, flags, stats, wait_s=wait_s)
    # Checkpoints are ours: see Database.checkpoint.
    connection.wal_autocheckpoint(0)
    return connection


def make_durable(connection: apsw.Connection) -> None:
    """Make every commit reach the disk, and keep the log file when the last connection closes.

    Growing the log again after each start would double the time of many flushes.
    """
    settings: Any = connection
    settings.pragma("synchronous", "full")
    keep = ctypes.c_int(1)
    connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(keep))


def open_reader(path: Path, stats: StoreStats, *, wait_s: float) -> "Reader":
    """Open a connection that only reads and never checkpoints."""
    connection = _connect(path, apsw.SQLITE_OPEN_READONLY, stats, wait_s=wait_s)
    connection.wal_autocheckpoint(0)
    return Reader(connection)


class Transaction:
    """One write transaction; `roll_back` inside the block ends it without a trace."""

    def __init__(self) -> None:
        self.is_rolled_back = False

    def roll_back(self) -> None:
        """Make the end of the block a rollback instead of a commit."""
        self.is_rolled_back = True


class Reader:
    """A connection used by the names of the queries; by one thread at a time."""

    def __init__(self, connection: apsw.Connection) -> None:
        # The driver types every value as a union with an unknown; rows.py says what they are.
        self._connection: Any = connection

    def all(self, name: str, values: Values | Mapping[str, Any] = ()) -> list[Values]:
        """Run a named query and return its rows."""
        found: list[Values] = self._connection.execute(SQL[name], values).fetchall()
        return found

    def one(self, name: str, values: Values = ()) -> Values | None:
        """Run a named query and return its first row."""
        found: Values | None = self._connection.execute(SQL[name], values).fetchone()
        return found

    def has(self, name: str, values: Values = ()) -> bool:
        """Return whether a named query has a row."""
        return self.one(name, values) is not None

    @contextmanager
    def snapshot(self) -> Generator[None, None, None]:
        """Let all reads in the block see the same state of the store."""
        self._connection.execute("begin")
        try:
            yield
        finally:
            self._connection.execute("rollback")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Database(Reader):
    """The writer's connection."""

    def __init__(
        self, connection: apsw.Connection, stats: StoreStats, *, busy: Callable[[int], bool]
    ) -> None:
        super().__init__(connection)
        self._stats = stats
        self._is_patient = True
        connection.set_busy_handler(lambda calls: self._is_patient and busy(calls))
        self._log_pages = 0
        self._newest_page = 0
        self._copied_pages = 0
        self._checkpoint_at = CHECKPOINT_PAGES
        self._version = self._data_version()
        self._foreign_seen = False
        self._foreign_until = 0.0
        connection.set_wal_hook(self._note_log)
        self.total_changes: Callable[[], int] = connection.total_changes

    def execute(self, statement: str) -> None:
        """Run a statement that needs no name: the beginning and the end of things."""
        self._connection.execute(statement)

    def write(self, name: str, values: Sequence[Values]) -> None:
        """Run a named statement once per element of `values`."""
        if values:
            self._connection.executemany(SQL[name], values)

    def changes(self, name: str, values: Values = ()) -> int:
        """Run a named statement and return how many rows it changed."""
        self._connection.execute(SQL[name], values)
        changed: int = self._connection.changes()
        return changed

    @contextmanager
    def transaction(self) -> Generator[Transaction, None, None]:
        """Hold the write lock for the block; commit at its end, roll back on any error."""
        self.execute("begin immediate")
        transaction = Transaction()
        before = self.total_changes()
        try:
            self.observe()
            yield transaction
            if transaction.is_rolled_back:
                self.execute("rollback")
            else:
                self.execute("commit")
        finally:
            # A failed commit may have rolled back by itself (a full disk does).
            if self._connection.in_transaction:
                self.execute("rollback")
        if not transaction.is_rolled_back:
            self._count(self.total_changes() - before)

    def _count(self, rows: int) -> None:
        self._stats.commits += 1
        self._stats.rows += rows
        if rows:
            self._stats.flushes += 1

    def observe(self) -> None:
        """Note whether another connection has committed since this one last looked."""
        version = self._data_version()
        if version != self._version:
            self._version = version
            self._foreign_seen = True
            self._foreign_until = time.monotonic() + FOREIGN_WINDOW_S

    def take_foreign_seen(self) -> bool:
        """Return whether another connection has committed since the last call."""
        seen, self._foreign_seen = self._foreign_seen, False
        return seen

    def has_company(self) -> bool:
        """Return whether another connection committed a moment ago."""
        return time.monotonic() < self._foreign_until

    def _data_version(self) -> int:
        return int(self._connection.execute("pragma data_version").get)

    def _note_log(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._newest_page:
            # The log began anew, and a new head is synced by itself.
            self._stats.flushes += 1
            self._copied_pages = 0
        self._log_pages = self._newest_page = pages
        return apsw.SQLITE_OK

    @contextmanager
    def impatient(self) -> Generator[None, None, None]:
        """Let the block fail with `apsw.BusyError` at once instead of waiting for the lock."""
        self._is_patient = False
        try:
            yield
        finally:
            self._is_patient = True

    @property
    def wants_checkpoint(self) -> bool:
        """Return whether the log has grown long enough to be copied into the file."""
        return self._log_pages >= self._checkpoint_at

    def checkpoint(self) -> None:
        """Copy the log into the file once it is long enough, so that it is overwritten next.

        Called between transactions, after the answers went out: no commit waits for it.
        """
        if not self.wants_checkpoint:
            return
        # A reader may still need the log, or the disk be full: then the log grows, and the next
        # attempt can wait.
        self._checkpoint_at = self._log_pages + CHECKPOINT_PAGES
        pages, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        # The log is synced before its pages are copied; the file, once it has them all.
        self._stats.flushes += copied > self._copied_pages
        self._copied_pages = copied
        if copied >= pages:
            self._stats.flushes += 1
            self._checkpoint_at = CHECKPOINT_PAGES
            self._log_pages = 0
