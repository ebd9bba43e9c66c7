"""Schedules, their ticks and previews as programs read them: plain data, times in words."""

from collections.abc import Sequence
from datetime import UTC, tzinfo
from itertools import islice
from typing import Any, Final

import msgspec

from podium.authoring.schedule_text import document_of
from podium.core.cloudevents import rfc3339
from podium.core.ids import run_id, schedule_id
from podium.core.schedules import ScheduleStatus, Tick, TickOutcome
from podium.core.timetable import Timetable, in_words, instants, local_time
from podium.errors import DefinitionError
from podium.ports.schedules import ScheduleCounts, ScheduleRow
from podium.runtime.zones import system_zone, zone_of

__all__ = [
    "Preview",
    "PreviewTick",
    "ScheduleView",
    "SchedulerHealth",
    "TickView",
    "preview_of",
    "tick_view",
    "view_of",
]

DAY_US: Final = 86_400_000_000
LATE_US: Final = 60_000_000
"""A tick that nobody took for so long means that no scheduler runs."""
STALLED_US: Final = 30_000_000
"""A scheduler that has not looked for so long hangs."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what is shown."""


class ScheduleView(View, frozen=True, kw_only=True):
    """A schedule: what it was made of, and where it stands."""

    schedule_id: str
    name: str
    organization: str
    status: str
    """active, paused or ended."""
    spec: dict[str, Any]
    """The document it was created from, defaults filled in."""
    next_at: str | None
    """When the next tick is due, jitter included."""
    next_local: str | None
    held_at: str | None
    """The tick that waits for open runs to end."""
    open_runs: Sequence[str]
    starts: int
    failures: int
    """How many ticks in a row could start no run."""
    error: str
    comment: str
    changed_by: str
    created_at: str
    updated_at: str
    revision: int


class TickView(View, frozen=True, kw_only=True):
    """A tick and what became of it."""

    time: str
    local_time: str
    outcome: str
    """started, skipped, missed, failed; none while it has no outcome."""
    kind: str
    """timed, manual or backfill."""
    run_id: str | None
    decided_at: str | None
    detail: str


class PreviewTick(View, frozen=True, kw_only=True):
    """A tick to come."""

    time: str
    local_time: str
    system_time: str
    """The same on the clock of the machine that answers."""
    note: str
    """What clocks do on that day, if they change."""


class Preview(View, frozen=True, kw_only=True):
    """When a timetable is due."""

    timezone: str
    system_timezone: str
    zones_agree: bool
    """Whether both show the same time at every tick."""
    meaning: Sequence[str]
    """Its cron lines in words."""
    ticks: Sequence[PreviewTick]


class SchedulerHealth(View, frozen=True, kw_only=True):
    """Whether ticks are being taken."""

    state: str
    """ok; degraded: some starts fail, or this process hangs; down: nobody takes ticks; off: this
    process takes none, and others do."""
    reason: str
    runs_here: bool
    last_look_at: str | None
    active: int
    paused: int
    failing: int
    holding: int
    next_at: str | None
    overdue_s: float

    @classmethod
    def of(
        cls,
        counts: ScheduleCounts,
        *,
        now_us: int,
        looked_us: int | None,
        runs_here: bool,
        next_us: int | None,
    ) -> "SchedulerHealth":
        """Return the health that these facts amount to."""
        since_us = counts.overdue_since_us
        overdue_us = 0 if since_us is None else now_us - since_us
        quiet_us = 0 if looked_us is None else now_us - looked_us
        state, reason = "ok", ""
        if overdue_us > LATE_US:
            state, reason = "down", "Ticks are overdue and nobody takes them."
        elif runs_here and quiet_us > STALLED_US:
            state, reason = "degraded", "The scheduler of this process has not looked for a while."
        elif counts.failing:
            state, reason = "degraded", "Some schedules could not start their last run."
        elif not runs_here:
            state, reason = "off", "This process takes no ticks."
        return cls(
            state=state,
            reason=reason,
            runs_here=runs_here,
            last_look_at=_time(looked_us),
            active=counts.active,
            paused=counts.paused,
            failing=counts.failing,
            holding=counts.holding,
            next_at=_time(next_us),
            overdue_s=round(overdue_us / 1e6, 3),
        )


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else rfc3339(at_us)


def view_of(row: ScheduleRow, *, open_runs: Sequence[int] = ()) -> ScheduleView:
    """Return a schedule as shown."""
    state, table = row.state, row.schedule.timetable
    next_us = state.next_us if state.status is ScheduleStatus.ACTIVE else None
    try:
        zone = zone_of(table.timezone)
    except DefinitionError:
        # Made on a machine that knows more zones: this one can still show it, and pause it.
        zone = UTC
    return ScheduleView(
        schedule_id=schedule_id(row.schedule_no),
        name=row.name,
        organization=row.organization,
        status=state.status.name.lower(),
        spec=document_of(row.name, row.schedule),
        next_at=_time(next_us),
        next_local=None if next_us is None else local_time(next_us, zone).isoformat(),
        held_at=_time(state.held_us),
        open_runs=[run_id(run_no) for run_no in open_runs],
        starts=state.starts,
        failures=row.failures,
        error=row.error,
        comment=row.comment,
        changed_by=row.changed_by,
        created_at=rfc3339(row.created_us),
        updated_at=rfc3339(row.updated_us),
        revision=state.revision,
    )


def tick_view(tick: Tick | None, zone: tzinfo, *, tick_us: int = 0, run_no: int = 0) -> TickView:
    """Return a tick as shown; without one, the tick at `tick_us` that has no outcome."""
    found = tick or Tick(tick_us=tick_us, outcome=TickOutcome.MISSED, run_no=run_no)
    return TickView(
        time=rfc3339(found.tick_us),
        local_time=local_time(found.tick_us, zone).isoformat(),
        outcome="none" if tick is None else found.outcome.name.lower(),
        kind=found.kind.name.lower(),
        run_id=run_id(found.run_no) if found.run_no else None,
        decided_at=_time(found.at_us or None),
        detail=found.detail,
    )


def preview_of(table: Timetable, zone: tzinfo, *, after_us: int, count: int) -> Preview:
    """Return the next ticks of a timetable."""
    here = system_zone()
    local = zone_of(here)
    due = list(islice(instants(table, zone, after_us=after_us), count))
    agree = all(
        local_time(at_us, zone).utcoffset() == local_time(at_us, local).utcoffset()
        for at_us in due or [after_us]
    )
    return Preview(
        timezone=table.timezone,
        system_timezone=here,
        zones_agree=agree,
        meaning=[in_words(line) for line in table.crons],
        ticks=[
            PreviewTick(
                time=rfc3339(at_us),
                local_time=local_time(at_us, zone).isoformat(),
                system_time=local_time(at_us, local).isoformat(),
                note=_clock_change(at_us, zone),
            )
            for at_us in due
        ],
    )


def _clock_change(at_us: int, zone: tzinfo) -> str:
    """Return what clocks do on the local day of an instant, in words."""
    day = local_time(at_us, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    morning, evening = day.utcoffset(), day.replace(hour=23, minute=59, fold=1).utcoffset()
    if morning is None or evening is None or morning == evening:
        return ""
    minutes = int(abs(evening - morning).total_seconds() // 60)
    return f"clocks go {'forward' if evening > morning else 'back'} {minutes} min on this day"
