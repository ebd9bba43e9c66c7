"""Durable functions that a restart finds by import: whoever comes back has only their names."""

from typing import Any

import bodies

import podium


@podium.task(max_retries=0)
async def note(value: Any) -> Any:
    bodies.calls.append(value)
    return value


@podium.task(max_retries=0)
async def wait_for(name: str) -> str:
    await bodies.hold(name)
    return name


@podium.task(max_retries=0)
def broken(value: Any) -> Any:
    return bodies.fail_on(value, [2])


@podium.workflow
async def steps_around_a_wait(n: int) -> list[Any]:
    """Do a step, wait for the gate, do another."""
    first = await note(f"first {n}")
    await wait_for("gate")
    return [first, await note(f"last {n}")]


@podium.workflow
async def two_branches() -> list[Any]:
    """Run branches whose steps have the same names and end in another order than they began."""

    async def branch(name: str, gate: str) -> list[str]:
        return [await note(f"{name} begins"), await wait_for(gate), await note(f"{name} ends")]

    return await podium.gather(branch("slow", "slow"), branch("quick", "quick"))


@podium.workflow
async def recorded_values() -> list[str]:
    """Take the time and a random id, then wait, then give both."""
    at, some = await podium.now(), await podium.uuid()
    await wait_for("gate")
    return [at.isoformat(), str(some)]


@podium.workflow
async def map_around_a_wait(items: list[str]) -> list[Any]:
    return await podium.map(wait_for, items)


@podium.workflow
async def counting(state: dict[str, int] | None = None) -> int:
    """Count to three, one life for each number."""
    count = (state or {"n": 0})["n"]
    await note(count)
    if count < 3:
        podium.continue_as_new({"state": {"n": count + 1}})
    return count


@podium.workflow
async def kid(x: int = 1) -> int:
    return int(await note(x)) * 10


@podium.workflow
async def kid_that_fails() -> None:
    await broken(2)


@podium.workflow
async def kid_that_waits() -> None:
    await podium.wait_signal("never")


@podium.workflow
async def parent_of_a_count() -> Any:
    return await podium.child(counting)


@podium.workflow
async def endless() -> Any:
    """Start itself as a child, without end."""
    return await podium.child("endless")


@podium.workflow
async def asks_and_sleeps() -> list[Any]:
    decision = await podium.approval("publish", payload={"text": "x"})
    await podium.sleep(0.02)
    signal = await podium.wait_signal("go")
    return [decision.approved, decision.by, signal]


@podium.task(max_retries=0)
async def breaks_at_once() -> None:
    bodies.fail()


@podium.workflow
async def handles_a_failure() -> list[Any]:
    """Survive a gather in which two branches fail in the same tick, and go on."""
    try:
        await podium.gather(breaks_at_once(), breaks_at_once(), note("kept"))
    except podium.TaskError as error:
        caught = error.kind
    await wait_for("gate")
    return [caught, await note("after")]


@podium.workflow
async def two_limits_pass_at_once() -> str:
    """Give up two waits in the same instant, and go on."""
    try:
        await podium.gather(
            podium.wait_signal("a", timeout=0.02), podium.wait_signal("b", timeout=0.02)
        )
    except podium.TaskError as error:
        await wait_for("gate")
        return error.kind
    return "nothing"
