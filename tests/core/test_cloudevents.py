"""The journal as CloudEvents: types, subjects, cursors."""

import pytest

from podium.core import events as ev
from podium.core.cloudevents import Translator, rfc3339
from podium.core.payload import ErrorRecord, encode_error
from podium.core.state import ROOT
from podium.core.states import AttemptOutcome, RunStatus, StepKind, StepStatus

R, S = RunStatus, StepStatus
START = ev.RunStarted("w", "0123456789abcdef", b"\x80", "default", 50)
OPEN_ROOT = ev.StepOpened(ROOT, ROOT, -1, StepKind.BLOCK, S.RUNNING)
OOPS = encode_error(ErrorRecord(code="PDM-T001", kind="ValueError", message="oops"))


def step(no: int = 1, status: StepStatus = S.RUNNING, kind: StepKind = StepKind.TASK, **more):
    values = {"scope": ROOT, "task": no - 1, "name": f"t{no}"} | more
    return ev.StepOpened(no=no, kind=kind, status=status, **values)


def told(*records):
    return list(Translator(5).take(1, 1_500_000, [START, ev.RunMoved(R.RUNNING), *records]))


def last(*records):
    event = told(OPEN_ROOT, *records)[-1]
    return event.type.removeprefix("orchestration."), event.subject, event.data


def test_the_first_events_of_a_run_have_stable_ids_and_cursors():
    first, second = told(OPEN_ROOT)
    assert (first.id, first.sequence, first.type) == (
        "run_00000005:1",
        1,
        "orchestration.run.queued",
    )
    assert (second.type, second.time) == (
        "orchestration.run.started",
        "1970-01-01T00:00:01.500000Z",
    )
    assert first.data == {"workflow": "w", "version": "0123456789ab", "organization": "default"}


def test_the_subject_of_an_event_about_the_run_itself_is_the_run():
    events = told(OPEN_ROOT, ev.RunMoved(RunStatus.CANCELLING), ev.SignalReceived("go", b"\xc0"))
    of_run = [event for event in events if event.type.startswith("orchestration.run.")]
    assert len(of_run) == 4
    assert {event.subject for event in of_run} == {"run_00000005"}


@pytest.mark.parametrize(
    ("status", "word"),
    [(S.RUNNING, "started"), (S.QUEUED, "queued"), (S.CHECKPOINT_PENDING, "checkpoint_pending")],
)
def test_an_opened_step_is_told_by_its_status(status, word):
    kind, subject, data = last(step(status=status))
    assert (kind, subject, data["status"]) == (f"step.{word}", "t1", status.label)
    assert data["step_record_id"] == "stp_00000005_1"


def test_the_end_of_a_map_item_has_its_path_although_the_state_forgets_it():
    mapped = step(1, kind=StepKind.MAP, count=2)
    item = step(2, scope=1, name="a.py", index=0)
    kind, subject, _ = last(mapped, item, ev.StepEnded(2, S.COMPLETED))
    assert (kind, subject) == ("step.completed", "t1[a.py]")


def test_the_end_of_a_map_counts_its_items():
    records = [step(1, kind=StepKind.MAP, count=2)]
    for no, status in ((2, S.COMPLETED), (3, S.FAILED)):
        records += [step(no, scope=1, name=f"i{no}", index=no - 2), ev.StepEnded(no, status)]
    data = last(*records, ev.StepEnded(1, S.COMPLETED))[2]
    assert (data["items"], data["items_done"], data["items_failed"]) == (2, 1, 1)


def test_a_failed_attempt_is_retrying_with_its_error_and_its_next_time():
    record = ev.AttemptEnded(1, AttemptOutcome.FAILED, OOPS, wake_us=3_000_000)
    kind, subject, data = last(step(), record)
    assert (kind, subject, data["outcome"]) == ("step.retrying", "t1", "failed")
    assert (data["error"]["message"], data["wake_at"]) == ("oops", "1970-01-01T00:00:03.000000Z")


def test_a_lost_attempt_is_queued_again():
    kind, _, data = last(step(), ev.AttemptEnded(1, AttemptOutcome.LOST))
    assert (kind, data["outcome"]) == ("step.queued", "lost")


def test_a_child_starts_and_ends_in_words_of_its_own():
    child = step(1, S.WAITING, StepKind.CHILD)
    assert last(child, ev.ChildLinked(1, 9))[0] == "child.started"
    kind, _, data = last(child, ev.ChildLinked(1, 9), ev.StepEnded(1, S.FAILED, error=OOPS))
    assert (kind, data["child_run_id"]) == ("child.failed", "run_00000009")


def test_an_approval_is_requested_and_decided():
    gate = step(1, S.CHECKPOINT_PENDING)
    asked = ev.ApprovalAsked(1, "Sure?", "hash")
    kind, subject, data = last(gate, asked)
    assert (kind, subject, data["approval_id"]) == ("approval.requested", "t1", "apr_00000005_1")
    kinds = [last(gate, asked, ev.ApprovalDecided(1, n, by="ada"))[0] for n in (1, 2, 3)]
    assert kinds == ["approval.approved", "approval.rejected", "approval.edited_and_approved"]


def test_a_run_is_resumed_the_second_time_and_tells_its_end():
    kinds = [event.type for event in told(ev.RunMoved(R.WAITING), ev.RunMoved(R.RUNNING))]
    assert kinds[-1] == "orchestration.run.resumed"
    kind, _, data = last(ev.RunMoved(R.FAILED, reason="step_failed", error=OOPS))
    assert (kind, data["reason"], data["error"]["kind"]) == (
        "run.failed",
        "step_failed",
        "ValueError",
    )


def test_what_was_taken_in_before_is_passed_over():
    translator = Translator(5)
    records = [START, ev.RunMoved(R.RUNNING), OPEN_ROOT, step()]
    assert [event.sequence for event in translator.take(1, 0, records[:2])] == [1, 2]
    assert [event.sequence for event in translator.take(1, 0, records)] == [4]
    assert list(translator.take_body(3, ev.pack(0, records[2:]))) == []


def test_a_reopened_run_names_its_steps_and_its_generation():
    failed = [step(), ev.StepEnded(1, S.FAILED)]
    kind, _, data = last(*failed, ev.RunMoved(R.FAILED), ev.RunReopened("retry", [1], "ada"))
    assert (kind, data["steps"], data["generation"]) == ("run.reopened", ["t1"], 2)


def test_a_reopened_run_names_the_steps_that_it_forgets_too():
    failed = [step(), ev.StepEnded(1, S.FAILED), ev.RunMoved(R.FAILED)]
    _kind, _, data = last(*failed, ev.RunReopened("retry", [], "ada", [1]))
    assert data["steps"] == ["t1"]


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (ev.SignalReceived("go", b"\xc0"), "run.signalled"),
        (ev.StepCarried("t1", b"\xc0"), "run.carried"),
    ],
)
def test_what_belongs_to_no_step_is_told_of_the_run(record, kind):
    assert last(record)[:2] == (kind, "run_00000005")


def test_times_keep_their_microseconds():
    assert rfc3339(1_893_456_000_000_001) == "2030-01-01T00:00:00.000001Z"
