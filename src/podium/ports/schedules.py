"""What schedules need from a store; a part of the `Store` port.

Two rules make them exact. A schedule changes only as a whole and only if it still is at the
revision that the change was decided on: of two nodes that take the same tick, one is refused.
And the run of a tick is created in the very transaction that gives the tick its outcome
(`RunWrite.schedule`), or neither happens.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from podium.core.schedules import Schedule, ScheduleState, Tick

__all__ = ["TICKS_KEPT", "ScheduleCounts", "ScheduleRow", "ScheduleWrite", "Schedules"]

TICKS_KEPT = 200
"""So many ticks of a schedule are remembered, those with an open run in any case."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of what the store takes and gives for schedules."""


class ScheduleRow(Entry, frozen=True, kw_only=True):
    """One schedule. Numbers are never used again, names are, per organization."""

    schedule_no: int
    organization: str
    name: str
    schedule: Schedule
    state: ScheduleState
    created_us: int = 0
    updated_us: int = 0
    changed_by: str = ""
    """Who changed it last, of the people."""
    comment: str = ""
    """Why it was paused."""
    failures: int = 0
    """How many ticks in a row could start no run."""
    error: str = ""
    """What kept the last of them from starting one."""

    @property
    def key(self) -> str:
        """Return what its jitter is drawn from: the same on every node and for ever."""
        return f"{self.organization}/{self.name}"


class ScheduleWrite(Entry, frozen=True, kw_only=True):
    """A change of one schedule, applied only if it is at `revision`; the row's own is ignored.

    Ticks that are known are replaced. With `RunWrite.schedule` a part of that run's creation.
    """

    row: ScheduleRow
    revision: int
    ticks: Sequence[Tick] = ()


class ScheduleCounts(Entry, frozen=True, kw_only=True):
    """How schedules stand, all together."""

    active: int = 0
    paused: int = 0
    ended: int = 0
    failing: int = 0
    """Those whose last tick could start no run."""
    holding: int = 0
    overdue_since_us: int | None = None
    """Since when the longest overdue tick is due."""


class Schedules(Protocol):
    """See the module docstring."""

    async def add_schedule(self, row: ScheduleRow) -> ScheduleRow | None:
        """Add a schedule under the next number; None if its organization has one of this name."""

    async def change_schedule(self, write: ScheduleWrite) -> bool:
        """Apply a change, or return False: it was decided on something that is no more."""

    async def remove_schedule(self, schedule_no: int) -> bool:
        """Forget a schedule and its ticks, not its runs; return whether it was there."""

    async def schedule(self, schedule_no: int) -> ScheduleRow | None:
        """Return one schedule."""

    async def schedule_named(self, organization: str, name: str) -> ScheduleRow | None:
        """Return the schedule of that name."""

    async def schedules(
        self, *, organization: str = "", after: int = 0, limit: int = 100
    ) -> Sequence[ScheduleRow]:
        """Return schedules by number, of one organization or all, those after a number."""

    async def due_schedules(self, now_us: int, *, limit: int) -> Sequence[ScheduleRow]:
        """Return schedules with something to do, at most `limit` of each kind.

        First those that are active and due, longest due first; then those that hold a tick
        while none of their runs is open.
        """

    async def holding_schedules(self, *, limit: int) -> Sequence[ScheduleRow]:
        """Return schedules that hold a tick, longest held first."""

    async def next_schedule_us(self, *, after_us: int = 0) -> int | None:
        """Return when the next active schedule is due after a time; None if none ever is."""

    async def schedule_ticks(
        self, schedule_no: int, *, before_us: int | None = None, limit: int = 20
    ) -> Sequence[Tick]:
        """Return ticks of a schedule, newest first."""

    async def schedule_tick(self, schedule_no: int, tick_us: int) -> Tick | None:
        """Return what became of a tick, as far as it is remembered."""

    async def schedule_runs(self, schedule_no: int) -> Sequence[int]:
        """Return the runs of a schedule that are open, oldest tick first."""

    async def schedule_counts(self, now_us: int, *, organization: str = "") -> ScheduleCounts:
        """Return how schedules stand, of one organization or all."""
