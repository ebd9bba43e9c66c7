"""G1: what a call costs beyond the request itself, with everything switched on.

The same request goes over the wire alone, and through the gateway with limits, breaker, token
counts, prices and a budget whose every reservation is durable before anything is sent.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from podium.app import build_gateway
from podium.authoring.decorators import task, workflow
from podium.bench.measure import Meter, Sample, percentile
from podium.bench.models import llm_settings, model_server, question
from podium.bench.workloads import Sizes, fresh_app
from podium.gateway.purse import FREE, Purse
from podium.ports.models import ModelRequest, ModelWire, Piece, Reply
from podium.runtime.attempts import attempt_context
from podium.settings import Settings

__all__ = ["measure_gateway"]

IN_FLIGHT: Final = 64
WARM: Final = 20


async def measure_gateway(folder: Path, sizes: Sizes) -> Sample:
    """Measure calls one by one, then many at once, each kind beside the others."""
    with model_server() as url:
        settings = Settings(llm=llm_settings(url))
        async with fresh_app(folder, "g1", settings=settings) as app:
            desk = _DESKS[folder.name] = _Desk(settings, sizes.calls)
            try:
                meter = Meter(app)
                run = await app.start(calls, input=folder.name, budget={"usd": 1000})
                await run.result()
                sample = meter.sample(
                    "G1", f"{sizes.calls:,} calls, {IN_FLIGHT} at once", steps=1, count=1, unit=""
                )
            finally:
                del _DESKS[folder.name]
                await desk.close()
    return desk.told(sample)


class _TimedWire:
    """Notes how long each request takes, and the last of them."""

    def __init__(self, wire: ModelWire) -> None:
        self.wire = wire
        self.took_s = 0.0
        self.request: ModelRequest | None = None

    async def send(self, request: ModelRequest) -> Reply:
        self.request = request
        begun = time.perf_counter()
        try:
            return await self.wire.send(request)
        finally:
            self.took_s = time.perf_counter() - begun

    def stream(self, request: ModelRequest) -> AsyncIterator[Piece]:
        return self.wire.stream(request)

    async def close(self) -> None:
        await self.wire.close()


class _Desk:
    """Asks in three ways and keeps the times."""

    def __init__(self, settings: Settings, calls: int) -> None:
        self._calls = calls
        self._gateway: Any = build_gateway(settings.llm, around=self._around)
        self._wire: Any = None
        self._ask = question()
        self._facts: dict[str, float] = {}
        self._overhead_s: list[float] = []
        self._rate = self._cpu_us = self._wall_s = 0.0

    def _around(self, wire: ModelWire) -> ModelWire:
        self._wire = timed = _TimedWire(wire)
        return timed

    async def close(self) -> None:
        await self._gateway.close()

    async def ask_in_turn(self, purse: Purse) -> None:
        """Ask one by one, the ways in turn, so that they share the weather of the machine."""
        for _ in range(WARM):
            await self._gateway.call(self._ask, purse=purse)
        direct: list[float] = []
        through: list[float] = []
        free: list[float] = []
        for _ in range(self._calls // 2):
            begun = time.perf_counter()
            await self._alone()
            direct.append(time.perf_counter() - begun)
            free.append(await self._beyond(FREE))
            begun = time.perf_counter()
            self._overhead_s.append(await self._beyond(purse))
            through.append(time.perf_counter() - begun)
        self._facts = {
            "wire_p50_ms": _ms(direct, 50),
            "wire_p99_ms": _ms(direct, 99),
            "call_p50_ms": _ms(through, 50),
            "call_p99_ms": _ms(through, 99),
            "overhead_p50_ms": _ms(self._overhead_s, 50),
            "overhead_p99_ms": _ms(self._overhead_s, 99),
            "overhead_free_p50_ms": _ms(free, 50),
            "overhead_free_p99_ms": _ms(free, 99),
        }

    async def ask_at_once(self, purse: Purse) -> None:
        """Ask with many calls in flight: first over the wire alone, then with everything."""
        wire_rate, wire_cpu_us, _ = await self._many(self._alone)
        self._rate, self._cpu_us, self._wall_s = await self._many(lambda: self._call(purse))
        self._facts |= {"wire_calls_per_s": round(wire_rate, 1), "wire_cpu_us": wire_cpu_us}

    async def _alone(self) -> None:
        await self._wire.wire.send(self._wire.request)

    async def _call(self, purse: Purse) -> None:
        await self._gateway.call(self._ask, purse=purse)

    async def _beyond(self, purse: Purse) -> float:
        """Return the seconds of one call that it did not spend in its own request."""
        begun = time.perf_counter()
        await self._gateway.call(self._ask, purse=purse)
        took: float = self._wire.took_s
        return time.perf_counter() - begun - took

    async def _many(self, ask: Callable[[], Awaitable[None]]) -> tuple[float, float, float]:
        """Return the rate with many at once, the processor time of a call, and the wall time."""
        left = iter(range(self._calls))

        async def worker() -> None:
            for _ in left:
                await ask()

        cpu, begun = time.process_time(), time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        wall = time.perf_counter() - begun
        cpu_us = round((time.process_time() - cpu) / self._calls * 1e6, 1)
        return self._calls / wall, cpu_us, wall

    def told(self, sample: Sample) -> Sample:
        """Return the sample with what was found."""
        sample.wall_s = round(self._wall_s, 4)
        sample.rate, sample.unit = round(self._rate, 1), "calls/s"
        sample.cpu_us_per_step = self._cpu_us
        sample.flushes_per_step = None
        sample.facts = self._facts
        return sample


def _ms(seconds: list[float], share: float) -> float:
    return round(percentile(seconds, share) * 1000, 3)


_DESKS: dict[str, _Desk] = {}


@task
async def ask_in_turn(desk: str) -> None:
    """Make calls one by one, out of the run's budget."""
    await _DESKS[desk].ask_in_turn(_purse())


@task
async def ask_at_once(desk: str) -> None:
    """Make many calls at once, out of the run's budget."""
    await _DESKS[desk].ask_at_once(_purse())


def _purse() -> Purse:
    context = attempt_context()
    assert context is not None
    return context.purse


@workflow(deadline="1h")
async def calls(desk: str) -> None:
    """Run the steps that ask."""
    await ask_in_turn(desk)
    await ask_at_once(desk)
