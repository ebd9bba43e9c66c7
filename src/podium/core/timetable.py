"""When a schedule is due: cron lines, calendars, periods and moments as instants.

Pure arithmetic on local times and a given `tzinfo`. Wall clocks skip an hour in spring and show
one twice in autumn; what then happens is a policy that is written down, never an accident:

* A local time in the gap does not exist. `shift` takes the first instant after the gap, once
  however many times of the rule fall into it; `skip` takes none.
* A local time in the fold exists twice. `first`, `second` or `both` instants are taken.

A rule that names hours ("30 2 * * *") means "once a day": shift, first. A rule for every hour
("*/15 * * * *") means "as time goes by": it takes both, and never shifts. Instants are
microseconds since 1970 UTC.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from heapq import heappop, heappush, merge
from typing import Final

import msgspec
from cronsim import CronSim, CronSimError

__all__ = [
    "CRON_FIELDS",
    "Calendar",
    "Fold",
    "Gap",
    "Period",
    "Timetable",
    "bad_cron_field",
    "in_words",
    "instants",
    "is_date",
    "is_in_gap",
    "local_time",
    "parse_moment",
]

EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - local times have no zone here
MICROSECOND: Final = timedelta(microseconds=1)
DAY_US: Final = 86_400_000_000
CRON_CHARS_MAX: Final = 200

CRON_FIELDS: Final = {
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, L (the last day) or LW (the last weekday)",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 or SUN-SAT (0 and 7 are Sunday), MON#1 (the first) or 5L (the last)",
}
"""What each field of a cron line may hold, in order."""

NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


class Gap(StrEnum):
    """What becomes of a local time that does not exist."""

    SHIFT = "shift"
    SKIP = "skip"


class Fold(StrEnum):
    """Which instants of a local time that exists twice are taken."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


class Period(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every so often, counted from 1970 UTC plus an offset: elapsed time, whatever clocks do."""

    period_us: int
    offset_us: int = 0


class Calendar(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Fields of a calendar, each in cron's notation; a time must match all of them."""

    minute: str = "0"
    hour: str = "0"
    day_of_month: str = "*"
    month: str = "*"
    day_of_week: str = "*"

    @property
    def line(self) -> str:
        """Return the same as a cron line; cron itself takes either day where both are given."""
        days = f"{self.day_of_month} {self.month} {self.day_of_week}"
        return f"{self.minute} {self.hour} {days}"


class Timetable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When something is due: the union of its rules, within its bounds."""

    crons: tuple[str, ...] = ()
    calendars: tuple[Calendar, ...] = ()
    periods: tuple[Period, ...] = ()
    moments: tuple[str, ...] = ()
    """ISO 8601: local times of the zone, or with an offset of their own."""
    timezone: str = "UTC"
    on_gap: Gap | None = None
    """None: `shift` for a rule that names hours, `skip` for one of every hour."""
    on_fold: Fold | None = None
    """None: `first` for a rule that names hours, `both` for one of every hour."""
    except_dates: tuple[str, ...] = ()
    """Local dates on which nothing is due, whatever the rules say."""
    start_us: int | None = None
    end_us: int | None = None
    jitter_us: int = 0

    @property
    def has_rules(self) -> bool:
        """Return whether it can be due at all."""
        return bool(self.crons or self.calendars or self.periods or self.moments)


# --- cron lines ---------------------------------------------------------------------------------


def cron_line(text: str) -> str:
    """Return the five fields of a cron line; nicknames such as @daily are written out."""
    return NICKNAMES.get(text.strip().lower(), text)


def bad_cron_field(text: str) -> str | None:
    """Return the field of a cron line that cannot be read, "" for the line itself, or None.

    >>> bad_cron_field("61 * * * *")
    'minute'
    >>> bad_cron_field("* * * * * *")
    ''
    """
    line = cron_line(text)
    fields = line.split()
    if len(fields) != len(CRON_FIELDS) or len(line) > CRON_CHARS_MAX:
        return ""
    for position, name in enumerate(CRON_FIELDS):
        alone = ["*"] * len(CRON_FIELDS)
        alone[position] = fields[position]
        if not _is_readable(" ".join(alone)):
            return name
    # Each field may be fine by itself, and no month has such a day.
    return None if _is_readable(line) else "day-of-month"


def in_words(text: str) -> str:
    """Return what a readable cron line means.

    >>> in_words("30 2 * * MON-FRI")
    'At 02:30 on Monday through Friday'
    """
    return CronSim(cron_line(text), EPOCH).explain()


def _is_readable(line: str) -> bool:
    try:
        CronSim(line, EPOCH)
    except (CronSimError, AssertionError, TypeError, ValueError):
        # The library asserts where it meets a step of a named weekday, such as MON#1/2.
        return False
    return True


def _is_hourly(line: str) -> bool:
    """Return whether a cron line is for every hour: it follows time, not the clock's face."""
    hour = line.split()[1]
    return hour.startswith("*") or len(CronSim(line, EPOCH).hours) == 24


# --- local times and instants -------------------------------------------------------------------


def local_time(at_us: int, zone: tzinfo) -> datetime:
    """Return what clocks of the zone show at an instant, with the zone."""
    return (EPOCH + at_us * MICROSECOND).replace(tzinfo=UTC).astimezone(zone)


def _us(moment: datetime) -> int:
    return (moment.replace(tzinfo=None) - EPOCH) // MICROSECOND


def _offset_us(local: datetime, zone: tzinfo, *, fold: int) -> int:
    offset = local.replace(tzinfo=zone, fold=fold).utcoffset()
    return 0 if offset is None else offset // MICROSECOND


def is_in_gap(local: datetime, zone: tzinfo) -> bool:
    """Return whether clocks of the zone never show this local time."""
    return _offset_us(local, zone, fold=0) < _offset_us(local, zone, fold=1)


def _readings(local: datetime, zone: tzinfo, gap: Gap, fold: Fold) -> tuple[int, ...]:
    """Return the instants a local time stands for under the policies, in order."""
    before, after = _offset_us(local, zone, fold=0), _offset_us(local, zone, fold=1)
    at_us = _us(local)
    if before == after:
        return (at_us - before,)
    if before < after:
        return () if gap is Gap.SKIP else (_change_between(at_us - after, at_us - before, zone),)
    both = (at_us - before, at_us - after)
    return both if fold is Fold.BOTH else both[:1] if fold is Fold.FIRST else both[1:]


def _change_between(low_us: int, high_us: int, zone: tzinfo) -> int:
    """Return the instant in (low, high] at which the zone changes its offset."""
    old = _utc_offset(low_us, zone)
    while high_us - low_us > 1:
        middle = (low_us + high_us) // 2
        if _utc_offset(middle, zone) == old:
            low_us = middle
        else:
            high_us = middle
    return high_us


def _utc_offset(at_us: int, zone: tzinfo) -> timedelta | None:
    return local_time(at_us, zone).utcoffset()


def parse_moment(text: str, zone: tzinfo, *, gap: Gap | None, fold: Fold | None) -> int | None:
    """Return the instant of an ISO 8601 text, or None if it is none.

    A local time follows the policies; one in a gap is no moment unless `gap` says `shift`.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    offset = moment.utcoffset()
    if offset is not None:
        return _us(moment) - offset // MICROSECOND
    found = _readings(moment, zone, gap or Gap.SKIP, fold or Fold.FIRST)
    return found[0] if found else None


# --- instants of rules --------------------------------------------------------------------------


def instants(table: Timetable, zone: tzinfo, *, after_us: int) -> Iterator[int]:
    """Yield the instants after `after_us` at which the timetable is due, in order, each once."""
    last = after_us if table.start_us is None else max(after_us, table.start_us - 1)
    exceptions = frozenset(table.except_dates)
    while True:
        for instant in _of_rules(table, zone, last):
            if table.end_us is not None and instant > table.end_us:
                return
            if exceptions and local_time(instant, zone).date().isoformat() in exceptions:
                # Go on behind the day: a rule for every second has 86,400 ticks in it.
                last = _last_of_day(instant, zone)
                break
            last = instant
            yield instant
        else:
            return


def _of_rules(table: Timetable, zone: tzinfo, after_us: int) -> Iterator[int]:
    """Yield the instants after a time that any rule gives, in order, each once."""
    rules = [
        *(_of_line(table, cron_line(text), zone, after_us) for text in table.crons),
        *(_of_line(table, each.line, zone, after_us, both_days=True) for each in table.calendars),
        *(_of_period(period, after_us) for period in table.periods),
        iter(_of_moments(table, zone)),
    ]
    last = after_us
    for instant in merge(*rules):
        if instant > last:
            last = instant
            yield instant


def _last_of_day(at_us: int, zone: tzinfo) -> int:
    """Return the last microsecond of a local day."""
    day = local_time(at_us, zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    midnight = _readings(day + timedelta(days=1), zone, Gap.SHIFT, Fold.FIRST)[0]
    # Clocks that are put back over midnight show the end of the day again: not before now.
    return max(at_us, midnight - 1)


def _of_period(period: Period, after_us: int) -> Iterator[int]:
    count = (after_us - period.offset_us) // period.period_us + 1
    while True:
        yield count * period.period_us + period.offset_us
        count += 1


def _of_moments(table: Timetable, zone: tzinfo) -> list[int]:
    found = (
        parse_moment(text, zone, gap=table.on_gap, fold=table.on_fold) for text in table.moments
    )
    return sorted(moment for moment in found if moment is not None)


def _of_line(
    table: Timetable, line: str, zone: tzinfo, after_us: int, *, both_days: bool = False
) -> Iterator[int]:
    """Yield the instants of a cron line in order, beginning at or before `after_us`.

    The second instant of a folded time lies behind the first ones of later times: it waits in
    `pending` until no earlier one can come.
    """
    hourly = _is_hourly(line)
    gap = table.on_gap or (Gap.SKIP if hourly else Gap.SHIFT)
    fold = table.on_fold or (Fold.BOTH if hourly else Fold.FIRST)
    pending: list[int] = []
    times = CronSim(line, _local_start(after_us, zone))
    times.day_and = times.day_and or both_days
    for local in times:
        found = _readings(local, zone, gap, fold)
        if not pending and len(found) == 1:
            yield found[0]
            continue
        first = _readings(local, zone, Gap.SHIFT, Fold.FIRST)[0]
        while pending and pending[0] < first:
            yield heappop(pending)
        for instant in found:
            heappush(pending, instant)
    while pending:
        yield heappop(pending)


def _local_start(after_us: int, zone: tzinfo) -> datetime:
    """Return a local time before which the rules need not be asked.

    If clocks go back within a day, they will show again what they show before now.
    """
    now = local_time(after_us, zone)
    tomorrow = _utc_offset(after_us + DAY_US, zone) or timedelta()
    back = max(timedelta(), (now.utcoffset() or timedelta()) - tomorrow)
    return now.replace(tzinfo=None) - back


def is_date(text: str) -> bool:
    """Return whether a text is a date such as 2026-12-25."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
