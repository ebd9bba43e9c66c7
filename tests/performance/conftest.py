"""A disk that counts: every flush SQLite asks for in a test, below everything of ours."""

from typing import Any

import apsw
import pytest


class CountingFile(apsw.VFSFile):
    def __init__(self, counter: "FlushCounter", name: Any, flags: list[int]) -> None:
        super().__init__(counter.base, name, flags)
        self.counter = counter
        self.is_database = bool(flags[0] & apsw.SQLITE_OPEN_MAIN_DB)

    def xSync(self, flags: int) -> None:  # noqa: N802 - the name SQLite calls
        self.counter.flushes += 1
        self.counter.checkpoints += self.is_database
        super().xSync(flags)


class FlushCounter(apsw.VFS):
    """SQLite's way to files while a test runs; only checkpoints sync the database file."""

    def __init__(self) -> None:
        self.flushes = 0
        self.checkpoints = 0
        self.base = apsw.vfs_names()[0]
        super().__init__("counting", self.base, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> CountingFile:  # noqa: N802 - as above
        return CountingFile(self, name, flags)


@pytest.fixture
def disk():
    counter = FlushCounter()
    yield counter
    counter.unregister()
