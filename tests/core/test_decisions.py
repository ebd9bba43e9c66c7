"""Single decisions of the core that were wrong once, or would be easy to get wrong."""

import pytest
from driven import SECOND_US, Driven, block, task, workflow

from podium.core import events as ev
from podium.core import messages as m
from podium.core.definition import Checkpoint, Loop, OnLost, RetryPolicy, Timeouts, Tolerance
from podium.core.payload import pack_value
from podium.core.states import AttemptOutcome, RunStatus

NOW = RetryPolicy(delay_initial_us=0, max_retries=3)


@pytest.fixture(autouse=True)
def _check_every_run_at_its_end(monkeypatch):
    runs = []
    begin = Driven.__init__
    monkeypatch.setattr(
        Driven, "__init__", lambda self, *a, **k: (begin(self, *a, **k), runs.append(self))[0]
    )
    yield
    for run in runs:
        run.check()


def test_nothing_opens_after_a_cancellation():
    run = Driven(workflow(task("a"), task("s", "sleep", with_={"duration": 5}, needs="a")))
    run.tell(m.Cancel())
    assert run.run_status == "cancelling"
    run.end("a")
    assert run.run_status == "cancelled"
    assert "s" not in run.state.paths


def test_a_cancelled_run_leaves_no_container_open():
    run = Driven(workflow(block("b", task("m", for_each=[1, 2, 3], max_parallel=1))))
    run.tell(m.Cancel())
    run.end("b/m[1]")
    assert {run.status(path) for path in ("b", "b/m")} == {"cancelled"}


def test_a_second_cancellation_changes_nothing():
    run = Driven(workflow(task("a")))
    run.tell(m.Cancel())
    seq = run.state.seq
    assert run.tell(m.Cancel()) is None
    assert run.state.seq == seq


def test_an_attempt_that_succeeds_while_cancelling_asks_nobody():
    run = Driven(workflow(task("a", checkpoint=Checkpoint.AFTER)))
    run.tell(m.Cancel())
    run.end("a")
    assert (run.run_status, run.state.approvals) == ("cancelled", {})


def test_a_result_of_an_earlier_attempt_changes_nothing():
    run = Driven(workflow(task("a", retry=NOW)))
    stale = m.AttemptDone(1, 1, AttemptOutcome.SUCCEEDED, pack_value("old"))
    run.fail("a", retryable=True)
    run.pass_time(1)
    seq = run.state.seq
    assert run.tell(stale) is not None
    assert (run.state.seq, run.status("a")) == (seq, "running")


def test_the_total_limit_is_one_for_all_attempts():
    run = Driven(workflow(task("a", retry=NOW, timeouts=Timeouts(total_us=10 * SECOND_US))))
    for _ in range(2):
        run.pass_time(4)
        run.fail("a", retryable=True)
        run.pass_time(0.001)
    run.pass_time(3)
    assert (run.status("a"), run.step("a").reason) == ("failed", "total_timeout")


def test_lost_attempts_spend_recoveries_and_failures_spend_retries():
    run = Driven(workflow(task("a", retry=NOW, max_recoveries=2)))
    run.end("a", outcome=AttemptOutcome.CRASHED)
    run.fail("a", retryable=True)
    run.pass_time(1)
    step = run.step("a")
    assert (step.attempts, step.failures, step.recoveries) == (3, 1, 1)


def test_a_preempted_attempt_is_never_what_parks_a_step():
    run = Driven(workflow(task("a", max_recoveries=0)))
    for _ in range(5):
        run.end("a", outcome=AttemptOutcome.PREEMPTED)
    assert run.status("a") == "running"
    run.end("a", outcome=AttemptOutcome.CRASHED)
    assert run.step("a").reason == "recoveries_spent"


def test_a_lost_attempt_in_doubt_waits_for_a_person_and_a_crashed_one_too():
    run = Driven(workflow(task("a", on_lost=OnLost.IN_DOUBT)))
    run.reload()
    assert (run.status("a"), run.step("a").reason) == ("waiting", "in_doubt")
    assert run.decide("a", "approve") is None
    assert run.status("a") == "running"


def test_items_start_in_order_and_never_more_than_the_window():
    run = Driven(workflow(task("m", for_each=list(range(6)), max_parallel=2)))
    while run.live:
        assert len(run.live) <= 2
        run.end(next(iter(run.live.values())))
    assert run.started == [f"m[{n}]" for n in range(6)]


def test_with_room_for_one_the_most_urgent_ready_task_starts():
    low, high = task("low", needs="a", priority=75), task("high", needs="a", priority=0)
    run = Driven(workflow(task("a"), low, high), room=1)
    run.end_all()
    assert run.started == ["a", "high", "low"]


def test_a_queued_task_is_not_overtaken_by_what_became_ready_later():
    tasks = [task("a"), task("b"), task("c", needs="a")]
    run = Driven(workflow(*tasks), room=1)
    run.end_all()
    assert run.started == ["a", "b", "c"]


def test_a_map_without_room_is_busy_and_not_waiting():
    tasks = [task("m", for_each=[1]), task("s", "signal", with_={"name": "x"})]
    run = Driven(workflow(*tasks), room=0)
    assert run.run_status == "running"


def test_a_pause_keeps_children_from_starting():
    run = Driven(workflow(task("a"), task("c", "workflow:x", needs="a")))
    run.tell(m.Pause())
    run.end("a")
    assert (run.children, run.status("c")) == ([], "queued")
    run.tell(m.Resume())
    assert len(run.children) == 1


def test_timers_stand_still_while_the_run_is_paused():
    run = Driven(workflow(task("s", "sleep", with_={"duration": 5})))
    run.tell(m.Pause())
    run.pass_time(10)
    assert run.run_status == "paused"
    run.tell(m.Resume())
    run.pass_time(0)
    assert run.run_status == "completed"


def test_the_run_limit_counts_running_time_only():
    tasks = [task("s", "signal", with_={"name": "x"}), task("a", needs="s")]
    run = Driven(workflow(*tasks, timeout_us=5 * SECOND_US))
    run.pass_time(60)
    run.tell(m.Signal(name="x", payload=b"\x01"))
    run.pass_time(4)
    assert run.run_status == "running"
    run.pass_time(1)
    assert (run.run_status, run.state.reason) == ("failed", "timeout")


def test_a_retry_after_a_timeout_gives_the_run_its_time_anew():
    run = Driven(workflow(task("a"), timeout_us=5 * SECOND_US))
    run.pass_time(5)
    run.tell(m.Retry())
    run.pass_time(4)
    assert run.run_status == "running"


def test_a_signal_is_consumed_by_the_step_that_took_it():
    tasks = [task("a", "signal", with_={"name": "x"}), task("b", "signal", with_={"name": "x"})]
    run = Driven(workflow(*tasks))
    run.tell(m.Signal(name="x", payload=b"\x01"))
    assert [run.status("a"), run.status("b")] == ["completed", "waiting"]
    assert run.state.signals == {}


def test_signals_that_nobody_waits_for_are_kept_in_order():
    tasks = [task("a"), task("s", "signal", with_={"name": "x"}, needs="a")]
    run = Driven(workflow(*tasks))
    for payload in (b"\x01", b"\x02"):
        run.tell(m.Signal(name="x", payload=payload))
    run.end("a")
    assert run.step("s").output == b"\x01"
    assert run.state.signals == {"x": [b"\x02"]}


@pytest.mark.parametrize("uses", ["sleep", "signal", "approval", "workflow:x"])
def test_the_delay_of_a_loop_comes_before_the_wait_of_its_next_iteration(uses):
    given = {"duration": 30, "name": "x", "timeout": 30, "expires_in": 30}
    loop = Loop(until="iteration == 1", delay_us=5 * SECOND_US)
    run = Driven(workflow(task("l", uses, with_=given, loop=loop)))
    first = run.step("l[0]")
    if uses == "sleep":
        run.pass_time(30)
    elif uses == "signal":
        run.tell(m.Signal(name="x", payload=b"\x01"))
    elif uses == "approval":
        run.decide("l[0]", "approve")
    else:
        run.tell(m.ChildEnded(step_no=first.no, run_no=5, status=RunStatus.COMPLETED))
    assert run.step("l[1]").reason == ""
    run.pass_time(5)
    assert (run.status("l[1]"), bool(run.step("l[1]").reason)) == ("waiting", True)


def test_a_child_that_was_cancelled_fails_its_step():
    run = Driven(workflow(task("c", "workflow:x")))
    step = run.step("c")
    run.tell(m.ChildEnded(step_no=step.no, run_no=5, status=RunStatus.CANCELLED))
    assert (run.run_status, run.error.kind) == ("failed", "ChildStopped")


def test_the_child_of_an_earlier_generation_is_no_news():
    run = Driven(workflow(task("m", "workflow:x", for_each=[1])))
    step = run.step("m[1]")
    run.tell(m.ChildStarted(step_no=step.no, run_no=5))
    run.tell(m.ChildEnded(step_no=step.no, run_no=5, status=RunStatus.FAILED))
    run.tell(m.Retry())
    late = m.ChildEnded(step_no=step.no, run_no=5, status=RunStatus.COMPLETED)
    assert run.tell(late) is not None
    assert run.status("m[1]") == "waiting"


def test_a_child_that_starts_after_its_step_moved_on_is_cancelled():
    run = Driven(workflow(task("c", "workflow:x")))
    no = run.step("c").no
    run.tell(m.Cancel())
    run.posts.clear()
    assert run.tell(m.ChildStarted(step_no=no, run_no=5)) is not None
    assert [(to, type(mail)) for to, mail in run.posts] == [(5, m.Cancel)]


def test_cancelling_passes_on_to_the_child_that_is_known():
    run = Driven(workflow(task("c", "workflow:x")))
    run.tell(m.ChildStarted(step_no=run.step("c").no, run_no=5))
    run.tell(m.Cancel())
    assert [(to, type(mail)) for to, mail in run.posts] == [(5, m.Cancel)]


def test_an_edit_of_what_runs_several_steps_is_refused():
    run = Driven(workflow(task("m", for_each=[1], checkpoint=Checkpoint.BEFORE)))
    assert run.decide("m", "edit", payload=pack_value([])) is not None
    assert run.status("m") == "checkpoint_pending"


@pytest.mark.parametrize("uses", ["sleep", "python:m:f", "noop", "workflow:x"])
def test_an_edit_before_a_step_is_in_the_journal(uses):
    first = {"duration": 1}
    run = Driven(workflow(task("a", uses, with_=first, checkpoint=Checkpoint.BEFORE)))
    assert run.decide("a", "edit", payload=pack_value({"duration": 50})) is None
    run.check_fold()


def test_edited_arguments_of_a_sleep_are_those_it_sleeps_by():
    check = Checkpoint.BEFORE
    run = Driven(workflow(task("s", "sleep", with_={"duration": 1}, checkpoint=check)))
    run.decide("s", "edit", payload=pack_value({"duration": 50}))
    assert run.step("s").wake_us == run.now_us + 50 * SECOND_US


def test_a_map_whose_items_end_at_once_is_held_back_once():
    given = {"duration": 5}
    check = Checkpoint.AFTER
    run = Driven(workflow(task("m", "sleep", with_=given, for_each=[1, 2], checkpoint=check)))
    run.pass_time(5)
    assert (run.status("m"), len(run.state.approvals)) == ("checkpoint_pending", 1)


def test_an_expired_approval_is_closed_as_expired():
    run = Driven(workflow(task("a", "approval", with_={"expires_in": 5})))
    run.pass_time(5)
    [decided] = [event for event in run.events if isinstance(event, ev.ApprovalDecided)]
    assert decided.decision == 4


def test_the_output_of_a_block_in_a_map_outlives_its_steps():
    run = Driven(workflow(block("m", task("a"), for_each=[1, 2])))
    run.end_all(7)
    assert run.state.output == pack_value([{"a": 7}, {"a": 7}])
    assert len(run.state.steps) == 2


def test_a_waiting_run_says_what_it_waits_for_now():
    tasks = [
        task("s", "sleep", with_={"duration": 5}),
        task("x", "signal", with_={"name": "x"}),
        task("ok", "approval", needs="s", checkpoint=Checkpoint.BEFORE),
    ]
    run = Driven(workflow(*tasks))
    assert run.state.reason == "timer"
    run.pass_time(5)
    assert (run.run_status, run.state.reason) == ("waiting", "checkpoint")


# -- recovery ------------------------------------------------------------------------------------


def failed_run(*tasks, fail="b", **settings):
    run = Driven(workflow(*tasks, **settings))
    run.fail(fail)
    assert run.run_status == "failed"
    return run


def test_retry_forgets_what_was_skipped_because_of_the_failure():
    run = failed_run(task("b"), task("c", needs="b"), task("d", needs="c"))
    assert run.status("d") == "skipped"
    run.tell(m.Retry())
    run.end_all()
    assert [run.status(path) for path in "bcd"] == ["completed"] * 3


def test_retry_goes_on_with_cancelled_blocks_maps_and_loops_in_place():
    loop = Loop(until="iteration == 1")
    run = Driven(
        workflow(
            block("x", task("p"), task("q", needs="p")),
            task("m", for_each=[1, 2]),
            task("l", loop=loop),
            task("b"),
        )
    )
    for path in ("x/p", "m[1]", "l[0]"):
        run.end(path)
    run.fail("b")
    run.started.clear()
    run.tell(m.Retry())
    run.end_all()
    assert sorted(run.started) == ["b", "l[1]", "m[2]", "x/q"]
    assert run.run_status == "completed"


def test_retry_in_a_map_of_blocks_goes_on_with_the_cancelled_blocks():
    run = Driven(workflow(block("m", task("a"), task("b", needs="a"), for_each=[1, 2])))
    run.end("m[1]/a")
    run.end("m[2]/a")
    run.fail("m[1]/b")
    run.started.clear()
    run.tell(m.Retry())
    run.end_all(3)
    assert sorted(run.started) == ["m[1]/b", "m[2]/b"]
    assert run.state.output == pack_value([{"a": None, "b": 3}, {"a": None, "b": 3}])


def test_a_failure_inside_what_completed_without_it_cannot_be_retried():
    tolerant = task("m", for_each=[1, 2], tolerate=Tolerance(failures=1))
    run = Driven(workflow(tolerant, task("b", needs="m")))
    run.fail("m[1]")
    run.end("m[2]")
    run.fail("b")
    assert "completed without it" in str(run.tell(m.Retry(step="m[1]")))
    assert run.run_status == "failed"


def test_a_lost_map_opens_no_more_items_when_one_of_its_failures_is_retried():
    run = Driven(workflow(task("m", for_each=[1, 2, 3], max_parallel=2), fail_fast=False))
    run.fail("m[1]")
    run.fail("m[2]")
    run.tell(m.Retry(step="m[1]"))
    assert list(run.live.values()) == ["m[1]"]
    run.end("m[1]")
    assert run.run_status == "failed"


def test_a_refused_verb_changes_nothing():
    run = failed_run(task("b"))
    seq = run.state.seq
    for verb in (m.Retry(step="nope"), m.Skip(step="nope"), m.Pause(), m.Resume(), m.Cancel()):
        assert run.tell(verb) is not None
    assert run.state.seq == seq


def test_skip_of_one_of_two_failures_leaves_the_other():
    run = Driven(workflow(task("a"), task("b"), fail_fast=False))
    run.fail("a")
    run.fail("b")
    run.tell(m.Skip(step="a"))
    assert (run.run_status, run.status("a"), run.status("b")) == ("failed", "skipped", "failed")


def test_a_failed_run_that_was_retried_may_fail_and_be_retried_again():
    run = failed_run(task("b"))
    for generation in (2, 3, 4):
        run.tell(m.Retry())
        assert run.state.generation == generation
        run.fail("b")
    run.tell(m.Retry())
    run.end("b")
    assert run.run_status == "completed"


def test_a_retried_step_has_its_retries_anew():
    run = Driven(workflow(task("m", for_each=[1], retry=RetryPolicy(max_retries=1))))
    for generation in range(2):
        for _ in range(2):
            run.fail("m[1]", retryable=True)
            run.pass_time(100)
        assert run.run_status == "failed"
        if not generation:
            run.tell(m.Retry())


def test_a_stale_attempt_cannot_settle_the_next_generation():
    run = Driven(workflow(task("m", for_each=[1, 2])))
    stale = m.AttemptDone(run.step("m[2]").no, 1, AttemptOutcome.SUCCEEDED, pack_value("old"))
    run.fail("m[1]")
    run.tell(m.Retry())
    assert run.tell(stale) is not None
    assert run.status("m[2]") == "running"
