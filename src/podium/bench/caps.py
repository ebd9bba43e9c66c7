"""A2: a hundred runs that spend from one cap at once: all of it is usable, and nothing beyond."""

import asyncio
import time
from decimal import Decimal
from pathlib import Path
from typing import Final

from podium.authoring.client import App
from podium.authoring.decorators import task, workflow
from podium.bench.measure import Meter, Sample
from podium.bench.models import llm_settings, model_server, question
from podium.bench.workloads import Sizes, fresh_app
from podium.core.charges import NANO
from podium.errors import BudgetError
from podium.runtime.attempts import attempt_context
from podium.settings import BudgetSettings, Settings

__all__ = ["measure_cap"]

CALL_USD: Final = Decimal("0.00014")
"""What each call costs: 100 tokens read and 20 written, at the prices of `models.py`."""
CALLS_EACH: Final = 10
"""How many calls of each payer the cap has room for."""


@task
async def spend() -> int:
    """Call until the budget refuses, and return what the calls cost."""
    context = attempt_context()
    assert context is not None
    assert context.services.models is not None
    gateway, spent = context.services.models.get(), 0
    while True:
        try:
            answer = await gateway.call(question(), purse=context.purse)
        except BudgetError:
            return spent
        spent += sum(charge.cost_nano for charge in answer.charges)


@workflow(deadline="1h")
async def spender() -> int:
    """Run the one step that spends."""
    return await spend()


async def measure_cap(folder: Path, sizes: Sizes) -> Sample:
    """Let all payers spend at once until each of them was refused."""
    cap = CALL_USD * CALLS_EACH * sizes.payers
    budget = BudgetSettings(scope="organization", limit_usd=cap, per="total")
    with model_server() as url:
        settings = Settings(llm=llm_settings(url), budgets=(budget,))
        async with fresh_app(folder, "a2", settings=settings) as app:
            return await _measure(app, sizes.payers, int(cap * NANO))


async def _measure(app: App, payers: int, cap_nano: int) -> Sample:
    refused_after: list[float] = []
    begun = time.perf_counter()

    async def one() -> int:
        run = await app.start(spender)
        spent: int = await run.result()
        refused_after.append(time.perf_counter() - begun)
        return spent

    meter = Meter(app)
    told = await asyncio.gather(*(one() for _ in range(payers)))
    spent = sum(told)
    calls = round(spent / (CALL_USD * NANO))
    sample = meter.sample(
        "A2",
        f"{payers} runs that spend from one cap",
        steps=max(calls, 1),
        count=calls,
        unit="calls/s",
    )
    [account] = await app.budgets(prefix="organization:")
    sample.facts = {
        "overspend_usd": max(0, spent - cap_nano) / NANO,
        "used_percent": round(spent / cap_nano * 100, 2),
        "not_in_the_ledger_usd": abs(spent - account.spent.cost_nano) / NANO,
        "seconds_to_the_last_refusal": round(max(refused_after), 2),
    }
    return sample
