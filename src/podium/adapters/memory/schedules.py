"""Schedules over plain dicts."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from podium.core.schedules import ScheduleStatus, Tick, TickOutcome
from podium.ports.schedules import (
    TICKS_KEPT,
    ScheduleCounts,
    ScheduleRow,
    Schedules,
    ScheduleWrite,
)

__all__ = ["MemorySchedules", "SchedulesPart"]

R = TypeVar("R")


class MemorySchedules:
    """The tables; every method applies whole or changes nothing."""

    def __init__(self, *, is_open: Callable[[int], bool], changed: Callable[[], None]) -> None:
        self._is_open = is_open
        self._changed = changed
        self.rows: dict[int, ScheduleRow] = {}
        self.ticks: dict[int, dict[int, Tick]] = {}
        self.open: dict[int, set[int]] = {}
        """By schedule, the ticks whose run may be open."""
        self._numbers = 0

    def add(self, row: ScheduleRow) -> ScheduleRow | None:
        """Add a schedule whose name is free."""
        if self.named(row.organization, row.name) is not None:
            return None
        self._numbers += 1
        added = replace(row, schedule_no=self._numbers)
        self.rows[added.schedule_no] = added
        self._changed()
        return added

    def named(self, organization: str, name: str) -> ScheduleRow | None:
        """Return the schedule of a name."""
        rows = self.rows.values()
        return next((r for r in rows if (r.organization, r.name) == (organization, name)), None)

    def is_overtaken(self, write: ScheduleWrite) -> bool:
        """Return whether a schedule is no longer as a change of it expects."""
        known = self.rows.get(write.row.schedule_no)
        return known is None or known.state.revision != write.revision

    def change(self, write: ScheduleWrite) -> bool:
        """Apply a change that was decided on the schedule as it is."""
        if self.is_overtaken(write):
            return False
        number = write.row.schedule_no
        known = self.rows[number]
        self.rows[number] = replace(
            write.row,
            organization=known.organization,
            name=known.name,
            created_us=known.created_us,
            state=replace(write.row.state, revision=write.revision + 1),
        )
        self._write_ticks(number, write.ticks)
        self._changed()
        return True

    def _write_ticks(self, number: int, ticks: Sequence[Tick]) -> None:
        known, maybe = self.ticks.setdefault(number, {}), self.open.setdefault(number, set())
        if any(tick.outcome is TickOutcome.STARTED for tick in ticks):
            maybe &= {tick_us for tick_us in maybe if self._is_open(known[tick_us].run_no)}
            self.open[number] = maybe
        for tick in ticks:
            known[tick.tick_us] = tick
            maybe.discard(tick.tick_us)
            if tick.outcome is TickOutcome.STARTED:
                maybe.add(tick.tick_us)
        for old in sorted(known, reverse=True)[TICKS_KEPT:]:
            if old not in maybe:
                del known[old]

    def remove(self, number: int) -> bool:
        """Forget a schedule and its ticks."""
        self._changed()
        self.ticks.pop(number, None)
        self.open.pop(number, None)
        return self.rows.pop(number, None) is not None

    def due(self, now_us: int, limit: int) -> list[ScheduleRow]:
        """Return schedules to look after."""
        waiting = [(next_us, r) for next_us, r in self._waiting() if next_us <= now_us]
        due = [row for _, row in sorted(waiting, key=lambda each: each[0])][:limit]
        known = {row.schedule_no for row in due}
        ready = [row for row in self.holding() if not self.runs(row.schedule_no)][:limit]
        return [*due, *(row for row in ready if row.schedule_no not in known)]

    def holding(self) -> list[ScheduleRow]:
        """Return schedules that hold a tick, longest held first."""
        held = [(r.state.held_us, r) for r in self.rows.values() if r.state.held_us is not None]
        return [row for _, row in sorted(held, key=lambda each: each[0])]

    def _waiting(self) -> list[tuple[int, ScheduleRow]]:
        active = [r for r in self.rows.values() if r.state.status is ScheduleStatus.ACTIVE]
        return [(r.state.next_us, r) for r in active if r.state.next_us is not None]

    def next_us(self, after_us: int) -> int | None:
        """Return when the next schedule is due after a time."""
        times = [next_us for next_us, _ in self._waiting() if next_us > after_us]
        return min(times, default=None)

    def counts(self, now_us: int, organization: str) -> ScheduleCounts:
        """Count schedules."""
        rows = [r for r in self.rows.values() if organization in {"", r.organization}]
        of = Counter(row.state.status for row in rows)
        due = [next_us for next_us, r in self._waiting() if next_us < now_us and r in rows]
        live = [row for row in rows if row.state.status is not ScheduleStatus.ENDED]
        return ScheduleCounts(
            active=of[ScheduleStatus.ACTIVE],
            paused=of[ScheduleStatus.PAUSED],
            ended=of[ScheduleStatus.ENDED],
            failing=sum(row.failures > 0 for row in live),
            holding=sum(row.state.held_us is not None for row in rows),
            overdue_since_us=min(due, default=None),
        )

    def runs(self, number: int) -> list[int]:
        """Return the open runs of a schedule."""
        ticks = [self.ticks[number][tick_us] for tick_us in sorted(self.open.get(number, ()))]
        return [tick.run_no for tick in ticks if self._is_open(tick.run_no)]


class SchedulesPart(Schedules, ABC):
    """The methods of `Schedules` on a shared database in memory."""

    schedule_tables: MemorySchedules

    @abstractmethod
    async def _perform(self, name: str, work: Callable[[], R]) -> R:
        """Do `work` the way the fault for this call says."""

    @abstractmethod
    async def _read(self, name: str, work: Callable[[], R]) -> R:
        """The same, for a read."""

    async def add_schedule(self, row: ScheduleRow) -> ScheduleRow | None:
        """See `Schedules.add_schedule`."""
        tables = self.schedule_tables
        return await self._perform("add_schedule", lambda: tables.add(row))

    async def change_schedule(self, write: ScheduleWrite) -> bool:
        """See `Schedules.change_schedule`."""
        tables = self.schedule_tables
        return await self._perform("change_schedule", lambda: tables.change(write))

    async def remove_schedule(self, schedule_no: int) -> bool:
        """See `Schedules.remove_schedule`."""
        tables = self.schedule_tables
        return await self._perform("remove_schedule", lambda: tables.remove(schedule_no))

    async def schedule(self, schedule_no: int) -> ScheduleRow | None:
        """See `Schedules.schedule`."""
        return await self._read("schedule", lambda: self.schedule_tables.rows.get(schedule_no))

    async def schedule_named(self, organization: str, name: str) -> ScheduleRow | None:
        """See `Schedules.schedule_named`."""
        return await self._read(
            "schedule_named", lambda: self.schedule_tables.named(organization, name)
        )

    async def schedules(
        self, *, organization: str = "", after: int = 0, limit: int = 100
    ) -> Sequence[ScheduleRow]:
        """See `Schedules.schedules`."""

        def find() -> list[ScheduleRow]:
            rows = [
                row for number, row in sorted(self.schedule_tables.rows.items()) if number > after
            ]
            return [row for row in rows if organization in {"", row.organization}][:limit]

        return await self._read("schedules", find)

    async def due_schedules(self, now_us: int, *, limit: int) -> Sequence[ScheduleRow]:
        """See `Schedules.due_schedules`."""
        return await self._read("due_schedules", lambda: self.schedule_tables.due(now_us, limit))

    async def holding_schedules(self, *, limit: int) -> Sequence[ScheduleRow]:
        """See `Schedules.holding_schedules`."""
        return await self._read("holding_schedules", lambda: self.schedule_tables.holding()[:limit])

    async def next_schedule_us(self, *, after_us: int = 0) -> int | None:
        """See `Schedules.next_schedule_us`."""
        return await self._read("next_schedule_us", lambda: self.schedule_tables.next_us(after_us))

    async def schedule_ticks(
        self, schedule_no: int, *, before_us: int | None = None, limit: int = 20
    ) -> Sequence[Tick]:
        """See `Schedules.schedule_ticks`."""

        def find() -> list[Tick]:
            known = self.schedule_tables.ticks.get(schedule_no, {})
            newest = [known[tick_us] for tick_us in sorted(known, reverse=True)]
            return [t for t in newest if before_us is None or t.tick_us < before_us][:limit]

        return await self._read("schedule_ticks", find)

    async def schedule_tick(self, schedule_no: int, tick_us: int) -> Tick | None:
        """See `Schedules.schedule_tick`."""
        ticks = self.schedule_tables.ticks
        return await self._read("schedule_tick", lambda: ticks.get(schedule_no, {}).get(tick_us))

    async def schedule_runs(self, schedule_no: int) -> Sequence[int]:
        """See `Schedules.schedule_runs`."""
        return await self._read("schedule_runs", lambda: self.schedule_tables.runs(schedule_no))

    async def schedule_counts(self, now_us: int, *, organization: str = "") -> ScheduleCounts:
        """See `Schedules.schedule_counts`."""
        schedules = self.schedule_tables
        return await self._read("schedule_counts", lambda: schedules.counts(now_us, organization))
