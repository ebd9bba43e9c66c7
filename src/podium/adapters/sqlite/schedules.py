"""Schedules: guarded changes of whole rows, alone or within the tick that creates a run."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

from podium.adapters.sqlite import reads
from podium.adapters.sqlite.database import Database, Reader, Values
from podium.adapters.sqlite.parts import Part
from podium.core.schedules import (
    Schedule,
    ScheduleState,
    ScheduleStatus,
    Tick,
    TickKind,
    TickOutcome,
)
from podium.ports.schedules import (
    TICKS_KEPT,
    ScheduleCounts,
    ScheduleRow,
    Schedules,
    ScheduleWrite,
)

__all__ = ["SchedulesPart", "is_overtaken", "write_schedule"]

TIME_MAX: Final = (1 << 63) - 1

_SCHEDULE: Final = msgspec.json.Decoder(Schedule)


def _row(values: Values) -> ScheduleRow:
    number, organization, name, status, *state, body, created_us, updated_us = values[:12]
    changed_by, comment, failures, error = values[12:]
    return ScheduleRow(
        schedule_no=number,
        organization=organization,
        name=name,
        schedule=_SCHEDULE.decode(body),
        state=ScheduleState(
            status=ScheduleStatus(status),
            **dict(
                zip(("revision", "cursor_us", "next_us", "held_us", "starts"), state, strict=True)
            ),
        ),
        created_us=created_us,
        updated_us=updated_us,
        changed_by=changed_by,
        comment=comment,
        failures=failures,
        error=error,
    )


def _tick(values: Values) -> Tick:
    tick_us, outcome, kind, run_no, at_us, detail = values
    return Tick(
        tick_us=tick_us,
        outcome=TickOutcome(outcome),
        kind=TickKind(kind),
        run_no=run_no,
        at_us=at_us,
        detail=detail,
    )


def _moving(row: ScheduleRow) -> Values:
    state = row.state
    body = msgspec.json.encode(row.schedule).decode()
    return (state.cursor_us, state.next_us, state.held_us, state.starts, body)


# --- writing ------------------------------------------------------------------------------------


def write_schedule(db: Database, write: ScheduleWrite) -> bool:
    """Apply a change within a transaction; return whether the schedule was as expected."""
    row = write.row
    told = (row.updated_us, row.changed_by, row.comment, row.failures, row.error)
    guard = (row.schedule_no, write.revision)
    if not db.changes("schedule_change", (*guard, row.state.status, *_moving(row), *told)):
        return False
    if any(tick.outcome is TickOutcome.STARTED for tick in write.ticks):
        db.changes("schedule_ticks_close", (row.schedule_no,))
    db.write("schedule_tick_put", [_tick_values(row.schedule_no, tick) for tick in write.ticks])
    if write.ticks:
        db.changes("schedule_ticks_prune", (row.schedule_no, TICKS_KEPT - 1))
    return True


def _tick_values(schedule_no: int, tick: Tick) -> Values:
    is_open = tick.outcome is TickOutcome.STARTED
    place = (schedule_no, tick.tick_us, tick.outcome, tick.kind)
    return (*place, tick.run_no, is_open, tick.at_us, tick.detail)


def is_overtaken(db: Reader, write: ScheduleWrite) -> bool:
    """Return whether a schedule is no longer as a change of it expects."""
    return not db.has("schedule_is_at", (write.row.schedule_no, write.revision))


def _add(db: Database, row: ScheduleRow) -> ScheduleRow | None:
    told = (row.created_us, row.updated_us, row.changed_by, row.comment, row.failures, row.error)
    head = (row.organization, row.name, row.state.status, row.state.revision)
    with db.transaction():
        found = db.all("schedule_add", (*head, *_moving(row), *told))
    return msgspec.structs.replace(row, schedule_no=found[0][0]) if found else None


def _change(db: Database, write: ScheduleWrite) -> bool:
    with db.transaction():
        return write_schedule(db, write)


def _remove(db: Database, schedule_no: int) -> bool:
    with db.transaction():
        db.changes("schedule_ticks_remove", (schedule_no,))
        return bool(db.changes("schedule_remove", (schedule_no,)))


# --- reading ------------------------------------------------------------------------------------


def _due(db: Reader, now_us: int, *, limit: int) -> list[ScheduleRow]:
    with db.snapshot():
        due = [_row(values) for values in db.all("schedules_due", (now_us, limit))]
        ready = [_row(values) for values in db.all("schedules_ready", (limit,))]
    known = {row.schedule_no for row in due}
    return [*due, *(row for row in ready if row.schedule_no not in known)]


def _counts(db: Reader, now_us: int, organization: str) -> ScheduleCounts:
    found = db.one("schedule_counts", (now_us, organization))
    assert found is not None
    return ScheduleCounts(**dict(zip(ScheduleCounts.__struct_fields__, found, strict=True)))


def _next_us(db: Reader, after_us: int) -> int | None:
    found = db.one("schedule_next", (after_us,))
    return None if found is None else found[0]


class SchedulesPart(Part, Schedules):
    """The methods of `Schedules` on a SQLite file."""

    async def add_schedule(self, row: ScheduleRow) -> ScheduleRow | None:
        """See `Schedules.add_schedule`."""
        return await self._write(partial(_add, row=row))

    async def change_schedule(self, write: ScheduleWrite) -> bool:
        """See `Schedules.change_schedule`."""
        return await self._write(partial(_change, write=write))

    async def remove_schedule(self, schedule_no: int) -> bool:
        """See `Schedules.remove_schedule`."""
        return await self._write(partial(_remove, schedule_no=schedule_no))

    async def schedule(self, schedule_no: int) -> ScheduleRow | None:
        """See `Schedules.schedule`."""
        return await self._read(reads.first, "schedule", (schedule_no,), _row)

    async def schedule_named(self, organization: str, name: str) -> ScheduleRow | None:
        """See `Schedules.schedule_named`."""
        return await self._read(reads.first, "schedule_named", (organization, name), _row)

    async def schedules(
        self, *, organization: str = "", after: int = 0, limit: int = 100
    ) -> Sequence[ScheduleRow]:
        """See `Schedules.schedules`."""
        return await self._read(reads.listing, "schedules", (organization, after, limit), _row)

    async def due_schedules(self, now_us: int, *, limit: int) -> Sequence[ScheduleRow]:
        """See `Schedules.due_schedules`."""
        return await self._read(_due, now_us, limit=limit)

    async def holding_schedules(self, *, limit: int) -> Sequence[ScheduleRow]:
        """See `Schedules.holding_schedules`."""
        return await self._read(reads.listing, "schedules_holding", (limit,), _row)

    async def next_schedule_us(self, *, after_us: int = 0) -> int | None:
        """See `Schedules.next_schedule_us`."""
        return await self._read(_next_us, after_us)

    async def schedule_ticks(
        self, schedule_no: int, *, before_us: int | None = None, limit: int = 20
    ) -> Sequence[Tick]:
        """See `Schedules.schedule_ticks`."""
        values = (schedule_no, TIME_MAX if before_us is None else before_us, limit)
        return await self._read(reads.listing, "schedule_ticks", values, _tick)

    async def schedule_tick(self, schedule_no: int, tick_us: int) -> Tick | None:
        """See `Schedules.schedule_tick`."""
        return await self._read(reads.first, "schedule_tick", (schedule_no, tick_us), _tick)

    async def schedule_runs(self, schedule_no: int) -> Sequence[int]:
        """See `Schedules.schedule_runs`."""
        return await self._read(
            reads.listing, "schedule_runs", (schedule_no,), lambda values: int(values[0])
        )

    async def schedule_counts(self, now_us: int, *, organization: str = "") -> ScheduleCounts:
        """See `Schedules.schedule_counts`."""
        return await self._read(_counts, now_us, organization)
