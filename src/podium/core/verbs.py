"""What people and other runs ask of a run: cancel, pause, retry, skip, signal, decide, ….

Each verb returns None when it was applied, or says in one sentence why not. A refused verb
changes nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from podium.core import events as ev
from podium.core.ending import cancel_below
from podium.core.ids import run_id
from podium.core.messages import (
    Abort,
    Cancel,
    ChildEnded,
    ChildStarted,
    Continue,
    Decide,
    Pause,
    Resume,
    Retry,
    Signal,
    Skip,
)
from podium.core.opening import begin
from podium.core.payload import ErrorRecord, encode_error, pack_map, pack_value
from podium.core.plan import NO_BLOCK
from podium.core.recovery import below_or_self, consequences, culprits, failed_at, is_below
from podium.core.release import release
from podium.core.state import NULL, ROOT, Step
from podium.core.states import RUN_VERBS, RunStatus, StepKind, StepStatus
from podium.core.turn import Turn

__all__ = ["VERBS"]


def _refusal(turn: Turn, verb: str) -> str | None:
    status = turn.state.status
    if status in RUN_VERBS[verb]:
        return None
    return f"the run is {status.label}"


def cancel(turn: Turn, message: Cancel) -> str | None:
    """Stop cooperatively: what rests is cancelled now, what runs is asked to stop."""
    state = turn.state
    if state.status is RunStatus.CANCELLING:
        return None
    refusal = _refusal(turn, "cancel")
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


def abort(turn: Turn, message: Abort) -> str | None:
    """Stop now, whatever runs."""
    refusal = _refusal(turn, "abort")
    if refusal is not None:
        return refusal
    cancel_below(turn, ROOT, reason="aborted")
    turn.move_run(RunStatus.ABORTED, reason=message.reason or "abort", by=message.by)
    return None


def pause(turn: Turn, message: Pause) -> str | None:
    """Start nothing more until `resume`."""
    refusal = _refusal(turn, "pause")
    if refusal is None:
        turn.move_run(RunStatus.PAUSED, reason="operator", by=message.by)
    return refusal


def resume(turn: Turn, message: Resume) -> str | None:
    """Go on after a pause."""
    refusal = _refusal(turn, "resume")
    if refusal is None:
        turn.move_run(RunStatus.RUNNING, reason="resumed", by=message.by)
        _refill(turn)
    return refusal


def _refill(turn: Turn) -> None:
    for step in turn.state.steps.values():
        if step.fan is not None and step.status is StepStatus.RUNNING:
            turn.fills.append(step.no)


def retry(turn: Turn, message: Retry) -> str | None:
    """Run failed steps again in place, as a new generation of the same run.

    Failed members of a graph are considered anew, with their condition and their checkpoint:
    an approval holds for the generation it was given in. So is what ran because of the failure.
    """
    refusal = _refusal(turn, "retry")
    if refusal is not None:
        return refusal
    steps = culprits(turn)
    if message.step:
        step = failed_at(turn, message.step)
        if isinstance(step, str):
            return step
        steps = below_or_self(turn, step)
    after = consequences(turn, steps)
    # What lies below a step that is forgotten comes again with it.
    steps = [step for step in steps if not is_below(turn, step, after)]
    members = [step.no for step in steps if _is_member(turn, step)]
    others = [step.no for step in steps if step.no not in members]
    _reopen(turn, "retry", message.by, steps=others, anew=[*members, *after])
    return None


def _is_member(turn: Turn, step: Step) -> bool:
    """Return whether a graph opens this step: a map or a durable function never does it twice."""
    return not turn.state.is_code and turn.state.steps[step.scope].graph is not None


def _reopen(
    turn: Turn, verb: str, by: str, *, steps: Sequence[int] = (), anew: Sequence[int] = ()
) -> None:
    # Decoded outputs of steps that are about to run again would be served as their new ones.
    turn.facts.values.clear()
    turn.emit(ev.RunReopened(verb, steps, by, anew))
    turn.move_run(RunStatus.RUNNING, reason=verb, by=by)
    if not turn.state.is_code:
        for step in turn.state.steps.values():
            if step.graph is not None and step.status is StepStatus.RUNNING:
                members = turn.plan.by_block[NO_BLOCK if step.no == ROOT else step.task]
                turn.ready.extend((step.no, task) for task in members)
        _remind(turn)
    _refill(turn)


def _remind(turn: Turn) -> None:
    """Let open containers with nothing open below them look again whether they are done."""
    for step in turn.state.steps.values():
        if step.status is not StepStatus.RUNNING:
            continue
        if step.graph is not None and step.graph.members and not step.graph.open:
            turn.ended.append((step.no, next(iter(step.graph.members)), StepStatus.COMPLETED))
        elif step.fan is not None and step.fan.cursor and not step.fan.open:
            turn.ended.append((step.no, step.task, StepStatus.COMPLETED))


def skip(turn: Turn, message: Skip) -> str | None:
    """Take a substitute output for a failed step and go on."""
    refusal = _refusal(turn, "skip")
    if refusal is not None:
        return refusal
    if message.step:
        step = failed_at(turn, message.step)
    else:
        step = next(reversed(culprits(turn)), "no step has failed")
    if isinstance(step, str):
        return step
    _reopen(turn, "skip", message.by, steps=[step.no], anew=consequences(turn, [step]))
    output = message.output if message.output is not None else NULL
    turn.end_step(step, StepStatus.SKIPPED, output=output, reason="operator")
    return None


def signal(turn: Turn, message: Signal) -> str | None:
    """Give the payload to the step that waits for the name, or keep it for the next one."""
    refusal = _refusal(turn, "signal")
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


def decide_approval(turn: Turn, message: Decide) -> str | None:
    """Apply a person's decision to the step that waits for it."""
    step = turn.state.steps.get(message.step_no)
    if step is None or not _asks(step):
        return "the approval was already decided, or its run moved on"
    refusal = _undecidable(turn, step, message)
    if refusal is not None:
        return refusal
    number = _DECISIONS[message.decision]
    record = ev.ApprovalDecided(step.no, number, message.by, message.comment, message.payload)
    turn.emit(record)
    turn.decided += (record,)
    _follow(turn, step, message)
    return None


def _asks(step: Step) -> bool:
    if step.status is StepStatus.CHECKPOINT_PENDING:
        return True
    return step.status is StepStatus.WAITING and step.reason in _ASKING


def _undecidable(turn: Turn, step: Step, message: Decide) -> str | None:
    """Return why this decision cannot be taken now, or None if it can."""
    if turn.state.status in _STOPPING:
        return f"the run is {turn.state.status.label}"
    if message.payload_hash and message.payload_hash != turn.state.approvals.get(step.no, ""):
        return "what was shown has changed since"
    if message.decision not in _DECISIONS:
        return f"{message.decision!r} is not a decision: approve, reject or edit"
    return None if message.payload is None else _uneditable(step)


def _uneditable(step: Step) -> str | None:
    """Return why what was shown cannot be edited, or None if it can."""
    if step.reason == "budget":
        return "a budget is raised by what was asked, or not at all"
    if (step.fan is not None or step.graph is not None) and step.reason != "checkpoint":
        return f"{step.path!r} runs several steps, so there are no arguments to edit"
    return None


_STOPPING: Final = frozenset({RunStatus.CANCELLING, RunStatus.COMPENSATING})
_ASKING: Final = frozenset({"checkpoint", "in_doubt", "budget"})
_DECISIONS: Final = {"approve": 1, "reject": 2, "edit": 3}


def _follow(turn: Turn, step: Step, message: Decide) -> None:
    approved = message.decision != "reject"
    # An approval behind a checkpoint asks twice: whether to ask at all, and its own question.
    if step.kind is StepKind.APPROVAL and step.status is StepStatus.WAITING:
        _answer(turn, step, message, approved=approved)
    elif not approved:
        turn.fail_step(step, _rejected(step, message), reason="rejected")
    elif step.reason == "checkpoint":
        # The result exists and was held back: release it, edited or as it is.
        output = message.payload if message.payload is not None else step.output
        turn.end_step(step, StepStatus.COMPLETED, output=output, reason="approved")
    elif message.payload is not None:
        turn.move_step(step, StepStatus.QUEUED, output=message.payload)
    else:
        if step.reason == "budget":
            turn.grant(step, message.by)
        begin(turn, step)


def _answer(turn: Turn, step: Step, message: Decide, *, approved: bool) -> None:
    """End an approval step; durable functions get a rejection as a value, graphs as a failure."""
    if not approved and step.task >= 0:
        turn.fail_step(step, _rejected(step, message), reason="rejected")
        return
    pairs = (
        ("approved", pack_value(approved)),
        ("decision", pack_value(message.decision)),
        ("by", pack_value(message.by)),
        ("comment", pack_value(message.comment)),
        ("payload", message.payload if message.payload is not None else b"\xc0"),
    )
    release(turn, step, output=pack_map(pairs), reason=message.decision)


def _rejected(step: Step, message: Decide) -> ErrorRecord:
    by = f" by {message.by}" if message.by else ""
    return ErrorRecord(
        code="PDM-T020",
        kind="Rejected",
        message=f"{step.path!r} was rejected{by}.",
        why=message.comment or "No reason was given.",
        fix="Change what was rejected, then `podium runs retry RUN` to ask again.",
        step=step.path,
        retryable=False,
    )


def _awaits_child(step: Step) -> bool:
    return step.status is StepStatus.WAITING and step.reason == "child"


def child_ended(turn: Turn, message: ChildEnded) -> str | None:
    """Give the outcome of a child run to the step that started it."""
    step = turn.state.steps.get(message.step_no)
    if step is None or not _awaits_child(step) or message.run_no in step.former:
        return "no step waits for this child run"
    if message.status == RunStatus.COMPLETED:
        release(turn, step, output=message.output, reason="child")
        return None
    label = RunStatus(message.status).label
    error = message.error or encode_error(_child_stopped(step, message.run_no, label))
    turn.end_step(step, StepStatus.FAILED, error=error, reason=f"child_{label}")
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


def child_started(turn: Turn, message: ChildStarted) -> str | None:
    """Link the child run to the step that asked for it; a step that moved on cancels it."""
    step = turn.state.steps.get(message.step_no)
    if step is None or not _awaits_child(step) or message.run_no in step.former:
        news = Cancel(by="parent", reason="parent moved on")
        turn.posts += ((message.run_no, news),)
        return "no step waits for this child run"
    if step.child_run != message.run_no:
        turn.emit(ev.ChildLinked(step.no, message.run_no))
    return None


def continued(turn: Turn, message: Continue) -> str | None:
    """Note that the next life has begun; that the run ended for it was recorded before."""
    return None


VERBS: Final[dict[type, Callable[[Turn, Any], str | None]]] = {
    ChildStarted: child_started,
    Cancel: cancel,
    Abort: abort,
    Pause: pause,
    Resume: resume,
    Retry: retry,
    Skip: skip,
    Signal: signal,
    Decide: decide_approval,
    ChildEnded: child_ended,
    Continue: continued,
}
