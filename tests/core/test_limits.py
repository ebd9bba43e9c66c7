"""Limits of time: on everything that takes time, and by a clock that pauses with its run."""

import pytest
from driven import SECOND_US, Driven, block, task, workflow

from podium.core import messages as m
from podium.core.definition import Checkpoint, Loop, OnLost, RetryPolicy, Task, Timeouts
from podium.core.limit_faults import limit_faults
from podium.core.payload import pack_value
from podium.core.states import AttemptOutcome, RunStatus

NOW = RetryPolicy(delay_initial_us=0, max_retries=3)


def total(seconds: float) -> Timeouts:
    return Timeouts(total_us=round(seconds * SECOND_US))


def queue(seconds: float) -> Timeouts:
    return Timeouts(queue_us=round(seconds * SECOND_US))


def ends(run: Driven, path: str) -> tuple[str, str]:
    run.check()
    return run.status(path), run.step(path).reason


def test_a_block_is_over_at_its_total_limit_with_all_that_is_below_it():
    run = Driven(workflow(block("b", task("a"), task("c", needs="a"), timeouts=total(10))))
    run.pass_time(9)
    run.end("b/a")
    assert run.status("b") == "running"
    run.pass_time(1)
    assert ends(run, "b") == ("failed", "total_timeout")
    assert ends(run, "b/c") == ("cancelled", "total_timeout")
    assert (run.run_status, run.error.code) == ("failed", "PDM-T002")
    assert len(run.stopping) == 1


def test_the_total_limit_of_a_loop_is_one_for_all_its_passes():
    loop = Loop(until="false", delay_us=SECOND_US)
    run = Driven(workflow(task("l", loop=loop, timeouts=total(10))))
    for number in range(3):
        run.pass_time(1)
        run.end(f"l[{number}]")
        run.pass_time(1)
    assert run.status("l") == "running"
    run.pass_time(5)
    assert ends(run, "l") == ("failed", "total_timeout")


def test_a_loop_ends_at_its_limit_while_it_waits_for_its_next_pass():
    loop = Loop(until="false", delay_us=100 * SECOND_US)
    run = Driven(workflow(task("l", "noop", loop=loop, timeouts=total(10))))
    assert run.run_status == "waiting"
    run.pass_time(10)
    assert ends(run, "l") == ("failed", "total_timeout")


def test_a_child_run_is_cancelled_when_its_step_reaches_the_total_limit():
    run = Driven(workflow(task("c", "workflow:other", timeouts=total(10))))
    run.tell(m.ChildStarted(step_no=1, run_no=7))
    run.pass_time(10)
    assert ends(run, "c") == ("failed", "total_timeout")
    assert [(no, type(mail)) for no, mail in run.posts] == [(7, m.Cancel)]


def test_a_child_run_that_is_linked_after_the_limit_is_cancelled_too():
    run = Driven(
        workflow(task("c", "workflow:other", timeouts=total(10), optional=True), task("z"))
    )
    run.pass_time(10)
    assert run.tell(m.ChildStarted(step_no=1, run_no=7)) is not None
    assert [(no, type(mail)) for no, mail in run.posts] == [(7, m.Cancel)]


def test_each_item_of_a_map_has_the_total_limit_and_the_map_has_none():
    run = Driven(workflow(task("m", for_each=[1, 2], max_parallel=1, timeouts=total(10))))
    run.pass_time(9)
    run.end("m[1]")
    run.pass_time(9)
    assert run.status("m") == "running"
    run.pass_time(1)
    assert ends(run, "m[2]") == ("failed", "total_timeout")


def test_a_mapped_block_has_the_total_limit_for_each_item():
    mapped = block("b", task("a"), task("c", needs="a"), for_each=[1, 2], timeouts=total(10))
    run = Driven(workflow(mapped, fail_fast=False))
    run.pass_time(5)
    run.end("b[1]/a")
    run.end("b[1]/c")
    run.pass_time(5)
    assert ends(run, "b[2]") == ("failed", "total_timeout")
    assert run.run_status == "failed"


def test_a_mapped_block_that_ran_out_of_time_goes_on_where_it_was_after_a_retry():
    inner = (task("a"), task("c", needs="a"), task("d", needs="c"))
    mapped = block("b", *inner, for_each=[1], timeouts=total(10))
    run = Driven(workflow(mapped))
    run.end("b[1]/a")
    run.pass_time(10)
    assert run.run_status == "failed"
    assert run.tell(m.Retry()) is None
    run.check()
    assert run.started == ["b[1]/a", "b[1]/c", "b[1]/c"]
    run.pass_time(9)
    assert run.status("b[1]") == "running"
    run.pass_time(1)
    assert ends(run, "b[1]") == ("failed", "total_timeout")
    run.tell(m.Retry())
    run.end_all()
    run.check()
    assert run.run_status == "completed"


def test_a_mapped_block_that_ran_out_of_time_can_be_skipped():
    run = Driven(workflow(block("b", task("a"), for_each=[1], timeouts=total(10)), task("z")))
    run.pass_time(10)
    assert run.tell(m.Skip(step="b[1]", output=pack_value("instead"))) is None
    run.end_all()
    run.check()
    assert run.run_status == "completed"


def test_a_block_keeps_its_limit_when_a_retry_opens_it_again():
    run = Driven(workflow(block("b", task("a"), timeouts=total(10))))
    run.pass_time(8)
    run.fail("b/a")
    run.pass_time(100)
    run.tell(m.Retry())
    run.pass_time(9)
    assert run.status("b") == "running"
    run.reload(lost=False)
    run.pass_time(1)
    assert ends(run, "b") == ("failed", "total_timeout")


def test_a_checkpoint_before_a_block_does_not_use_up_its_limit():
    gate = block("b", task("a"), checkpoint=Checkpoint.BEFORE, timeouts=total(10))
    run = Driven(workflow(gate))
    run.pass_time(1000)
    run.decide("b", "approve")
    run.pass_time(9)
    assert run.status("b") == "running"
    run.pass_time(1)
    assert ends(run, "b") == ("failed", "total_timeout")


def test_an_attempt_that_was_lost_is_not_started_again_after_the_total_limit():
    slow = task("slow", priority=0)
    run = Driven(workflow(task("a", timeouts=total(10)), task("b", needs="a"), slow), room=2)
    run.room = 1
    run.pass_time(1)
    run.end("a", outcome=AttemptOutcome.PREEMPTED)
    assert run.status("a") == "queued"
    run.pass_time(20)
    run.room = 2
    run.tell(m.Wake())
    assert ends(run, "a") == ("failed", "total_timeout")
    assert run.started.count("a") == 1


def test_being_queued_for_another_attempt_does_not_stop_the_total_limit():
    a = task("a", retry=NOW, timeouts=total(10))
    run = Driven(workflow(a, task("other", priority=0)), room=2)
    run.room = 1
    run.pass_time(5)
    run.fail("a", retryable=True)
    run.pass_time(1)
    assert run.status("a") == "queued"
    run.pass_time(4)
    assert ends(run, "a") == ("failed", "total_timeout")


def test_a_person_who_lets_a_step_in_doubt_run_again_gives_it_its_time_again():
    run = Driven(workflow(task("a", on_lost=OnLost.IN_DOUBT, timeouts=total(10))))
    run.reload()
    run.pass_time(1000)
    run.decide("a", "approve")
    run.pass_time(9)
    assert run.status("a") == "running"
    run.pass_time(1)
    assert ends(run, "a") == ("failed", "total_timeout")


# -- pauses ----------------------------------------------------------------------------------------


def test_a_queue_timeout_does_not_run_on_while_its_run_is_paused():
    run = Driven(workflow(task("a", priority=0), task("b", timeouts=queue(10))), room=1)
    run.pass_time(4)
    run.tell(m.Pause())
    run.pass_time(1000)
    run.tell(m.Resume())
    run.pass_time(5)
    assert run.status("b") == "queued"
    run.pass_time(1)
    assert ends(run, "b") == ("failed", "queue_timeout")


def test_a_step_that_is_queued_during_a_pause_has_its_whole_queue_timeout_afterwards():
    run = Driven(workflow(task("a"), task("b", needs="a", timeouts=queue(10)), task("c")), room=2)
    run.tell(m.Pause())
    run.pass_time(100)
    run.end("a")
    assert run.status("b") == "queued"
    run.pass_time(1000)
    run.room = 1
    run.tell(m.Resume())
    run.pass_time(9)
    assert run.status("b") == "queued"
    run.pass_time(1)
    assert ends(run, "b") == ("failed", "queue_timeout")


@pytest.mark.parametrize("reloaded", [False, True])
def test_the_total_limit_of_a_step_that_backs_off_stands_still_during_a_pause(reloaded):
    retry = RetryPolicy(delay_initial_us=SECOND_US, jitter=False)
    run = Driven(workflow(task("a", retry=retry, timeouts=total(10))))
    run.pass_time(1)
    run.fail("a", retryable=True)
    run.tell(m.Pause())
    run.pass_time(1000)
    if reloaded:
        run.reload(lost=False)
    run.tell(m.Resume())
    run.pass_time(0)
    assert run.status("a") == "running"
    run.pass_time(8)
    assert run.status("a") == "running"
    run.pass_time(1)
    assert ends(run, "a") == ("failed", "total_timeout")


def test_the_total_limits_of_blocks_and_children_stand_still_during_a_pause():
    tasks = [block("b", task("a"), timeouts=total(10)), task("c", "workflow:w", timeouts=total(20))]
    run = Driven(workflow(*tasks, fail_fast=False))
    run.tell(m.Pause())
    run.pass_time(1000)
    run.tell(m.Resume())
    run.pass_time(9)
    assert run.status("b") == "running"
    run.pass_time(1)
    assert ends(run, "b") == ("failed", "total_timeout")
    run.pass_time(9)
    assert run.status("c") == "waiting"
    run.pass_time(1)
    assert ends(run, "c") == ("failed", "total_timeout")


def test_dates_that_were_promised_do_not_move_with_a_pause():
    tasks = [
        task("sleep", "sleep", with_={"duration": 10}),
        task("signal", "signal", with_={"name": "go", "timeout": 10}, optional=True),
        task("ask", "approval", with_={"expires_in": 10}, optional=True),
    ]
    run = Driven(workflow(*tasks))
    run.tell(m.Pause())
    run.pass_time(10)
    assert run.run_status == RunStatus.PAUSED.label
    run.tell(m.Resume())
    run.pass_time(0)
    assert run.status("sleep") == "completed"
    assert ends(run, "signal") == ("failed", "signal_timeout")
    assert ends(run, "ask") == ("failed", "approval_expired")


# -- limits that nothing could keep ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("refused", "keys"),
    [
        (block("b", task("a"), timeouts=Timeouts(attempt_us=1)), ["attempt"]),
        (block("b", task("a"), timeouts=Timeouts(heartbeat_us=1, total_us=1)), ["heartbeat"]),
        (task("c", "workflow:w", timeouts=Timeouts(attempt_us=1)), ["attempt"]),
        (task("s", "sleep", timeouts=Timeouts(total_us=1)), ["total"]),
        (task("s", "signal", timeouts=Timeouts(total_us=1, attempt_us=1)), ["attempt", "total"]),
        (task("s", "approval", timeouts=Timeouts(total_us=1)), ["total"]),
    ],
)
def test_a_limit_that_nothing_could_keep_is_refused(refused, keys):
    faults = list(limit_faults(refused, "/tasks/0"))
    assert [fault.pointer for fault in faults] == [f"/tasks/0/timeouts/{key}" for key in keys]
    assert {(fault.code, fault.warning) for fault in faults} == {("PDM-D210", False)}
    assert all("with:" in fault.fix or "total" in fault.fix for fault in faults)


@pytest.mark.parametrize(
    "accepted",
    [
        task("a", timeouts=Timeouts(queue_us=1, attempt_us=1, total_us=1, heartbeat_us=1)),
        block("b", task("a"), timeouts=Timeouts(total_us=1)),
        task("c", "workflow:w", timeouts=Timeouts(total_us=1)),
        task("s", "signal", loop=Loop(until="true"), timeouts=Timeouts(total_us=1)),
        Task(name="n", timeouts=Timeouts(attempt_us=1, total_us=1)),
    ],
)
def test_a_limit_that_holds_is_accepted(accepted):
    assert not list(limit_faults(accepted, "/tasks/0"))


def test_a_limit_that_may_be_that_of_the_group_is_only_a_warning():
    [fault] = limit_faults(task("s", "sleep", group="g", timeouts=Timeouts(total_us=1)), "/tasks/0")
    assert fault.warning
