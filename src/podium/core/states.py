"""Run, step and attempt states, and the only tables that say which moves are legal.

Everything that changes a status goes through `check_run_move` or `check_step_move`; the SQL
CHECKs and the diagram in the documentation are tested against these tables.
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final

from podium.errors import InternalError

__all__ = [
    "RUN_MOVES",
    "RUN_VERBS",
    "STEP_MOVES",
    "AttemptOutcome",
    "RunStatus",
    "StepKind",
    "StepStatus",
    "check_run_move",
    "check_step_move",
]


class RunStatus(IntEnum):
    """Where a run stands. The set is closed; details go into the open `reason`."""

    QUEUED = 0
    PLANNING = 1
    RUNNING = 2
    WAITING = 3
    PAUSED = 4
    CANCELLING = 5
    COMPENSATING = 6
    COMPLETED = 7
    FAILED = 8
    CANCELLED = 9
    ABORTED = 10

    @property
    def label(self) -> str:
        """Return the word used in the API, the CLI and the documentation."""
        return self.name.lower()

    is_open: bool
    """Whether the run can still advance by itself or by a message."""

    def __init__(self, number: int) -> None:
        self.is_open = number < 7  # RunStatus.COMPLETED


class StepStatus(IntEnum):
    """Where a step stands."""

    PENDING = 0
    QUEUED = 1
    RUNNING = 2
    RETRYING = 3
    WAITING = 4
    CHECKPOINT_PENDING = 5
    COMPLETED = 6
    FAILED = 7
    SKIPPED = 8
    CANCELLED = 9
    COMPENSATING = 10
    COMPENSATED = 11

    @property
    def label(self) -> str:
        """Return the word used in the API, the CLI and the documentation."""
        return self.name.lower()

    is_open: bool
    """Whether the step has not ended."""

    def __init__(self, number: int) -> None:
        self.is_open = number < 6  # StepStatus.COMPLETED


class StepKind(IntEnum):
    """What a step does while it is open."""

    TASK = 0
    MAP = 1
    BLOCK = 2
    LOOP = 3
    SLEEP = 4
    SIGNAL = 5
    APPROVAL = 6
    CHILD = 7
    VALUE = 8
    """A value recorded once, such as the time or a random number of a durable function."""


class AttemptOutcome(IntEnum):
    """How one attempt ended. Only `FAILED` and `TIMED_OUT` spend retries."""

    SUCCEEDED = 0
    FAILED = 1
    TIMED_OUT = 2
    CRASHED = 3
    LOST = 4
    PREEMPTED = 5
    CANCELLED = 6
    IN_DOUBT = 7

    @property
    def label(self) -> str:
        """Return the word used in the API, the CLI and the documentation."""
        return self.name.lower()


R: Final = RunStatus
S: Final = StepStatus

_OPEN_RUN: Final = frozenset(status for status in R if status.is_open)

RUN_MOVES: Final = MappingProxyType(
    {
        R.QUEUED: frozenset({R.PLANNING, R.RUNNING, R.PAUSED, R.CANCELLING, R.ABORTED, R.FAILED}),
        R.PLANNING: frozenset({R.RUNNING, R.FAILED, R.CANCELLING, R.ABORTED}),
        R.RUNNING: frozenset(
            {R.WAITING, R.PAUSED, R.COMPLETED, R.FAILED, R.CANCELLING, R.COMPENSATING, R.ABORTED}
        ),
        R.WAITING: frozenset(
            {R.RUNNING, R.PAUSED, R.COMPLETED, R.FAILED, R.CANCELLING, R.COMPENSATING, R.ABORTED}
        ),
        # The last running attempt of a paused run may still decide its end.
        R.PAUSED: frozenset(
            {R.RUNNING, R.WAITING, R.QUEUED, R.COMPLETED, R.FAILED, R.CANCELLING, R.ABORTED}
        ),
        R.CANCELLING: frozenset({R.COMPENSATING, R.CANCELLED, R.ABORTED}),
        R.COMPENSATING: frozenset({R.FAILED, R.CANCELLED, R.ABORTED}),
        # Closed but recoverable: retry and skip re-open in place, with a new generation.
        R.FAILED: frozenset({R.RUNNING, R.COMPENSATING, R.ABORTED}),
        R.COMPLETED: frozenset[RunStatus](),
        R.CANCELLED: frozenset[RunStatus](),
        R.ABORTED: frozenset[RunStatus](),
    }
)

_STEP_ENDS: Final = frozenset({S.COMPLETED, S.FAILED, S.SKIPPED, S.CANCELLED})

STEP_MOVES: Final = MappingProxyType(
    {
        S.PENDING: frozenset({S.QUEUED, S.RUNNING, S.WAITING, S.CHECKPOINT_PENDING}) | _STEP_ENDS,
        S.QUEUED: frozenset({S.RUNNING, S.WAITING, S.CHECKPOINT_PENDING}) | _STEP_ENDS,
        S.RUNNING: frozenset({S.QUEUED, S.RETRYING, S.WAITING, S.CHECKPOINT_PENDING}) | _STEP_ENDS,
        S.RETRYING: frozenset({S.QUEUED, S.RUNNING, S.CHECKPOINT_PENDING}) | _STEP_ENDS,
        S.WAITING: frozenset({S.QUEUED, S.RUNNING, S.CHECKPOINT_PENDING}) | _STEP_ENDS,
        S.CHECKPOINT_PENDING: frozenset({S.QUEUED, S.RUNNING, S.WAITING}) | _STEP_ENDS,
        S.COMPLETED: frozenset({S.COMPENSATING}),
        # A failed step leaves only by the verbs retry and skip (or by a re-opened parent).
        S.FAILED: frozenset({S.QUEUED, S.RUNNING, S.SKIPPED, S.COMPLETED}),
        S.SKIPPED: frozenset({S.PENDING}),
        S.CANCELLED: frozenset({S.PENDING, S.QUEUED, S.RUNNING}),
        S.COMPENSATING: frozenset({S.COMPENSATED, S.FAILED}),
        S.COMPENSATED: frozenset[StepStatus](),
    }
)

RUN_VERBS: Final = MappingProxyType(
    {
        "cancel": _OPEN_RUN - {R.CANCELLING, R.COMPENSATING},
        "abort": _OPEN_RUN | {R.FAILED},
        "pause": frozenset({R.QUEUED, R.RUNNING, R.WAITING}),
        "resume": frozenset({R.PAUSED}),
        "retry": frozenset({R.FAILED}),
        "skip": frozenset({R.FAILED, R.RUNNING, R.WAITING}),
        "signal": _OPEN_RUN - {R.CANCELLING, R.COMPENSATING},
    }
)
"""Which operator verbs a run accepts in which status; anything else is a conflict."""


def _masks(moves: Mapping[Any, frozenset[Any]]) -> tuple[int, ...]:
    """Return the table as one bit set per status: looked at several times for every step."""
    return tuple(sum(1 << new for new in moves[old]) for old in sorted(moves))


_RUN_MASKS: Final = _masks(RUN_MOVES)
_STEP_MASKS: Final = _masks(STEP_MOVES)


def allowed_verbs(status: RunStatus) -> tuple[str, ...]:
    """Return the verbs a run in `status` accepts, sorted."""
    return tuple(sorted(verb for verb, states in RUN_VERBS.items() if status in states))


def check_run_move(old: RunStatus, new: RunStatus) -> None:
    """Raise `InternalError` unless the table allows `old` → `new`."""
    if not _RUN_MASKS[old] >> new & 1:
        raise InternalError(
            f"A run cannot move from {old.label} to {new.label}.",
            why="The move is not in the transition table.",
            fix="Please report this with `podium runs events RUN --json`.",
            code="PDM-I002",
        )


def check_step_move(old: StepStatus, new: StepStatus) -> None:
    """Raise `InternalError` unless the table allows `old` → `new`."""
    if not _STEP_MASKS[old] >> new & 1:
        raise InternalError(
            f"A step cannot move from {old.label} to {new.label}.",
            why="The move is not in the transition table.",
            fix="Please report this with `podium runs events RUN --json`.",
            code="PDM-I003",
        )
