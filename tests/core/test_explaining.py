"""There is an answer for every open status of runs and steps, and it says all it can."""

import pytest
from driven import NOON_US, Driven, block, task, workflow

from podium.core import messages as m
from podium.core.clockwork import next_wake_us
from podium.core.definition import Checkpoint
from podium.core.explaining import (
    Moment,
    explain_run_state,
    explain_step,
    explain_unborn,
    unborn,
)
from podium.core.states import RunStatus, StepStatus

OPEN_RUNS = [status for status in RunStatus if status.is_open]
OPEN_STEPS = [status for status in StepStatus if status.is_open]


def moment(run, owner="process 7"):
    return Moment(run.plan, owner, run.now_us)


def is_complete(found):
    parts = (found.code, found.sentence, found.blocker, found.holder, found.fix)
    return all(parts) and bool(found.since_us)


def step_in(status):
    """Return a run with a step in this status, and the step."""
    if status is StepStatus.QUEUED:
        run = Driven(workflow(task("a"), task("b"), max_parallel_steps=1))
        return run, run.step("b")
    if status is StepStatus.RETRYING:
        run = Driven(workflow(task("a")))
        run.fail("a", retryable=True)
        return run, run.step("a")
    if status is StepStatus.WAITING:
        run = Driven(workflow(task("a", "signal", with_={"name": "go"})))
        return run, run.step("a")
    if status is StepStatus.CHECKPOINT_PENDING:
        run = Driven(workflow(task("a", checkpoint=Checkpoint.BEFORE)))
        return run, run.step("a")
    run = Driven(workflow(task("a")))
    run.step("a").status = status
    return run, run.step("a")


@pytest.mark.parametrize("status", OPEN_STEPS, ids=lambda status: status.label)
def test_every_open_status_of_a_step_is_explained(status):
    run, step = step_in(status)
    assert step.status is status
    assert is_complete(explain_step(run.state, step, moment(run)))


@pytest.mark.parametrize("status", OPEN_RUNS, ids=lambda status: status.label)
@pytest.mark.parametrize("owner", ["process 7", ""])
def test_every_open_status_of_a_run_is_explained(status, owner):
    run = Driven(workflow(task("a")))
    run.state.status = status
    run.state.paused_since_us = NOON_US
    due_us = next_wake_us(run.state, run.plan.workflow.settings)
    found = explain_run_state(run.state, moment(run, owner), due_us)
    step = explain_step(run.state, run.step("a"), moment(run, owner))
    assert is_complete(found or step)


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (task("a", "approval"), "approval"),
        (task("a", "sleep", with_={"duration": 9}), "timer"),
        (task("a", "signal", with_={"name": "go"}), "signal"),
        (task("a", "workflow:x"), "child"),
    ],
)
def test_every_kind_of_waiting_names_what_it_waits_for(one, code):
    run = Driven(workflow(one))
    found = explain_step(run.state, run.step("a"), moment(run))
    assert (found.code, is_complete(found)) == (code, True)


def test_a_task_that_has_not_begun_names_those_before_it():
    run = Driven(workflow(task("a"), task("b", needs="a"), task("c", needs="b")))
    [b, c] = unborn(run.state, run.plan, run.state.root)
    assert explain_unborn(run.state, run.plan, run.state.root, b).blocker == "a"
    found = explain_unborn(run.state, run.plan, run.state.root, c)
    assert (found.blocker, is_complete(found)) == ("b", True)


def test_a_container_counts_what_is_open_below_it():
    run = Driven(workflow(block("box", task("a"), task("b"))))
    found = explain_step(run.state, run.step("box"), moment(run))
    assert (found.code, found.blocker, is_complete(found)) == ("running", "2 steps", True)


def test_a_paused_run_names_who_paused_it():
    run = Driven(workflow(task("a")))
    run.tell(m.Pause(by="ann"))
    found = explain_run_state(run.state, moment(run), None)
    assert (found.holder, found.since_us) == ("ann", run.now_us)


def test_a_run_that_is_cancelled_names_the_step_that_does_not_stop():
    run = Driven(workflow(task("a")))
    run.tell(m.Cancel())
    found = explain_run_state(run.state, moment(run), None)
    assert (found.code, found.blocker, "abort" in found.fix) == ("cancelling", "a", True)
