"""W1, W2, W3 and W6: throughput and latency of one engine in this process."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from podium.app import connect
from podium.authoring.client import App
from podium.bench.bodies import (
    NOTES,
    STEPS_PER_RUN,
    fan_out,
    five_steps,
    sequence,
    started,
)
from podium.bench.measure import Meter, Sample, rss_mb
from podium.settings import Settings

__all__ = [
    "Measured",
    "Sizes",
    "fresh_app",
    "measure_concurrent",
    "measure_fan_out",
    "measure_large_fan_out",
    "measure_sequence",
    "measure_start_latency",
]

PAUSE_S: Final = 0.005


class Sizes(msgspec.Struct, kw_only=True, frozen=True):
    """How much each workload does."""

    steps: int = 1000
    runs: int = 500
    items: int = 1000
    many_items: int = 100_000
    waiting: int = 10_000
    wakes: int = 200
    in_flight: int = 500
    starts: int = 200
    requests: int = 2000
    calls: int = 1000
    agents: int = 1000
    turn_ms: int = 2000
    payers: int = 100
    followers: int = 1000
    paced: int = 20
    finished: int = 1_000_000


Measured = Callable[[Path, Sizes], Coroutine[Any, Any, Sample]]


@asynccontextmanager
async def fresh_app(
    folder: Path, name: str, *, settings: Settings | None = None
) -> AsyncGenerator[App]:
    """Open an app on a new store, warmed up by one small run of each part."""
    path = folder / name / "podium.db"
    async with connect(f"sqlite:///{path}", settings=settings) as app:
        await (await app.start(five_steps, input=0)).result()
        NOTES.step_s.clear()
        NOTES.started_s.clear()
        yield app


async def measure_sequence(folder: Path, sizes: Sizes) -> Sample:
    """W1: one run of sequential steps that do nothing; the latency of a durable step."""
    async with fresh_app(folder, "w1") as app:
        meter = Meter(app)
        run = await app.start(sequence, input=sizes.steps)
        await run.result()
        what = f"{sizes.steps:,} steps in sequence"
        return meter.sample(
            "W1", what, steps=sizes.steps, count=sizes.steps, unit="steps/s", seconds=NOTES.step_s
        )


async def measure_concurrent(folder: Path, sizes: Sizes) -> Sample:
    """W2: many runs of five steps at once, from their start to their results."""
    times: list[float] = []

    async def one(app: App, number: int) -> None:
        begun = time.perf_counter()
        run = await app.start(five_steps, input=number)
        await run.result()
        times.append(time.perf_counter() - begun)

    async with fresh_app(folder, "w2") as app:
        meter = Meter(app)
        async with asyncio.TaskGroup() as group:
            for number in range(sizes.runs):
                group.create_task(one(app, number))
        what = f"{sizes.runs:,} runs of {STEPS_PER_RUN} steps"
        steps = sizes.runs * STEPS_PER_RUN
        return meter.sample("W2", what, steps=steps, count=sizes.runs, unit="runs/s", seconds=times)


async def measure_fan_out(folder: Path, sizes: Sizes) -> Sample:
    """W3: one map over items that do nothing, with the sum of their results."""
    return await _fan_out(folder, "W3", sizes.items)


async def measure_large_fan_out(folder: Path, sizes: Sizes) -> Sample:
    """W3 again, a hundred times larger: what is not running yet must cost no memory."""
    return await _fan_out(folder, "W3 large", sizes.many_items)


async def _fan_out(folder: Path, name: str, items: int) -> Sample:
    async with fresh_app(folder, "w3") as app:
        before = rss_mb()
        meter = Meter(app)
        run = await app.start(fan_out, input=items)
        watch = _Watch(app, run.run_no)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch.run())
            if await run.result() != items * (items - 1) // 2:
                raise AssertionError("the map lost results")
            watching.cancel()
        sample = meter.sample(
            name, f"map over {items:,} items", steps=items, count=items, unit="items/s"
        )
    sample.facts = {
        "milliseconds": round(sample.wall_s * 1000, 1),
        "rss_growth_mb": round(watch.rss_max - before, 1) if items > 10_000 else 0.0,
        "live_steps_max": watch.steps_max,
    }
    return sample


class _Watch:
    """Looks, ten times a second, at how much of a run is in memory."""

    def __init__(self, app: App, run_no: int) -> None:
        self._engine = app.engine
        self._run_no = run_no
        self.rss_max = 0.0
        self.steps_max = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            actor = self._engine.actor(self._run_no)
            if actor is not None:
                self.steps_max = max(self.steps_max, len(actor.state.steps))
            self.rss_max = max(self.rss_max, rss_mb())
            await asyncio.sleep(0.1)


async def measure_start_latency(folder: Path, sizes: Sizes) -> Sample:
    """W6: from asking for a run to the first line of its first step, on an idle engine."""
    times: list[float] = []
    async with fresh_app(folder, "w6") as app:
        meter = Meter(app)
        for number in range(sizes.starts):
            await asyncio.sleep(PAUSE_S)
            asked = time.perf_counter()
            run = await app.start(started, input=number)
            await run.result()
            times.append(NOTES.started_s[number] - asked)
        what = f"{sizes.starts:,} starts on an idle engine"
        sample = meter.sample(
            "W6", what, steps=sizes.starts, count=sizes.starts, unit="", seconds=times
        )
    sample.rate = None
    return sample
