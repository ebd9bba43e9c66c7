"""W4: runs that wait. They cost rows, not memory, and wake when a signal comes."""

import asyncio
import gc
import time
from pathlib import Path
from typing import Final

from podium.authoring.client import App, RunHandle
from podium.bench.bodies import wait_for_go
from podium.bench.measure import Meter, Sample, latency, rss_mb
from podium.bench.workloads import Sizes, fresh_app

__all__ = ["measure_waiting"]

BATCH: Final = 500
IDLE_S: Final = 3.0


async def measure_waiting(folder: Path, sizes: Sizes) -> Sample:
    """Start runs that wait for a signal, let them leave memory, then wake some of them."""
    async with fresh_app(folder, "w4") as app:
        gc.collect()
        before = rss_mb()
        meter = Meter(app)
        runs = await _start(app, sizes.waiting)
        started_s = time.perf_counter() - meter.wall
        await _all_left(app)
        what = f"{sizes.waiting:,} runs waiting for a signal"
        sample = meter.sample("W4", what, steps=sizes.waiting, count=sizes.waiting, unit="")
        gc.collect()
        grown = rss_mb() - before
        idle = await _idle_share()
        # Spread over the whole store, so that no wake finds its pages warm by accident.
        step = max(1, len(runs) // sizes.wakes)
        wakes = [await _wake(app.run(run)) for run in runs[::step][: sizes.wakes]]
    sample.rate = None
    sample.latency = latency(wakes)
    sample.facts = {
        "kb_per_run": round(grown * 1024 / sizes.waiting, 2),
        "rss_growth_mb": round(grown, 1),
        "idle_cpu_percent": round(idle * 100, 2),
        "seconds_to_start_all": round(started_s, 2),
    }
    return sample


async def _start(app: App, count: int) -> list[str]:
    """Start the runs and return their ids: handles would count as memory of waiting runs."""
    runs: list[str] = []
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        starts = (app.start(wait_for_go, input=number) for number in numbers)
        runs += [run.id for run in await asyncio.gather(*starts)]
    return runs


async def _all_left(app: App) -> None:
    # Nobody announces that a run left: whoever asks for it finds it in the store.
    while app.engine.residents:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def _idle_share() -> float:
    """Return the share of one core that the process uses while everything waits."""
    cpu = time.process_time()
    await asyncio.sleep(IDLE_S)
    return (time.process_time() - cpu) / IDLE_S


async def _wake(run: RunHandle) -> float:
    """Return the seconds from the signal to the durable end of the run it wakes."""
    begun = time.perf_counter()
    await run.signal("go", 1)
    await run.result()
    return time.perf_counter() - begun
