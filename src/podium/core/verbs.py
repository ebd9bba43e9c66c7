"""What people and other runs ask of a run: cancel, pause, retry, skip, signal, decide, ….

Each verb returns None when it was applied, or says why not. A refused verb changes nothing.
"""

from collections.abc import Callable
from typing import Any, Final

from podium.core import events as ev
from podium.core.approvals import decide_approval
from podium.core.ending import cancel_below
from podium.core.family import child_ended, child_started
from podium.core.messages import (
    Abort,
    Cancel,
    ChildEnded,
    ChildStarted,
    Continue,
    Decide,
    Discard,
    Pause,
    Resume,
    Retry,
    Signal,
    Skip,
)
from podium.core.refusals import Refused
from podium.core.release import release
from podium.core.reopening import discard, give_up_parked, refill, refused_in, retry, skip
from podium.core.state import ROOT
from podium.core.states import RunStatus, StepKind, StepStatus
from podium.core.turn import Turn

__all__ = ["VERBS"]


def cancel(turn: Turn, message: Cancel) -> Refused | None:
    """Stop cooperatively: what rests is cancelled now, what runs is asked to stop."""
    state = turn.state
    if state.status is RunStatus.CANCELLING:
        return None
    refusal = refused_in(turn, "cancel")
    if refusal is not None:
        return refusal
    turn.move_run(RunStatus.CANCELLING, reason=message.reason or "cancel", by=message.by)
    running = [
        (step.no, step.attempts)
        for step in state.steps.values()
        if step.status is StepStatus.RUNNING and step.kind is StepKind.TASK
    ]
    for step in list(state.steps.values()):
        if step.status.is_open and step.status is not StepStatus.RUNNING:
            turn.end_step(step, StepStatus.CANCELLED, reason="cancelled")
    turn.stops += tuple(running)
    return None


def abort(turn: Turn, message: Abort) -> Refused | None:
    """Stop now, whatever runs."""
    refusal = refused_in(turn, "abort")
    if refusal is not None:
        return refusal
    cancel_below(turn, ROOT, reason="aborted")
    give_up_parked(turn)
    turn.move_run(RunStatus.ABORTED, reason=message.reason or "abort", by=message.by)
    return None


def pause(turn: Turn, message: Pause) -> Refused | None:
    """Start nothing more until `resume`."""
    refusal = refused_in(turn, "pause")
    if refusal is None:
        turn.move_run(RunStatus.PAUSED, reason="operator", by=message.by)
    return refusal


def resume(turn: Turn, message: Resume) -> Refused | None:
    """Go on after a pause."""
    refusal = refused_in(turn, "resume")
    if refusal is None:
        turn.move_run(RunStatus.RUNNING, reason="resumed", by=message.by)
        refill(turn)
    return refusal


def signal(turn: Turn, message: Signal) -> Refused | None:
    """Give the payload to the step that waits for the name, or keep it for the next one."""
    refusal = refused_in(turn, "signal")
    if refusal is not None:
        return refusal
    turn.emit(ev.SignalReceived(message.name, message.payload))
    wanted = f"signal:{message.name}"
    for step in turn.state.steps.values():
        if step.status is StepStatus.WAITING and step.reason == wanted:
            payload = turn.state.signals[message.name][0]
            release(turn, step, output=payload, reason=wanted)
            return None
    return None


def continued(turn: Turn, message: Continue) -> Refused | None:
    """Note that the next life has begun; that the run ended for it was recorded before."""
    return None


VERBS: Final[dict[type, Callable[[Turn, Any], Refused | None]]] = {
    ChildStarted: child_started,
    Cancel: cancel,
    Abort: abort,
    Pause: pause,
    Resume: resume,
    Retry: retry,
    Skip: skip,
    Discard: discard,
    Signal: signal,
    Decide: decide_approval,
    ChildEnded: child_ended,
    Continue: continued,
}
