"""Figures about what this process does, counted as ticks become durable; nothing is stored.

A `Telemetry` watches an engine. Without one the engine pays nothing, with one about a
microsecond for each step that ends. How figures are shown is for others to say.
"""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from podium.core import events as ev
from podium.core.ids import run_id
from podium.core.payload import decode_error
from podium.core.state import Step
from podium.core.states import AttemptOutcome, RunStatus, StepKind, StepStatus
from podium.core.turn import Turn
from podium.ports.store import RunWrite

__all__ = ["OTHER", "Histogram", "Telemetry"]

log = logging.getLogger("podium.tasks")
runs_log = logging.getLogger("podium.runs")

SECONDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0),
)
"""Upper bounds of buckets: from a durable no-op to a task of an hour."""
NAMES_MAX: Final = 200
"""Workflows, models and codes that get a line of their own; a label must not grow for ever."""
OTHER: Final = "other"

_RESULTS: Final = {
    StepStatus.COMPLETED: "success",
    StepStatus.FAILED: "failed",
    StepStatus.SKIPPED: "skipped",
    StepStatus.CANCELLED: "cancelled",
    StepStatus.COMPENSATED: "compensated",
}
_CONTAINERS: Final = frozenset({StepKind.MAP, StepKind.BLOCK, StepKind.LOOP})
_LATE: Final = frozenset({"timeout", "deadline"})


class Histogram(msgspec.Struct):
    """How often a duration fell under each bound."""

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, int]]:
        """Return the number of durations up to each bound, the last one without a bound."""
        found: list[tuple[str, int]] = []
        below = 0
        for bound, count in zip((*SECONDS, float("inf")), self.counts, strict=True):
            below += count
            found.append(("+Inf" if bound == float("inf") else str(bound), below))
        return found


class Telemetry:
    """See the module docstring. Set `engine.observer = telemetry.note` to let it watch."""

    def __init__(self) -> None:
        self.tasks: Counter[str] = Counter()
        """Tasks that ended, by result."""
        self.attempts: Counter[str] = Counter()
        """Attempts that ended without ending their task, by outcome."""
        self.errors: Counter[str] = Counter()
        """Tasks that failed, by error code."""
        self.task_seconds = Histogram()
        self.queue_seconds = Histogram()
        self.started: Counter[str] = Counter()
        """Runs that were started, by workflow."""
        self.ended: Counter[tuple[str, str]] = Counter()
        """Runs that ended, by workflow and status."""
        self.run_seconds: dict[str, Histogram] = {}
        self.late: Counter[tuple[str, str]] = Counter()
        """Runs that ended, by workflow and `met` or `missed`: their time limit or deadline."""
        self.cost_nano: Counter[tuple[str, str]] = Counter()
        """Nano-dollars by workflow and model."""
        self.calls: Counter[tuple[str, str]] = Counter()
        """Billed requests by provider and model."""
        self.tokens: Counter[tuple[str, str]] = Counter()
        """Tokens by model and class."""
        self._names: dict[str, set[str]] = {}

    def note(self, write: RunWrite, turn: Turn) -> None:
        """Count what a turn that is durable now did."""
        now_us = turn.now_us
        if write.create:
            self._run_started(turn)
        for step in turn.touched.values():
            if step.ended_us == now_us and step.kind not in _CONTAINERS:
                self._task_ended(turn, step)
        for record in turn.events:
            if type(record) is ev.AttemptEnded:
                self._attempt_ended(turn, record)
        if turn.receipts:
            self._paid(turn)
        if not turn.state.status.is_open and turn.state.ended_us == now_us:
            self._run_ended(turn)

    def _name(self, kind: str, name: str) -> str:
        known = self._names.setdefault(kind, set())
        if name in known:
            return name
        if len(known) >= NAMES_MAX:
            return OTHER
        known.add(name)
        return name

    def _run_started(self, turn: Turn) -> None:
        state = turn.state
        self.started[self._name("workflow", state.workflow)] += 1
        if runs_log.isEnabledFor(logging.INFO):
            runnable = len(turn.starts) + state.tally[StepStatus.QUEUED]
            told = f"{runnable} runnable steps" if runnable else "no runnable steps"
            runs_log.info(
                "Run of '%s' started: %s",
                state.workflow,
                told,
                extra={"run_id": run_id(state.run_no)},
            )

    def _task_ended(self, turn: Turn, step: Step) -> None:
        if step.kind is not StepKind.TASK and step.task < 0:
            # What a durable function recorded, such as the time: no task of anybody.
            return
        self.tasks[_RESULTS.get(step.status, OTHER)] += 1
        if step.kind is StepKind.TASK and step.started_us:
            self.task_seconds.observe((step.ended_us - step.started_us) / 1e6)
            self.queue_seconds.observe((step.started_us - step.opened_us) / 1e6)
        if step.status is StepStatus.FAILED:
            record = None if step.error is None else decode_error(step.error)
            self.errors[self._name("code", "" if record is None else record.code)] += 1
            message = step.reason if record is None else record.message
            log.error(
                "Task '%s' failed: %s",
                step.path,
                message,
                extra={"run_id": run_id(turn.state.run_no), "attempt": step.attempts},
            )

    def _attempt_ended(self, turn: Turn, record: ev.AttemptEnded) -> None:
        outcome = AttemptOutcome(record.outcome)
        self.attempts[outcome.label] += 1
        step = turn.state.steps.get(record.no)
        if step is not None and record.error is not None and log.isEnabledFor(logging.WARNING):
            log.warning(
                "Task '%s' failed and is tried again: %s",
                step.path,
                decode_error(record.error).message,
                extra={"run_id": run_id(turn.state.run_no), "outcome": outcome.label},
            )

    def _paid(self, turn: Turn) -> None:
        workflow = self._name("workflow", turn.state.workflow)
        for charge in (each.charge for receipt in turn.receipts for each in receipt.booked):
            model = self._name("model", charge.model)
            self.cost_nano[workflow, model] += charge.cost_nano
            self.calls[self._name("provider", charge.provider), model] += 1
            for kind in ("input", "cached", "cache_write", "output", "thinking"):
                self.tokens[model, kind] += getattr(charge, kind)

    def _run_ended(self, turn: Turn) -> None:
        state = turn.state
        workflow = self._name("workflow", state.workflow)
        self.ended[workflow, RunStatus(state.status).label] += 1
        self.late[workflow, "missed" if state.reason in _LATE else "met"] += 1
        seconds = (state.ended_us - state.created_us) / 1e6
        self.run_seconds.setdefault(workflow, Histogram()).observe(seconds)

    def queued(self, waiting: Iterable[tuple[str, int]]) -> Counter[str]:
        """Return how many steps are queued by workflow, given those of each run."""
        found: Counter[str] = Counter()
        for workflow, count in waiting:
            found[self._name("workflow", workflow)] += count
        return found
