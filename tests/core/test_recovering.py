"""Recovery in the core: nudges that double nothing, children that are mended, parked steps."""

import pytest
from driven import Driven, task, workflow

from podium.core import messages as m
from podium.core.definition import Checkpoint, ClosePolicy
from podium.core.payload import pack_value
from podium.core.refusals import WORDS, Refused
from podium.core.states import AttemptOutcome, RunStatus


def word(refusal):
    assert isinstance(refusal, Refused)
    assert refusal.word in WORDS
    return refusal.word


def mended(run, no=5):
    step_no = run.step("c").no
    output = pack_value(7)
    return m.ChildEnded(
        step_no=step_no, run_no=no, status=RunStatus.COMPLETED, output=output, by="child"
    )


def parent_whose_child_failed(**settings):
    run = Driven(workflow(task("c", "workflow:x"), task("after", needs="c"), **settings))
    no = run.step("c").no
    run.tell(m.ChildStarted(step_no=no, run_no=5))
    run.tell(m.ChildEnded(step_no=no, run_no=5, status=RunStatus.FAILED))
    assert run.run_status == "failed"
    return run


def test_a_nudge_with_a_live_attempt_beside_is_refused():
    run = Driven(workflow(task("a"), task("b")))
    run.fail("a", retryable=True)
    assert word(run.tell(m.Retry())) == "wrong_state"
    assert run.status("a") == "retrying"
    assert run.tell(m.Retry(step="a")) is None
    assert run.status("a") == "running"


@pytest.mark.parametrize(
    "one",
    [
        task("a", checkpoint=Checkpoint.BEFORE),
        task("a", "noop", checkpoint=Checkpoint.AFTER, with_={"x": 1}),
        task("a", "approval", with_={"prompt": "Go?", "payload": 7}),
        task("a", "noop", for_each=[1, 2], checkpoint=Checkpoint.BEFORE),
        task("a", "noop", for_each=[1, 2], checkpoint=Checkpoint.AFTER),
    ],
)
def test_a_nudge_of_a_step_that_asks_asks_the_same_again_and_lets_nothing_pass(one):
    run = Driven(workflow(one))
    [first] = run.last.approvals
    was = run.status("a")
    assert run.tell(m.Retry(step="a")) is None
    [again] = run.last.approvals
    assert (again.payload_hash, again.prompt) == (first.payload_hash, first.prompt)
    assert (run.status("a"), run.live) == (was, {})
    run.check()
    assert run.decide("a", "approve", payload_hash=first.payload_hash) is None
    run.end_all()
    assert run.run_status == "completed"


def test_a_nudge_says_who_gave_it():
    run = Driven(workflow(task("a")))
    run.fail("a", retryable=True)
    run.tell(m.Retry(by="ann"))
    [steered] = [event for event in run.events if type(event).__name__ == "RunSteered"]
    assert (steered.verb, steered.by) == ("retry", "ann")


def test_a_second_retry_before_anything_has_started_is_in_flight():
    run = Driven(workflow(task("a")), room=1)
    run.fail("a")
    run.room = 0
    assert run.tell(m.Retry()) is None
    assert run.status("a") == "queued"
    assert word(run.tell(m.Retry())) == "recovery_in_flight"
    assert word(run.tell(m.Retry(step="a"))) == "recovery_in_flight"


def test_a_mended_child_opens_its_parent_and_is_still_its_child():
    run = parent_whose_child_failed()
    assert run.tell(mended(run)) is None
    assert (run.step("c").child_run, run.status("c"), run.status("after")) == (
        5,
        "completed",
        "running",
    )
    run.check()
    run.end_all()
    assert run.run_status == "completed"


def test_a_former_child_that_is_mended_opens_nothing():
    run = parent_whose_child_failed()
    run.tell(m.Retry())
    no = run.step("c").no
    run.tell(m.ChildStarted(step_no=no, run_no=6))
    run.tell(m.ChildEnded(step_no=no, run_no=6, status=RunStatus.FAILED))
    assert run.run_status == "failed"
    assert word(run.tell(mended(run, 5))) == "wrong_state"
    assert run.tell(mended(run, 6)) is None


@pytest.mark.parametrize("options", [{"optional": True}])
def test_a_mended_child_that_its_parent_did_not_fail_of_opens_nothing(options):
    run = Driven(workflow(task("c", "workflow:x", **options), task("z")))
    no = run.step("c").no
    run.tell(m.ChildStarted(step_no=no, run_no=5))
    run.tell(m.ChildEnded(step_no=no, run_no=5, status=RunStatus.FAILED))
    run.fail("z")
    assert run.run_status == "failed"
    assert word(run.tell(mended(run))) == "wrong_state"


def test_a_child_that_ends_before_the_news_of_its_start_is_linked_all_the_same():
    run = Driven(workflow(task("c", "workflow:x")))
    no = run.step("c").no
    run.tell(m.ChildEnded(step_no=no, run_no=5, status=RunStatus.FAILED))
    assert run.step("c").child_run == 5
    run.posts.clear()
    assert run.tell(m.ChildStarted(step_no=no, run_no=5)) is None
    assert run.posts == []


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (ClosePolicy.CANCEL, [m.Cancel]),
        (ClosePolicy.ABORT, [m.Abort]),
        (ClosePolicy.ABANDON, []),
    ],
)
@pytest.mark.parametrize("is_late", [False, True])
def test_the_close_policy_holds_for_a_child_that_starts_too_late_as_well(policy, wanted, is_late):
    run = Driven(workflow(task("c", "workflow:x", close_policy=policy)))
    news = m.ChildStarted(step_no=run.step("c").no, run_no=5)
    for mail in [m.Cancel(), news] if is_late else [news, m.Cancel()]:
        run.tell(mail)
    assert [type(mail) for _, mail in run.posts] == wanted


def parked_run():
    run = Driven(workflow(task("a", max_recoveries=0)))
    run.end("a", outcome=AttemptOutcome.LOST)
    assert run.run_status == "failed"
    return run, run.step("a").no


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        (lambda no: m.Retry(), "replayed"),
        (lambda no: m.Retry(step_no=no), "replayed"),
        (lambda no: m.Skip(), "discarded"),
        (lambda no: m.Abort(), "discarded"),
        (lambda no: m.Discard(step_no=no), "discarded"),
    ],
)
def test_a_parked_step_leaves_the_list_once(verb, status):
    run, no = parked_run()
    assert run.tell(verb(no)) is None
    assert run.last.letters == ((no, "a", status),)
    assert run.state.parked == {}
    assert word(run.tell(m.Discard(step_no=no))) == "wrong_state"
    run.check_fold()


def test_a_parked_step_is_known_at_a_new_home():
    run, no = parked_run()
    run.reload(lost=False)
    assert run.state.parked == {no: "a"}
