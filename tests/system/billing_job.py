"""A process whose tasks call a provider that bills into a file, once for each idempotency key.

    python billing_job.py STORE BILL KEY CALLS CAP_CENTS

Each call is billed by one line in one write, before its answer comes: what survives a kill -9 is
what the provider wants to be paid for. Prints how many calls the budget let through.
"""

import asyncio
import os
import sys
from pathlib import Path

import podium
from podium.core.charges import Charge
from podium.errors import BudgetError
from podium.runtime.attempts import attempt_context
from podium.settings import BudgetSettings, Settings

BILL = Path()
CENT = 10_000_000


def billed(key: str, cost: int) -> int:
    """Return what the provider bills for this key, now or when it came first."""
    known = [line.split() for line in BILL.read_text().splitlines()] if BILL.exists() else []
    for name, earlier in known:
        if name == key:
            return int(earlier)
    handle = os.open(BILL, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(handle, f"{key} {cost}\n".encode())
    os.close(handle)
    return cost


@podium.task(max_retries=0, max_recoveries=1000)
async def ask(number: int) -> bool:
    """Make one call; return whether there was money for it."""
    context = attempt_context()
    assert context is not None
    try:
        hold = await context.purse.reserve(cost_nano=3 * CENT, tokens=30, model="m")
    except BudgetError:
        return False
    cost = billed(context.idempotency_key, (1 + number % 3) * CENT)
    await asyncio.sleep(0.003)
    key = context.idempotency_key
    hold.settle(Charge(key=key, provider="acme", model="m", output=9, cost_nano=cost))
    return True


@podium.workflow
async def asks(calls: int) -> int:
    """Make calls, eight at a time."""
    return sum(await podium.map(ask, list(range(calls)), max_parallel=8))


async def main(store: str, key: str, calls: int, cap_cents: int) -> None:
    """Start or find the run by its key and wait for it."""
    cap = BudgetSettings(scope="organization", limit_usd=cap_cents / 100)
    settings = Settings(database_url=f"sqlite:///{store}", budgets=(cap,))
    async with podium.connect(settings=settings) as app:
        handle = await app.start(asks, input=calls, idempotency_key=key)
        sys.stdout.write(f"{await handle.result()}\n")


if __name__ == "__main__":
    BILL = Path(sys.argv[2])
    asyncio.run(main(sys.argv[1], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
