"""What the passing of time does: retries fall due, sleeps end, limits are reached."""

from heapq import heappop
from typing import Final

from podium.core.definition import Settings
from podium.core.ending import cancel_below, fail_run
from podium.core.limits import is_late, late
from podium.core.messages import Wake
from podium.core.opening import begin
from podium.core.payload import ErrorRecord
from podium.core.release import release
from podium.core.state import RunState, Step
from podium.core.states import RunStatus, StepKind, StepStatus
from podium.core.turn import Turn

__all__ = ["next_wake_us", "wake"]


def wake(turn: Turn, message: Wake) -> None:
    """Apply everything that is due at the turn's time; early or repeated calls change nothing."""
    state = turn.state
    if not state.status.is_open or _reach_limit(turn):
        return
    if state.status is RunStatus.PAUSED:
        return
    timers = state.timers
    while timers and timers[0][0] <= turn.now_us:
        due, no = heappop(timers)
        step = state.steps.get(no)
        if step is not None and step.status.is_open and step.wake_us == due:
            _wake_step(turn, step)


def _wake_step(turn: Turn, step: Step) -> None:
    status = step.status
    if step.no in turn.state.deadlines:
        _wake_question(turn, step)
    elif status is StepStatus.RUNNING or is_late(turn, step):
        _end_late(turn, step)
    elif status is StepStatus.RETRYING:
        begin(turn, step)
    elif status is StepStatus.QUEUED:
        turn.fail_step(step, late(step, "queue timeout"), reason="queue_timeout")
    elif not step.reason:
        # The delay of a loop is over; only then does the step begin its own kind of waiting.
        turn.move_step(step, StepStatus.QUEUED)
    else:
        _wake_waiting(turn, step)


def _wake_question(turn: Turn, step: Step) -> None:
    _, expires_us = turn.state.deadlines[step.no]
    if expires_us and expires_us <= turn.now_us:
        turn.fail_step(step, late(step, "approval expiry"), reason="approval_expired")
    else:
        turn.escalate(step)


def _wake_waiting(turn: Turn, step: Step) -> None:
    if step.kind is StepKind.SLEEP:
        release(turn, step)
    elif step.kind is StepKind.SIGNAL:
        turn.fail_step(step, late(step, "signal timeout"), reason="signal_timeout")
    elif step.kind is StepKind.APPROVAL:
        turn.fail_step(step, late(step, "approval expiry"), reason="approval_expired")
    elif step.kind is StepKind.CHILD:
        _end_late(turn, step)


def _end_late(turn: Turn, step: Step) -> None:
    """Fail a step at its total limit, and end what it has under way."""
    if step.graph is not None or step.fan is not None:
        cancel_below(turn, step.no, reason="total_timeout")
    elif step.child_run:
        turn.let_go(step, step.child_run, "out of time")
    turn.fail_step(step, late(step, "total timeout"), reason="total_timeout")


def _reach_limit(turn: Turn) -> bool:
    state = turn.state
    if state.status in _STOPPING:
        return False
    due = run_limit_us(state, turn.plan.workflow.settings)
    if due is None or turn.now_us < due:
        return False
    settings = turn.plan.workflow.settings
    late = settings.deadline_us is not None and due == state.created_us + settings.deadline_us
    name = "deadline" if late else "timeout"
    error = ErrorRecord(
        code="PDM-T003",
        kind="TimeoutError",
        message=f"The run reached its {name}.",
        why="`timeout` limits the time spent in `running`, `deadline` the time since the start.",
        fix=f"Raise `{name}:` in the settings, then start the run again.",
        retryable=False,
    )
    fail_run(turn, error, reason="timeout")
    return True


_STOPPING: Final = frozenset({RunStatus.CANCELLING, RunStatus.COMPENSATING})


def run_limit_us(state: RunState, settings: Settings) -> int | None:
    """Return when the run as a whole is out of time, as things stand; None for never."""
    limits = []
    if settings.deadline_us is not None:
        limits.append(state.created_us + settings.deadline_us)
    if settings.timeout_us is not None and state.status is RunStatus.RUNNING:
        limits.append(state.running_since_us + settings.timeout_us - state.running_us)
    return min(limits) if limits else None


def next_wake_us(state: RunState, settings: Settings) -> int | None:
    """Return when the clock will next matter to this run, or None if it never will."""
    if not state.status.is_open:
        return None
    timers, steps = state.timers, state.steps
    while timers:
        due, no = timers[0]
        step = steps.get(no)
        if step is not None and step.status.is_open and step.wake_us == due:
            break
        # A step that moved on leaves its entry behind: taking it out of a heap would cost more.
        heappop(timers)
    limit = run_limit_us(state, settings)
    # A paused run ends at its deadline all the same; for anything else it must not be loaded.
    if timers and state.status is not RunStatus.PAUSED:
        return timers[0][0] if limit is None else min(limit, timers[0][0])
    return limit
