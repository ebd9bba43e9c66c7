"""Bodies of tasks that call a model which is not there, and a provider that keeps its own bill."""

import asyncio
from typing import Any

import bodies

import podium
from podium.core.charges import NANO, Charge
from podium.runtime.attempts import AttemptContext, attempt_context

bill: dict[str, int] = {}
"""What the provider billed by idempotency key: a key that comes again costs nothing more."""


def here() -> AttemptContext:
    context = attempt_context()
    assert context is not None
    return context


def cents(amount: float) -> int:
    return round(amount * NANO / 100)


async def call(cost: float, most: float, *, key: str, agent: str = "") -> None:
    """Make one call that may cost `most` cents and costs `cost`."""
    purse: Any = here().purse
    hold = await purse.reserve(cost_nano=cents(most), tokens=100, model="m", agent=agent)
    for _ in range(3):
        await asyncio.sleep(0)
    bill.setdefault(key, cents(cost))
    charge = Charge(key=key, provider="acme", model="m", output=50, cost_nano=bill[key])
    hold.settle(charge)


async def pay(
    cost: float = 1,
    most: float | None = None,
    *,
    times: int = 1,
    then: str = "",
    gate: str = "",
    agent: str = "",
) -> int:
    """Pay `times` times, and then fail if asked to."""
    key = here().idempotency_key
    for number in range(times):
        await call(cost, most if most is not None else cost, key=f"{key}#{number}", agent=agent)
    if gate:
        await bodies.hold(gate)
    bodies.tries[key] += 1
    if then == "fail" or (then == "fail once" and bodies.tries[key] == 1):
        raise ValueError("paid for nothing")
    return times


async def take_and(then: str, cost: float = 1, gate: str = "") -> None:
    """Reserve and then release, forget, or hang."""
    purse: Any = here().purse
    hold = await purse.reserve(cost_nano=cents(cost), tokens=0, model="m")
    if then == "release":
        hold.release()
    if gate:
        await bodies.hold(gate)


@podium.task
async def paid(cost: float) -> float:
    await call(cost, cost, key=here().idempotency_key)
    return cost


@podium.workflow
async def spender(costs: list[float]) -> int:
    return len(await podium.map(paid, costs))
