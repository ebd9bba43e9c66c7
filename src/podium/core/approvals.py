"""What a person's answer does: approve, edit, reject, or send back for rework.

An answer is good for one question only: the payload that was shown, before it expired, by
somebody who may. Whatever else arrives is refused and changes nothing.
"""

from typing import Final

import msgspec

from podium.core import events as ev
from podium.core.messages import Decide
from podium.core.opening import begin
from podium.core.payload import ErrorRecord, pack_map, pack_value
from podium.core.refusals import Refused, wrong_state
from podium.core.release import release
from podium.core.state import Step
from podium.core.states import RunStatus, StepKind, StepStatus
from podium.core.turn import Turn

__all__ = ["REJECTED", "asks", "decide_approval"]

REJECTED: Final = "PDM-T020"
"""The code of the error of a step that a person has rejected."""

_ASKING: Final = frozenset({"checkpoint", "in_doubt", "budget"})
_STOPPING: Final = frozenset({RunStatus.CANCELLING, RunStatus.COMPENSATING})
_DECISIONS: Final = {"approve": 1, "reject": 2, "edit": 3, "rework": 2}


def asks(step: Step) -> bool:
    """Return whether `step` waits for a person's answer."""
    if step.status is StepStatus.CHECKPOINT_PENDING:
        return True
    return step.status is StepStatus.WAITING and step.reason in _ASKING


def decide_approval(turn: Turn, message: Decide) -> Refused | None:
    """Apply a person's decision to the step that waits for it."""
    step = turn.state.steps.get(message.step_no)
    if step is None or not asks(step):
        sentence = "the approval was already decided, or its run moved on"
        return Refused("already_decided", sentence)
    refusal = _undecidable(turn, step, message)
    if refusal is not None:
        return refusal
    number = _DECISIONS[message.decision]
    record = ev.ApprovalDecided(step.no, number, message.by, message.comment, message.payload)
    turn.emit(record)
    turn.decided += (record,)
    _follow(turn, step, message)
    return None


def _undecidable(turn: Turn, step: Step, message: Decide) -> Refused | None:
    """Return why this decision cannot be taken now, or None if it can."""
    if turn.state.status in _STOPPING:
        return wrong_state(f"the run is {turn.state.status.label}")
    if message.decision not in _DECISIONS:
        known = "approve, reject, edit or rework"
        return wrong_state(f"{message.decision!r} is not a decision: {known}")
    refusal = _over(turn, step, message)
    if refusal is None and message.decision != "reject":
        refusal = _same_eyes(turn, step, message.by)
    if refusal is None and message.decision == "rework":
        refusal = _unworkable(turn, step)
    if refusal is None and message.payload is not None:
        refusal = _uneditable(step)
    return refusal


def _over(turn: Turn, step: Step, message: Decide) -> Refused | None:
    """Return the refusal of an answer to another question, or to one that nobody waits for."""
    asked = turn.state.approvals.get(step.no, "")
    if message.payload_hash and message.payload_hash != asked:
        return Refused("payload_changed", "what was shown has changed since")
    expires_us = turn.state.deadlines.get(step.no, (0, 0))[1]
    if expires_us and expires_us <= turn.now_us:
        return Refused("approval_expired", "the approval has expired")
    return None


def _same_eyes(turn: Turn, step: Step, by: str) -> Refused | None:
    """Return the refusal if it takes a second person, and whoever decides is not known as one."""
    policy = turn.task_of(step).approval
    if policy is None or not policy.four_eyes:
        return None
    if not by:
        return Refused("four_eyes", "it takes a second person, and nobody is named")
    if by in turn.state.requesters:
        return Refused("four_eyes", f"{by!r} asked for the run, and it takes a second person")
    return None


def _uneditable(step: Step) -> Refused | None:
    """Return why what was shown cannot be edited, or None if it can."""
    if step.reason == "budget":
        return wrong_state("a budget is raised by what was asked, or not at all")
    is_many = step.fan is not None or step.graph is not None
    if is_many and step.reason not in _HELD:
        return wrong_state(f"{step.path!r} runs several steps, so there are no arguments to edit")
    return None


_HELD: Final = frozenset({"checkpoint", "substitute"})
"""Why a step keeps back an output that exists."""


def _unworkable(turn: Turn, step: Step) -> Refused | None:
    """Return why the step cannot do its work again, or None if it can."""
    if step.reason == "checkpoint" and step.kind is not StepKind.APPROVAL:
        carried = step.path in turn.state.carried
        if not carried:
            return None
        return wrong_state(f"the result of {step.path!r} was taken over from another run")
    return wrong_state(f"{step.path!r} has done no work yet that could be done again")


def _follow(turn: Turn, step: Step, message: Decide) -> None:
    approved = message.decision in _APPROVING
    # An approval behind a checkpoint asks twice: whether to ask at all, and its own question.
    if step.kind is StepKind.APPROVAL and step.status is StepStatus.WAITING:
        _answer(turn, step, message, approved=approved)
    elif message.decision == "rework":
        _send_back(turn, step, message)
    elif not approved:
        turn.fail_step(step, _rejected(step, message), reason="rejected")
    elif step.reason in _HELD:
        # The result exists and was held back: release it, edited or as it is.
        output = message.payload if message.payload is not None else step.output
        _let_out(turn, step, output)
    elif message.payload is not None:
        turn.move_step(step, StepStatus.QUEUED, output=message.payload)
    else:
        if step.reason == "budget":
            turn.grant(step, message.by)
        begin(turn, step)


_APPROVING: Final = frozenset({"approve", "edit"})


def _let_out(turn: Turn, step: Step, output: bytes | None) -> None:
    if step.reason == "substitute":
        turn.end_step(step, StepStatus.SKIPPED, output=output, reason="operator")
    else:
        turn.end_step(step, StepStatus.COMPLETED, output=output, reason="approved")


def _send_back(turn: Turn, step: Step, message: Decide) -> None:
    """Forget the step, and let its graph open it anew with all it asks for."""
    turn.reworked += (step.no,)
    turn.facts.items.pop(step.no, None)
    turn.emit(ev.StepReworked(step.no, message.comment))
    # Nothing of the step is left in the state: its row says how it ended.
    turn.touched[step.no] = msgspec.structs.replace(
        step, status=StepStatus.CANCELLED, reason="rework", ended_us=turn.now_us
    )
    turn.ready.append((step.scope, step.task))


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
        code=REJECTED,
        kind="Rejected",
        message=f"{step.path!r} was rejected{by}.",
        why=message.comment or "No reason was given.",
        fix="Change what was rejected, then `podium runs retry RUN` to ask again.",
        step=step.path,
        retryable=False,
    )
