"""What comes again when a failed run is re-opened, and questions that are asked twice."""

from driven import SECOND_US, Driven, block, task, workflow

from podium.core import messages as m
from podium.core.definition import Checkpoint, Timeouts, Tolerance
from podium.core.payload import pack_value
from podium.core.states import StepStatus


def test_a_clean_up_that_ran_after_a_failure_runs_again_after_the_retry():
    clean = task("clean", needs="work", join="all_done")
    run = Driven(workflow(task("work"), clean, task("report", needs="clean")))
    run.fail("work")
    run.end("clean")
    run.end("report")
    assert run.run_status == "failed"
    run.tell(m.Retry())
    run.check()
    assert "clean" not in run.state.paths
    run.end_all()
    run.check()
    assert run.started == ["work", "clean", "report"] * 2
    assert run.run_status == "completed"
    assert run.state.tally[StepStatus.COMPLETED] == 3


def test_a_handler_of_a_failure_is_not_wanted_after_a_retry_that_succeeds():
    failed = task("alarm", needs="work", join="all_done", when="tasks.work.status == 'failed'")
    good = task("publish", needs="work", join="all_done", when="tasks.work.status == 'completed'")
    run = Driven(workflow(task("work"), failed, good))
    run.fail("work")
    run.end("alarm")
    assert run.status("publish") == "skipped"
    run.tell(m.Retry())
    run.end_all()
    run.check()
    assert (run.status("alarm"), run.status("publish")) == ("skipped", "completed")


def test_a_clean_up_after_a_block_runs_again_when_a_step_inside_it_is_retried():
    outer = block("b", task("x"), task("y", needs="x", join="all_done"))
    clean = task("clean", needs="b", join="all_done")
    run = Driven(workflow(outer, clean))
    run.fail("b/x")
    run.end("b/y")
    run.end("clean")
    run.tell(m.Retry())
    run.end_all()
    run.check()
    assert run.started == ["b/x", "b/y", "clean"] * 2
    assert run.run_status == "completed"


def test_a_clean_up_after_a_map_runs_again_and_the_good_items_do_not():
    run = Driven(workflow(task("m", for_each=[1, 2]), task("clean", needs="m", join="all_done")))
    run.end("m[1]")
    run.fail("m[2]")
    run.end("clean")
    run.tell(m.Retry())
    run.end_all()
    run.check()
    assert run.started == ["m[1]", "m[2]", "clean", "m[2]", "clean"]


def test_a_mapped_clean_up_counts_once_however_often_it_runs():
    clean = block("c", task("d"), task("e", needs="d"), for_each=[1, 2], needs="w", join="all_done")
    run = Driven(workflow(task("w"), clean))
    run.fail("w")
    run.end_all()
    run.tell(m.Retry())
    run.end_all()
    run.check()
    assert run.run_status == "completed"
    assert run.state.tally[StepStatus.COMPLETED] == 5


def test_a_failed_clean_up_with_steps_of_its_own_comes_again_as_a_whole():
    clean = block("c", task("d"), task("e"), needs="w", join="all_done")
    run = Driven(workflow(task("w"), clean, fail_fast=False))
    run.fail("w")
    run.end("c/d")
    run.fail("c/e")
    assert run.run_status == "failed"
    run.tell(m.Retry())
    run.check()
    run.end_all()
    run.check()
    assert run.started == ["w", "c/d", "c/e"] * 2
    assert run.run_status == "completed"


def test_a_signal_that_came_once_need_not_come_again():
    inner = block("b", task("go", "signal", with_={"name": "go"}), task("use", needs="go"))
    wait = task("wait", "signal", with_={"name": "ok"}, needs="work", join="all_done")
    after = block("c", *inner.tasks, needs="wait", join="all_done")
    run = Driven(workflow(task("work"), wait, after))
    run.fail("work")
    run.tell(m.Signal(name="ok", payload=pack_value(1)))
    run.tell(m.Signal(name="go", payload=pack_value(2)))
    run.end_all()
    assert run.run_status == "failed"
    run.tell(m.Retry())
    run.check()
    run.end_all()
    run.check()
    assert run.run_status == "completed"
    assert (run.step("wait").output, run.step("c/go").output) == (pack_value(1), pack_value(2))
    assert not run.state.signals


def test_a_block_that_ran_out_of_time_keeps_the_signal_it_was_given():
    inner = (task("go", "signal", with_={"name": "go"}), task("use", needs="go"))
    run = Driven(workflow(block("b", *inner, timeouts=Timeouts(total_us=10 * SECOND_US))))
    run.tell(m.Signal(name="go", payload=pack_value(2)))
    run.pass_time(10)
    assert run.step("b").reason == "total_timeout"
    run.tell(m.Retry())
    run.end_all()
    run.check()
    assert run.run_status == "completed"


def test_a_skip_lets_a_clean_up_see_the_substitute():
    clean = task("clean", "noop", needs="work", join="all_done", with_="${{ tasks.work.output }}")
    run = Driven(workflow(task("work"), clean))
    run.fail("work")
    run.tell(m.Skip(step="work", output=pack_value("instead")))
    run.check()
    assert run.run_status == "completed"
    assert run.step("clean").output == pack_value("instead")


def test_a_task_that_did_not_wait_for_the_failed_one_is_not_repeated():
    first = task("first", needs="a b", join="any")
    run = Driven(workflow(task("a"), task("b"), first, fail_fast=False))
    run.end("a")
    run.end("first")
    run.fail("b")
    run.tell(m.Retry())
    run.end_all()
    run.check()
    assert run.started == ["a", "b", "first", "b"]


def test_a_tolerated_failure_makes_nothing_come_again():
    mapped = task("m", for_each=[1, 2], tolerate=Tolerance(failures=1))
    run = Driven(workflow(mapped, task("after", needs="m"), task("bad", needs="after")))
    run.fail("m[1]")
    run.end("m[2]")
    run.end("after")
    run.fail("bad")
    run.tell(m.Retry())
    run.end_all()
    run.check()
    assert run.started == ["m[1]", "m[2]", "after", "bad", "bad"]


# -- questions that are asked twice ----------------------------------------------------------------


def test_an_approval_behind_a_checkpoint_asks_two_questions():
    gate = task("ask", "approval", checkpoint=Checkpoint.BEFORE, with_={"prompt": "Ship it?"})
    run = Driven(workflow(gate))
    first = run.state.approvals[1]
    assert run.decide("ask", "approve", payload_hash=first) is None
    run.check()
    assert (run.status("ask"), run.run_status) == ("waiting", "waiting")
    assert run.decide("ask", "approve", payload_hash=first) is not None
    assert run.decide("ask", "reject", payload_hash=run.state.approvals[1]) is None
    assert run.status("ask") == "failed"


def test_an_approval_that_is_not_to_be_asked_fails_at_its_checkpoint():
    run = Driven(workflow(task("ask", "approval", checkpoint=Checkpoint.BEFORE)))
    run.decide("ask", "reject")
    assert run.step("ask").reason == "rejected"


def test_the_arguments_of_an_approval_can_be_edited_at_its_checkpoint():
    gate = task("ask", "approval", checkpoint=Checkpoint.BEFORE, with_={"payload": 1})
    run = Driven(workflow(gate))
    run.decide("ask", "edit", payload=pack_value({"payload": 2}))
    run.check()
    assert run.last is not None
    assert [asked.payload for asked in run.last.approvals] == [pack_value(2)]
    run.decide("ask", "approve")
    assert run.run_status == "completed"


def test_a_checkpoint_after_an_approval_holds_its_answer_back():
    gate = task("ask", "approval", checkpoint=Checkpoint.AFTER)
    run = Driven(workflow(gate, task("next", needs="ask")))
    run.decide("ask", "approve", by="a")
    run.check()
    assert run.status("ask") == "checkpoint_pending"
    run.decide("ask", "approve", by="b")
    run.check()
    assert run.status("next") == "running"
    output = run.plan.decode(run.step("ask").output or b"")
    assert (output["approved"], output["by"]) == (True, "a")
