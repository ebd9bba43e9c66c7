"""The circuit breaker: its table by example, and its promises over any history."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from podium.core.breaker import (
    Breaker,
    BreakerPolicy,
    BreakerState,
    Ticket,
    admit,
    failed,
    forgotten,
    opens_in_us,
    succeeded,
)

POLICY = BreakerPolicy(failure_threshold=3, timeout_us=100, probes=1)


def ask(breaker: Breaker, now_us: int = 0) -> tuple[Breaker, Ticket]:
    breaker, ticket = admit(breaker, POLICY, now_us=now_us)
    assert ticket is not None
    return breaker, ticket


def broken(now_us: int = 0) -> Breaker:
    breaker = Breaker()
    for _ in range(POLICY.failure_threshold):
        breaker, ticket = ask(breaker, now_us)
        breaker = failed(breaker, ticket, POLICY, now_us=now_us)
    return breaker


def test_it_opens_at_the_threshold_and_not_before() -> None:
    breaker = Breaker()
    states = []
    for _ in range(3):
        breaker, ticket = ask(breaker)
        breaker = failed(breaker, ticket, POLICY, now_us=0)
        states.append(breaker.state)
    assert states == [BreakerState.CLOSED, BreakerState.CLOSED, BreakerState.OPEN]


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = Breaker()
    for fails in (True, True, False, True, True):
        breaker, ticket = ask(breaker)
        if fails:
            breaker = failed(breaker, ticket, POLICY, now_us=0)
        else:
            breaker = succeeded(breaker, ticket, now_us=0)
    assert breaker.state is BreakerState.CLOSED


def test_an_open_breaker_refuses_until_its_timeout() -> None:
    assert admit(broken(), POLICY, now_us=99)[1] is None
    assert admit(broken(), POLICY, now_us=100)[1] is not None


def test_a_half_open_breaker_lets_only_its_probes_pass() -> None:
    breaker, _probe = ask(broken(), 100)
    assert admit(breaker, POLICY, now_us=101)[1] is None


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker, probe = ask(broken(), 100)
    assert succeeded(breaker, probe, now_us=110) == Breaker(since_us=110, era=3)


def test_a_probe_that_fails_opens_it_for_the_whole_timeout_again() -> None:
    breaker, probe = ask(broken(), 100)
    breaker = failed(breaker, probe, POLICY, now_us=110)
    assert admit(breaker, POLICY, now_us=209)[1] is None
    assert admit(breaker, POLICY, now_us=210)[1] is not None


def test_a_probe_without_a_verdict_gives_its_place_to_another() -> None:
    breaker, probe = ask(broken(), 100)
    assert admit(forgotten(breaker, probe), POLICY, now_us=101)[1] is not None


def test_a_probe_that_never_reports_blocks_no_longer_than_the_timeout() -> None:
    breaker, _lost = ask(broken(), 100)
    assert admit(breaker, POLICY, now_us=199)[1] is None
    assert admit(breaker, POLICY, now_us=200)[1] is not None


@pytest.mark.parametrize("late", ["success", "failure", "nothing"])
def test_a_result_of_an_earlier_era_changes_nothing(late: str) -> None:
    _, slow = ask(Breaker())
    breaker, _probe = ask(broken(), 100)
    after = {
        "success": succeeded(breaker, slow, now_us=120),
        "failure": failed(breaker, slow, POLICY, now_us=120),
        "nothing": forgotten(breaker, slow),
    }
    assert after[late] == breaker


def test_the_wait_it_names_is_the_wait_it_asks_for() -> None:
    breaker = broken(7)
    wait_us = opens_in_us(breaker, POLICY, now_us=20)
    assert admit(breaker, POLICY, now_us=20 + wait_us - 1)[1] is None
    assert admit(breaker, POLICY, now_us=20 + wait_us)[1] is not None


class Histories(RuleBasedStateMachine):
    """Any order of asking, reporting and waiting, beside the plainest model of the promises."""

    policy = BreakerPolicy(failure_threshold=3, timeout_us=100, probes=2)

    def __init__(self) -> None:
        super().__init__()
        self.now_us = 1_000
        self.breaker = Breaker()
        self.out: list[Ticket] = []
        self.row = 0

    @rule(us=st.integers(1, 150))
    def wait(self, us: int) -> None:
        self.now_us += us

    @rule()
    def enter(self) -> None:
        wait_us = opens_in_us(self.breaker, self.policy, now_us=self.now_us)
        self.breaker, ticket = admit(self.breaker, self.policy, now_us=self.now_us)
        assert (ticket is not None) == (wait_us == 0)
        if ticket is not None:
            self.out.append(ticket)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), verdict=st.sampled_from(["ok", "bad", "unknown"]))
    def report(self, data: st.DataObject, verdict: str) -> None:
        ticket = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = self.breaker
        if verdict == "ok":
            self.breaker = succeeded(before, ticket, now_us=self.now_us)
        elif verdict == "bad":
            self.breaker = failed(before, ticket, self.policy, now_us=self.now_us)
        else:
            self.breaker = forgotten(before, ticket)
        if ticket.era != before.era:
            assert self.breaker == before
        elif before.state is BreakerState.CLOSED:
            self.count(verdict)

    def count(self, verdict: str) -> None:
        self.row = {"ok": 0, "bad": self.row + 1, "unknown": self.row}[verdict]
        opened = self.breaker.state is BreakerState.OPEN
        assert opened == (self.row == self.policy.failure_threshold)
        self.row = 0 if opened else self.row

    @invariant()
    def no_more_probes_than_allowed_are_out(self) -> None:
        if self.breaker.state is BreakerState.HALF_OPEN:
            current = sum(ticket.era == self.breaker.era for ticket in self.out)
            assert current == self.breaker.probes_out <= self.policy.probes

    @invariant()
    def it_never_stays_shut_for_longer_than_the_timeout(self) -> None:
        wait_us = opens_in_us(self.breaker, self.policy, now_us=self.now_us)
        assert 0 <= wait_us <= self.policy.timeout_us


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
