"""When schedules are due, checked against a clock that is read minute by minute."""

import time
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.core.timetable import (
    Calendar,
    Fold,
    Gap,
    Period,
    Timetable,
    bad_cron_field,
    in_words,
    instants,
    local_time,
    parse_moment,
)

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "UTC",
         "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Apia", "Asia/Kathmandu"]  # fmt: skip
LINES = ["30 2 * * *", "0 3 * * *", "*/20 2 * * *", "15 1,2,3 * * *", "30 * * * *", "0 0 * * *",
         "*/15 * * * *", "0 */2 * * *", "45 1-3 * * SUN", "5 0-23 * * *"]  # fmt: skip


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


def due(line: str, zone: str, after: str, count: int = 4, **policies) -> list[str]:
    table = Timetable(crons=(line,), timezone=zone, **policies)
    found = islice(instants(table, ZoneInfo(zone), after_us=us(after)), count)
    return [f"{local_time(at, ZoneInfo(zone)):%d %H:%M %Z}" for at in found]


def test_a_daily_time_in_the_gap_moves_to_the_end_of_the_gap():
    assert due("30 2 * * *", "Europe/Berlin", "2026-03-28T01:00Z", 3) == [
        "28 02:30 CET", "29 03:00 CEST", "30 02:30 CEST",
    ]  # fmt: skip


def test_several_times_in_the_gap_are_one_instant():
    assert due("*/20 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00Z", 4) == [
        "29 03:00 CEST", "29 03:20 CEST", "29 03:40 CEST", "30 02:00 CEST",
    ]  # fmt: skip


def test_a_time_in_the_gap_may_be_left_out():
    assert due("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", 1, on_gap=Gap.SKIP) == [
        "30 02:30 CEST"
    ]


@pytest.mark.parametrize(
    ("fold", "expected"),
    [
        (None, ["25 02:30 CEST", "26 02:30 CET"]),
        (Fold.FIRST, ["25 02:30 CEST", "26 02:30 CET"]),
        (Fold.SECOND, ["25 02:30 CET", "26 02:30 CET"]),
        (Fold.BOTH, ["25 02:30 CEST", "25 02:30 CET"]),
    ],
)
def test_a_daily_time_in_the_fold_happens_as_the_policy_says(fold, expected):
    assert due("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", 2, on_fold=fold) == expected


def test_both_readings_of_several_times_come_in_the_order_of_time():
    assert due("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", 4, on_fold=Fold.BOTH) == [
        "25 02:00 CEST", "25 02:30 CEST", "25 02:00 CET", "25 02:30 CET",
    ]  # fmt: skip


def test_what_runs_every_hour_follows_time_over_a_change_of_clocks():
    for line in ("30 * * * *", "30 0-23 * * *", "30 */1 * * *"):
        for night in ("2026-03-28T23:00Z", "2026-10-24T22:00Z"):
            table = Timetable(crons=(line,), timezone="Europe/Berlin")
            found = list(islice(instants(table, ZoneInfo("Europe/Berlin"), after_us=us(night)), 6))
            assert {later - sooner for sooner, later in pairwise(found)} == {HOUR}


def test_the_second_reading_is_found_from_between_the_two():
    after = "2026-10-25T02:30:00+02:00"
    assert due("30 2 * * *", "Europe/Berlin", after, 2, on_fold=Fold.BOTH) == [
        "25 02:30 CET", "26 02:30 CET",
    ]  # fmt: skip


def test_a_day_that_a_zone_left_out_is_a_gap():
    assert due("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00Z", 2) == [
        "29 12:00 -10", "31 00:00 +14",
    ]  # fmt: skip


def test_a_gap_of_half_an_hour_moves_by_what_is_missing():
    assert due("10 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00Z", 1) == ["04 02:30 +11"]


def brute(table: Timetable, zone: ZoneInfo, start: int, end: int) -> list[int]:
    """Return what is due, by reading the clock at every minute and applying the policy."""
    line = table.crons[0]
    hourly = line.split()[1].startswith("*") or line.split()[1] == "0-23"
    gap = table.on_gap or (Gap.SKIP if hourly else Gap.SHIFT)
    fold = table.on_fold or (Fold.BOTH if hourly else Fold.FIRST)
    found = set()
    for at in range(start + MINUTE, end + 1, MINUTE):
        local = local_time(at, zone)
        first = local.replace(fold=0).utcoffset()
        second = local.replace(fold=1).utcoffset()
        chosen = {Fold.FIRST: local.fold == 0, Fold.SECOND: local.fold == 1, Fold.BOTH: True}
        if matches(line, local) and (first == second or chosen[fold]):
            found.add(at)
        before = local_time(at - MINUTE, zone)
        jump = local.utcoffset() - before.utcoffset()
        if gap is Gap.SHIFT and jump > timedelta():
            naive = local.replace(tzinfo=None)
            skipped = [
                naive - timedelta(minutes=m) for m in range(1, 1 + jump // timedelta(minutes=1))
            ]
            if any(matches(line, each) for each in skipped):
                found.add(at)
    return sorted(found)


def matches(line: str, local: datetime) -> bool:
    naive = local.replace(tzinfo=None, fold=0)
    return next(CronSim(line, naive - timedelta(seconds=1))) == naive


@settings(deadline=None, max_examples=40)
@given(
    where=st.tuples(st.sampled_from(ZONES), st.sampled_from(LINES)),
    gap=st.sampled_from([None, *Gap]),
    fold=st.sampled_from([None, *Fold]),
    change=st.sampled_from(["2026-03-29T01:00Z", "2026-10-25T01:00Z", "2026-03-08T07:00Z",
                            "2026-11-01T06:00Z", "2026-04-04T15:00Z", "2026-10-03T15:30Z",
                            "2018-11-04T03:00Z", "2026-02-15T02:00Z", "2011-12-30T10:00Z"]),
    before=st.integers(0, 30 * 60),
)  # fmt: skip
def test_ticks_are_those_of_a_clock_that_is_read_every_minute(where, gap, fold, change, before):
    zone, line = where
    table = Timetable(crons=(line,), timezone=zone, on_gap=gap, on_fold=fold)
    place = ZoneInfo(zone)
    start = us(change) - before * MINUTE
    end = start + 36 * HOUR
    found = []
    for at in instants(table, place, after_us=start):
        if at > end:
            break
        found.append(at)
    assert found == brute(table, place, start, end)


@settings(deadline=None, max_examples=150)
@given(
    zone=st.sampled_from(ZONES),
    lines=st.lists(st.sampled_from(LINES), max_size=3),
    period=st.integers(60, 100_000),
    start=st.integers(us("2000-01-01T00:00Z"), us("2037-01-01T00:00Z")),
    skips=st.integers(0, 20),
)
def test_ticks_are_the_same_wherever_one_begins_to_ask(zone, lines, period, start, skips):
    table = Timetable(
        crons=tuple(lines),
        periods=(Period(period_us=period * 1_000_000),),
        timezone=zone,
        on_fold=Fold.BOTH,
    )
    whole = list(islice(instants(table, ZoneInfo(zone), after_us=start), 25))
    assert whole == sorted(set(whole))
    assert whole[0] > start
    later = list(islice(instants(table, ZoneInfo(zone), after_us=whole[skips]), 24 - skips))
    assert later == whole[skips + 1 :]


def test_rules_are_united_and_bounded():
    table = Timetable(
        crons=("0 12 * * *",),
        calendars=(Calendar(hour="9", day_of_week="MON"),),
        periods=(Period(period_us=DAY, offset_us=HOUR),),
        moments=("2026-11-23T10:00", "2026-11-23T12:00:00+00:00"),
        except_dates=("2026-11-24",),
        start_us=us("2026-11-23T01:00Z"),
        end_us=us("2026-11-25T12:00Z"),
    )
    found = [f"{local_time(at, UTC):%d %H}" for at in instants(table, UTC, after_us=0)]
    assert found == ["23 01", "23 09", "23 10", "23 12", "25 01", "25 12"]


def test_a_year_of_exceptions_costs_next_to_nothing():
    days = tuple((date(2026, 1, 1) + timedelta(days=n)).isoformat() for n in range(366))
    table = Timetable(
        periods=(Period(period_us=1_000_000),), timezone="Europe/Berlin", except_dates=days
    )
    begun = time.perf_counter()
    first = next(instants(table, ZoneInfo("Europe/Berlin"), after_us=us("2026-01-01T12:00Z")))
    assert time.perf_counter() - begun < 2
    assert first == us("2027-01-02T00:00+01:00")


def test_a_calendar_means_both_days_and_cron_means_either():
    start = us("2026-11-01T00:00Z")
    both = Timetable(calendars=(Calendar(day_of_month="13", day_of_week="FRI"),))
    assert f"{local_time(next(instants(both, UTC, after_us=start)), UTC):%Y-%m-%d}" == "2026-11-13"
    second = list(islice(instants(both, UTC, after_us=start), 2))[1]
    assert f"{local_time(second, UTC):%Y-%m-%d}" == "2027-08-13"
    either = Timetable(crons=("0 0 13 * FRI",))
    days = [local_time(at, UTC).day for at in islice(instants(either, UTC, after_us=start), 3)]
    assert days == [6, 13, 20]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("* * * * *", None),
        ("@daily", None),
        ("*/5 0,12 1-7 JAN-MAR mon#1", None),
        ("0 0 LW * *", None),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day-of-month"),
        ("* * 32 * *", "day-of-month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day-of-week"),
        ("* * * * MON#1/2", "day-of-week"),
        ("* * * * #", "day-of-week"),
        ("5-1 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("0 0 31 2 *", "day-of-month"),
        ("* * * *", ""),
        ("* * * * * *", ""),
        ("", ""),
        ("@never", ""),
        ("1," * 200 + "1 * * * *", ""),
    ],
)
def test_the_field_that_cannot_be_read_is_named(line, field):
    assert bad_cron_field(line) == field


@settings(max_examples=300)
@given(st.text(alphabet="0123456789*/,-#LWMON ", max_size=24))
def test_no_text_breaks_the_reader(text):
    if bad_cron_field(text) is None:
        next(instants(Timetable(crons=(text,)), UTC, after_us=0), None)
        assert in_words(text)


def test_a_local_moment_in_the_gap_is_none_unless_it_may_shift():
    berlin = ZoneInfo("Europe/Berlin")
    text = "2026-03-29T02:30"
    assert parse_moment(text, berlin, gap=None, fold=None) is None
    assert parse_moment(text, berlin, gap=Gap.SHIFT, fold=None) == us("2026-03-29T01:00Z")
    assert parse_moment("2026-10-25T02:30", berlin, gap=None, fold=None) == us("2026-10-25T00:30Z")
    assert parse_moment("2026-10-25T02:30+01:00", berlin, gap=None, fold=None) == us(
        "2026-10-25T01:30Z"
    )
    assert parse_moment("yesterday", berlin, gap=None, fold=None) is None
