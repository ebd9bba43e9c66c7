"""LangGraph with its SQLite saver: the workloads of `podium bench`, durability="sync".

    python langgraph_peer.py W1 FOLDER '{"steps": 1000, …}'

The graph API is measured, whose steps are durable before the next one begins; "sync" is the
level that compares with podium's. The library has no queue and no worker, so there is no W6,
and recovery (W5) is the caller's own loop over the threads it knows.
"""

import asyncio
import json
import operator
import sys
import time
from pathlib import Path
from typing import Annotated, TypedDict

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, Send, interrupt
from measuring import EFFECT_S, STEPS_PER_RUN, Ledger, Meter, measure_crash, rss_mb

SYSTEM = "langgraph sqlite"
SYNC = {"durability": "sync"}
RETRIES = RetryPolicy(max_attempts=4)
STEP_S = []
ledger = None
gate = asyncio.Event()


class Counting(TypedDict):
    done: int
    wanted: int


class Fan(TypedDict):
    count: int
    results: Annotated[list, operator.add]


class Effects(TypedDict):
    run: int
    done: int


def config(thread):
    return {"configurable": {"thread_id": str(thread)}, "recursion_limit": 10_000}


def sequence(saver):
    last = [0.0]

    async def noop(state):
        now = time.perf_counter()
        if last[0]:
            STEP_S.append(now - last[0])
        last[0] = now
        return {"done": state["done"] + 1}

    graph = StateGraph(Counting)
    graph.add_node("noop", noop, retry_policy=RETRIES)
    graph.add_edge(START, "noop")
    graph.add_conditional_edges(
        "noop", lambda state: "noop" if state["done"] < state["wanted"] else END, ["noop", END]
    )
    return graph.compile(checkpointer=saver)


def chain(state_type, nodes, saver):
    graph = StateGraph(state_type)
    previous = START
    for name, node in nodes:
        graph.add_node(name, node, retry_policy=RETRIES)
        graph.add_edge(previous, name)
        previous = name
    graph.add_edge(previous, END)
    return graph.compile(checkpointer=saver)


def five_steps(saver):
    async def noop(state):
        return {"done": state["done"] + 1}

    return chain(Counting, [(f"step{step}", noop) for step in range(STEPS_PER_RUN)], saver)


def fan_out(saver):
    async def noop(item):
        return {"results": [item["v"]]}

    graph = StateGraph(Fan)
    graph.add_node("plan", lambda state: {})
    graph.add_node("noop", noop, retry_policy=RETRIES)
    graph.add_node("join", lambda state: {})
    graph.add_edge(START, "plan")
    graph.add_conditional_edges(
        "plan", lambda state: [Send("noop", {"v": v}) for v in range(state["count"])], ["noop"]
    )
    graph.add_edge("noop", "join")
    graph.add_edge("join", END)
    return graph.compile(checkpointer=saver)


def waiting(saver):
    async def noop(state):
        return {"done": state["done"] + 1}

    async def wait(state):
        return {"wanted": interrupt("go")}

    return chain(Counting, [("noop", noop), ("wait", wait)], saver)


def five_effects(saver):
    def effect(step):
        async def body(state):
            ledger.add(state["run"], step)
            await asyncio.sleep(EFFECT_S)
            return {"done": step}

        return body

    async def wait_for_gate(state):
        await gate.wait()
        return {}

    steps = [(f"step{step}", effect(step)) for step in range(STEPS_PER_RUN)]
    return chain(Effects, [("gate", wait_for_gate), *steps], saver)


async def measure_sequence(saver, sizes):
    count = sizes["steps"]
    meter = Meter()
    await sequence(saver).ainvoke({"done": 0, "wanted": count}, config(1), **SYNC)
    what = f"{count:,} steps in sequence"
    meter.tell(SYSTEM, "W1", what, steps=count, count=count, unit="steps/s", seconds=STEP_S)


async def measure_concurrent(saver, sizes):
    graph = five_steps(saver)
    times = []

    async def one(number):
        begun = time.perf_counter()
        await graph.ainvoke({"done": 0, "wanted": 0}, config(number), **SYNC)
        times.append(time.perf_counter() - begun)

    runs = sizes["runs"]
    meter = Meter()
    await asyncio.gather(*(one(number) for number in range(runs)))
    what = f"{runs:,} runs of {STEPS_PER_RUN} steps"
    steps = runs * STEPS_PER_RUN
    meter.tell(SYSTEM, "W2", what, steps=steps, count=runs, unit="runs/s", seconds=times)


async def measure_fan_out(saver, sizes):
    items = sizes["items"]
    meter = Meter()
    end = await fan_out(saver).ainvoke({"count": items, "results": []}, config(1), **SYNC)
    if sum(end["results"]) != items * (items - 1) // 2:
        raise SystemExit("results were lost")
    taken = round((time.perf_counter() - meter.wall) * 1000, 1)
    meter.tell(
        SYSTEM, "W3", f"{items:,} sends and a join", steps=items, count=items, unit="items/s",
        facts={"milliseconds": taken},
    )  # fmt: skip


async def measure_waiting(saver, sizes):
    graph = waiting(saver)
    count = min(sizes["waiting"], 1000)
    before = rss_mb()
    meter = Meter()
    for first in range(0, count, 200):
        numbers = range(first, min(first + 200, count))
        begin = {"done": 0, "wanted": 0}
        await asyncio.gather(*(graph.ainvoke(begin, config(each), **SYNC) for each in numbers))
    facts = {
        "kb_per_run": round((rss_mb() - before) * 1024 / count, 2),
        "seconds_to_start_all": round(time.perf_counter() - meter.wall, 2),
    }
    what = f"{count:,} interrupted graphs (rows only)"
    meter.tell(SYSTEM, "W4", what, steps=count, facts=facts)


MEASURES = {
    "W1": measure_sequence,
    "W2": measure_concurrent,
    "W3": measure_fan_out,
    "W4": measure_waiting,
}


async def measure(workload, place, sizes):
    async with AsyncSqliteSaver.from_conn_string(str(place / "langgraph.db")) as saver:
        await saver.setup()
        await five_steps(saver).ainvoke({"done": 0, "wanted": 0}, config("warm"), **SYNC)
        await MEASURES[workload](saver, sizes)


async def begin_effects(place, runs):
    async with AsyncSqliteSaver.from_conn_string(str(place / "langgraph.db")) as saver:
        graph = five_effects(saver)
        async with asyncio.TaskGroup() as group:
            for number in range(runs):
                begin = {"run": number, "done": -1}
                group.create_task(graph.ainvoke(begin, config(number), **SYNC))
            count = "select count(distinct thread_id) from checkpoints"
            known = 0
            while known < runs:
                await asyncio.sleep(0.2)
                async with saver.conn.execute(count) as cursor:
                    known = (await cursor.fetchone())[0]
            gate.set()


async def finish_effects(place, runs):
    gate.set()
    async with AsyncSqliteSaver.from_conn_string(str(place / "langgraph.db")) as saver:
        graph = five_effects(saver)

        async def finish(number):
            state = await graph.aget_state(config(number))
            # A thread whose killed step had been saved, but not its checkpoint, has nothing
            # in `next` and something in `tasks`.
            if state.next or state.tasks:
                await graph.ainvoke(None, config(number), **SYNC)
            elif not state.values:
                await graph.ainvoke({"run": number, "done": -1}, config(number), **SYNC)

        await asyncio.gather(*(finish(number) for number in range(runs)))
        print("done", flush=True)


if __name__ == "__main__":
    workload, place = sys.argv[1], Path(sys.argv[2])
    if workload in MEASURES:
        asyncio.run(measure(workload, place, json.loads(sys.argv[3])))
    elif workload == "W5" and len(sys.argv) < 5:
        measure_crash(SYSTEM, __file__, place, json.loads(sys.argv[3])["in_flight"])
    elif workload == "W5":
        ledger = Ledger(place / "ledger")
        role = begin_effects if sys.argv[4] == "first" else finish_effects
        asyncio.run(role(place, int(sys.argv[3])))
