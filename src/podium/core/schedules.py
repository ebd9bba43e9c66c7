"""What a schedule does at a given moment: which tick is due, and whether it starts a run.

Pure decisions over one schedule's row: the store applies a decision only if the schedule is
still as it was read (`ScheduleState.revision`), so any number of nodes may decide at once and
each tick has one outcome.

A tick is known by its nominal time, never by when somebody got round to it. Ticks are taken in
order; `cursor_us` is the last one that has an outcome.
"""

import zlib
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from enum import IntEnum, StrEnum
from itertools import islice, takewhile
from typing import Any, Final

import msgspec

from podium.core.timetable import Timetable, instants

__all__ = [
    "CATCH_UP_US",
    "Move",
    "Overlap",
    "Schedule",
    "ScheduleState",
    "ScheduleStatus",
    "Tick",
    "TickKind",
    "TickOutcome",
    "decide_now",
    "decide_tick",
    "due_us",
    "failed_start",
    "next_due",
    "paused",
    "resumed",
    "settle",
]

CATCH_UP_US: Final = 24 * 3600 * 1_000_000
"""How late a tick may be taken, unless the schedule says otherwise."""
TICKS_PER_MOVE: Final = 100
"""So many ticks get their outcome in one transaction; the others follow in the next."""
MISSED_COUNT_MAX: Final = 1000

replace = msgspec.structs.replace


class Overlap(StrEnum):
    """What a tick does while a run of its schedule is open."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    """Wait for the run to end; one tick waits, later ones are skipped."""
    ALLOW = "allow"
    CANCEL_OTHER = "cancel_other"
    """Cancel the run and start when it has ended; a later tick takes the place of one waiting."""
    TERMINATE_OTHER = "terminate_other"
    """As `cancel_other`, with abort."""

    @property
    def stops_others(self) -> bool:
        """Return whether open runs have to make room."""
        return self in (Overlap.CANCEL_OTHER, Overlap.TERMINATE_OTHER)


class ScheduleStatus(IntEnum):
    """Where a schedule stands."""

    ACTIVE = 0
    PAUSED = 1
    ENDED = 2
    """It will never be due again: its bounds, its moments or its number of runs are used up."""


class TickOutcome(IntEnum):
    """What became of a tick."""

    STARTED = 0
    SKIPPED = 1
    """The overlap policy said no."""
    MISSED = 2
    """Nobody was there to take it within the catch-up window."""
    FAILED = 3
    """No run could be started."""


class TickKind(IntEnum):
    """Why a tick was taken."""

    TIMED = 0
    MANUAL = 1
    BACKFILL = 2


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to start, when, and what to do if that is not possible."""

    workflow: str
    version: str = ""
    """A version of the workflow; the one active at the tick by default."""
    input: Any = None
    """The input of each run; `${{ schedule.time }}` and its like are filled in at the tick."""
    timetable: Timetable = Timetable()
    overlap: Overlap = Overlap.SKIP
    catch_up_us: int = CATCH_UP_US
    runs_max: int = 0
    """End after so many runs; 0: never."""
    priority: int = 50
    labels: dict[str, str] = {}
    budget: dict[str, Any] | None = None
    note: str = ""


class ScheduleState(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a schedule that moves."""

    status: ScheduleStatus = ScheduleStatus.ACTIVE
    revision: int = 1
    """Grows with every change; a decision about an older one is refused."""
    cursor_us: int = 0
    """The last tick that has an outcome, or when counting began."""
    next_us: int | None = None
    """When the next tick is due, jitter included; None: never."""
    held_us: int | None = None
    """A tick that waits for open runs to end."""
    starts: int = 0
    """Runs started so far."""


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """A tick and what became of it."""

    tick_us: int
    outcome: TickOutcome
    kind: TickKind = TickKind.TIMED
    run_no: int = 0
    at_us: int = 0
    """When it was decided."""
    detail: str = ""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """What to write, what to start with it, and whom to stop; nothing to do if all are empty."""

    state: ScheduleState
    ticks: Sequence[Tick] = ()
    start_us: int | None = None
    """The tick to start a run for, in the transaction that writes the rest."""
    stops_others: bool = False

    @property
    def is_started(self) -> bool:
        """Return whether a run comes with it."""
        return self.start_us is not None


# --- when ---------------------------------------------------------------------------------------


def due_us(tick_us: int, following_us: int | None, *, key: str, jitter_us: int) -> int:
    """Return when a tick is taken: its time and a part of the jitter, always the same part.

    Never as late as the following tick: ticks keep their order.
    """
    room = jitter_us if following_us is None else min(jitter_us, following_us - tick_us)
    return tick_us + zlib.crc32(f"{key}@{tick_us}".encode()) * room // (1 << 32)


def _ticks(schedule: Schedule, zone: tzinfo, key: str, after_us: int) -> Iterator[tuple[int, int]]:
    """Yield each tick after a time with when it is due."""
    table = schedule.timetable
    found = instants(table, zone, after_us=after_us)
    tick_us = next(found, None)
    while tick_us is not None:
        following_us = next(found, None)
        yield tick_us, due_us(tick_us, following_us, key=key, jitter_us=table.jitter_us)
        tick_us = following_us


def next_due(schedule: Schedule, zone: tzinfo, *, key: str, after_us: int) -> int | None:
    """Return when the first tick after a time is due, or None if there is none."""
    return next((due for _, due in _ticks(schedule, zone, key, after_us)), None)


# --- what ---------------------------------------------------------------------------------------


def decide_tick(
    schedule: Schedule,
    state: ScheduleState,
    zone: tzinfo,
    *,
    key: str,
    now_us: int,
    open_runs: int,
) -> Move | None:
    """Return the next move of an active schedule, or None while there is nothing to do.

    A move starts at most one run; whoever carries it out asks again afterwards.
    """
    if state.held_us is not None and not open_runs:
        return _started(schedule, replace(state, held_us=None), (), state.held_us)
    if state.status is not ScheduleStatus.ACTIVE:
        return None
    taken = _Taken(schedule, state, now_us)
    for tick_us, due in islice(_ticks(schedule, zone, key, state.cursor_us), TICKS_PER_MOVE):
        if due > now_us:
            break
        if taken.is_too_old(tick_us):
            taken.miss(tick_us, zone)
            break
        if taken.take(tick_us, is_open=open_runs > 0):
            break
    return taken.move(zone, key)


class _Taken:
    """The ticks of one move."""

    def __init__(self, schedule: Schedule, state: ScheduleState, now_us: int) -> None:
        self._schedule = schedule
        self._before = self._state = state
        self._now_us = now_us
        self._edge_us = now_us - schedule.catch_up_us - schedule.timetable.jitter_us
        self._ticks: list[Tick] = []
        self._start_us: int | None = None
        self._stops = False

    def _note(self, tick_us: int, outcome: TickOutcome, detail: str) -> None:
        tick = Tick(tick_us=tick_us, outcome=outcome, at_us=self._now_us, detail=detail)
        self._ticks.append(tick)

    def is_too_old(self, tick_us: int) -> bool:
        """Return whether nobody took a tick in time."""
        return tick_us < self._edge_us

    def miss(self, first_us: int, zone: tzinfo) -> None:
        """Pass over what is too old: one line tells of all of them."""
        late = instants(self._schedule.timetable, zone, after_us=first_us - 1)
        count = sum(1 for _ in islice(takewhile(self.is_too_old, late), MISSED_COUNT_MAX))
        many = "tick" if count == 1 else "ticks"
        more = "at least " if count == MISSED_COUNT_MAX else ""
        self._note(
            first_us,
            TickOutcome.MISSED,
            f"{more}{count} {many} fell due while nobody ran the schedule",
        )
        self._state = replace(self._state, cursor_us=self._edge_us - 1)

    def take(self, tick_us: int, *, is_open: bool) -> bool:
        """Give a tick its outcome; return whether the move is complete with it."""
        self._state = replace(self._state, cursor_us=tick_us)
        overlap, held_us = self._schedule.overlap, self._state.held_us
        if not is_open or overlap is Overlap.ALLOW:
            self._start_us = tick_us
            return True
        if overlap.stops_others:
            if held_us is not None:
                self._note(held_us, TickOutcome.SKIPPED, "overtaken by the next tick")
            self._state = replace(self._state, held_us=tick_us)
            self._stops = True
        elif overlap is Overlap.BUFFER_ONE and held_us is None:
            self._state = replace(self._state, held_us=tick_us)
        else:
            waits = ", and one tick waits" if held_us is not None else ""
            self._note(tick_us, TickOutcome.SKIPPED, "the run before is still open" + waits)
        return False

    def move(self, zone: tzinfo, key: str) -> Move | None:
        """Return all of it as one move."""
        if self._start_us is not None:
            move = _started(self._schedule, self._state, self._ticks, self._start_us)
        else:
            move = Move(state=self._state, ticks=self._ticks, stops_others=self._stops)
        settled = settle(self._schedule, move.state, zone, key=key)
        return None if settled == self._before else replace(move, state=settled)


def _started(schedule: Schedule, state: ScheduleState, ticks: Sequence[Tick], tick_us: int) -> Move:
    starts = state.starts + 1
    is_last = bool(schedule.runs_max) and starts >= schedule.runs_max
    state = replace(state, starts=starts)
    if is_last:
        state = replace(state, status=ScheduleStatus.ENDED, next_us=None)
    return Move(state=state, ticks=tuple(ticks), start_us=tick_us)


def settle(schedule: Schedule, state: ScheduleState, zone: tzinfo, *, key: str) -> ScheduleState:
    """Return the state with its next tick looked up; a schedule without one has ended."""
    next_us = next_due(schedule, zone, key=key, after_us=state.cursor_us)
    is_over = next_us is None or (schedule.runs_max and state.starts >= schedule.runs_max)
    if is_over and state.status is ScheduleStatus.ACTIVE:
        state = replace(state, status=ScheduleStatus.ENDED)
    if state.status is ScheduleStatus.ENDED:
        next_us = None
    return replace(state, next_us=next_us)


def failed_start(
    schedule: Schedule,
    before: ScheduleState,
    move: Move,
    zone: tzinfo,
    *,
    key: str,
    now_us: int,
    detail: str,
    kind: TickKind = TickKind.TIMED,
) -> Move:
    """Return the move that records that the run of `move` could not be started."""
    assert move.start_us is not None
    failed = Tick(
        tick_us=move.start_us, outcome=TickOutcome.FAILED, kind=kind, at_us=now_us, detail=detail
    )
    # A run that did not start does not count towards the last one, either.
    state = replace(move.state, starts=before.starts, status=before.status)
    return Move(state=settle(schedule, state, zone, key=key), ticks=(*move.ticks, failed))


def paused(state: ScheduleState, *, now_us: int) -> Move:
    """Return the move that pauses a schedule; a tick that waits is skipped."""
    ticks = _dropped(state, now_us, "the schedule was paused")
    held = replace(state, status=ScheduleStatus.PAUSED, held_us=None)
    return Move(state=held, ticks=ticks)


def resumed(
    schedule: Schedule, state: ScheduleState, zone: tzinfo, *, key: str, now_us: int
) -> Move:
    """Return the move that lets a schedule go on from now; what fell into the pause stays out."""
    cursor_us = max(now_us, state.cursor_us)
    active = replace(state, status=ScheduleStatus.ACTIVE, cursor_us=cursor_us)
    return Move(state=settle(schedule, active, zone, key=key))


def _dropped(state: ScheduleState, now_us: int, detail: str) -> tuple[Tick, ...]:
    if state.held_us is None:
        return ()
    outcome = TickOutcome.SKIPPED
    return (Tick(tick_us=state.held_us, outcome=outcome, at_us=now_us, detail=detail),)


def decide_now(
    overlap: Overlap, schedule: Schedule, state: ScheduleState, *, now_us: int, open_runs: int
) -> Move | None:
    """Return the move of a tick that a person asked for, or None if the policy forbids it."""
    if not open_runs or overlap is Overlap.ALLOW:
        return _started(schedule, state, (), now_us)
    if overlap is Overlap.SKIP or (overlap is Overlap.BUFFER_ONE and state.held_us is not None):
        return None
    held = replace(state, held_us=now_us)
    ticks = _dropped(state, now_us, "overtaken by a run that was asked for")
    return Move(state=held, ticks=ticks, stops_others=overlap.stops_others)
