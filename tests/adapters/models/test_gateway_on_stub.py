"""From the gateway over a real wire to the stub: what is booked is what is billed."""

import asyncio
import time
from decimal import Decimal

import pytest
from asking import MODELS, user

from podium.adapters.models import open_wire
from podium.core.breaker import BreakerPolicy
from podium.core.charges import Charge
from podium.errors import ModelError
from podium.gateway.asking import Answer, Ask
from podium.gateway.catalog import catalog_of
from podium.gateway.gateway import Gateway
from podium.gateway.journey import Patience
from podium.gateway.limits import Limiter
from podium.gateway.prices import PriceTable
from podium.gateway.tokens import TokenCounter
from podium.settings import LlmSettings, ModelSettings, PriceSettings, ProviderSettings, Secret
from podium.testing.llm import MODELS as PLAYED
from podium.testing.llm import Fault, ModelStub, Say


def settings(stub: ModelStub) -> LlmSettings:
    prices = {model.name: model.prices for model in PLAYED}

    def price(name: str) -> PriceSettings:
        known = prices[name]
        return PriceSettings(
            input_per_mtok=Decimal(known.input),
            output_per_mtok=Decimal(known.output),
            cached_per_mtok=Decimal(known.cached or known.input),
            cache_write_per_mtok=Decimal(known.cache_write or known.input),
        )

    key = Secret(stub.api_key)
    return LlmSettings(
        providers={
            "openai": ProviderSettings(kind="openai", base_url=stub.base_url, api_key=key),
            "openai_responses": ProviderSettings(
                kind="openai", api="responses", base_url=stub.base_url, api_key=key
            ),
            "anthropic": ProviderSettings(kind="anthropic", base_url=stub.base_url, api_key=key),
        },
        models={
            kind: ModelSettings(provider=kind, model=name, price=price(name))
            for kind, name in MODELS.items()
        },
    )


def gateway(stub: ModelStub) -> Gateway:
    llm = settings(stub)
    return Gateway(
        catalog=catalog_of(llm),
        wires=lambda provider: open_wire(provider, environment={}),
        limiter=Limiter(),
        counter=TokenCounter(),
        prices=PriceTable(llm),
        clock_us=lambda: time.monotonic_ns() // 1_000,
        dice=lambda: 0.5,
        # Faults come back faster than answers: in a burst many of them are in a row.
        breaker=BreakerPolicy(failure_threshold=100),
        patience=Patience(retries=8, delay_initial_s=0.001, delay_max_s=0.01),
    )


def ask(kind: str, number: int) -> Ask:
    words = user(f"Question {number}: " + "why? " * number)
    return Ask(model=kind, messages=(words,), key=f"{kind}-{number}", max_tokens=200)


async def call(there: Gateway, asked: Ask, *, streams: bool) -> Answer:
    if not streams:
        return await there.call(asked)
    last = [item async for item in there.stream(asked)][-1]
    assert isinstance(last, Answer)
    return last


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("streams", [False, True], ids=["call", "stream"])
def test_the_ledger_is_the_bill(kind: str, *, streams: bool) -> None:
    async def storm() -> list[Charge]:
        there = gateway(stub)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(call(there, ask(kind, number), streams=streams))
                    for number in range(25)
                ]
        finally:
            await there.close()
        return [charge for task in tasks for charge in task.result().charges]

    with ModelStub() as stub:
        stub.script(Say("An answer of some words.", cached=7), times=None)
        for fault in (Fault.SERVER, Fault.OVERLOADED):
            stub.fail(fault, nth=(2, 9, 17))
        stub.fail(Fault.RATE_LIMITED, nth=(4, 12), retry_after_s=0.01)
        charges = asyncio.run(storm())
        stub.wait_until_idle()
        bill = stub.bill()
    assert len(charges) == len(bill.lines) == 25
    assert sum(charge.cost_nano for charge in charges) == bill.cost_nano
    assert sum(charge.tokens for charge in charges) == bill.usage.total
    assert not any(charge.is_estimated for charge in charges)


def test_half_an_answer_never_passes_as_a_whole_one() -> None:
    async def broken() -> None:
        there = gateway(stub)
        try:
            await call(there, ask("openai", 1), streams=True)
        finally:
            await there.close()

    with ModelStub() as stub:
        stub.script("One two three four five six seven eight.")
        stub.fail(Fault.CUT)
        with pytest.raises(ModelError, match="PDM-M023"):
            asyncio.run(broken())
