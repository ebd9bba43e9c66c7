"""Workflows with a ledger of effects, for tests that start real `podium` processes."""

import asyncio
import os
import time
from pathlib import Path

import podium

LEDGER = Path(os.environ.get("LEDGER", "ledger"))


def note(text: str) -> None:
    with LEDGER.open("a") as ledger:
        ledger.write(f"{text}\n")


@podium.task
async def work(n: int, pause: float) -> int:
    await asyncio.sleep(pause)
    note(str(n))
    return n


@podium.task
def stuck(seconds: float) -> None:
    note("stuck")
    time.sleep(seconds)


@podium.workflow
async def steps(count: int, pause: float = 0.02) -> int:
    total = 0
    for n in range(count):
        total += await work(n, pause)
    return total


@podium.workflow
async def blocking() -> None:
    await stuck(60.0)


@podium.workflow
async def gated() -> bool:
    decision = await podium.approval("publish", payload={"text": "hello"})
    return decision.approved


@podium.workflow
async def held() -> object:
    return await podium.wait_signal("go")
