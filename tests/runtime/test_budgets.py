"""Budgets: nothing is overspent, nothing is lost, and the limit does what it was told to."""

import asyncio
import random

import bodies
import paying
import pytest
from paying import cents
from waiting import at, called, dag, run, seen, status, steps

import podium
from podium.core.budgets import Budget, Limits, OnLimit, Per, Scope
from podium.core.ids import approval_id
from podium.ports.store import RunFilter


@pytest.fixture(autouse=True)
def fresh_bill() -> None:
    paying.bill.clear()


def limit(usd_cents: float | None = None, *, scope: str = "organization", **fields) -> Budget:
    """Return a rule over money."""
    per = Per(fields.pop("per", "total"))
    key, on_limit = fields.pop("key", ""), OnLimit(fields.pop("on_limit", "deny"))
    limits = Limits(None if usd_cents is None else cents(usd_cents), **fields)
    return Budget(scope=Scope(scope), key=key, per=per, limits=limits, on_limit=on_limit)


def payer(with_: str = "{}", more: str = "") -> str:
    return f"[{{name: a, uses: python:paying:pay, with: {with_}, max_retries: 0{more}}}]"


async def failure(app, workflow, **options) -> podium.TaskError:
    handle = await app.start(dag(workflow) if isinstance(workflow, str) else workflow, **options)
    with pytest.raises(podium.TaskError) as caught:
        await handle.result()
    return caught.value


async def standing(app, prefix: str = "organization:default"):
    [row] = await app.budgets(prefix=prefix)
    return row


async def billed(app) -> int:
    """Return what the ledger says over all runs."""
    rows = await app.engine.store.runs(RunFilter(), limit=10_000)
    lines = [line for row in rows for line in await app.engine.store.ledger(row.run_no)]
    return sum({line.key: line.cost_nano for line in lines}.values())


# --- the ledger ---------------------------------------------------------------------------------


async def test_what_an_attempt_paid_is_in_the_ledger_when_its_step_has_ended(app):
    handle = await app.start(dag(payer("{cost: 2, times: 3}")))
    await handle.result()
    lines = await app.ledger(handle.id)
    assert [line.cost_nano for line in lines] == [cents(2)] * 3
    view = await handle.view()
    assert (view.cost_nano, view.tokens, view.calls) == (cents(6), 150, 3)
    assert view.steps[0].cost_nano == cents(6)


async def test_what_a_failed_attempt_paid_is_charged_and_its_repeat_is_not(app):
    text = payer("{cost: 2, then: fail once}").replace("max_retries: 0", "max_retries: 1")
    handle = await app.start(dag(text.replace("max_retries", "retry_delay: 0, max_retries")))
    await handle.result()
    [line] = await app.ledger(handle.id)
    assert (line.attempt, line.cost_nano) == (1, cents(2))


async def test_what_a_cancelled_attempt_paid_is_charged(app):
    handle = await app.start(dag(payer("{cost: 2, gate: g}")))
    await called("g in")
    await handle.cancel()
    await handle.wait()
    assert (await handle.view()).cost_nano == cents(2)


async def test_what_an_aborted_attempt_paid_is_charged(app):
    handle = await app.start(dag(payer("{cost: 2, gate: g}")))
    await called("g in")
    await handle.abort()
    await handle.wait()
    for _ in range(1000):
        if (await handle.view()).cost_nano:
            break
        await asyncio.sleep(0)
    assert (await handle.view()).cost_nano == cents(2)


async def test_what_a_timed_out_attempt_paid_is_charged(app):
    error = await failure(app, payer("{cost: 2, gate: g}", ", timeout: 0.05"))
    assert error.code == "PDM-T002"
    [run_row] = await app.engine.store.runs(RunFilter(), limit=1)
    assert sum(x.cost_nano for x in await app.engine.store.ledger(run_row.run_no)) == cents(2)


async def test_what_a_step_paid_that_was_cut_off_is_charged_though_its_run_goes_on(app):
    text = """
    - {name: a, uses: python:paying:pay, with: {cost: 2, gate: g}, optional: true,
       max_retries: 0, timeouts: {total: 50ms}}
    - {name: b, uses: fn:hold, with: {name: other}}
    """
    handle = await app.start(dag(text))
    await at(handle, "a", "failed")
    await called("g cancelled")
    bodies.gate("other").set()
    await handle.wait()
    assert (await handle.view()).cost_nano == cents(2)


async def test_a_call_nobody_settled_is_charged_in_full_as_an_estimate(app):
    text = "[{name: a, uses: python:paying:take_and, with: {then: forget, cost: 3}}]"
    handle = await app.start(dag(text))
    await handle.result()
    [line] = await app.ledger(handle.id)
    assert (line.cost_nano, line.is_estimated) == (cents(3), True)


async def test_a_released_call_costs_nothing(house):
    text = "[{name: a, uses: python:paying:take_and, with: {then: release, cost: 3}}]"
    async with house.app(budgets=(limit(3),)) as app:
        for _ in range(3):
            handle = await app.start(dag(text))
            await handle.result()
        assert list(await app.ledger(handle.id)) == []
        assert (await standing(app)).held.cost_nano == 0


async def test_a_step_without_calls_leaves_no_trace_of_money(app):
    handle = await app.start(dag("[{name: a, uses: fn:echo}]"), budget={"usd": 1})
    await handle.result()
    assert list(await app.budgets()) == []
    assert (await handle.view()).cost_nano == 0


# --- limits -------------------------------------------------------------------------------------


async def test_a_call_that_does_not_fit_is_refused_before_it_is_sent(house):
    async with house.app(budgets=(limit(5),)) as app:
        await run(app, payer("{cost: 4}"))
        error = await failure(app, payer("{cost: 2}"))
        assert error.code == "PDM-B001"
        assert "organization/total" in error.what
        assert sum(paying.bill.values()) == cents(4) == (await standing(app)).spent.cost_nano


@pytest.mark.parametrize("fields", [{"tokens": 250}, {"calls": 2}])
async def test_tokens_and_calls_are_limited_too(house, fields):
    async with house.app(budgets=(limit(**fields),)) as app:
        handle = await app.start(dag(payer("{times: 9}")))
        await handle.wait()
        # 100 tokens are reserved for a call that uses 50: the fifth call would not fit.
        assert len(await app.ledger(handle.id)) == (4 if "tokens" in fields else 2)


async def test_a_hundred_runs_at_once_use_a_budget_up_and_never_overspend_it(house):
    """What they hold is twice what they cost: whoever does not fit now waits for it."""
    async with house.app(budgets=(limit(60),)) as app:
        text = "[{name: a, uses: python:paying:pay, with: {cost: 1, most: 2}, max_retries: 0}]"
        handles = [await app.start(dag(text)) for _ in range(100)]
        await asyncio.gather(*(handle.wait() for handle in handles))
        account = await standing(app)
        assert (account.held.cost_nano, account.spent.cost_nano) == (0, sum(paying.bill.values()))
        assert cents(57) <= account.spent.cost_nano <= cents(60)
        assert await billed(app) == account.spent.cost_nano


async def test_the_smallest_of_all_budgets_counts(house):
    rules = (limit(50), limit(3, scope="user", key="ann"), limit(9, scope="workflow"))
    async with house.app(budgets=rules) as app:
        labels = {"user": "ann"}
        assert "user:ann/total" in (await failure(app, payer("{cost: 4}"), labels=labels)).what
        await run(app, payer("{cost: 4}"), labels={"user": "bob"})
        await run(app, payer("{cost: 4}"))
        assert "workflow/total" in (await failure(app, payer("{cost: 4}"))).what


async def test_agents_have_budgets_of_their_own(house):
    async with house.app(budgets=(limit(5, scope="agent", key="critic"),)) as app:
        await run(app, payer("{cost: 6, agent: author}"))
        assert "agent:critic" in (await failure(app, payer("{cost: 6, agent: critic}"))).what


def test_a_budget_per_hour_starts_afresh_with_the_hour(memory_house):
    house = memory_house()

    async def scenario() -> None:
        day_us = 86_400_000_000
        rare = {"watch_every_us": day_us, "sweep_every_us": day_us, "lease_us": 9 * day_us}
        async with house.app(budgets=(limit(5, per="hour"),), **rare) as app:
            await run(app, payer("{cost: 4}"))
            await failure(app, payer("{cost: 4}"))
            await run(app, "[{name: s, uses: sleep, with: {duration: 1h}}]")
            await run(app, payer("{cost: 4}"))
            assert len(await app.budgets(prefix="organization:")) == 2

    with asyncio.Runner(loop_factory=house.loop_factory) as runner:
        runner.run(scenario())


async def test_a_run_may_be_given_a_budget_at_its_start_and_in_its_definition(app):
    with pytest.raises(podium.TaskError) as caught:
        await run(app, payer("{cost: 3, times: 2}"), budget={"usd": 0.05})
    assert caught.value.code == "PDM-B001"
    text = "settings: {budget: {calls: 1}}\ntasks: " + payer("{times: 2}")
    assert (await failure(app, text)).code == "PDM-B001"


async def test_a_task_may_have_a_budget_over_all_its_attempts(app):
    text = payer("{cost: 3, then: fail}", ", budget: {usd: 0.05}")
    text = text.replace("max_retries: 0", "max_retries: 5, retry_delay: 0")
    assert (await failure(app, text)).code == "PDM-B001"


async def test_a_child_run_spends_from_the_budget_of_its_parent(app):
    child = dag("name: child\ntasks: " + payer("{cost: 3}"))
    await run(app, "[{name: n, uses: noop}]")
    await app.engine.registry.publish(child)
    text = """
    - {name: first, uses: "workflow:child"}
    - {name: second, uses: "workflow:child", depends_on: [first]}
    """
    handle = await app.start(dag(text), budget={"usd": 0.05})
    row = await handle.wait()
    view = await handle.view()
    assert (steps(view), row.reason) == ({"first": "completed", "second": "failed"}, "step_failed")
    assert view.cost_nano == cents(3) == view.steps[0].cost_nano
    [account] = await app.budgets(prefix=f"run:{handle.id}")
    assert account.spent.cost_nano == cents(3)


async def test_a_durable_function_is_refused_like_a_graph(app):
    handle = await app.start(paying.spender, input=[1, 1, 1, 1], budget={"calls": 2})
    with pytest.raises(podium.TaskError) as caught:
        await handle.result()
    assert caught.value.code == "PDM-B001"
    assert len(await app.ledger(handle.id)) == 2


async def test_a_budget_that_is_none_is_refused_at_the_start(app):
    with pytest.raises(podium.RequestError, match="PDM-R053"):
        await app.start(dag(payer()), budget={"usd": "much"})


# --- people -------------------------------------------------------------------------------------


async def paused(app, text: str):
    handle = await app.start(dag(text))
    await status(handle, "waiting")
    [row] = await app.approvals()
    return handle, row


async def test_at_the_limit_a_person_may_grant_what_the_step_asks_for(house):
    async with house.app(budgets=(limit(5, on_limit="pause"),)) as app:
        await run(app, payer("{cost: 4}"))
        handle, row = await paused(app, payer("{cost: 3}"))
        assert (await handle.view()).reason == "budget"
        assert "$0.04 of $0.05" in row.prompt
        shown = app.engine.payloads.decode(row.payload)
        assert shown["asked"]["cost_nano"] == cents(3)
        await app.decide(approval_id(row.approval_no), "approve", by="ann")
        assert await handle.result() == 1
        account = await standing(app)
        assert (account.spent.cost_nano, account.extra.cost_nano) == (cents(7), cents(3))


async def test_a_grant_is_used_up_by_the_step_that_asked(house):
    async with house.app(budgets=(limit(5, on_limit="pause"),)) as app:
        await run(app, payer("{cost: 5}"))
        handle, row = await paused(app, payer("{cost: 3, times: 2}"))
        await app.decide(approval_id(row.approval_no), "approve")
        # Its second call needs more than was granted: it asks again, now for both calls.
        again = await seen(handle, lambda view: view.steps[0].attempts == 2 and view.reason != "")
        assert again.reason == "budget"
        [row] = await app.approvals()
        await app.decide(approval_id(row.approval_no), "approve")
        assert await handle.result() == 2
        assert sum(paying.bill.values()) == cents(11) == (await standing(app)).spent.cost_nano


async def test_a_refused_grant_fails_the_step(house):
    async with house.app(budgets=(limit(5, on_limit="pause"),)) as app:
        handle, row = await paused(app, payer("{cost: 6}"))
        await app.decide(approval_id(row.approval_no), "reject", by="ann")
        with pytest.raises(podium.TaskError, match="rejected by ann"):
            await handle.result()
        assert paying.bill == {}


async def test_a_grant_cannot_be_edited(house):
    async with house.app(budgets=(limit(5, on_limit="pause"),)) as app:
        _, row = await paused(app, payer("{cost: 6}"))
        with pytest.raises(podium.ConflictError, match="or not at all"):
            await app.decide(approval_id(row.approval_no), "edit", payload={"usd": 99})


async def test_a_question_about_a_budget_survives_the_process(house):
    async with house.app(budgets=(limit(5, on_limit="pause"),)) as app:
        handle, row = await paused(app, payer("{cost: 6}"))
    async with house.app(budgets=(limit(5, on_limit="pause"),)) as app:
        await app.decide(approval_id(row.approval_no), "approve")
        assert await app.run(handle.id).result() == 1


async def test_an_operator_raises_the_limit_for_everybody(house):
    async with house.app(budgets=(limit(5),)) as app:
        handle = await app.start(dag(payer("{cost: 6}")))
        await handle.wait()
        [account] = await app.budgets()
        await app.grant(account.account, {"usd": 0.01}, by="ann")
        await handle.retry()
        assert await handle.result() == 1


async def test_rules_set_on_the_store_hold_for_running_engines(house):
    async with house.app(budgets=(limit(50),)) as app:
        await app.engine.store.put_budget(limit(2))
        await app.engine._purses.read_rules()
        assert (await failure(app, payer("{cost: 3}"))).code == "PDM-B001"


# --- crashes ------------------------------------------------------------------------------------


async def test_a_call_cut_off_by_a_crash_stays_held_until_its_step_settles_it(house):
    rules = (limit(5),)
    crashed = house.app(budgets=rules)
    async with crashed as app:
        text = "[{name: a, uses: python:paying:take_and, with: {then: x, cost: 4, gate: g}}]"
        handle = await app.start(dag(text))
        await called("g in")
        assert (await standing(app)).held.cost_nano == cents(4)
        house.crash(app)
    bodies.gate("g").set()
    async with house.app(budgets=rules, capacity=0) as app:
        await app.recover()
        account = await standing(app)
        assert (account.held.cost_nano, account.in_doubt.cost_nano) == (cents(4), cents(4))
    async with house.app(budgets=rules) as app:
        await app.recover()
        await app.run(handle.id).result()
        account = await standing(app)
        assert (account.spent.cost_nano, account.held.cost_nano) == (cents(4), 0)


async def test_the_ledger_equals_the_bill_after_many_crashes(house):
    """The provider honours keys; the process dies at random between and within calls."""
    dice = random.Random(7)
    rules = (limit(100),)
    text = """
    - {name: a, uses: python:paying:pay, with: {cost: 1, most: 2}, for_each: "${{ inputs.n }}",
       max_recoveries: 100}
    """
    async with house.app(budgets=rules) as app:
        handle = await app.start(dag(text), input={"n": list(range(30))})
        house.crash(app)
    done = False
    while not done:
        async with house.app(budgets=rules) as app:
            await app.recover()
            for _ in range(dice.randrange(60)):
                await asyncio.sleep(0)
            done = (await app.run(handle.id).view()).status == "completed"
            if not done and dice.random() < 0.9:
                house.crash(app)
            elif not done:
                await app.run(handle.id).wait()
                done = True
    async with house.app(budgets=rules) as app:
        account = await standing(app)
        assert account.spent.cost_nano == sum(paying.bill.values()) == await billed(app)
        assert account.held.cost_nano == 0
        assert len(paying.bill) == 30
