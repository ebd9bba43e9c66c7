"""Budgets, purely: who falls under what, and whether it fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.core.budget_values import limits_of, rule_of
from podium.core.budgets import (
    NOTHING,
    Amounts,
    Budget,
    Fit,
    Limits,
    OnLimit,
    Payer,
    Per,
    Pot,
    Scope,
    Usage,
    dollars,
    fit,
    owner_of,
    pots_of_attempt,
    pots_of_run,
    raised,
    told,
)
from podium.core.reserving import Standing, Wish, admit

NOON_US = 1_795_262_400_000_000  # 2026-11-21 12:00 UTC
PAYER = Payer(
    organization="acme", user="ann", workflow="review", run="run_1", step="a[3]", agent="critic"
)
ONE = Limits(1)


def accounts(*budgets: Budget, payer: Payer = PAYER, now_us: int = NOON_US) -> list[str]:
    return [pot.account for pot in pots_of_attempt(budgets, payer, now_us)]


@pytest.mark.parametrize(
    ("per", "window"),
    [("hour", "2026-11-21T12"), ("day", "2026-11-21"), ("month", "2026-11"), ("total", "total")],
)
def test_an_account_is_named_by_its_thing_and_its_window(per, window):
    assert accounts(Budget(scope=Scope.ORGANIZATION, per=Per(per), limits=ONE)) == [
        f"organization:acme@{window}"
    ]


def test_every_scope_names_its_thing():
    scopes = [Scope.USER, Scope.WORKFLOW, Scope.STEP, Scope.AGENT]
    assert accounts(*(Budget(scope=scope, limits=ONE) for scope in scopes)) == [
        "user:acme/ann@total",
        "workflow:acme/review@total",
        "step:a[3]@run_1",
        "agent:acme/critic@total",
    ]


@pytest.mark.parametrize(
    ("account", "owner"),
    [
        ("organization:acme@2030-01", ("acme", "")),
        ("user:ann@total", ("default", "")),
        ("user:acme/ann@total", ("acme", "")),
        ("user:default/a/b@total", ("default", "")),
        ("user:acme/me@home@total", ("acme", "")),
        ("agent:critic@run_00000001", ("default", "")),
        ("run:run_00000001", ("", "run_00000001")),
        ("step:a[x@y]@run_00000001", ("", "run_00000001")),
    ],
)
def test_an_account_tells_whose_it_is(account, owner):
    assert owner_of(account) == owner


def test_users_of_two_organizations_share_a_name_and_no_account():
    rule = Budget(scope=Scope.USER, limits=ONE)
    plain, other, tricky = (
        Payer(organization=organization, user=user, workflow="w", run="run_1")
        for organization, user in (("default", "acme/ann"), ("acme", "ann"), ("default", "ann"))
    )
    found = [next(pots_of_attempt([rule], payer, 0)).account for payer in (plain, other, tricky)]
    assert found == ["user:default/acme/ann@total", "user:acme/ann@total", "user:ann@total"]


def test_a_rule_of_one_organization_holds_for_no_other():
    rule = Budget(scope=Scope.WORKFLOW, limits=ONE, organization="globex")
    assert accounts(rule) == []
    assert rule.name == "globex/workflow/total"


def test_a_named_budget_is_for_that_one_only():
    assert accounts(Budget(scope=Scope.USER, key="bob", limits=ONE)) == []
    assert accounts(Budget(scope=Scope.USER, key="ann", limits=ONE)) == ["user:acme/ann@total"]


def test_what_has_no_user_falls_under_no_budget_of_users():
    nobody = Payer(organization="acme", user="", workflow="w", run="run_1")
    assert accounts(Budget(scope=Scope.USER, limits=ONE), payer=nobody) == []


def test_budgets_per_run_belong_to_the_run_whatever_their_scope():
    rules = [Budget(scope=scope, per=Per.RUN, limits=ONE) for scope in Scope]
    found = list(pots_of_run([*rules, Budget(scope=Scope.RUN)], PAYER, Limits(5), None))
    assert {pot.account for pot in found} == {"run:run_1"}
    assert [pot.budget for pot in found] == [
        "organization/run", "user/run", "workflow/run", "run/run", "run/total", "run",
    ]  # fmt: skip
    assert accounts(*rules) == ["step:a[3]@run_1", "agent:acme/critic@run_1"]


def test_a_call_may_start_while_any_time_is_left():
    limits = Limits(time_us=10)
    assert fit(limits, NOTHING, Usage(spent=Amounts(time_us=9)), Amounts(1)) is Fit.FITS
    assert fit(limits, NOTHING, Usage(spent=Amounts(time_us=10)), Amounts(1)) is Fit.SPENT


def test_only_calls_that_may_end_are_waited_for():
    held = Amounts(60)
    assert fit(Limits(100), NOTHING, Usage(held=held), Amounts(50)) is Fit.BUSY
    in_doubt = Usage(held=held, in_doubt=held)
    assert fit(Limits(100), NOTHING, in_doubt, Amounts(50)) is Fit.SPENT
    assert fit(Limits(100), Amounts(10), in_doubt, Amounts(50)) is Fit.FITS


amounts = st.builds(Amounts, *(st.integers(0, 50) for _ in range(3)))
limits = st.builds(Limits, *(st.none() | st.integers(0, 200) for _ in range(3)))


@given(st.lists(limits, min_size=1, max_size=3), st.lists(amounts, max_size=30))
def test_no_account_is_ever_promised_more_than_its_limit(declared, wishes):
    pots = [Pot(f"a{at % 2}", each) for at, each in enumerate(declared)]
    standings = {pot.account: Standing() for pot in pots}
    for wanted in wishes:
        admit(standings, Wish(pots, wanted))
        for pot in pots:
            held = standings[pot.account].held
            for unit in ("cost_nano", "tokens", "calls"):
                limit = getattr(pot.limits, unit)
                assert limit is None or getattr(held, unit) <= limit


@given(limits, st.lists(amounts, min_size=1, max_size=10))
def test_a_refused_wish_changes_nothing(declared, wishes):
    standings = {"a": Standing()}
    for wanted in wishes:
        before = standings["a"].held
        if admit(standings, Wish([Pot("a", declared)], wanted)).fit is Fit.FITS:
            assert standings["a"].held == before + wanted
        else:
            assert standings["a"].held == before


def test_limits_are_read_exactly():
    read = limits_of({"usd": 0.1, "tokens": 5, "calls": 3, "time": "2m", "turns": 8})
    assert read == Limits(100_000_000, 5, 3, 120_000_000)
    assert limits_of({}) == Limits()


@pytest.mark.parametrize(
    "wrong",
    [7, {"usd": "much"}, {"usd": -1}, {"usd": "nan"}, {"calls": True}, {"calls": -1},
     {"tokens": 1.5}, {"time": "soon"}],
)  # fmt: skip
def test_what_is_no_budget_is_refused(wrong):
    with pytest.raises(ValueError, match="budget"):
        limits_of(wrong)


def test_a_rule_has_a_name_that_tells_what_it_is_for():
    rule = rule_of("user", "ann", per="day", limits={"usd": 5}, on_limit="pause")
    assert (rule.name, rule.on_limit) == ("user:ann/day", OnLimit.PAUSE)
    assert rule_of("organization", "", per="month", limits={}, on_limit="deny").name == (
        "organization/month"
    )


def test_amounts_are_told_with_what_is_limited():
    spent = Amounts(1_230_000_000, 1500, 1, 2_500_000)
    assert told(spent) == "$1.23, 1,500 tokens, 1 call, 2.5 s"
    assert told(spent, Limits(calls=9)) == "1 call"
    assert told(NOTHING) == "nothing"
    assert raised(Limits(5, calls=2), Amounts(1, 1, 1)) == Limits(6, calls=3)
    assert [dollars(n) for n in (0, 1, 10**5, 10**9, 10**15)] == [
        "$0.00", "<$0.0001", "$0.0001", "$1.00", "$1,000,000.00",
    ]  # fmt: skip
