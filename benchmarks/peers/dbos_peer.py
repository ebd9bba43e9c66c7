"""DBOS on SQLite: the workloads of `podium bench`, with the defaults a user gets.

    python dbos_peer.py W1 FOLDER '{"steps": 1000, …}'

W1 to W3 use the asynchronous API. Its database is what DBOS makes of a SQLite URL: rollback
journal, synchronous=FULL, as durable as podium's. W6 uses a queue with its default polling.
"""

import asyncio
import json
import os
import random
import sys
import threading
import time
from pathlib import Path

from dbos import DBOS, SetWorkflowID
from measuring import EFFECT_S, STEPS_PER_RUN, Ledger, Meter, measure_crash, rss_mb

SYSTEM = "dbos sqlite"
STEP_S = []
STARTED_S = {}
GATE = threading.Event()
ledger = None


@DBOS.step(retries_allowed=True, max_attempts=4)
async def noop(value):
    return {"ok": True, "v": value}


@DBOS.workflow()
async def sequence(count):
    for number in range(count):
        asked = time.perf_counter()
        await noop(number)
        STEP_S.append(time.perf_counter() - asked)
    return count


@DBOS.workflow()
async def five_steps(number):
    for step in range(STEPS_PER_RUN):
        await noop(step)
    return number


@DBOS.workflow()
async def fan_out(count):
    results = await asyncio.gather(*(noop(number) for number in range(count)))
    return sum(result["v"] for result in results)


@DBOS.workflow()
async def wait_for_go(number):
    await noop(number)
    return await DBOS.recv_async("go", timeout_seconds=43_200)


@DBOS.step(retries_allowed=True, max_attempts=4)
async def effect(run, step):
    ledger.add(run, step)
    await asyncio.sleep(EFFECT_S)
    return step


@DBOS.workflow()
async def five_effects(run):
    while not GATE.is_set():
        await asyncio.sleep(0.01)
    for step in range(STEPS_PER_RUN):
        await effect(run, step)
    return run


@DBOS.step()
async def note_start(number):
    STARTED_S[number] = time.perf_counter()
    return number


@DBOS.workflow()
async def started(number):
    return await note_start(number)


def launch(place):
    config = {
        "name": "bench",
        "system_database_url": f"sqlite:///{place}/dbos.db",
        "log_level": "ERROR",
        "application_version": "1",
        "executor_id": "bench",
    }
    DBOS(config=config)
    DBOS.launch()


async def run_one(workflow, value):
    handle = await DBOS.start_workflow_async(workflow, value)
    return await handle.get_result()


async def measure_sequence(sizes):
    count = sizes["steps"]
    STEP_S.clear()
    meter = Meter()
    await run_one(sequence, count)
    what = f"{count:,} steps in sequence"
    meter.tell(SYSTEM, "W1", what, steps=count, count=count, unit="steps/s", seconds=STEP_S)


async def measure_concurrent(sizes):
    times = []

    async def one(number):
        begun = time.perf_counter()
        await run_one(five_steps, number)
        times.append(time.perf_counter() - begun)

    runs = sizes["runs"]
    meter = Meter()
    await asyncio.gather(*(one(number) for number in range(runs)))
    what = f"{runs:,} runs of {STEPS_PER_RUN} steps"
    steps = runs * STEPS_PER_RUN
    meter.tell(SYSTEM, "W2", what, steps=steps, count=runs, unit="runs/s", seconds=times)


async def measure_fan_out(sizes):
    items = sizes["items"]
    meter = Meter()
    if await run_one(fan_out, items) != items * (items - 1) // 2:
        raise SystemExit("results were lost")
    taken = round((time.perf_counter() - meter.wall) * 1000, 1)
    meter.tell(
        SYSTEM, "W3", f"gather of {items:,} steps", steps=items, count=items, unit="items/s",
        facts={"milliseconds": taken},
    )  # fmt: skip


async def measure_waiting(sizes):
    # Starting 10,000 takes a minute and a half; a thousand shows what one costs.
    count = min(sizes["waiting"], 1000)
    before = rss_mb()
    meter = Meter()
    for first in range(0, count, 200):
        numbers = range(first, min(first + 200, count))
        await asyncio.gather(*(DBOS.start_workflow_async(wait_for_go, each) for each in numbers))
    begun = round(time.perf_counter() - meter.wall, 2)
    await asyncio.sleep(5)
    grown = rss_mb() - before
    cpu = time.process_time()
    await asyncio.sleep(3)
    facts = {
        "kb_per_run": round(grown * 1024 / count, 2),
        "idle_cpu_percent": round((time.process_time() - cpu) / 3 * 100, 2),
        "seconds_to_start_all": begun,
    }
    meter.tell(SYSTEM, "W4", f"{count:,} runs waiting for a message", steps=count, facts=facts)


async def measure_start_latency(sizes):
    await DBOS.register_queue_async("bench")
    await asyncio.sleep(2.5)
    times = []
    count = min(sizes["starts"], 30)
    meter = Meter()
    for number in range(count):
        await asyncio.sleep(random.uniform(0, 0.5))
        asked = time.perf_counter()
        await DBOS.enqueue_workflow_async("bench", started, number)
        while number not in STARTED_S:
            await asyncio.sleep(0.0005)
        times.append(STARTED_S[number] - asked)
    what = f"{count} starts through a queue, default polling"
    meter.tell(SYSTEM, "W6", what, steps=count, seconds=times)


async def start_effects(runs):
    async def one(number):
        with SetWorkflowID(f"w5-{number}"):
            await DBOS.start_workflow_async(five_effects, number)

    for first in range(0, runs, 100):
        await asyncio.gather(*(one(each) for each in range(first, min(first + 100, runs))))
    GATE.set()
    await asyncio.sleep(600)


def finish_effects(runs):
    GATE.set()
    launch(place)
    ends = ("SUCCESS",)
    while len(DBOS.list_workflows(status=list(ends), load_output=False, load_input=False)) < runs:
        time.sleep(0.02)
    print("done", flush=True)


MEASURES = {
    "W1": measure_sequence,
    "W2": measure_concurrent,
    "W3": measure_fan_out,
    "W4": measure_waiting,
    "W6": measure_start_latency,
}


async def measure(workload, sizes):
    await run_one(five_steps, 0)
    await MEASURES[workload](sizes)


if __name__ == "__main__":
    workload, place = sys.argv[1], Path(sys.argv[2])
    if workload != "W5":
        launch(place)
        asyncio.run(measure(workload, json.loads(sys.argv[3])))
    elif len(sys.argv) < 5:
        measure_crash(SYSTEM, __file__, place, json.loads(sys.argv[3])["in_flight"])
    else:
        ledger = Ledger(place / "ledger")
        if sys.argv[4] == "first":
            launch(place)
            asyncio.run(start_effects(int(sys.argv[3])))
        else:
            finish_effects(int(sys.argv[3]))
    # Its threads would keep the process alive.
    sys.stdout.flush()
    os._exit(0)
