"""A store file of one test, and ways to open it as one process or several would."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from podium.adapters.sqlite import SqliteStore
from podium.testing.conformance import Desk

R = TypeVar("R")


class StoreFile:
    """A path, and the stores that were opened there."""

    def __init__(self, path: Path, runner: asyncio.Runner) -> None:
        self.path = path
        self._runner = runner
        self._opened: list[SqliteStore] = []
        self.new_store: Callable[..., SqliteStore] = SqliteStore

    def run(self, work: Awaitable[R]) -> R:
        """Wait for `work` on the loop that all stores of the test share."""

        async def wait() -> R:
            return await work

        return self._runner.run(wait())

    def open(self, **options: float) -> SqliteStore:
        """Open a store."""
        store = self.new_store(self.path, **options)
        self.run(store.open())
        self._opened.append(store)
        return store

    def desk(self, **options: float) -> Desk:
        """Open a store with a node."""
        store = self.open(**options)
        node = self.run(store.register_node(boot_id="b", role="all", lease_us=30_000_000))
        return Desk(store, node)

    def close(self) -> None:
        """Close what is open."""
        for store in self._opened:
            self.run(store.close())


@pytest.fixture
def file(tmp_path: Path) -> Iterator[StoreFile]:
    with asyncio.Runner() as runner:
        file = StoreFile(tmp_path / "podium.db", runner)
        yield file
        file.close()
