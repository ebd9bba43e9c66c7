"""Bodies of tasks that tell what happened to them, and wait where a test wants them to."""

import asyncio
import threading
from collections import Counter
from typing import Any

import podium

calls: list[Any] = []
"""What was called with what, in order."""
tries: Counter[str] = Counter()
gates: dict[str, asyncio.Event] = {}
held = threading.Event()
crowd: Counter[str] = Counter()
"""How many `count` bodies run `now`, and the `peak` of that."""


def forget() -> None:
    crowd.clear()
    calls.clear()
    tries.clear()
    gates.clear()
    held.clear()


def gate(name: str) -> asyncio.Event:
    """Return what `hold` waits for under `name`."""
    return gates.setdefault(name, asyncio.Event())


def echo(value: Any = None) -> Any:
    calls.append(value)
    return value


async def count(value: Any = None) -> Any:
    """Let others run meanwhile, and note how many did."""
    crowd["now"] += 1
    crowd["peak"] = max(crowd["peak"], crowd["now"])
    for _ in range(5):
        await asyncio.sleep(0)
    crowd["now"] -= 1
    calls.append(value)
    return value


async def hold(name: str = "gate", value: Any = None) -> Any:
    """Wait until the test opens the gate; tell if it was cancelled."""
    calls.append(f"{name} in")
    try:
        await gate(name).wait()
    except asyncio.CancelledError:
        calls.append(f"{name} cancelled")
        raise
    calls.append(f"{name} out")
    return value


def block_thread() -> None:
    """Wait in a thread, which nobody can cancel."""
    calls.append("thread in")
    held.wait(10)
    calls.append("thread out")


def fail(kind: str = "ValueError", message: str = "no") -> None:
    calls.append(kind)
    raise {"ValueError": ValueError, "KeyError": KeyError, "NonRetryable": podium.NonRetryable}[
        kind
    ](message)


def fail_on(value: Any, bad: Any) -> Any:
    """Fail on one value as long as it is broken, see `mend`."""
    calls.append(value)
    if value in (bad if isinstance(bad, list) else [bad]) and not tries["mended"]:
        raise ValueError(f"bad {value}")
    return value


def flaky(times: int, value: Any = "done", name: str = "flaky") -> Any:
    """Fail so many times, then work."""
    tries[name] += 1
    calls.append(podium.context().attempt)
    if tries[name] <= times:
        raise ValueError(f"try {tries[name]}")
    return value


def later(seconds: float) -> None:
    tries["later"] += 1
    if tries["later"] == 1:
        raise podium.RetryAfter("busy", seconds=seconds)


def mend() -> None:
    """Let `fail_on` work from now on."""
    tries["mended"] = 1


def large(size: int) -> str:
    return "x" * size


def unserialisable() -> object:
    return object()


async def silent() -> None:
    await asyncio.Event().wait()


async def beating(beats: int) -> str:
    for _ in range(beats):
        podium.context().heartbeat()
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.02)
    return "alive"


def about_me() -> dict[str, Any]:
    me = podium.context()
    return {"step": me.step, "attempt": me.attempt, "key": me.idempotency_key}


def draft() -> str:
    """Write something, and heed what was said about the last try."""
    calls.append(podium.context().feedback)
    return f"draft: {podium.context().feedback}"


async def fail_once_then_hold() -> None:
    """Fail the first time, then wait for the gate."""
    tries["once"] += 1
    if tries["once"] == 1:
        raise ValueError("no")
    await hold()
