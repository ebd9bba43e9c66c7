"""A durable function that pays, for the tests of the command line."""

import podium
from podium.core.charges import Charge
from podium.runtime.attempts import attempt_context

CENT = 10_000_000


@podium.task
async def pay(cents: int) -> int:
    context = attempt_context()
    assert context is not None
    hold = await context.purse.reserve(cost_nano=cents * CENT, tokens=9, model="m")
    key = context.idempotency_key
    charge = Charge(key=key, provider="acme", model="m", output=7, cost_nano=cents * CENT)
    hold.settle(charge)
    return cents


@podium.workflow
async def spends(cents: int) -> int:
    return await pay(cents)
