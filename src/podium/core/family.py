"""News between a run and its child runs: what a parent does when a child starts or ends."""

from podium.core import events as ev
from podium.core.ids import run_id
from podium.core.messages import ChildEnded, ChildStarted
from podium.core.payload import ErrorRecord, encode_error
from podium.core.recovery import culprits, failed_at
from podium.core.refusals import Refused, wrong_state
from podium.core.release import release
from podium.core.reopening import reopen
from podium.core.state import Step
from podium.core.states import RunStatus, StepStatus
from podium.core.turn import Turn

__all__ = ["child_ended", "child_started", "is_mended"]


def _awaits_child(step: Step) -> bool:
    return step.status is StepStatus.WAITING and step.reason == "child"


def child_ended(turn: Turn, message: ChildEnded) -> Refused | None:
    """Give the outcome of a child run to the step that started it."""
    step = turn.state.steps.get(message.step_no)
    if step is not None and is_mended(turn, message):
        return _go_on(turn, step, message)
    if step is None or not _awaits_child(step) or message.run_no in step.former:
        return wrong_state("no step waits for this child run")
    if message.run_no and not step.child_run:
        # A quick child ends before the news of its start is read.
        turn.emit(ev.ChildLinked(step.no, message.run_no))
    if message.status == RunStatus.COMPLETED:
        release(turn, step, output=message.output, reason="child")
        return None
    label = RunStatus(message.status).label
    error = message.error or encode_error(_child_stopped(step, message.run_no, label))
    turn.end_step(step, StepStatus.FAILED, error=error, reason=f"child_{label}")
    return None


def is_mended(turn: Turn, message: ChildEnded) -> bool:
    """Return whether the failure of this child is what the run failed of, and is undone now.

    An operator has retried the child run, and it completed after all.
    """
    step = turn.state.steps.get(message.step_no)
    return (
        turn.state.status is RunStatus.FAILED
        and message.status == RunStatus.COMPLETED
        and step is not None
        and step.status is StepStatus.FAILED
        and step.child_run == message.run_no
    )


def _go_on(turn: Turn, step: Step, message: ChildEnded) -> Refused | None:
    """Open the run again where its child had failed, with what the child gives by now."""
    found = failed_at(turn, step.path)
    if isinstance(found, Refused) or step not in culprits(turn):
        return wrong_state("the run did not fail of this child run")
    reopen(turn, "child", run_id(message.run_no), step)
    # Re-opening has queued the step; it waits for its child, which is there already.
    turn.move_step(step, StepStatus.WAITING, reason="child")
    release(turn, step, output=message.output, reason="child")
    return None


def _child_stopped(step: Step, run_no: int, label: str) -> ErrorRecord:
    return ErrorRecord(
        code="PDM-T004",
        kind="ChildStopped",
        message=f"The child run {run_id(run_no)} was {label}.",
        fix="Retry the run to start the child anew, or skip the step with an output.",
        step=step.path,
        retryable=False,
    )


def child_started(turn: Turn, message: ChildStarted) -> Refused | None:
    """Link the child run to the step that asked for it; a step that moved on lets it go."""
    step = turn.state.steps.get(message.step_no)
    if step is not None and step.child_run == message.run_no:
        return None
    if step is None or not _awaits_child(step) or message.run_no in step.former:
        turn.let_go(step, message.run_no, "parent moved on")
        return wrong_state("no step waits for this child run")
    turn.emit(ev.ChildLinked(step.no, message.run_no))
    return None
