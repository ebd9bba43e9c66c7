"""The stores under test, each with power over its clock and its processes."""

import shutil
import tempfile
from pathlib import Path

import pytest

from podium.adapters.memory import MemoryDatabase, MemoryStore
from podium.adapters.sqlite import SqliteStore, StoreClock
from podium.ports.store import Store
from podium.testing.conformance import Harness

NOON_US = 1_763_726_400_000_000


class MemoryHarness(Harness):
    def __init__(self) -> None:
        self.now_us = NOON_US
        self.database = MemoryDatabase()

    async def open(self) -> Store:
        return MemoryStore(self.database, clock=lambda: self.now_us)

    async def crash(self, store: Store) -> None:
        assert isinstance(store, MemoryStore)
        store.kill()

    def advance(self, seconds: float) -> None:
        self.now_us += int(seconds * 1e6)

    async def close(self) -> None:
        """Nothing is left behind."""


class SqliteHarness(Harness):
    def __init__(self) -> None:
        self.now_us = NOON_US
        self.directory = Path(tempfile.mkdtemp(prefix="podium-test-"))
        self.opened: list[SqliteStore] = []

    async def open(self) -> Store:
        clock = StoreClock(wall_us=lambda: self.now_us, boot_us=lambda: self.now_us)
        store = SqliteStore(self.directory / "podium.db", clock=clock)
        await store.open()
        self.opened.append(store)
        return store

    async def crash(self, store: Store) -> None:
        assert isinstance(store, SqliteStore)
        # What the kernel does for a process that ends: its locks go, its rows stay.
        await store.close()

    def advance(self, seconds: float) -> None:
        self.now_us += int(seconds * 1e6)

    async def close(self) -> None:
        for store in self.opened:
            await store.close()
        shutil.rmtree(self.directory)


@pytest.fixture(params=[MemoryHarness, SqliteHarness], ids=["memory", "sqlite"])
def harness(request: pytest.FixtureRequest) -> Harness:
    chosen: Harness = request.param()
    return chosen
