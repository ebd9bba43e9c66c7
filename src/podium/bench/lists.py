"""L1: a page of the list of runs, by every kind of filter, over a million that have ended."""

import asyncio
import time
from pathlib import Path
from typing import Final

from podium.authoring.client import App
from podium.bench.measure import Meter, Sample
from podium.bench.workloads import Sizes, fresh_app
from podium.core import events as ev
from podium.core.states import RunStatus
from podium.ports.store import Batch, Committed, RunFilter, RunRow, RunWrite

__all__ = ["measure_lists"]

RUNS_PER_BATCH: Final = 2_000
PAGE: Final = 50
ROUNDS: Final = 20
SECOND_US: Final = 1_000_000
BEGAN_US: Final = 1_700_000_000 * SECOND_US
WORKFLOWS: Final = 20
CUSTOMERS: Final = 5_000
BODY: Final = ev.pack(BEGAN_US, [ev.RunMoved(RunStatus.COMPLETED)])


async def measure_lists(folder: Path, sizes: Sizes) -> Sample:
    """L1: pages of 50 runs, newest first; the time must not grow with history."""
    async with fresh_app(folder, "l1") as app:
        await _fill(app, sizes.finished)
        meter = Meter(app)
        times: list[float] = []
        slowest = ("", 0.0)
        for name, where in _filters(sizes.finished).items():
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                await app.engine.store.runs(where, limit=PAGE)
                times.append(time.perf_counter() - begun)
                slowest = max(slowest, (name, times[-1]), key=lambda each: each[1])
        what = f"pages of {sizes.finished:,} finished runs (slowest: {slowest[0]})"
        count = len(times)
        return meter.sample("L1", what, steps=count, count=count, unit="pages/s", seconds=times)


def _filters(finished: int) -> dict[str, RunFilter]:
    end_us = BEGAN_US + finished * SECOND_US
    failed = (RunStatus.FAILED,)
    return {
        "all": RunFilter(),
        "organization": RunFilter(organization="acme"),
        "status": RunFilter(statuses=failed),
        "status of none": RunFilter(statuses=(RunStatus.RUNNING,)),
        "workflow": RunFilter(workflow="w3"),
        "workflow and status": RunFilter(workflow="w3", statuses=failed),
        "label of few": RunFilter(label=("customer", "7")),
        "label of all": RunFilter(label=("env", "prod")),
        "label and status": RunFilter(label=("env", "prod"), statuses=failed),
        "long ago": RunFilter(created_before_us=BEGAN_US + 3600 * SECOND_US),
        "lately": RunFilter(created_after_us=end_us - 3600 * SECOND_US, statuses=failed),
    }


async def _fill(app: App, count: int) -> None:
    """Put runs that have ended into the store: one a second, every thousandth failed."""
    store, node = app.engine.store, app.engine.node
    if node is None:
        raise RuntimeError("the engine has no node")
    first = await store.reserve_run_numbers(count)
    for start in range(0, count, RUNS_PER_BATCH):
        numbers = range(start, min(start + RUNS_PER_BATCH, count))
        writes = [_ended(first + number, number) for number in numbers]
        batch = Batch(node_id=node.node_id, node_epoch=node.epoch, writes=writes)
        done: asyncio.Future[Committed | BaseException]
        done = asyncio.get_running_loop().create_future()
        store.submit(batch, done.set_result)
        answer = await done
        if isinstance(answer, BaseException) or answer.refused:
            raise RuntimeError("the store refused the runs")


def _ended(run_no: int, number: int) -> RunWrite:
    at_us = BEGAN_US + number * SECOND_US
    row = RunRow(
        run_no=run_no,
        slot=0,
        organization="acme",
        workflow=f"w{number % WORKFLOWS}",
        def_hash="0" * 64,
        status=RunStatus.FAILED if number % 1000 == 0 else RunStatus.COMPLETED,
        last_seq=1,
        created_us=at_us,
        started_us=at_us,
        ended_us=at_us + SECOND_US,
        updated_us=at_us + SECOND_US,
        steps_done=5,
        labels={"env": "prod", "customer": str(number % CUSTOMERS)},
        input=b"\x80",
        output=b"\xc0",
    )
    return RunWrite(
        run_no=run_no,
        home_epoch=1,
        old_seq=0,
        new_seq=1,
        create=True,
        row=row,
        updated_us=row.updated_us,
        body=BODY,
        release=True,
    )
