"""An app on every store, and test functions that may be `async def`.

The store in memory runs in virtual time, SQLite in real time; a test that takes `app` or `house`
runs on both.
"""

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from podium.adapters.blobs.directory import DirectoryBlobs
from podium.adapters.expressions.cel import CelExpressions
from podium.adapters.memory import MemoryDatabase, MemoryStore
from podium.adapters.sqlite import SqliteStore
from podium.app import TOOLS
from podium.authoring.client import App
from podium.authoring.decorators import known_workflows
from podium.core.definition import Workflow
from podium.ports.store import Store
from podium.runtime.engine import Engine
from podium.runtime.options import EngineOptions
from podium.runtime.payloads import Payloads
from podium.runtime.registry import Registry
from podium.testing.blobs import MemoryBlobs
from podium.testing.loop import VirtualLoop

NOON_US = 1_763_726_400_000_000
EXPRESSIONS = CelExpressions()
RHYTHM = {"watch_every_us": 20_000, "sweep_every_us": 50_000}


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    """Leave logging as it was: a command sets it up for its whole process."""
    root = logging.getLogger()
    root_level = root.level
    logs = [logging.getLogger(name) for name in ("podium", "asyncio", "uvicorn.error")]
    before = [(each.level, list(each.handlers), each.propagate) for each in logs]
    yield
    root.setLevel(root_level)
    for each, (level, handlers, propagate) in zip(logs, before, strict=True):
        each.setLevel(level)
        each.handlers[:], each.propagate = handlers, propagate


class House:
    """A store that apps come to and leave."""

    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    patience_s = 30.0

    def store(self) -> Store:
        raise NotImplementedError

    def blobs(self) -> Any:
        raise NotImplementedError

    def crash(self, app: App) -> None:
        """End the process of `app` without a word: leaving its context releases nothing."""
        app.engine.node = None

    def app(self, *, dice: Callable[[], float] = lambda: 0.0, **options: Any) -> App:
        store, payloads = self.store(), Payloads(self.blobs())
        registry = Registry(
            store=store, payloads=payloads, expressions=EXPRESSIONS, tools=TOOLS, local=local
        )
        self.boots = getattr(self, "boots", 0) + 1
        engine = Engine(
            store=store,
            payloads=payloads,
            registry=registry,
            dice=dice,
            boot_id=f"boot{self.boots}",
            options=EngineOptions(**(RHYTHM | options)),
        )
        return App(engine)


class MemoryHouse(House):
    loop_factory = VirtualLoop
    patience_s = 3600.0

    def __init__(self, folder: Path) -> None:
        self.database = MemoryDatabase()
        self.bodies = MemoryBlobs()

    def store(self) -> Store:
        loop = asyncio.get_running_loop
        return MemoryStore(self.database, clock=lambda: NOON_US + round(loop().time() * 1e6))

    def blobs(self) -> Any:
        return self.bodies


class SqliteHouse(House):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def store(self) -> Store:
        return SqliteStore(self.folder / "podium.db")

    def blobs(self) -> Any:
        return DirectoryBlobs(self.folder / "blobs")


def local(name: str) -> Workflow | None:
    found = known_workflows().get(name)
    return None if found is None else found.definition


@pytest.fixture(params=[MemoryHouse, SqliteHouse], ids=["memory", "sqlite"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    chosen: House = request.param(tmp_path)
    return chosen


@pytest.fixture
def app(house: House) -> App:
    return house.app()


@pytest.fixture(scope="session")
def memory_house() -> Callable[[], House]:
    """Return what makes a house in memory, for tests that need many."""
    return lambda: MemoryHouse(Path())


@pytest.fixture
def sqlite_house(tmp_path: Path) -> House:
    """Return a house in real time, for threads that block: virtual time waits for threads."""
    return SqliteHouse(tmp_path)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test that takes a house, on the loop of its store."""
    place = next((v for v in pyfuncitem.funcargs.values() if isinstance(v, House)), None)
    if place is None or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    given = {name: pyfuncitem.funcargs[name] for name in names}
    with asyncio.Runner(loop_factory=place.loop_factory) as runner:
        runner.run(patiently(place, pyfuncitem.obj, given))
    return True


async def patiently(place: House, test: Callable[..., Any], given: dict[str, Any]) -> None:
    async with asyncio.timeout(place.patience_s), AsyncExitStack() as stack:
        for value in given.values():
            if isinstance(value, App):
                await stack.enter_async_context(value)
        await test(**given)
