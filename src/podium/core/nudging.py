"""`retry` told to a run that is open: what only waits for its turn is tried now.

It never doubles anything. A run with a live attempt refuses; a run that nobody drove has taken
up what was cut off by coming home, and there is nothing left to do.
"""

from typing import Final

from podium.core import events as ev
from podium.core.messages import Retry
from podium.core.opening import ask_before, begin
from podium.core.recovery import path_of
from podium.core.refusals import Refused, wrong_state
from podium.core.scope import output_of
from podium.core.state import RunState, Step
from podium.core.states import RunStatus, StepKind, StepStatus
from podium.core.turn import Turn

__all__ = ["RECOVERIES", "is_stuck", "nudge"]

RECOVERIES: Final = frozenset({"retry", "skip", "child"})
"""Why a run is running that was opened again, until it has rested once."""


def is_stuck(state: RunState) -> bool:
    """Return whether an open run has no live attempt, and something that a retry would move."""
    if state.status is not RunStatus.RUNNING or state.tally[StepStatus.RUNNING]:
        return False
    if state.reason in RECOVERIES and state.tally[StepStatus.QUEUED]:
        return False
    return bool(state.tally[StepStatus.RETRYING] + state.tally[StepStatus.QUEUED])


def nudge(turn: Turn, message: Retry) -> Refused | None:
    """Try again now what waits for its next attempt."""
    state = turn.state
    if message.arguments is not None or message.agents:
        return wrong_state(f"the run is {state.status.label}: only a failed one can be changed")
    is_stranded = turn.came_home and state.status is RunStatus.RUNNING
    if not is_stranded and (message.step or message.step_no):
        return _nudge_one(turn, message)
    if not is_stranded and not is_stuck(state):
        return _busy(state)
    _record(turn, message)
    # A stranded run has taken up what was cut off by coming home.
    for step in [] if is_stranded else list(state.steps.values()):
        if step.status is StepStatus.RETRYING:
            begin(turn, step)
    return None


def _record(turn: Turn, message: Retry, path: str = "") -> None:
    turn.emit(ev.RunSteered("retry", path, message.by))


def _busy(state: RunState) -> Refused:
    if state.status is RunStatus.WAITING:
        reason = state.reason.partition(":")[0] or "something outside"
        return wrong_state(f"the run waits for {reason}, and nothing in it is stuck")
    if state.reason in RECOVERIES:
        return Refused("recovery_in_flight", f"the {_WORDS[state.reason]} before is under way")
    count = state.tally[StepStatus.RUNNING]
    return wrong_state(f"the run is running, with {count} live attempt{'s' if count != 1 else ''}")


_WORDS: Final = {"retry": "retry", "skip": "skip", "child": "recovery of its child run"}


def _nudge_one(turn: Turn, message: Retry) -> Refused | None:
    path = path_of(turn, message)
    if isinstance(path, Refused):
        return path
    step = turn.state.steps[turn.state.paths[path]]
    if step.no in turn.state.approvals:
        return _ask_again(turn, message, step)
    is_waiting = step.status in {StepStatus.RETRYING, StepStatus.QUEUED}
    if not is_waiting and not _is_live(step):
        return wrong_state(f"step {path!r} is {step.status.label}")
    in_recovery = turn.state.reason in RECOVERIES and step.status is not StepStatus.RETRYING
    if in_recovery or _is_live(step):
        return _busy(turn.state)
    _record(turn, message, path)
    # What is queued starts by itself as soon as there is room.
    if step.status is StepStatus.RETRYING:
        begin(turn, step)
    return None


def _ask_again(turn: Turn, message: Retry, step: Step) -> Refused | None:
    """Ask the open question about `step` once more, as if nobody had been asked yet."""
    is_held = step.reason in _HELD
    if not is_held and step.reason and step.kind is not StepKind.APPROVAL:
        return wrong_state(f"step {step.path!r} waits for a person: decide the approval")
    _record(turn, message, step.path)
    if step.status is StepStatus.WAITING:
        begin(turn, step)
    elif is_held:
        turn.ask(step, prompt=_HELD[step.reason].format(step.path), payload=output_of(turn, step))
    else:
        ask_before(turn, step)
    return None


_HELD: Final = {
    "checkpoint": "Release the result of {}?",
    "substitute": "Go on without {}, with this as its output?",
}


def _is_live(step: Step) -> bool:
    return step.status is StepStatus.RUNNING and step.kind is StepKind.TASK
