"""The journal as others read it: one CloudEvent for each record, with the path of its step.

Pure: `Translator` folds the run along, because records name steps by number and a record may
end a step that the state forgets at once. Payloads stay in the store; an event says what
happened, not what was computed.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from podium.core import events as ev
from podium.core.charges import NANO
from podium.core.evolve import evolve
from podium.core.ids import approval_id, approval_no, run_id, step_id
from podium.core.payload import decode_error
from podium.core.state import ROOT, RunState, Step
from podium.core.states import AttemptOutcome, RunStatus, StepKind, StepStatus

__all__ = ["CloudEvent", "Translator", "rfc3339"]

Data = dict[str, Any]


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a run, in the shape of CloudEvents 1.0."""

    specversion: str = "1.0"
    id: str
    """`<run>:<seq>`, unique and stable."""
    source: str
    sequence: int
    """The cursor: ask for what came after it."""
    type: str
    subject: str
    """Path of the step; the run's own id in events about the run itself."""
    time: str
    data: Data


def rfc3339(at_us: int) -> str:
    """Return a time in microseconds since 1970 as text in UTC.

    >>> rfc3339(0)
    '1970-01-01T00:00:00.000000Z'
    """
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_us % 1_000_000:06d}Z"


class Translator:
    """Turns the records of one run, given from the first one on, into CloudEvents."""

    def __init__(self, run_no: int, *, is_code: bool = False) -> None:
        self.run = run_id(run_no)
        self.state = RunState(run_no, is_code=is_code)

    @property
    def seq(self) -> int:
        """Return the sequence number of the last record that was taken in."""
        return self.state.seq

    def take(self, first_seq: int, at_us: int, records: Sequence[ev.Event]) -> Iterator[CloudEvent]:
        """Yield the events of one journal record, passing over what was taken in before."""
        for record in records[max(0, self.seq + 1 - first_seq) :]:
            no = getattr(record, "no", -1)
            before = self.state.steps.get(no)
            old = self.state.status
            # Re-opening forgets some of the steps it is about: they are named before.
            early = _reopened(self.state, record) if type(record) is ev.RunReopened else None
            evolve(self.state, record, at_us)
            step = before or self.state.steps.get(no)
            told = early or _TELL[type(record)](self.state, step, record, old)
            if told is not None:
                yield self._event(at_us, step, *told)

    def take_body(self, first_seq: int, body: bytes) -> Iterator[CloudEvent]:
        """Yield the events of a packed journal body."""
        at_us, records = ev.unpack(body)
        yield from self.take(first_seq, at_us, records)

    def _event(self, at_us: int, step: Step | None, kind: str, data: Data) -> CloudEvent:
        if step is not None:
            data = {"step_record_id": step_id(self.state.run_no, step.no), **data}
        return CloudEvent(
            id=f"{self.run}:{self.seq}",
            source=f"/v1/runs/{self.run}",
            sequence=self.seq,
            type=f"orchestration.{kind}",
            subject=self.run if step is None else step.path,
            time=rfc3339(at_us),
            data=data,
        )


Told = tuple[str, Data] | None


def _error(body: bytes | None) -> Data:
    if body is None:
        return {}
    record = decode_error(body)
    return {"error": msgspec.to_builtins(record)}


def _some(**values: Any) -> Data:
    """Return the values that say something."""
    return {name: value for name, value in values.items() if value not in ("", 0, -1, None)}


def _started(state: RunState, step: Step | None, record: ev.RunStarted, old: RunStatus) -> Told:
    return "run.queued", _some(
        workflow=record.workflow,
        version=record.def_hash[:12],
        organization=record.organization,
        parent_run_id=run_id(record.parent_run) if record.parent_run else "",
        forked_from=run_id(record.forked_from) if record.forked_from else "",
    )


def _moved(state: RunState, step: Step | None, record: ev.RunMoved, old: RunStatus) -> Told:
    status = RunStatus(record.status)
    word = status.label
    if status is RunStatus.RUNNING:
        word = "started" if old in _BEFORE_START else "resumed"
    data = _some(status=status.label, reason=record.reason, by=record.by)
    return f"run.{word}", data | _error(record.error)


_BEFORE_START: Final = frozenset({RunStatus.QUEUED, RunStatus.PLANNING})


def _step_data(step: Step, status: StepStatus, *, reason: str = "", wake_us: int = 0) -> Data:
    return _some(
        status=status.label,
        kind=step.kind.name.lower(),
        attempt=step.attempts,
        reason=reason,
        wake_at=rfc3339(wake_us) if wake_us else "",
        items=step.fan.count if step.fan is not None and step.kind is StepKind.MAP else None,
    )


def _step_word(status: StepStatus) -> str:
    return "started" if status is StepStatus.RUNNING else status.label


def _opened(state: RunState, step: Step | None, record: ev.StepOpened, old: RunStatus) -> Told:
    if step is None or record.no == ROOT:
        return None
    status = StepStatus(record.status)
    return f"step.{_step_word(status)}", _step_data(step, status, wake_us=record.wake_us)


def _step_moved(state: RunState, step: Step | None, record: ev.StepMoved, old: RunStatus) -> Told:
    if step is None:
        return None
    status = StepStatus(record.status)
    data = _step_data(step, status, reason=record.reason, wake_us=record.wake_us)
    return f"step.{_step_word(status)}", data


def _ended(state: RunState, step: Step | None, record: ev.StepEnded, old: RunStatus) -> Told:
    if step is None or record.no == ROOT:
        return None
    status = StepStatus(record.status)
    data = _step_data(step, status, reason=record.reason) | _error(record.error)
    if step.fan is not None and step.kind is StepKind.MAP:
        data |= {"items_done": step.fan.done, "items_failed": step.fan.failures}
    if step.kind is StepKind.CHILD:
        if step.child_run:
            data["child_run_id"] = run_id(step.child_run)
        if status is StepStatus.FAILED or (status in _CHILD_ENDS and step.child_run):
            return f"child.{status.label}", data
    return f"step.{status.label}", data


_CHILD_ENDS: Final = frozenset({StepStatus.COMPLETED, StepStatus.FAILED})


def _attempted(state: RunState, step: Step | None, record: ev.AttemptEnded, old: RunStatus) -> Told:
    if step is None:
        return None
    status = StepStatus.RETRYING if record.wake_us else StepStatus.QUEUED
    data = _step_data(step, status, wake_us=record.wake_us)
    data["outcome"] = AttemptOutcome(record.outcome).label
    return f"step.{status.label}", data | _error(record.error)


def _signalled(
    state: RunState, step: Step | None, record: ev.SignalReceived, old: RunStatus
) -> Told:
    return "run.signalled", {"name": record.name}


def _asked(state: RunState, step: Step | None, record: ev.ApprovalAsked, old: RunStatus) -> Told:
    number = approval_id(approval_no(state.run_no, record.no))
    data = {"approval_id": number, "prompt": record.prompt, "payload_hash": record.payload_hash}
    return "approval.requested", data


def _decided(
    state: RunState, step: Step | None, record: ev.ApprovalDecided, old: RunStatus
) -> Told:
    number = approval_id(approval_no(state.run_no, record.no))
    word = _DECISIONS.get(record.decision, "decided")
    return f"approval.{word}", _some(approval_id=number, by=record.by, comment=record.comment)


_DECISIONS: Final = {
    1: "approved",
    2: "rejected",
    3: "edited_and_approved",
    4: "expired",
    5: "cancelled",
}


def _budget(
    state: RunState,
    step: Step | None,
    record: ev.BudgetAsked | ev.BudgetGranted,
    old: RunStatus,
) -> Told:
    is_asked = type(record) is ev.BudgetAsked
    return "budget.exceeded" if is_asked else "budget.granted", _some(
        account=record.account,
        budget=getattr(record, "budget", ""),
        cost_usd=record.cost_nano / NANO,
        tokens=record.tokens,
        calls=record.calls,
        by=getattr(record, "by", ""),
    )


def _reopened(state: RunState, record: ev.RunReopened) -> Told:
    steps = [state.steps[no].path for no in (*record.steps, *record.anew)]
    return "run.reopened", _some(
        verb=record.verb, by=record.by, steps=steps, generation=state.generation + 1
    )


def _linked(state: RunState, step: Step | None, record: ev.ChildLinked, old: RunStatus) -> Told:
    return "child.started", {"child_run_id": run_id(record.run_no)}


def _carried(state: RunState, step: Step | None, record: ev.StepCarried, old: RunStatus) -> Told:
    return "run.carried", {"step": record.path}


def _escalated(
    state: RunState, step: Step | None, record: ev.ApprovalEscalated, old: RunStatus
) -> Told:
    number = approval_id(approval_no(state.run_no, record.no))
    return "approval.escalated", _some(approval_id=number, to=record.to)


def _reworked(state: RunState, step: Step | None, record: ev.StepReworked, old: RunStatus) -> Told:
    return "step.reworked", _some(comment=record.comment)


def _edited(state: RunState, step: Step | None, record: ev.StepEdited, old: RunStatus) -> Told:
    return "run.edited", _some(step=record.path, by=record.by)


def _replaced(
    state: RunState, step: Step | None, record: ev.AgentsReplaced, old: RunStatus
) -> Told:
    return "run.edited", _some(agents=record.agents, by=record.by)


def _discarded(
    state: RunState, step: Step | None, record: ev.LetterDiscarded, old: RunStatus
) -> Told:
    return "step.discarded", _some(by=record.by)


def _steered(state: RunState, step: Step | None, record: ev.RunSteered, old: RunStatus) -> Told:
    return "run.steered", _some(verb=record.verb, step=record.step, by=record.by)


_TELL: Final[dict[type, Callable[[RunState, Step | None, Any, RunStatus], Told]]] = {
    ev.RunStarted: _started,
    ev.RunMoved: _moved,
    ev.StepOpened: _opened,
    ev.StepMoved: _step_moved,
    ev.StepEnded: _ended,
    ev.AttemptEnded: _attempted,
    ev.SignalReceived: _signalled,
    ev.ApprovalAsked: _asked,
    ev.ApprovalDecided: _decided,
    ev.ChildLinked: _linked,
    ev.StepCarried: _carried,
    ev.BudgetAsked: _budget,
    ev.BudgetGranted: _budget,
    ev.ApprovalEscalated: _escalated,
    ev.StepReworked: _reworked,
    ev.StepEdited: _edited,
    ev.AgentsReplaced: _replaced,
    ev.LetterDiscarded: _discarded,
    ev.RunSteered: _steered,
}
