"""Walks one journal as an outsider: a second opinion on what the engine may record.

It knows the transition tables and the definition, and nothing of how the engine decides.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from podium.core import events as ev
from podium.core.definition import Checkpoint, JoinKind
from podium.core.evolve import evolve
from podium.core.ids import run_id
from podium.core.plan import Plan
from podium.core.state import ROOT, RunState
from podium.core.states import (
    RUN_MOVES,
    STEP_MOVES,
    AttemptOutcome,
    RunStatus,
    StepKind,
    StepStatus,
)
from podium.errors import PodiumError
from podium.ports.store import JournalRecord, RunRow

__all__ = ["Walk", "walk_journal"]

CODE_RETRIES_MAX: Final = 3
CODE_RECOVERIES_MAX: Final = 20
_APPROVING: Final = frozenset({1, 3})
_GOING: Final = frozenset({RunStatus.RUNNING, RunStatus.WAITING})
_SPENT: Final = frozenset({AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT})
_CRASHED: Final = frozenset({AttemptOutcome.LOST, AttemptOutcome.CRASHED})


class Seen(msgspec.Struct):
    """One step, as its events tell."""

    no: int
    scope: int
    task: int
    kind: StepKind
    path: str
    status: StepStatus
    attempts: int = 0
    failures: int = 0
    losses: int = 0
    asked: bool = False
    approved: bool = False
    began: bool = False
    reason: str = ""
    wake_us: int = 0


class Walk:
    """See the module docstring. `faults` is what was found."""

    def __init__(self, row: RunRow, plan: Plan) -> None:
        self.run_no = row.run_no
        self.plan = plan
        self.faults: list[str] = []
        self.starts: dict[tuple[str, str, int], int] = {}
        """(path, generation and rework, attempt) → seq of the event that started the attempt."""
        self.marks: Counter[str] = Counter()
        """Who is named in verbs, signals and decisions, and how often."""
        self.children: list[int] = []
        self.status = RunStatus.QUEUED
        self.generation = 1
        self._state = RunState(row.run_no, is_code=plan.is_code)
        self._steps: dict[int, Seen] = {}
        self._completed: set[tuple[str, int]] = set()
        self._seq = 0
        self._reopened = False
        self._at_us = 0

    @property
    def state(self) -> RunState:
        """Return the fold of what was read."""
        return self._state

    def complain(self, what: str) -> None:
        """Note a fault at the current event."""
        self.faults.append(f"{run_id(self.run_no)} seq {self._seq}: {what}")

    def read(self, record: JournalRecord) -> None:
        """Read one record of the journal."""
        if record.first_seq != self._seq + 1:
            self.complain(f"the next record begins at {record.first_seq}")
        at_us, events = ev.unpack(record.body)
        self._at_us = at_us
        if len(events) != record.count:
            self.complain(f"the record holds {len(events)} events and says {record.count}")
        for event in events:
            self._seq += 1
            evolve(self._state, event, at_us)
            handler = _READERS.get(type(event))
            if (self._seq == 1) != isinstance(event, ev.RunStarted):
                self.complain(f"{type(event).__name__} is out of place")
            if handler is not None:
                handler(self, event)

    # -- the run -------------------------------------------------------------------------------

    def _run_moved(self, event: ev.RunMoved) -> None:
        new = RunStatus(event.status)
        was = self.status
        if new not in RUN_MOVES[was]:
            self.complain(f"the run went from {was.label} to {new.label}")
        if not was.is_open and not self._reopened and new is not RunStatus.ABORTED:
            self.complain(f"the run was {was.label} and went on")
        self._reopened = False
        self.status = new
        if event.by and event.reason not in {"retry", "skip", "child"}:
            self.marks[event.by] += 1

    def _run_reopened(self, event: ev.RunReopened) -> None:
        if self.status is not RunStatus.FAILED:
            self.complain(f"a run that was {self.status.label} was re-opened")
        self.generation += 1
        self._reopened = True
        self.marks[event.by] += 1
        # Which steps come back is read from the state: the rule is the engine's own.
        for no, seen in list(self._steps.items()):
            step = self._state.steps.get(no)
            if step is not None:
                seen.status = step.status
                if step.status is StepStatus.QUEUED:
                    seen.failures = seen.losses = 0
            elif seen.status is not StepStatus.COMPLETED:
                del self._steps[no]

    def _signal(self, event: ev.SignalReceived) -> None:
        payload = msgspec.msgpack.decode(event.payload)
        if isinstance(payload, dict):
            self.marks[str(payload.get("by", ""))] += 1

    # -- steps ---------------------------------------------------------------------------------

    def _opened(self, event: ev.StepOpened) -> None:
        state = self._state.steps[event.no]
        status = StepStatus(event.status)
        step = Seen(event.no, event.scope, event.task, state.kind, state.path, status)
        if event.no in self._steps:
            self.complain(f"step {event.no} was opened twice")
        self._steps[event.no] = step
        scope = self._steps.get(event.scope)
        if event.no != ROOT and (scope is None or not scope.status.is_open):
            self.complain(f"{step.path!r} was opened below a step that has ended")
        if event.no != ROOT and status is not StepStatus.PENDING:
            self._begin(step)
        if status is StepStatus.RUNNING:
            self._start(step)

    def _moved(self, event: ev.StepMoved) -> None:
        step = self._steps[event.no]
        new = StepStatus(event.status)
        self._move(step, new)
        step.reason = event.reason
        step.wake_us = event.wake_us
        self._begin(step)
        if new is StepStatus.RUNNING:
            self._start(step)

    def _move(self, step: Seen, new: StepStatus) -> None:
        if new not in STEP_MOVES[step.status]:
            self.complain(f"{step.path!r} went from {step.status.label} to {new.label}")
        if not step.status.is_open:
            self.complain(f"{step.path!r} was {step.status.label} and went on")
        sleeps = step.kind is StepKind.SLEEP and new is StepStatus.COMPLETED
        goes_on = step.status is StepStatus.RETRYING and new.is_open
        if (sleeps or goes_on) and self._at_us < step.wake_us:
            self.complain(f"{step.path!r} woke too early")
        step.status = new

    def _begin(self, step: Seen) -> None:
        """Check that the definition lets the step begin."""
        if step.began or step.task < 0:
            return
        step.began = True
        if self._steps[step.scope].kind != StepKind.BLOCK:
            return
        planned = self.plan.tasks[step.task]
        members = {
            seen.task: seen for seen in self._steps.values() if seen.scope == step.scope and seen.no
        }
        deps = [members.get(dep) for dep in planned.deps]
        ended = [seen for seen in deps if seen is not None and not seen.status.is_open]
        done = [seen for seen in ended if self._satisfies(seen)]
        kind, total = planned.task.join.kind, len(deps)
        needed = {JoinKind.ALL: total, JoinKind.ANY: min(1, total), JoinKind.ALL_DONE: 0}
        enough = len(done) >= needed.get(kind, planned.task.join.count)
        if not enough or (kind is JoinKind.ALL_DONE and len(ended) < total):
            self.complain(f"{step.path!r} began before its dependencies allowed it")

    def _satisfies(self, seen: Seen) -> bool:
        if seen.status is StepStatus.FAILED:
            return self.plan.tasks[seen.task].task.optional
        by_person = seen.status is StepStatus.SKIPPED and seen.reason == "operator"
        return seen.status is StepStatus.COMPLETED or by_person

    def _start(self, step: Seen) -> None:
        """Check the start of an attempt, or of the work of a container."""
        if self._checkpoint(step) is Checkpoint.BEFORE and not step.approved:
            self.complain(f"{step.path!r} started without its approval")
        if step.kind is not StepKind.TASK:
            return
        step.attempts += 1
        state = self._state.steps[step.no]
        rework, _ = self._state.rework_of(state)
        life = f"{self.generation}.{rework}" if rework else f"{self.generation}"
        self.starts[step.path, life, state.attempts] = self._seq
        if self.status not in _GOING:
            self.complain(f"{step.path!r} started while the run was {self.status.label}")
        retries, recoveries = CODE_RETRIES_MAX, CODE_RECOVERIES_MAX
        if step.task >= 0:
            planned = self.plan.tasks[step.task]
            retries, recoveries = planned.retry.max_retries, planned.task.max_recoveries
        if step.failures > retries:
            self.complain(f"{step.path!r} was tried again after {step.failures} failures")
        if step.losses > recoveries:
            self.complain(f"{step.path!r} was tried again after {step.losses} crashes")

    def _checkpoint(self, step: Seen) -> Checkpoint:
        if step.task < 0 or self._steps[step.scope].kind is not StepKind.BLOCK:
            return Checkpoint.NONE
        return self.plan.tasks[step.task].task.checkpoint

    def _attempt_ended(self, event: ev.AttemptEnded) -> None:
        step = self._steps[event.no]
        if step.status is not StepStatus.RUNNING:
            self.complain(f"an attempt of {step.path!r} ended while it was {step.status.label}")
        step.failures += event.outcome in _SPENT
        step.losses += event.outcome in _CRASHED
        step.status = StepStatus.RETRYING if event.wake_us else StepStatus.QUEUED
        step.wake_us = event.wake_us

    def _ended(self, event: ev.StepEnded) -> None:
        step = self._steps[event.no]
        new = StepStatus(event.status)
        self._move(step, new)
        step.reason = event.reason
        if new is StepStatus.SKIPPED and event.reason == "operator":
            self._check_substitute(step)
        if new is not StepStatus.COMPLETED:
            return
        if (step.path, self.generation) in self._completed:
            self.complain(f"{step.path!r} completed twice in generation {self.generation}")
        self._completed.add((step.path, self.generation))
        carried = event.reason == "carried"
        # A run that is being cancelled takes results, and nothing follows from them.
        is_used = not carried and self.status is not RunStatus.CANCELLING
        if step.task >= 0 and is_used and not step.approved:
            kind = self._checkpoint(step)
            after = kind is Checkpoint.AFTER and step.kind is StepKind.TASK
            gate = after or kind is Checkpoint.BEFORE
            if gate or step.kind is StepKind.APPROVAL:
                self.complain(f"{step.path!r} completed without its approval")

    def _check_substitute(self, step: Seen) -> None:
        """Check that nobody got around a person by skipping what asks one."""
        is_gate = self._checkpoint(step) is not Checkpoint.NONE or step.kind is StepKind.APPROVAL
        if is_gate and not step.approved:
            self.complain(f"{step.path!r} was skipped without its approval")

    # -- people and children -------------------------------------------------------------------

    def _asked(self, event: ev.ApprovalAsked) -> None:
        self._steps[event.no].asked = True

    def _decided(self, event: ev.ApprovalDecided) -> None:
        step = self._steps[event.no]
        if not step.asked:
            self.complain(f"{step.path!r} was decided and nobody was asked")
        step.asked = False
        step.approved = event.decision in _APPROVING
        policy = self.plan.tasks[step.task].task.approval if step.task >= 0 else None
        is_alone = policy is not None and policy.four_eyes and event.by in self._state.requesters
        if step.approved and is_alone:
            self.complain(f"{step.path!r} was approved by {event.by}, who had asked for it")
        if event.by:
            self.marks[event.by] += 1

    def _escalated(self, event: ev.ApprovalEscalated) -> None:
        if not self._steps[event.no].asked:
            self.complain(f"{self._steps[event.no].path!r} was escalated and nobody was asked")

    def _reworked(self, event: ev.StepReworked) -> None:
        """Forget a step that is done again, with all that was below it."""
        gone = {event.no}
        if self._steps[event.no].status is not StepStatus.CHECKPOINT_PENDING:
            self.complain(f"{self._steps[event.no].path!r} was sent back and was not held")
        for no, step in list(self._steps.items()):
            if no in gone or (step.scope in gone and step.no != ROOT):
                gone.add(no)
                del self._steps[no]
                self._completed.discard((step.path, self.generation))

    def _steered(self, event: ev.RunSteered) -> None:
        self.marks[event.by] += 1
        for step in self._steps.values():
            if event.verb == "retry" and event.step in {"", step.path}:
                # An operator has cut the wait short.
                step.wake_us = 0

    def _discarded(self, event: ev.LetterDiscarded) -> None:
        if event.by:
            self.marks[event.by] += 1

    def _linked(self, event: ev.ChildLinked) -> None:
        self.children.append(event.run_no)


_READERS: Final[dict[type, Callable[[Walk, Any], None]]] = {
    ev.RunMoved: Walk._run_moved,
    ev.RunReopened: Walk._run_reopened,
    ev.SignalReceived: Walk._signal,
    ev.StepOpened: Walk._opened,
    ev.StepMoved: Walk._moved,
    ev.StepEnded: Walk._ended,
    ev.AttemptEnded: Walk._attempt_ended,
    ev.ApprovalAsked: Walk._asked,
    ev.ApprovalDecided: Walk._decided,
    ev.ChildLinked: Walk._linked,
    ev.ApprovalEscalated: Walk._escalated,
    ev.StepReworked: Walk._reworked,
    ev.RunSteered: Walk._steered,
    ev.LetterDiscarded: Walk._discarded,
}


def walk_journal(row: RunRow, records: Sequence[JournalRecord], plan: Plan) -> Walk:
    """Read a whole journal and return the walk with all it found."""
    walk = Walk(row, plan)
    try:
        for record in records:
            walk.read(record)
    except (PodiumError, LookupError) as error:
        walk.complain(f"the journal cannot be read on: {error!r}")
    return walk
