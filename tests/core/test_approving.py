"""An answer in the core: what it is bound to, and what a clock that is late does not allow."""

import pytest
from driven import Driven, task, workflow

from podium.core import messages as m
from podium.core.definition import ApprovalPolicy, Checkpoint
from podium.core.refusals import WORDS, Refused

HOUR_US = 3_600_000_000


def gated(checkpoint=Checkpoint.BEFORE, **policy):
    one = task("a", checkpoint=checkpoint, approval=ApprovalPolicy(**policy))
    return Driven(workflow(one, timeout_us=None))


def word(refusal):
    assert isinstance(refusal, Refused)
    assert refusal.word in WORDS
    return refusal.word


def test_an_answer_after_the_expiry_is_refused_even_if_nobody_has_noticed_it_yet():
    run = gated(expires_us=HOUR_US)
    run.now_us += HOUR_US
    assert word(run.decide("a", "approve")) == "approval_expired"
    assert run.status("a") == "checkpoint_pending"
    run.pass_time(0)
    assert (run.status("a"), run.step("a").reason) == ("failed", "approval_expired")


def test_an_answer_just_before_the_expiry_counts():
    run = gated(expires_us=HOUR_US)
    run.now_us += HOUR_US - 1
    assert run.decide("a", "approve") is None


def test_a_question_is_escalated_at_its_time_and_expires_at_its_own():
    run = gated(escalate_us=HOUR_US, expires_us=3 * HOUR_US, escalate_to="leads")
    run.pass_time(3600)
    assert [record.to for record in run.last.escalated] == ["leads"]
    run.pass_time(3600)
    assert run.last.escalated == ()
    run.check()
    run.pass_time(3600)
    assert run.step("a").reason == "approval_expired"


def test_a_question_goes_on_waiting_at_a_new_home():
    run = gated(escalate_us=HOUR_US, expires_us=2 * HOUR_US)
    run.reload()
    run.pass_time(3600)
    assert len(run.last.escalated) == 1
    run.reload()
    run.pass_time(3600)
    assert run.status("a") == "failed"


def test_an_answered_question_neither_escalates_nor_expires():
    run = gated(escalate_us=HOUR_US, expires_us=2 * HOUR_US)
    run.decide("a", "approve")
    run.pass_time(9 * 3600)
    assert (run.status("a"), run.state.deadlines) == ("running", {})


@pytest.mark.parametrize("decision", ["approve", "edit", "rework"])
def test_four_eyes_hold_for_every_answer_that_lets_something_happen(decision):
    run = gated(Checkpoint.AFTER, four_eyes=True)
    run.end("a", 1)
    run.state.requesters.append("ann")
    payload = b"\x01" if decision == "edit" else None
    assert word(run.decide("a", decision, by="ann", payload=payload)) == "four_eyes"
    assert run.decide("a", "reject", by="ann") is None


def test_a_result_that_is_sent_back_comes_anew_under_another_number():
    run = gated(Checkpoint.AFTER)
    run.end("a", 1)
    first = run.step("a").no
    assert run.decide("a", "rework", comment="again") is None
    assert (run.status("a"), run.step("a").no != first) == ("running", True)
    run.check()
    assert run.state.rework_of(run.step("a")) == (1, "again")
    assert run.last.touched[first].reason == "rework"
    run.end("a", 2)
    run.decide("a", "approve")
    assert run.run_status == "completed"
    run.check()


def test_a_message_of_somebody_who_has_not_seen_everything_changes_nothing():
    run = gated()
    seq = run.state.seq
    for mail in (m.Cancel(seen_seq=seq - 1), m.Abort(seen_seq=1), m.Pause(seen_seq=seq + 1)):
        assert word(run.tell(mail)) == "stale"
    assert run.state.seq == seq
    assert run.tell(m.Pause(seen_seq=seq)) is None


def test_an_answer_to_nothing_is_too_late():
    run = gated()
    run.decide("a", "approve")
    assert word(run.decide("a", "reject")) == "already_decided"
