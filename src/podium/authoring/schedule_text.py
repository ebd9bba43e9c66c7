"""Schedules as people write them: one flat object, read with all its faults, and written back."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Any, Final, TypeVar, cast

import msgspec

from podium.core.budget_values import limits_of
from podium.core.cloudevents import rfc3339
from podium.core.definition import SECOND_US, Priority
from podium.core.durations import DURATION_EXAMPLES, duration_text, parse_duration
from podium.core.ranges import Range
from podium.core.schedules import CATCH_UP_US, Overlap, Schedule
from podium.core.timetable import (
    CRON_FIELDS,
    Calendar,
    Fold,
    Gap,
    Period,
    Timetable,
    bad_cron_field,
    instants,
    is_date,
    is_in_gap,
    parse_moment,
)
from podium.core.validation import NAME_RE
from podium.errors import DefinitionError, Fault, did_you_mean
from podium.runtime.zones import zone_of

__all__ = ["KEYS", "NamedSchedule", "document_of", "read_schedule", "read_timetable"]

DAY_US: Final = 86_400 * SECOND_US

KEYS: Final = {
    "name": "How people call it; unique in its organization.",
    "workflow": "The published workflow that each run is one of.",
    "version": "A version of it; by default the one that is active at the tick.",
    "input": "The input of each run; `${{ schedule.time }}` is filled in.",
    "cron": "Cron lines of five fields, or @hourly, @daily, @weekly, @monthly, @yearly.",
    "calendar": "Objects of minute, hour, day_of_month, month, day_of_week: all must match.",
    "every": "Periods such as 15m, or {period: 1h, offset: 5m}, counted from 1970 UTC.",
    "at": "Moments such as 2027-01-31T09:00, local unless they carry an offset.",
    "timezone": "The IANA zone of cron lines, calendars and local times.",
    "on_gap": "A local time that does not exist: shift or skip.",
    "on_fold": "A local time that exists twice: first, second or both.",
    "except": "Local dates on which nothing is due, such as 2026-12-25.",
    "start": "Nothing is due before.",
    "end": "Nothing is due after.",
    "jitter": "Each tick is taken up to so much later, always the same for the same tick.",
    "overlap": "A tick while a run is open: skip, buffer_one, allow, cancel_other, "
    "terminate_other.",
    "catch_up": "How late a tick may still be taken after nobody was there.",
    "runs_max": "The schedule ends after so many runs.",
    "priority": "The priority of each run, 0 (first) to 100 (last).",
    "labels": "Labels of each run.",
    "budget": "What each run may spend on models, such as {usd: 0.50}.",
    "note": "What it is for.",
    "paused": "Whether it is created paused.",
}
"""The keys of a schedule, with what each means."""

TIME_KEYS: Final = ("cron", "calendar", "every", "at")
CALENDAR_KEYS: Final = {"minute": 0, "hour": 1, "day_of_month": 2, "month": 3, "day_of_week": 4}
RULES_MAX: Final = 20
DATES_MAX: Final = 366
TEXT_CHARS_MAX: Final = 1000
LABELS_MAX: Final = 64
YEAR_US: Final = 365 * DAY_US
"""A moment lies between 1970 and 9000: some days from where dates end, in any zone."""
MOMENT_MAX_US: Final = (datetime(9000, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // (
    datetime.resolution
)

RANGES: Final = {
    "every": Range(SECOND_US, 10 * YEAR_US, 'every: "15m"', is_duration=True),
    "offset": Range(0, 10 * YEAR_US, 'every: {period: 1h, offset: "5m"}', is_duration=True),
    "jitter": Range(0, DAY_US, 'jitter: "30s"', is_duration=True),
    "catch_up": Range(10 * SECOND_US, YEAR_US, 'catch_up: "1h"', is_duration=True),
    "runs_max": Range(0, 1_000_000_000, "runs_max: 10"),
    "priority": Range(0, 100, "priority: 50"),
}
"""What numbers and durations may be."""

E = TypeVar("E", bound=StrEnum)


class NamedSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says."""

    name: str
    schedule: Schedule
    zone: tzinfo
    is_paused: bool = False


def read_schedule(
    document: Any, *, now_us: int, source: str = "schedule", name: str = ""
) -> NamedSchedule:
    """Return the schedule of a document; raises `DefinitionError` with every fault.

    `name` is taken where the document gives none. A schedule that will never be due after
    `now_us` is a fault.
    """
    reader = _Reader(document, source=source)
    reader.check_keys(KEYS)
    timetable, zone = reader.timetable(now_us)
    schedule = Schedule(
        workflow=reader.name("workflow"),
        version=reader.text("version"),
        input=reader.value("input"),
        timetable=timetable,
        overlap=reader.choice("overlap", Overlap) or Overlap.SKIP,
        catch_up_us=reader.duration("catch_up", CATCH_UP_US),
        runs_max=reader.number("runs_max", 0),
        priority=reader.number("priority", Priority.NORMAL),
        labels=reader.labels(),
        budget=reader.budget(),
        note=reader.text("note"),
    )
    given = reader.name("name", default=name)
    if given.startswith("sch_"):
        reader.fault("PDM-D503", "name", "A name cannot look like an id.", fix="Leave out 'sch_'.")
    found = NamedSchedule(name=given, schedule=schedule, zone=zone, is_paused=reader.flag("paused"))
    reader.raise_faults()
    return found


def read_timetable(document: Any, *, now_us: int) -> tuple[Timetable, tzinfo]:
    """Return the timetable of a document that needs no more than when; raises likewise."""
    reader = _Reader(document, source="schedule")
    reader.check_keys(KEYS)
    found = reader.timetable(now_us)
    reader.raise_faults()
    return found


def document_of(name: str, schedule: Schedule) -> dict[str, Any]:
    """Return the document of a schedule: read again, it is the same schedule."""
    table = schedule.timetable
    found: dict[str, Any] = {
        "name": name,
        "workflow": schedule.workflow,
        "version": schedule.version,
        "input": schedule.input,
        "cron": list(table.crons),
        "calendar": [msgspec.to_builtins(each) for each in table.calendars],
        "every": [_period_document(each) for each in table.periods],
        "at": list(table.moments),
        "timezone": table.timezone,
        "on_gap": table.on_gap,
        "on_fold": table.on_fold,
        "except": list(table.except_dates),
        "start": None if table.start_us is None else rfc3339(table.start_us),
        "end": None if table.end_us is None else rfc3339(table.end_us),
        "jitter": duration_text(table.jitter_us),
        "overlap": schedule.overlap,
        "catch_up": duration_text(schedule.catch_up_us),
        "runs_max": schedule.runs_max,
        "priority": schedule.priority,
        "labels": schedule.labels,
        "budget": schedule.budget,
        "note": schedule.note,
    }
    return {key: value for key, value in found.items() if value not in (None, [], "")}


def _period_document(period: Period) -> Any:
    if not period.offset_us:
        return duration_text(period.period_us)
    return {
        "period": duration_text(period.period_us),
        "offset": duration_text(period.offset_us),
    }


class _Reader:
    """One document: what was read of it, and what is wrong with it."""

    def __init__(self, document: Any, *, source: str) -> None:
        self._source = source
        self._faults: list[Fault] = []
        self.given: Mapping[str, Any] = _object(document) or {}
        if not isinstance(document, Mapping):
            self.fault(
                "PDM-D503",
                "",
                "A schedule is an object of names and values.",
                fix='For example {"name": "nightly", "workflow": "report", "cron": "30 2 * * *"}',
            )
            self.raise_faults()

    def fault(self, code: str, key: str, message: str, *, why: str = "", fix: str = "") -> None:
        """Note that something is wrong with a key."""
        pointer = f"/{key}" if key else ""
        self._faults.append(Fault(code=code, message=message, why=why, fix=fix, pointer=pointer))

    def raise_faults(self) -> None:
        """Raise what was noted, if anything was."""
        if self._faults:
            raise DefinitionError(self._faults, source=self._source)

    def check_keys(self, known: Mapping[str, Any]) -> None:
        """Note keys that mean nothing: a misspelt one would be ignored in silence."""
        for key in self.given:
            if key not in known:
                shown = str(key)[:80]
                self.fault(
                    "PDM-D503",
                    shown,
                    f"A schedule has no key {shown!r}.",
                    fix=did_you_mean(shown, list(known), what="key"),
                )

    # -- single values -------------------------------------------------------------------------

    def text(self, key: str) -> str:
        """Return a text, "" if it is not given."""
        value = self.given.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or len(value) > TEXT_CHARS_MAX or not _is_clean(value):
            self.fault(
                "PDM-D503",
                key,
                f"{key} is no text of at most {TEXT_CHARS_MAX} characters.",
                fix=f'For example {key}: "…"',
            )
            return ""
        return value

    def value(self, key: str) -> Any:
        """Return any JSON."""
        found = self.given.get(key)
        try:
            msgspec.json.encode(found)
        except (TypeError, ValueError, OverflowError, RecursionError):
            fix = 'For example input: {"day": "${{ schedule.date }}"}'
            self.fault("PDM-D503", key, f"{key} is no JSON that can be stored.", fix=fix)
        return found

    def name(self, key: str, *, default: str = "") -> str:
        """Return a name that must be given."""
        value = self.given.get(key, default)
        if isinstance(value, str) and NAME_RE.fullmatch(value):
            return value
        self.fault(
            "PDM-D503",
            key,
            f"{key} is missing." if value in (None, "") else f"{key} is {_shown(value)}.",
            why="A name has 1 to 63 letters, digits, - and _, and begins with a letter.",
            fix=f"For example {key}: nightly-report",
        )
        return ""

    def flag(self, key: str) -> bool:
        """Return whether a flag is set."""
        value = self.given.get(key)
        if not isinstance(value, bool | None):
            self.fault("PDM-D503", key, f"{key} is {_shown(value)}.", fix=f"Write {key}: true")
        return value is True

    def choice(self, key: str, kind: type[E]) -> E | None:
        """Return one of some words, or None if it is not given."""
        value = self.given.get(key)
        if value is None:
            return None
        known = [str(word) for word in kind]
        if isinstance(value, str) and value in known:
            return kind(value)
        hint = did_you_mean(str(value)[:80], known, what="word")
        self.fault(
            "PDM-D503",
            key,
            f"{key} is {_shown(value)}; it is one of {', '.join(known)}.",
            fix=f"{hint} For example {key}: {known[0]}",
        )
        return None

    def number(self, key: str, default: int) -> int:
        """Return a whole number."""
        value = self.given.get(key)
        if value is None:
            return default
        limits = RANGES[key]
        if isinstance(value, int) and not isinstance(value, bool) and limits.holds(value):
            return value
        self._out_of_range(key, key, value)
        return default

    def duration(self, key: str, default: int) -> int:
        """Return a duration in microseconds."""
        value = self.given.get(key)
        return default if value is None else self._span(key, key, value, default)

    def _span(self, limit: str, key: str, value: Any, default: int) -> int:
        found = parse_duration(value)
        if found is None:
            self.fault(
                "PDM-D503",
                key,
                f"{key.replace('/', '.')} is {_shown(value)}, which is no duration.",
                fix=f"Write seconds or text: {DURATION_EXAMPLES}.",
            )
            return default
        if not RANGES[limit].holds(found):
            self._out_of_range(limit, key, duration_text(found))
            return default
        return found

    def _out_of_range(self, limit: str, key: str, value: Any) -> None:
        self.fault(
            "PDM-D503",
            key,
            f"{key.replace('/', '.')} is {_shown(value)}; it goes from {RANGES[limit]}.",
            fix=f"Write {RANGES[limit].example}",
        )

    def labels(self) -> dict[str, str]:
        """Return the labels."""
        value = self.given.get("labels")
        if value is None:
            return {}
        found = _object(value)
        if found is not None and len(found) <= LABELS_MAX and all(map(_is_label, found.items())):
            return dict(found)
        self.fault(
            "PDM-D503",
            "labels",
            f"labels are no object of at most {LABELS_MAX} texts.",
            fix='For example labels: {"team": "billing"}',
        )
        return {}

    def budget(self) -> dict[str, Any] | None:
        """Return the budget of each run."""
        value = self.given.get("budget")
        if value is None:
            return None
        try:
            limits_of(value)
        except ValueError as error:
            fix = "For example budget: {usd: 0.50, tokens: 200000, calls: 40}"
            self.fault("PDM-D503", "budget", f"This is no budget: {error}.", fix=fix)
            return None
        return dict(value)

    # -- when ----------------------------------------------------------------------------------

    def timetable(self, now_us: int) -> tuple[Timetable, tzinfo]:
        """Return when it is due, and in which zone."""
        before = len(self._faults)
        name = self.text("timezone") or "UTC"
        zone = self._zone(name)
        on_gap, on_fold = self.choice("on_gap", Gap), self.choice("on_fold", Fold)
        table = Timetable(
            crons=self._crons(),
            calendars=self._calendars(),
            periods=self._periods(),
            moments=self._moments(zone, on_gap),
            timezone=name,
            on_gap=on_gap,
            on_fold=on_fold,
            except_dates=self._dates(),
            start_us=self._instant("start", zone),
            end_us=self._instant("end", zone),
            jitter_us=self.duration("jitter", 0),
        )
        if len(self._faults) == before:
            self._check_due(table, zone, now_us)
        return table, zone

    def _check_due(self, table: Timetable, zone: tzinfo, now_us: int) -> None:
        if not table.has_rules:
            self.fault(
                "PDM-D505",
                "",
                "The schedule does not say when.",
                fix=f'Add one of {", ".join(TIME_KEYS)}, such as cron: "30 2 * * *"',
            )
            return
        for key, rule in (
            *(("cron", Timetable(crons=(each,))) for each in table.crons),
            *(("calendar", Timetable(calendars=(each,))) for each in table.calendars),
        ):
            # A rule that no day matches would be searched for at every tick of the others.
            if next(instants(rule, UTC, after_us=now_us), None) is None:
                fix = "For example day 31 exists in seven months only."
                self.fault("PDM-D505", key, "No day of the calendar matches the rule.", fix=fix)
                return
        if next(instants(table, zone, after_us=now_us), None) is None:
            self.fault(
                "PDM-D505",
                next(key for key in TIME_KEYS if key in self.given),
                "The schedule would never be due.",
                why="Its moments are past, its bounds leave nothing, or no such day exists.",
                fix="See what it would do with `podium schedules preview`.",
            )

    def _zone(self, name: str) -> tzinfo:
        try:
            return zone_of(name)
        except DefinitionError as error:
            self._faults += error.faults
            return UTC

    def _placed(self, key: str) -> list[tuple[str, Any]]:
        """Return the values of a key that takes one or several, each with its place."""
        found = self._list(key)
        if isinstance(self.given.get(key), list | tuple):
            return [(f"{key}/{position}", value) for position, value in enumerate(found)]
        return [(key, value) for value in found]

    def _list(self, key: str) -> list[Any]:
        """Return the values of a key that takes one or several."""
        value = self.given.get(key)
        if value is None:
            return []
        is_list = isinstance(value, list | tuple)
        several: list[Any] = list(self.given[key]) if is_list else [value]
        most = DATES_MAX if key in ("at", "except") else RULES_MAX
        if len(several) > most:
            self.fault(
                "PDM-D503",
                key,
                f"{key} has {len(several):,} values; at most {most} are taken.",
                fix="Put them into one rule, or into several schedules.",
            )
            return []
        return several

    def _crons(self) -> tuple[str, ...]:
        good = [text for place, text in self._placed("cron") if self._is_cron(place, text)]
        return tuple(" ".join(text.split()) for text in good)

    def _is_cron(self, key: str, text: Any) -> bool:
        bad = bad_cron_field(text) if isinstance(text, str) else ""
        if bad is None:
            return True
        if bad:
            self.fault(
                "PDM-D501",
                key,
                f"The {bad} of the cron line {_shown(text)} cannot be read.",
                why=f"A {bad} is {CRON_FIELDS[bad]}; lists 1,15, ranges 9-17, steps */10.",
                fix="For example 30 2 * * * (daily at 02:30) or */15 9-17 * * MON-FRI.",
            )
        else:
            self.fault(
                "PDM-D501",
                key,
                f"{_shown(text)} is no cron line.",
                why=f"It has five fields: {', '.join(CRON_FIELDS)}. There are no seconds.",
                fix='For example "30 2 * * *" (daily at 02:30); for seconds: every: "10s".',
            )
        return False

    def _calendars(self) -> tuple[Calendar, ...]:
        found = [self._calendar(place, each) for place, each in self._placed("calendar")]
        return tuple(each for each in found if each is not None)

    def _calendar(self, place: str, value: Any) -> Calendar | None:
        given = _object(value)
        if not given or set(given) - set(CALENDAR_KEYS):
            self.fault(
                "PDM-D501",
                place,
                f"{_shown(value)} is no calendar.",
                why=f"It has one or more of {', '.join(CALENDAR_KEYS)}.",
                fix='For example {"hour": 9, "day_of_week": "MON-FRI"}',
            )
            return None
        texts = {key: str(each).strip() for key, each in given.items()}
        for key, text in texts.items():
            alone = ["*"] * len(CALENDAR_KEYS)
            alone[CALENDAR_KEYS[key]] = text or "?"
            if not self._is_cron(f"{place}/{key}", " ".join(alone)):
                return None
        found = Calendar(**texts)
        return found if self._is_cron(place, found.line) else None

    def _periods(self) -> tuple[Period, ...]:
        return tuple(self._period(place, each) for place, each in self._placed("every"))

    def _period(self, place: str, value: Any) -> Period:
        given = _object(value)
        if given is not None:
            if set(given) - {"period", "offset"} or "period" not in given:
                fix = 'For example {"period": "1h", "offset": "5m"}'
                self.fault("PDM-D503", place, "A period has period and offset.", fix=fix)
                return Period(period_us=SECOND_US)
            period_us = self._span("every", f"{place}/period", given["period"], SECOND_US)
            offset_us = self._span("offset", f"{place}/offset", given.get("offset", 0), 0)
            return Period(period_us=period_us, offset_us=offset_us % period_us)
        return Period(period_us=self._span("every", place, value, SECOND_US))

    def _moments(self, zone: tzinfo, on_gap: Gap | None) -> tuple[str, ...]:
        found = [
            text
            for place, text in self._placed("at")
            if self._moment(place, text, zone, on_gap) is not None
        ]
        return tuple(found)

    def _moment(self, key: str, text: Any, zone: tzinfo, on_gap: Gap | None) -> int | None:
        if isinstance(text, str) and len(text) <= 64:
            moment = _moment_us(text, zone, on_gap)
            if moment is not None and 0 <= moment <= MOMENT_MAX_US:
                return moment
            if moment is None and self._note_gap(key, text, zone):
                return None
        self.fault(
            "PDM-D504",
            key,
            f"{_shown(text)} is no moment.",
            why="A moment is ISO 8601 between 1970 and 9000, local unless it has an offset.",
            fix="For example 2027-01-31T09:00 or 2027-01-31T08:00:00Z",
        )
        return None

    def _note_gap(self, key: str, text: str, zone: tzinfo) -> bool:
        try:
            local = datetime.fromisoformat(text)
            is_gap = local.tzinfo is None and is_in_gap(local, zone)
        except (ValueError, OverflowError):
            return False
        if is_gap:
            self.fault(
                "PDM-D504",
                key,
                f"Clocks never show {text} there: they are put forward over it.",
                why="A local time in the gap does not exist, so nothing can happen at it.",
                fix="Write a time before or after, one with an offset, or on_gap: shift.",
            )
        return is_gap

    def _instant(self, key: str, zone: tzinfo) -> int | None:
        value = self.given.get(key)
        return None if value is None else self._moment(key, value, zone, Gap.SHIFT)

    def _dates(self) -> tuple[str, ...]:
        found = self._list("except")
        for text in found:
            if not isinstance(text, str) or not is_date(text):
                self.fault(
                    "PDM-D504", "except", f"{_shown(text)} is no date.", fix="Write 2026-12-25."
                )
        return tuple(text for text in found if isinstance(text, str))


def _moment_us(text: str, zone: tzinfo, on_gap: Gap | None) -> int | None:
    try:
        return parse_moment(text, zone, gap=on_gap, fold=None)
    except OverflowError:
        return None


def _object(value: Any) -> Mapping[str, Any] | None:
    """Return a value as an object, or None if it is none."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def _is_label(pair: tuple[Any, Any]) -> bool:
    return all(isinstance(text, str) and _is_clean(text) for text in pair)


_UNCLEAN: Final = re.compile("[\0\ud800-\udfff]")


def _is_clean(text: str) -> bool:
    """Return whether a store takes the text: no NUL, no half of a character."""
    return _UNCLEAN.search(text) is None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
