"""The gateway: what it sends, waits for, charges and gives back."""

import asyncio
from typing import Any

import pytest
from scripted import Desk, part_of, question, said

from podium.app import build_gateway
from podium.core.breaker import BreakerPolicy
from podium.errors import BudgetError, ModelError
from podium.gateway.journey import Patience
from podium.gateway.limits import Limits
from podium.ports.models import FaultKind, Finish, LimitState, ProviderFault, Reply, Usage
from podium.settings import LlmSettings, ModelSettings, PriceSettings, ProviderSettings, Secret
from podium.testing.llm import ModelStub

K = FaultKind

BIG = "p/big-1"
"""What the provider calls the model `big`."""


def fault(kind: FaultKind, **facts: object) -> ProviderFault:
    return ProviderFault(kind, "told", **facts)  # type: ignore[arg-type]


def asked_to_wait(seconds: float) -> ProviderFault:
    return fault(K.RATE_LIMITED, status=429, limits=LimitState(retry_after_s=seconds))


# -- an answer -----------------------------------------------------------------------------------


def test_an_answer_is_charged_with_what_it_really_used() -> None:
    desk = Desk(said())
    answer = desk.run(desk.call(agent="risk"))
    charge = answer.charges[0]
    assert (charge.key, charge.provider, charge.model) == ("k/0.1", "p", "big-1")
    assert charge.agent == "risk"
    assert (charge.input, charge.output, charge.cost_nano) == (100, 10, 1_100)
    assert desk.purse.charges == [charge]


def test_the_purse_reserves_what_the_answer_can_cost_at_most() -> None:
    desk = Desk(said())
    desk.run(desk.call(max_tokens=50))
    assert desk.purse.asked == [("big", (120 + 50) * 10, 170)]


def test_an_answer_is_never_longer_than_the_model_can_write() -> None:
    desk = Desk(said())
    desk.run(desk.call(max_tokens=5_000))
    assert desk.p.requests[0].max_tokens == 400


def test_an_estimate_sends_nothing() -> None:
    desk = Desk()
    estimate = desk.gateway.estimate(question())
    assert (estimate.tokens, estimate.cost_nano_max) == (150, 1_700)


def test_the_limits_reserve_what_is_expected_and_a_fifth() -> None:
    desk = Desk(limits=FEW)
    seen: list[float] = []

    async def look() -> None:
        seen.append(desk.limiter.tokens_used(BIG))

    desk.p.steps = [[look, said()]]
    desk.run(desk.call(expected_tokens=20))
    assert seen == [124]


def test_the_limits_are_settled_with_what_was_used() -> None:
    desk = Desk(said(), limits=FEW)

    async def call() -> float:
        await desk.call()
        return desk.limiter.tokens_used(BIG)

    assert desk.run(call()) == 110


def test_counting_learns_from_what_the_provider_counted() -> None:
    desk = Desk(said(usage=Usage(input=70, cached=20, output=3)))
    desk.run(desk.call())
    assert desk.counter.learned == [("big-1", 100, 90)]


def test_what_headers_say_reaches_the_limiter() -> None:
    state = LimitState(tokens_left=5)
    desk = Desk(said(limits=state))
    desk.run(desk.call())
    assert desk.limiter.learned == [(BIG, state)]


def test_an_answer_without_usage_is_charged_by_our_count() -> None:
    desk = Desk(said(usage=Usage(output=9), is_estimated=True))
    charge = desk.run(desk.call()).charges[0]
    assert (charge.input, charge.output, charge.is_estimated) == (100, 9, True)
    assert desk.counter.learned == []


FEW = {BIG: Limits(tpm=10_000, rpm=100)}

# -- faults that pass ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in K if kind.is_transient])
def test_a_fault_that_may_pass_is_tried_again(kind: FaultKind) -> None:
    desk = Desk(fault(kind), said())
    answer = desk.run(desk.call())
    assert [tried.why for tried in answer.tried] == [kind]
    assert len(desk.p.requests) == 2


@pytest.mark.parametrize("kind", [kind for kind in K if not kind.is_transient])
def test_a_fault_that_stays_is_not_tried_again(kind: FaultKind) -> None:
    desk = Desk(fault(kind))
    with pytest.raises(ModelError) as caught:
        desk.run(desk.call("alone"))
    assert (caught.value.kind, caught.value.is_transient) == (kind, False)
    assert len(desk.p.requests) == 1


def test_waits_grow_with_full_jitter() -> None:
    desk = Desk(*(fault(K.SERVER) for _ in range(3)), said())
    desk.run(desk.call())
    assert desk.p.at == [0.0, 0.5, 1.5, 3.5]


def test_no_try_comes_sooner_than_the_provider_asked() -> None:
    desk = Desk(asked_to_wait(30), said())
    desk.run(desk.call())
    assert 30 <= desk.p.at[1] <= 33
    assert desk.told == ["Rate limit reached. Retrying in 32 s …"]


def test_other_calls_of_the_model_wait_too() -> None:
    desk = Desk(asked_to_wait(30), said(), said())

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(desk.call())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            group.create_task(desk.call(key="other"))

    desk.run(both())
    assert len(desk.p.at) == 3
    assert min(desk.p.at[1:]) >= 30


def test_tries_are_bounded_in_number() -> None:
    desk = Desk(*(fault(K.SERVER) for _ in range(9)))
    with pytest.raises(ModelError, match="PDM-M021"):
        desk.run(desk.call("alone"))
    assert len(desk.p.requests) == 4


def test_tries_are_bounded_in_time() -> None:
    desk = Desk(asked_to_wait(100), asked_to_wait(100), patience=Patience(total_s=180))
    with pytest.raises(ModelError, match="PDM-M020") as caught:
        desk.run(desk.call("alone"))
    assert caught.value.is_transient
    assert len(desk.p.requests) == 2


def test_every_try_carries_the_same_idempotency_key_and_has_a_charge_of_its_own() -> None:
    desk = Desk(fault(K.STREAM_CUT, partial=part_of("h")), said())
    answer = desk.run(desk.call(attempt=2))
    assert [request.idempotency_key for request in desk.p.requests] == ["k", "k"]
    assert [charge.key for charge in answer.charges] == ["k/2.1", "k/2.2"]


def test_what_was_used_before_a_fault_is_charged() -> None:
    desk = Desk(fault(K.STREAM_CUT, partial=part_of("h")), said())
    first = desk.run(desk.call()).charges[0]
    assert (first.input, first.output, first.is_estimated) == (100, 7, True)


def test_a_refused_request_is_not_charged() -> None:
    desk = Desk(fault(K.RATE_LIMITED, status=429), said())
    assert len(desk.run(desk.call()).charges) == 1


# -- streams -------------------------------------------------------------------------------------


def test_a_stream_yields_its_pieces_and_then_the_answer() -> None:
    desk = Desk(["ye", "s", said()])
    *pieces, answer = desk.run(desk.stream())
    assert "".join(piece.text for piece in pieces) == "yes"
    assert answer.reply == said()


def test_a_stream_that_broke_before_its_first_piece_begins_again() -> None:
    desk = Desk(fault(K.OVERLOADED), ["yes", said()])
    assert len(desk.run(desk.stream())) == 2


def test_a_stream_that_broke_after_a_piece_is_incomplete_and_charged_never_begun_again() -> None:
    desk = Desk(["ye", fault(K.STREAM_CUT, partial=part_of("ye"))], said(), q=(said(),))
    with pytest.raises(ModelError, match="PDM-M023") as caught:
        desk.run(desk.stream())
    assert (caught.value.kind, len(desk.p.requests), len(desk.q.requests)) == ("incomplete", 1, 0)
    assert [charge.output for charge in desk.purse.charges] == [7]


def test_a_stream_that_is_closed_early_is_charged_for_what_came() -> None:
    desk = Desk(["abcdef", "more", said()])

    async def close_early() -> None:
        stream = desk.gateway.stream(question(), purse=desk.purse)
        await anext(stream)
        await stream.aclose()

    desk.run(close_early())
    (charge,) = desk.purse.charges
    assert (charge.input, charge.output, charge.is_estimated) == (100, 2, True)


# -- cancelling ----------------------------------------------------------------------------------


def test_a_call_that_is_cancelled_gives_back_what_it_held_and_is_charged_if_it_was_sent() -> None:
    desk = Desk([asyncio.Event().wait])

    async def give_up() -> None:
        async with asyncio.timeout(5):
            await desk.call()

    with pytest.raises(TimeoutError):
        desk.run(give_up())
    (charge,) = desk.purse.charges
    assert (charge.input, charge.is_estimated) == (100, True)


def test_a_call_that_is_cancelled_while_it_waits_for_its_turn_costs_nothing() -> None:
    desk = Desk(said(), limits={BIG: Limits(rpm=1)})

    async def give_up() -> None:
        await desk.call()
        async with asyncio.timeout(5):
            await desk.call()

    with pytest.raises(TimeoutError):
        desk.run(give_up())
    assert len(desk.purse.charges) == 1


# -- fallbacks -----------------------------------------------------------------------------------


def test_a_model_that_fails_for_good_is_replaced_and_reserved_for_anew() -> None:
    desk = Desk(fault(K.AUTH), q=(said(),))
    answer = desk.run(desk.call())
    assert (answer.model, answer.tried[0].why) == ("other", "auth")
    assert [model for model, _, _ in desk.purse.asked] == ["big", "other"]
    assert desk.q.requests[0].idempotency_key == "k:other"
    assert desk.told == [
        "p refused the key: model 'big'. Asking other instead …",
    ]


def test_fallbacks_are_asked_in_order_and_each_once() -> None:
    desk = Desk(fault(K.AUTH), fault(K.AUTH), q=(fault(K.AUTH),))
    with pytest.raises(ModelError, match="cheap"):
        desk.run(desk.call())
    assert (len(desk.p.requests), len(desk.q.requests)) == (2, 1)


def test_a_request_that_is_refused_as_wrong_is_not_sent_elsewhere() -> None:
    desk = Desk(fault(K.BAD_REQUEST), q=(said(),))
    with pytest.raises(ModelError, match="PDM-M006"):
        desk.run(desk.call())


def test_a_request_too_long_for_its_model_goes_to_the_longer_one_unsent() -> None:
    desk = Desk(q=(said(),), tokens=980)
    answer = desk.run(desk.call())
    assert (answer.model, desk.p.requests) == ("long", [])
    assert [tried.why for tried in answer.tried] == ["context_window"]


def test_a_request_too_long_for_every_model_says_so_before_sending() -> None:
    desk = Desk(tokens=980)
    with pytest.raises(ModelError, match="window of 1,000"):
        desk.run(desk.call("alone"))
    assert desk.purse.asked == []


def test_a_provider_that_finds_it_too_long_is_believed() -> None:
    desk = Desk(fault(K.CONTEXT_WINDOW), q=(said(),))
    assert desk.run(desk.call()).model == "long"


def test_refused_content_goes_to_the_model_declared_for_it() -> None:
    desk = Desk(fault(K.CONTENT_POLICY), q=(said(),))
    assert desk.run(desk.call()).model == "other"


def test_an_answer_that_is_a_refusal_is_charged_and_goes_on_to_the_fallback() -> None:
    desk = Desk(said(finish=Finish.CONTENT_FILTER), q=(said(),))
    answer = desk.run(desk.call())
    assert (answer.model, len(answer.charges)) == ("other", 2)


def test_a_refusal_without_a_fallback_is_the_answer() -> None:
    desk = Desk(said(finish=Finish.CONTENT_FILTER))
    assert desk.run(desk.call("alone")).reply.finish is Finish.CONTENT_FILTER


# -- budgets -------------------------------------------------------------------------------------


def test_a_spent_budget_stops_the_call_before_it_is_sent() -> None:
    desk = Desk(refuses={"big": "deny"})
    with pytest.raises(BudgetError):
        desk.run(desk.call())
    assert desk.p.requests == []


def test_a_budget_that_says_downgrade_gets_a_cheaper_model() -> None:
    desk = Desk(said(), refuses={"big": "downgrade"})
    answer = desk.run(desk.call())
    assert (answer.model, answer.tried[0].why) == ("cheap", "budget")
    assert desk.q.requests == []  # `other` comes first in the list, and costs the same


def test_a_budget_too_small_for_the_cheapest_says_so() -> None:
    desk = Desk(refuses={"big": "downgrade", "cheap": "downgrade"})
    with pytest.raises(BudgetError):
        desk.run(desk.call())


def test_a_model_of_unknown_price_fits_no_budget_in_money() -> None:
    desk = Desk(refuses={"free": "pause"})
    with pytest.raises(BudgetError, match="PDM-M024") as caught:
        desk.run(desk.call("free"))
    assert caught.value.outcome == "deny"
    assert desk.purse.asked[0][1] >= 10**15


def test_a_model_of_unknown_price_is_asked_where_money_is_not_limited() -> None:
    desk = Desk(said())
    charge = desk.run(desk.call("free")).charges[0]
    assert (charge.cost_nano, charge.prices) == (0, "unknown")
    assert desk.gateway.estimate(question("free")).cost_nano_max is None


# -- the breaker ---------------------------------------------------------------------------------

FRAGILE = {"breaker": BreakerPolicy(failure_threshold=2), "patience": Patience(retries=0)}


async def fail(desk: Desk, times: int) -> None:
    for _ in range(times):
        with pytest.raises(ModelError, match="PDM-M021"):
            await desk.call("alone")


def test_a_provider_that_keeps_failing_is_left_alone_for_a_while() -> None:
    desk = Desk(fault(K.SERVER), fault(K.SERVER), said(), **FRAGILE)

    async def history() -> None:
        await fail(desk, 2)
        with pytest.raises(ModelError, match="another 60 s"):
            await desk.call("alone")

    desk.run(history())
    assert len(desk.p.requests) == 2
    assert len(desk.purse.asked) == 2  # nobody reserves, or queues, for nothing


def test_one_call_finds_out_whether_it_is_back() -> None:
    desk = Desk(fault(K.SERVER), fault(K.SERVER), said(), said(), **FRAGILE)

    async def history() -> None:
        await fail(desk, 2)
        await pause(60)
        await desk.call("alone")
        await desk.call("alone")

    desk.run(history())
    assert len(desk.p.requests) == 4


def test_an_open_breaker_sends_calls_to_the_fallback() -> None:
    desk = Desk(fault(K.SERVER), fault(K.SERVER), q=(said(), said(), said()), **FRAGILE)

    async def history() -> str:
        for _ in range(2):
            await desk.call()
        return (await desk.call()).tried[0].why

    assert desk.run(history()) == "breaker_open"


def test_refusals_of_ours_do_not_open_the_breaker() -> None:
    faults = [fault(kind) for kind in (K.BAD_REQUEST, K.RATE_LIMITED) for _ in range(2)]
    desk = Desk(*faults, said(), **FRAGILE)

    async def history() -> None:
        for _ in range(4):
            with pytest.raises(ModelError):
                await desk.call("alone")
        await desk.call("alone")

    desk.run(history())


def test_a_probe_that_is_cancelled_leaves_its_place_to_the_next() -> None:
    desk = Desk(fault(K.SERVER), fault(K.SERVER), [asyncio.Event().wait], said(), **FRAGILE)

    async def history() -> None:
        await fail(desk, 2)
        await pause(60)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await desk.call("alone")
        await desk.call("alone")

    desk.run(history())


async def pause(seconds: float) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


# -- the rest ------------------------------------------------------------------------------------


def test_an_unknown_model_is_named_with_what_there_is() -> None:
    with pytest.raises(ModelError, match="Did you mean 'big'"):
        Desk().run(Desk().call("bigg"))


def test_a_model_of_a_known_provider_need_not_be_declared() -> None:
    desk = Desk(q=(said(),))
    desk.run(desk.call("q/some-model"))
    assert desk.q.requests[0].model == "some-model"


def test_closing_closes_the_wires_that_were_opened() -> None:
    desk = Desk(said())

    async def use() -> None:
        await desk.call()
        await desk.gateway.close()
        await desk.gateway.close()

    desk.run(use())
    assert (desk.p.is_closed, desk.q.is_closed) == (True, False)


def test_a_thousand_calls_at_once_reserve_and_settle_one_by_one() -> None:
    desk = Desk(*(said() for _ in range(1_000)), limits={BIG: Limits(concurrency=10)})

    async def crowd() -> list[Reply]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(desk.call(key=f"k{n}")) for n in range(1_000)]
        return [task.result().reply for task in tasks]

    assert len(desk.run(crowd())) == 1_000
    assert len({charge.key for charge in desk.purse.charges}) == 1_000


def test_aliases_of_one_model_share_its_limits() -> None:
    with ModelStub(first_byte_s=0.01) as stub:
        price = PriceSettings(input_per_mtok=1, output_per_mtok=1)
        told: dict[str, Any] = {"provider": "stub", "model": "gpt-4o-mini", "price": price}
        provider = ProviderSettings(
            kind="openai", base_url=stub.base_url, api_key=Secret(stub.api_key)
        )
        llm = LlmSettings(
            providers={"stub": provider},
            models={
                "quick": ModelSettings(**told, concurrency=3),
                "thorough": ModelSettings(**told, concurrency=2),
            },
        )

        async def crowd() -> None:
            gateway = build_gateway(llm)
            try:
                asks = [
                    question(model, key=f"{model}{number}")
                    for model in ("quick", "thorough")
                    for number in range(10)
                ]
                await asyncio.gather(*(gateway.call(ask) for ask in asks))
            finally:
                await gateway.close()

        asyncio.run(crowd())
    assert stub.max_in_flight == 2
