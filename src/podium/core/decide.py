"""The heart: a message in, events out. Pure: no I/O, no clock, no chance.

`decide` applies one message to a turn; `conclude` ends the turn: it starts what there is room
for and settles whether the run is running, waiting or over. Between the two, a worklist
carries the news of ended steps outwards and opens what became ready, without recursion, so a
chain of ten thousand steps needs no stack.
"""

from typing import Any

from podium.core import events as ev
from podium.core.attempts import interrupt, settle_attempt
from podium.core.clockwork import wake
from podium.core.ending import cancel_below, fail_run, settle_parent
from podium.core.limits import limit_us
from podium.core.messages import (
    AttemptDone,
    CodeCancel,
    CodeFinished,
    CodeStep,
    Continue,
    Interrupted,
    Message,
    Wake,
)
from podium.core.opening import (
    FAN_MAX,
    consider,
    fill_fan,
    may_start,
    open_code_step,
    open_root,
    start_queued,
)
from podium.core.payload import ErrorRecord, decode_error
from podium.core.refusals import Refused, wrong_state
from podium.core.state import ROOT, RunState
from podium.core.states import RunStatus, StepKind, StepStatus
from podium.core.turn import CONTINUED, Turn
from podium.core.verbs import VERBS
from podium.errors import InternalError

__all__ = ["begin_run", "conclude", "decide", "drain"]


def begin_run(turn: Turn) -> None:
    """Move a queued run into running and open its first steps."""
    turn.move_run(RunStatus.RUNNING)
    open_root(turn)
    drain(turn)


def decide(turn: Turn, message: Message) -> Refused | None:
    """Apply `message`; return None if it was applied, or say why not."""
    refusal: Refused | None = None
    verb = VERBS.get(type(message))
    if verb is not None:
        refusal = _stale(turn, message) or verb(turn, message)
    elif type(message) is AttemptDone:
        if not settle_attempt(turn, message):
            refusal = wrong_state("the attempt is not the one the step waits for")
    elif type(message) is Wake:
        wake(turn, message)
    elif type(message) is Interrupted:
        interrupt(turn, message)
    else:
        _decide_code(turn, message)
    drain(turn)
    return refusal


def _stale(turn: Turn, message: Any) -> Refused | None:
    """Return the refusal of a message whose sender has not seen what happened since."""
    seq = turn.state.seq
    if message.seen_seq in {0, seq}:
        return None
    return Refused("stale", f"the run is at event {seq} by now, and {message.seen_seq} was seen")


def _decide_code(turn: Turn, message: Message) -> None:
    if turn.state.status is RunStatus.CANCELLING or not turn.state.status.is_open:
        return
    if isinstance(message, CodeStep):
        _open_code(turn, message)
    elif isinstance(message, CodeCancel):
        _cancel_paths(turn, message)
    elif isinstance(message, CodeFinished):
        _finish_code(turn, message)


def _open_code(turn: Turn, request: CodeStep) -> None:
    state = turn.state
    no = state.next_no
    turn.facts.requests[no] = request
    kind = request.kind
    status = StepStatus.PENDING
    if kind is StepKind.TASK:
        urgent = may_start(turn, request.task.priority)
        status = StepStatus.RUNNING if urgent else StepStatus.QUEUED
    elif kind is StepKind.MAP and 0 < request.count <= FAN_MAX:
        status = StepStatus.RUNNING
    is_task = kind is StepKind.TASK
    wake_us = limit_us(turn, request.task, status, state.root) if is_task else 0
    event = ev.StepOpened(
        no,
        ROOT,
        -1,
        kind,
        status,
        request.path,
        -1,
        request.count,
        wake_us,
        request.mark,
        request.task.priority,
    )
    step = turn.open_step(event)
    if status is StepStatus.PENDING:
        open_code_step(turn, step)
    elif kind is StepKind.MAP:
        turn.fills.append(no)


def _cancel_paths(turn: Turn, message: CodeCancel) -> None:
    for path in message.paths:
        step = turn.state.steps.get(turn.state.paths.get(path, -1))
        if step is not None and step.status.is_open:
            cancel_below(turn, step.no, reason="branch_failed")
            turn.end_step(step, StepStatus.CANCELLED, reason="branch_failed")


def _finish_code(turn: Turn, message: CodeFinished) -> None:
    if message.error is not None:
        fail_run(turn, decode_error(message.error))
        return
    cancel_below(turn, ROOT, reason="run_ended")
    reason = ""
    if message.continue_input is not None:
        reason = CONTINUED
        turn.posts += ((turn.state.run_no, Continue(input=message.continue_input)),)
    turn.move_run(RunStatus.COMPLETED, reason=reason, output=message.output)


def drain(turn: Turn) -> None:
    """Carry the news of ended steps outwards and open what became ready, until all is quiet."""
    while True:
        if turn.state.status in _OVER:
            turn.ended.clear()
            turn.ready.clear()
            turn.fills.clear()
            return
        if turn.ended:
            settle_parent(turn, *turn.ended.popleft())
        elif turn.ready:
            consider(turn, *turn.ready.popleft())
        elif turn.fills:
            fill_fan(turn, turn.fills.popleft())
        else:
            return


_OVER = frozenset(status for status in RunStatus if not status.is_open) | {RunStatus.CANCELLING}
"""In these, nothing new opens, whatever ends."""


def conclude(turn: Turn) -> None:
    """End the turn: start what there is room for, then settle the run's own status."""
    start_queued(turn)
    hungry = turn.facts.hungry
    # A turn at its size limit comes again at once: filling now would only make it larger.
    if hungry and not turn.unfinished:
        turn.fills.extend(hungry)
        hungry.clear()
    drain(turn)
    state = turn.state
    if state.status is RunStatus.CANCELLING:
        if not state.tally[StepStatus.RUNNING]:
            cancel_below(turn, ROOT, reason="cancelled")
            turn.ended.clear()
            turn.move_run(RunStatus.CANCELLED, reason=state.reason)
    elif state.status is RunStatus.RUNNING or state.status is RunStatus.WAITING:
        _settle_status(turn, state)


def _settle_status(turn: Turn, state: RunState) -> None:
    tally = state.tally
    busy = (
        tally[StepStatus.RUNNING]
        + tally[StepStatus.QUEUED]
        + tally[StepStatus.RETRYING]
        + turn.unfinished
        # A map whose items found no room on this node: the run is busy, the node is full.
        + len(turn.facts.hungry)
        # Results the durable function has not seen: it may ask for more.
        + len(turn.deliveries)
    )
    if busy:
        if state.status is RunStatus.WAITING:
            turn.move_run(RunStatus.RUNNING)
    elif tally[StepStatus.WAITING] + tally[StepStatus.CHECKPOINT_PENDING] + _gated(state):
        _rest(turn, _what_for(state))
    else:
        _stuck(turn)


def _rest(turn: Turn, reason: str) -> None:
    state = turn.state
    if state.status is RunStatus.WAITING and state.reason != reason:
        turn.move_run(RunStatus.RUNNING)
    if state.status is RunStatus.RUNNING:
        turn.move_run(RunStatus.WAITING, reason=reason)


def _gated(state: RunState) -> int:
    """Count containers that wait: they are not in the tally."""
    return sum(
        step.status in _RESTING
        for step in state.steps.values()
        if step.fan is not None or step.graph is not None
    )


_RESTING = frozenset({StepStatus.WAITING, StepStatus.CHECKPOINT_PENDING})


def _what_for(state: RunState) -> str:
    for number in state.approvals:
        # Whoever looks at the run can do something about a question, not about a timer.
        reason = state.steps[number].reason
        return reason if reason in _QUESTIONS else "checkpoint"
    for step in state.steps.values():
        if step.status is StepStatus.WAITING:
            return step.reason.partition(":")[0] or "timer"
    return ""


_QUESTIONS = frozenset({"in_doubt", "budget"})
"""Why a step asks a person besides a checkpoint of its own."""


def _stuck(turn: Turn) -> None:
    """Fail a run that could never move again: an error of ours must not look like patience."""
    error = InternalError("The run has nothing to do and nothing to wait for.", code="PDM-I004")
    fail_run(
        turn,
        ErrorRecord(code=error.code, kind="InternalError", message=error.what, retryable=False),
        reason="internal",
    )
