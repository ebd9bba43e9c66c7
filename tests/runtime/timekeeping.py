"""Nodes on one store in virtual time, from a given moment on: an hour passes in a moment."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from podium.adapters.expressions.cel import CelExpressions
from podium.adapters.memory import MemoryDatabase, MemoryStore
from podium.adapters.memory.faults import Faults, no_faults
from podium.authoring.client import App
from podium.authoring.documents import load_workflow
from podium.core.definition import Workflow
from podium.ports.store import RunFilter, RunRow
from podium.runtime.engine import Engine
from podium.runtime.options import EngineOptions
from podium.runtime.payloads import Payloads
from podium.runtime.registry import Registry
from podium.testing.blobs import MemoryBlobs
from podium.testing.loop import run_virtual

QUICK = "name: quick\ntasks:\n- {name: a, uses: python:bodies:echo, with: {value: 1}}"
SLOW = "name: slow\ntasks:\n- {name: a, uses: python:bodies:hold}"
LONG = "name: long\ntasks:\n- {name: a, uses: sleep, with: {duration: 150s}}"


def us(text: str) -> int:
    """Return the instant of an ISO text."""
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


class Town:
    """A store, its clock, and the nodes that come to it."""

    def __init__(self, start: str = "2026-11-21T12:00:00+00:00") -> None:
        self.start_us = us(start)
        self.database = MemoryDatabase()
        self.blobs = MemoryBlobs()
        self.expressions = CelExpressions()
        self.boots = 0

    def now_us(self) -> int:
        return self.start_us + round(asyncio.get_running_loop().time() * 1e6)

    def node(self, *, faults: Faults = no_faults, **options: Any) -> App:
        """Return a node to be entered; it looks after others rarely, to save the test's time."""
        store = MemoryStore(self.database, clock=self.now_us, faults=faults)
        payloads = Payloads(self.blobs)
        registry = Registry(store=store, payloads=payloads, expressions=self.expressions, tools={})
        self.boots += 1
        rhythm = {"watch_every_us": 1_000_000, "sweep_every_us": 5_000_000}
        engine = Engine(
            store=store,
            payloads=payloads,
            registry=registry,
            dice=lambda: 0.0,
            boot_id=f"boot{self.boots}",
            options=EngineOptions(**(rhythm | options)),
        )
        return App(engine)

    def workflow(self, text: str) -> Workflow:
        return load_workflow(text, source="w.yaml", expressions=self.expressions).workflow

    async def crash(self, app: App) -> None:
        """End the process of a node without a word."""
        store = app.engine.store
        assert isinstance(store, MemoryStore)
        store.kill()
        app.engine.node = None
        app.engine.stop()

    async def runs(self, app: App) -> list[RunRow]:
        """Return all runs, oldest first."""
        return list(reversed(await app.engine.store.runs(RunFilter(), limit=10_000)))

    async def until(self, text: str) -> None:
        """Let the clock run up to a moment."""
        await passing(max(0.0, (us(text) - self.now_us()) / 1e6))


async def passing(seconds: float) -> None:
    """Let virtual time pass."""
    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=seconds)


def virtually(start: str = "2026-11-21T12:00:00+00:00") -> Callable[..., Callable[..., None]]:
    """Make a test of an `async def` that takes a town first, in virtual time from `start`."""

    def decorate(test: Callable[..., Any]) -> Callable[..., None]:
        # Without the town, which is no fixture.
        names = list(inspect.signature(test).parameters.values())[1:]

        @functools.wraps(test)
        def run(**given: Any) -> None:
            async def whole() -> None:
                await test(Town(start), **given)

            run_virtual(whole())

        run.__signature__ = inspect.Signature(names)  # type: ignore[attr-defined]
        return run

    return decorate


def nominal(row: RunRow) -> str:
    """Return the tick a run was started for, as its label says."""
    return row.labels["schedule_time"][11:16]


def outcomes(ticks: Sequence[Any]) -> list[tuple[str, str]]:
    """Return time and outcome of ticks, oldest first."""
    return [(tick.time[11:16], tick.outcome) for tick in reversed(ticks)]
