"""One turn of a run: the state, what may be read, and what was decided so far.

A turn is the working memory of `core.decide`. Emitting an event applies it at once, so that
later decisions of the same turn see it; the events are what gets committed.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from podium.core import events as ev
from podium.core.definition import ApprovalPolicy, ClosePolicy, RetryPolicy, Task
from podium.core.evolve import evolve
from podium.core.messages import Abort, Cancel, ChildEnded, CodeStep, Mail
from podium.core.payload import ErrorRecord, encode_error
from podium.core.plan import Plan
from podium.core.receipts import Receipt
from podium.core.state import ROOT, RunState, Step
from podium.core.states import RunStatus, StepKind, StepStatus

__all__ = ["CONTINUED", "ApprovalAsked", "ChildAsked", "Facts", "Turn"]

CONTINUED: Final = "continued_as_new"
"""Why a run completed whose next life goes on: its parent waits for that one."""


@dataclass(slots=True)
class Facts:
    """What an actor remembers between turns but can find again: never part of the state."""

    plan: Plan
    values: dict[int, Any] = field(default_factory=dict)
    """Decoded outputs by step number."""
    items: dict[int, tuple[list[Any], list[str]]] = field(default_factory=dict)
    """Items and keys of graph maps by step number."""
    requests: dict[int, CodeStep] = field(default_factory=dict)
    """What a durable function asked for, by step number."""
    inputs: Any = None
    hungry: dict[int, None] = field(default_factory=dict)
    """Maps with items that found no room yet, in the order they asked."""

    def task_of(self, step: Step) -> Task:
        """Return the task that `step` runs, from the plan or from the durable function."""
        if step.task >= 0:
            return self.plan.tasks[step.task].task
        return self.request_of(step).task

    def request_of(self, step: Step) -> CodeStep:
        """Return what the durable function asked for: a map item's request is its map's."""
        requests = self.requests
        return requests[step.no] if step.no in requests else requests[step.scope]


@dataclass(slots=True, frozen=True)
class ChildAsked:
    """A step wants a child run; the actor adds it to the same commit."""

    step_no: int
    workflow: str
    input: bytes


@dataclass(slots=True, frozen=True)
class ApprovalAsked:
    """A step waits for a person."""

    step_no: int
    prompt: str
    payload: bytes
    payload_hash: str
    expires_us: int
    four_eyes: bool = False


@dataclass(slots=True)
class Turn:
    """See the module docstring. `room` is how many attempts this node can still take."""

    state: RunState
    facts: Facts
    now_us: int
    room: int = 1 << 30
    events: list[ev.Event] = field(default_factory=list)
    ready: deque[tuple[int, int]] = field(default_factory=deque)
    """(scope, task) pairs whose dependencies just ended."""
    ended: deque[tuple[int, int, StepStatus]] = field(default_factory=deque)
    """(scope, task, status) of steps that ended and whose parents do not know yet."""
    fills: deque[int] = field(default_factory=deque)
    """Maps that may open more items."""
    starts: list[int] = field(default_factory=list)
    """Steps whose attempt starts once the turn is durable."""
    stops: tuple[tuple[int, int], ...] = ()
    """(step, attempt) pairs that must be stopped: by now the step may be at its next attempt."""
    deliveries: deque[int] = field(default_factory=deque)
    """Ended steps a durable function waits for, in order."""
    children: tuple[ChildAsked, ...] = ()
    approvals: tuple[ApprovalAsked, ...] = ()
    decided: tuple[ev.ApprovalDecided, ...] = ()
    """Approvals closed in this turn."""
    escalated: tuple[ev.ApprovalEscalated, ...] = ()
    reworked: tuple[int, ...] = ()
    """Steps that are to be done again: their questions were answered so in this turn."""
    letters: tuple[tuple[int, str, str], ...] = ()
    """(step, path, status) of parked steps that were replayed or discarded."""
    came_home: bool = False
    """Whether what is decided was waiting when the run came home, stranded in its work."""
    posts: tuple[tuple[int, Mail], ...] = ()
    """Messages to other runs, or to the run's own inbox."""
    touched: dict[int, Step] = field(default_factory=dict)
    """Steps whose row must be written: they ended or came to rest."""
    parked: tuple[Step, ...] = ()
    """Steps whose recoveries are spent."""
    receipts: tuple[Receipt, ...] = ()
    """What attempts that ended have to settle with the ledger."""
    grants: tuple[ev.BudgetGranted, ...] = ()
    """What people granted on top of budgets."""
    wants_room: bool = False
    unfinished: bool = False
    """The turn stopped at its size limit: call again for the rest."""

    @property
    def has_rarities(self) -> bool:
        """Return whether the turn made what most turns do not."""
        return bool(
            self.approvals
            or self.decided
            or self.parked
            or self.letters
            or self.escalated
            or self.posts
            or self.receipts
            or self.grants
        )

    def rest(self) -> None:
        """Give up the worklists of a turn that has decided everything.

        Thousands of turns may wait for one flush, and the garbage collector looks at them all.
        """
        self.ready = self.ended = self.fills = self.deliveries = _EMPTY

    @property
    def clock_us(self) -> int:
        """Return the time that limits count from: now, or the start of a pause that still lasts.

        Resuming moves every limit by the length of the pause, those set during it included.
        """
        state = self.state
        return state.paused_since_us if state.status is RunStatus.PAUSED else self.now_us

    @property
    def plan(self) -> Plan:
        """Return the compiled workflow."""
        return self.facts.plan

    def emit(self, event: ev.Event) -> None:
        """Record `event` and apply it."""
        self.events.append(event)
        evolve(self.state, event, self.now_us)

    def task_of(self, step: Step) -> Task:
        """Return the task that `step` runs."""
        return self.facts.task_of(step)

    def retry_of(self, step: Step) -> RetryPolicy:
        """Return the retry policy of `step`."""
        if step.task >= 0:
            return self.plan.tasks[step.task].retry
        return self.request_of(step).task.retry or self.plan.workflow.settings.retry

    def request_of(self, step: Step) -> CodeStep:
        """Return what the durable function asked for in `step`."""
        return self.facts.request_of(step)

    def open_step(self, event: ev.StepOpened) -> Step:
        """Record a new step and return it."""
        self.emit(event)
        step = self.state.steps[event.no]
        status = step.status
        if status is StepStatus.RUNNING and step.graph is None and step.fan is None:
            self.starts.append(step.no)
            self.room -= 1
        elif status is not StepStatus.QUEUED and status is not StepStatus.RUNNING:
            self.touched[step.no] = step
        return step

    def move_step(
        self,
        step: Step,
        status: StepStatus,
        *,
        reason: str = "",
        wake_us: int = 0,
        output: bytes | None = None,
    ) -> None:
        """Record that `step` changed status without ending."""
        self.emit(ev.StepMoved(step.no, status, reason, wake_us, output))
        if status is StepStatus.RUNNING:
            if step.graph is None and step.fan is None:
                self.starts.append(step.no)
                self.room -= 1
        elif status is not StepStatus.QUEUED:
            self.touched[step.no] = step

    def end_step(
        self,
        step: Step,
        status: StepStatus,
        *,
        output: bytes | None = None,
        error: bytes | None = None,
        reason: str = "",
    ) -> None:
        """Record that `step` ended, free what it held, and queue the news for its parent."""
        was = step.status
        if was is StepStatus.RUNNING and step.kind is StepKind.TASK and status in _CUT_OFF:
            self.stops += ((step.no, step.attempts),)
        elif step.child_run and status is StepStatus.CANCELLED:
            self.let_go(step, step.child_run, "parent cancelled")
        if step.no in self.state.approvals:
            self._close_approval(step, reason)
        if step.fan is not None:
            self.facts.items.pop(step.no, None)
        self.emit(ev.StepEnded(step.no, status, output, error, reason))
        self.touched[step.no] = step
        if step.no != ROOT:
            self.ended.append((step.scope, step.task, status))
            delivered = status is not StepStatus.CANCELLED
            if self.state.is_code and step.scope == ROOT and delivered:
                self.deliveries.append(step.no)

    def fail_step(self, step: Step, error: ErrorRecord, *, reason: str = "") -> None:
        """Record that `step` failed with `error`."""
        self.end_step(step, StepStatus.FAILED, error=encode_error(error), reason=reason)

    def ask(self, step: Step, *, prompt: str, payload: bytes, expires_us: int = 0) -> None:
        """Ask a person about `step`; the answer is bound to the hash of `payload`.

        Without `expires_us`, the policy of its task says until when.
        """
        digest = sha256(payload).hexdigest()
        policy = self.task_of(step).approval or _NO_POLICY
        escalate_us = self.now_us + policy.escalate_us if policy.escalate_us else 0
        if not expires_us and policy.expires_us:
            expires_us = self.now_us + policy.expires_us
        self.emit(ev.ApprovalAsked(step.no, prompt, digest, escalate_us, expires_us))
        self.approvals += (
            ApprovalAsked(step.no, prompt, payload, digest, expires_us, policy.four_eyes),
        )

    def escalate(self, step: Step) -> None:
        """Record that the question about `step` was left unanswered for too long."""
        policy = self.task_of(step).approval or _NO_POLICY
        record = ev.ApprovalEscalated(step.no, policy.escalate_to)
        self.emit(record)
        self.escalated += (record,)

    def grant(self, step: Step, by: str) -> None:
        """Record that a person grants what `step` asked of a budget."""
        account, asked = self.state.appeals[step.no]
        amounts = (asked.cost_nano, asked.tokens, asked.calls, asked.time_us)
        record = ev.BudgetGranted(step.no, account, *amounts, by)
        self.emit(record)
        self.grants += (record,)

    def let_go(self, step: Step | None, run_no: int, reason: str) -> None:
        """Do with a child run of `step`, which is not awaited any more, what its policy says."""
        news: dict[ClosePolicy, Mail] = {
            ClosePolicy.CANCEL: Cancel(by="parent", reason=reason),
            ClosePolicy.ABORT: Abort(by="parent", reason=reason),
        }
        policy = ClosePolicy.CANCEL
        # A durable function that cannot be run any more cannot say what it wished, either.
        if step is not None and (step.task >= 0 or step.no in self.facts.requests):
            policy = self.task_of(step).close_policy
        if policy in news:
            self.posts += ((run_no, news[policy]),)

    def _close_approval(self, step: Step, reason: str) -> None:
        """Withdraw a question whose step ended without an answer."""
        is_late = reason == "approval_expired"
        decision = _APPROVAL_EXPIRED if is_late else _APPROVAL_CANCELLED
        record = ev.ApprovalDecided(step.no, decision)
        self.emit(record)
        self.decided += (record,)

    def move_run(
        self,
        status: RunStatus,
        *,
        reason: str = "",
        by: str = "",
        output: bytes | None = None,
        error: bytes | None = None,
    ) -> None:
        """Record that the run changed status; tell the parent if it ended."""
        self.emit(ev.RunMoved(status, reason, by, output, error))
        state = self.state
        # A run that continues as new has not ended for its parent: its next life tells.
        if not status.is_open and state.parent_run and reason != CONTINUED:
            news = ChildEnded(
                by="child",
                step_no=state.parent_step,
                run_no=state.run_no,
                status=status,
                output=output,
                error=error,
            )
            self.posts += ((state.parent_run, news),)


_NO_POLICY: Final = ApprovalPolicy()
_APPROVAL_EXPIRED: Final = 4
_EMPTY: Final[deque[Any]] = deque()

_APPROVAL_CANCELLED: Final = 5
_CUT_OFF: Final[Mapping[StepStatus, bool]] = {StepStatus.CANCELLED: True, StepStatus.FAILED: True}
