"""Decisions about ticks: each one has one outcome, in order, whatever the policy."""

from collections import Counter
from datetime import UTC
from itertools import cycle, takewhile

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from podium.core.schedules import (
    Move,
    Overlap,
    Schedule,
    ScheduleState,
    ScheduleStatus,
    TickOutcome,
    decide_now,
    decide_tick,
    due_us,
    failed_start,
    next_due,
    paused,
    resumed,
    settle,
)
from podium.core.timetable import Period, Timetable, instants

SECOND = 1_000_000
MINUTE = 60 * SECOND
EVERY_MINUTE = Timetable(periods=(Period(period_us=MINUTE),))


def minutely(**fields) -> Schedule:
    return Schedule(workflow="w", **({"timetable": EVERY_MINUTE} | fields))


def begun(schedule: Schedule, at: int = 0) -> ScheduleState:
    return settle(schedule, ScheduleState(cursor_us=at), UTC, key="k")


def decide(schedule, state, now_us, open_runs=0) -> Move | None:
    return decide_tick(schedule, state, UTC, key="k", now_us=now_us, open_runs=open_runs)


def test_nothing_is_decided_before_a_tick_is_due():
    schedule = minutely()
    state = begun(schedule)
    assert state.next_us == MINUTE
    assert decide(schedule, state, MINUTE - 1) is None


def test_a_due_tick_starts_one_run_and_the_next_is_looked_up():
    schedule = minutely()
    move = decide(schedule, begun(schedule), 3 * MINUTE)
    assert (move.start_us, move.state.cursor_us, move.state.next_us) == (
        MINUTE, MINUTE, 2 * MINUTE,
    )  # fmt: skip
    assert move.state.starts == 1


def test_ticks_that_are_skipped_share_one_move():
    schedule = minutely()
    move = decide(schedule, begun(schedule), 5 * MINUTE, open_runs=1)
    assert [tick.tick_us // MINUTE for tick in move.ticks] == [1, 2, 3, 4, 5]
    assert {tick.outcome for tick in move.ticks} == {TickOutcome.SKIPPED}
    assert not move.is_started


def test_a_held_tick_goes_before_later_ones():
    schedule = minutely(overlap=Overlap.BUFFER_ONE)
    held = decide(schedule, begun(schedule), MINUTE, open_runs=1)
    assert (held.state.held_us, held.ticks) == (MINUTE, [])
    move = decide(schedule, held.state, 2 * MINUTE)
    assert (move.start_us, move.state.held_us, move.state.cursor_us) == (MINUTE, None, MINUTE)
    assert decide(schedule, move.state, 2 * MINUTE).start_us == 2 * MINUTE


def test_the_latest_tick_takes_the_place_of_one_that_waits_for_others_to_stop():
    schedule = minutely(overlap=Overlap.CANCEL_OTHER)
    move = decide(schedule, begun(schedule), 2 * MINUTE, open_runs=1)
    assert (move.state.held_us, move.stops_others) == (2 * MINUTE, True)
    [skipped] = move.ticks
    assert (skipped.tick_us, skipped.detail) == (MINUTE, "overtaken by the next tick")


def test_too_old_ticks_are_one_line_and_the_rest_is_taken():
    schedule = minutely(catch_up_us=2 * MINUTE)
    move = decide(schedule, begun(schedule), 10 * MINUTE)
    [missed] = move.ticks
    assert (missed.tick_us, missed.outcome) == (MINUTE, TickOutcome.MISSED)
    assert missed.detail.startswith("7 ticks")
    assert decide(schedule, move.state, 10 * MINUTE).start_us == 8 * MINUTE


def test_a_long_outage_costs_no_more_than_a_short_one():
    schedule = minutely(timetable=Timetable(periods=(Period(period_us=SECOND),)))
    now_us = 400 * 24 * 3600 * SECOND
    move = decide(schedule, begun(schedule), now_us)
    assert move.ticks[0].detail.startswith("at least 1000 ticks")
    assert decide(schedule, move.state, now_us).start_us == now_us - schedule.catch_up_us


def test_the_last_run_ends_the_schedule_unless_it_could_not_start():
    schedule = minutely(runs_max=1)
    state = begun(schedule)
    move = decide(schedule, state, MINUTE)
    assert (move.state.status, move.state.next_us) == (ScheduleStatus.ENDED, None)
    failed = failed_start(schedule, state, move, UTC, key="k", now_us=MINUTE, detail="no")
    assert (failed.state.status, failed.state.next_us) == (ScheduleStatus.ACTIVE, 2 * MINUTE)
    assert (failed.state.starts, failed.state.cursor_us) == (0, MINUTE)


def test_jitter_is_drawn_once_and_ends_before_the_next_tick():
    drawn = [due_us(0, MINUTE, key=f"k{n}", jitter_us=10 * MINUTE) for n in range(200)]
    assert min(drawn) >= 0
    assert max(drawn) < MINUTE
    assert len(set(drawn)) > 190
    assert drawn == [due_us(0, MINUTE, key=f"k{n}", jitter_us=10 * MINUTE) for n in range(200)]


def test_a_tick_late_by_its_jitter_alone_is_not_too_old():
    table = replace(EVERY_MINUTE, jitter_us=MINUTE)
    schedule = minutely(timetable=table, catch_up_us=10 * SECOND)
    state = begun(schedule)
    assert decide(schedule, state, state.next_us).is_started


def test_a_pause_drops_what_waits_and_a_resume_counts_from_now():
    schedule = minutely(overlap=Overlap.BUFFER_ONE)
    state = decide(schedule, begun(schedule), MINUTE, open_runs=1).state
    stopped = paused(state, now_us=2 * MINUTE)
    assert [tick.tick_us for tick in stopped.ticks] == [MINUTE]
    assert decide(schedule, stopped.state, 9 * MINUTE) is None
    again = resumed(schedule, stopped.state, UTC, key="k", now_us=9 * MINUTE + 1)
    assert again.state.next_us == 10 * MINUTE


def test_a_run_that_is_asked_for_obeys_the_policy():
    schedule = minutely()
    state = begun(schedule)
    assert decide_now(Overlap.SKIP, schedule, state, now_us=5, open_runs=0).start_us == 5
    assert decide_now(Overlap.SKIP, schedule, state, now_us=5, open_runs=1) is None
    assert decide_now(Overlap.ALLOW, schedule, state, now_us=5, open_runs=1).start_us == 5
    held = decide_now(Overlap.BUFFER_ONE, schedule, state, now_us=5, open_runs=1)
    assert held.state.held_us == 5
    assert decide_now(Overlap.BUFFER_ONE, schedule, held.state, now_us=6, open_runs=1) is None
    taken = decide_now(Overlap.TERMINATE_OTHER, schedule, held.state, now_us=6, open_runs=1)
    assert (taken.state.held_us, taken.stops_others, len(taken.ticks)) == (6, True, 1)


@settings(deadline=None, max_examples=150)
@given(
    overlap=st.sampled_from(Overlap),
    looks=st.lists(st.integers(1, 400), min_size=1, max_size=30),
    lengths=st.lists(st.integers(0, 300), min_size=1, max_size=10),
    catch_up=st.sampled_from([10, 90, 3600]),
    jitter=st.sampled_from([0, 45, 200]),
)
def test_every_tick_has_one_outcome_and_runs_overlap_only_if_allowed(
    overlap, looks, lengths, catch_up, jitter
):
    table = replace(EVERY_MINUTE, jitter_us=jitter * SECOND)
    schedule = minutely(overlap=overlap, catch_up_us=catch_up * SECOND, timetable=table)
    history = History(schedule, lengths)
    for look in looks:
        history.look_after(look)
    state = history.state
    found = instants(EVERY_MINUTE, UTC, after_us=0)
    due = set(takewhile(lambda at: at <= state.cursor_us, found))
    assert set(history.outcomes) == {at for at in due if not history.is_missed(at)}
    assert set(history.outcomes.values()) <= {1}
    later = next_due(schedule, UTC, key="k", after_us=state.cursor_us)
    assert later is not None
    assert later > history.now_us


class History:
    """A schedule that somebody looks at now and then, and what became of its ticks."""

    def __init__(self, schedule: Schedule, lengths: list[int]) -> None:
        self.schedule = schedule
        self.lengths = cycle(lengths)
        self.kept = begun(schedule)
        self.now_us = 0
        self.ends: list[int] = []
        self.ticks: Counter[int] = Counter()
        self.missed: list[tuple[int, int]] = []

    @property
    def state(self) -> ScheduleState:
        return self.kept

    @property
    def outcomes(self) -> Counter[int]:
        """Return how many outcomes each tick has; one that waits will have one."""
        held = self.kept.held_us
        return self.ticks + Counter([] if held is None else [held])

    def is_missed(self, tick_us: int) -> bool:
        return any(first <= tick_us <= last for first, last in self.missed)

    def look_after(self, seconds: int) -> None:
        self.now_us += seconds * SECOND
        while True:
            self.ends = [end for end in self.ends if end > self.now_us]
            move = decide(self.schedule, self.kept, self.now_us, open_runs=len(self.ends))
            if move is None:
                return
            self.carry_out(move)

    def carry_out(self, move: Move) -> None:
        assert move.state.cursor_us >= self.kept.cursor_us
        for tick in move.ticks:
            if tick.outcome is TickOutcome.MISSED:
                self.missed.append((tick.tick_us, move.state.cursor_us))
            else:
                self.ticks[tick.tick_us] += 1
        if move.start_us is not None:
            assert self.schedule.overlap is Overlap.ALLOW or not self.ends
            self.ticks[move.start_us] += 1
            self.ends.append(self.now_us + next(self.lengths) * SECOND)
        if move.stops_others:
            self.ends = []
        self.kept = move.state
