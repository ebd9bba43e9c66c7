"""The workflows that are measured: ordinary durable functions, with every feature switched on.

Retries, limits of attempts and runs, and validation are declared as a careful user would
declare them; the journal records every event. There is no path that only a benchmark takes.
What the bodies note down for the measurement lives in `NOTES`, and never in a result.
"""

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from podium.authoring.decorators import task, workflow
from podium.authoring.durable import map_items, sleep, wait_signal

__all__ = [
    "NOTES",
    "STEPS_PER_RUN",
    "Notes",
    "fan_out",
    "five_effects",
    "five_steps",
    "paced",
    "sequence",
    "started",
    "wait_for_go",
]

STEPS_PER_RUN: Final = 5
EFFECT_S: Final = 0.01


@dataclass(slots=True)
class Notes:
    """What bodies tell the measurement, outside of the journal."""

    step_s: list[float] = field(default_factory=list[float])
    """Seconds between a step being asked for and its result being durable."""
    started_s: dict[int, float] = field(default_factory=dict[int, float])
    """When the body of an enqueued run's first step began."""
    ledger: Path | None = None
    """Where effects are recorded; a line written here survives the death of the process."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Effects begin once this is set."""


NOTES: Final = Notes()


@task(max_retries=3, retry_delay="1s", timeout="1m")
async def noop(value: int) -> dict[str, Any]:
    """Do nothing; the result is as large as a small verdict."""
    return {"ok": True, "v": value}


@workflow(deadline="1h")
async def sequence(count: int) -> int:
    """Run `count` steps, one after the other (W1)."""
    for number in range(count):
        asked = time.perf_counter()
        await noop(number)
        NOTES.step_s.append(time.perf_counter() - asked)
    return count


@workflow(deadline="1h")
async def five_steps(number: int) -> int:
    """Run five steps, one after the other (W2)."""
    for step in range(STEPS_PER_RUN):
        await noop(step)
    return number


@workflow(deadline="1h")
async def fan_out(count: int) -> int:
    """Run `count` steps at once and add their results up (W3)."""
    results = await map_items(noop, range(count))
    return sum(result["v"] for result in results)


@workflow(deadline="1h")
async def paced(count: int) -> int:
    """Wait for the start, then take a step every fifth of a second."""
    await wait_signal("go")
    for _ in range(count):
        await sleep(0.2)
    return count


@workflow(deadline="1d")
async def wait_for_go(number: int) -> Any:
    """Run one step, then wait for a signal (W4)."""
    await noop(number)
    return await wait_signal("go", timeout="12h")


@task(max_retries=3, retry_delay="1s", timeout="1m")
async def effect(run: int, step: int) -> int:
    """Have an effect that can be counted, then take a moment, as effects do."""
    await NOTES.gate.wait()
    if NOTES.ledger is not None:
        record_effect(NOTES.ledger, run, step)
    await asyncio.sleep(EFFECT_S)
    return step


@workflow(deadline="1h")
async def five_effects(run: int) -> int:
    """Run five steps with effects (W5)."""
    for step in range(STEPS_PER_RUN):
        await effect(run, step)
    return run


@task(max_retries=3, retry_delay="1s", timeout="1m")
async def note_start(number: int) -> int:
    """Note when work that was enqueued really began."""
    NOTES.started_s[number] = time.perf_counter()
    return number


@workflow(deadline="1h")
async def started(number: int) -> int:
    """Run the one step whose beginning is measured (W6)."""
    return await note_start(number)


def record_effect(ledger: Path, run: int, step: int) -> None:
    """Append one line in one write: it is in the kernel's hands, whatever becomes of us."""
    line = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(line, f"{run} {step}\n".encode())
    finally:
        os.close(line)
