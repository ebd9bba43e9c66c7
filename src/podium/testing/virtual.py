"""A real engine on a store in memory and a clock that jumps: what users test workflows with."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from podium.adapters.expressions.cel import CelExpressions
from podium.adapters.memory import MemoryDatabase, MemoryStore
from podium.app import TOOLS
from podium.authoring.client import App
from podium.authoring.decorators import known_workflows
from podium.core.definition import Workflow
from podium.runtime.engine import Engine
from podium.runtime.options import EngineOptions
from podium.runtime.payloads import Payloads
from podium.runtime.registry import Registry
from podium.testing.blobs import MemoryBlobs
from podium.testing.loop import run_virtual

__all__ = ["VirtualPodium"]

T = TypeVar("T")

DAY_US: Final = 86_400_000_000
EPOCH_US: Final = 1_767_225_600_000_000
"""Where the virtual clock starts: 2026-01-01 00:00 UTC."""


class VirtualPodium:
    """Runs scenarios in virtual time; what one left in the store, the next one finds.

    Durable sleeps, retry delays and timeouts take no real time. Chance is fixed: `dice` in
    [0, 1) decides every retry delay.
    """

    def __init__(self, *, dice: float = 0.5) -> None:
        self._dice = dice
        self._database = MemoryDatabase()
        self._blobs = MemoryBlobs()
        self._boots = 0
        self._elapsed_us = 0

    def __call__(self, scenario: Callable[[App], Awaitable[T]]) -> T:
        """Open an app, run `scenario(app)`, close the app, and return what the scenario did."""
        return run_virtual(self._play(scenario))

    async def _play(self, scenario: Callable[[App], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        start_us = EPOCH_US + self._elapsed_us
        try:
            async with self._app(lambda: start_us + round(loop.time() * 1e6)) as app:
                return await scenario(app)
        finally:
            self._elapsed_us += round(loop.time() * 1e6)

    def _app(self, clock: Callable[[], int]) -> App:
        store = MemoryStore(self._database, clock=clock)
        payloads = Payloads(self._blobs)
        registry = Registry(
            store=store,
            payloads=payloads,
            expressions=CelExpressions(),
            tools=TOOLS,
            local=_local,
        )
        self._boots += 1
        engine = Engine(
            store=store,
            payloads=payloads,
            registry=registry,
            dice=lambda: self._dice,
            boot_id=f"virtual-{self._boots}",
            # Nobody else writes to this store: looking around daily lets the clock jump far.
            options=EngineOptions(
                watch_every_us=DAY_US, sweep_every_us=DAY_US, lease_us=100 * DAY_US
            ),
        )
        return App(engine)


def _local(name: str) -> Workflow | None:
    found = known_workflows().get(name)
    return None if found is None else found.definition
