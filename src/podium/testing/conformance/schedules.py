"""Schedules: guarded changes, one outcome for each tick, and a run that comes with it."""

from typing import Any

from msgspec.structs import replace

from podium.core.schedules import (
    Overlap,
    Schedule,
    ScheduleState,
    ScheduleStatus,
    Tick,
    TickKind,
    TickOutcome,
)
from podium.core.timetable import Calendar, Fold, Gap, Period, Timetable
from podium.ports.schedules import TICKS_KEPT, ScheduleCounts, ScheduleRow, ScheduleWrite
from podium.ports.store import RefusalKind, RunWrite
from podium.testing.conformance.desk import Behaviours, Desk, World, kinds

__all__ = ["BEHAVIOURS"]

BEHAVIOURS = behaviour = Behaviours()

NIGHTLY = Schedule(
    workflow="invoice",
    input={"day": "${{ schedule.time }}", "n": 3},
    timetable=Timetable(
        crons=("30 2 * * *",),
        calendars=(Calendar(hour="9", day_of_week="MON"),),
        periods=(Period(period_us=60_000_000, offset_us=5),),
        moments=("2026-12-24T09:00",),
        timezone="Europe/Berlin",
        on_gap=Gap.SKIP,
        on_fold=Fold.SECOND,
        except_dates=("2026-12-25",),
        end_us=1 << 50,
        jitter_us=7,
    ),
    overlap=Overlap.BUFFER_ONE,
    labels={"team": "billing"},
    budget={"usd": 0.5},
)


def nightly(name: str = "nightly", **state: Any) -> ScheduleRow:
    """Return a schedule to add."""
    times: dict[str, Any] = {"cursor_us": 100, "next_us": 200}
    return ScheduleRow(
        schedule_no=0,
        organization="acme",
        name=name,
        schedule=NIGHTLY,
        state=ScheduleState(**(times | state)),
        created_us=50,
        updated_us=50,
        changed_by="ann",
    )


async def added(desk: Desk, name: str = "nightly", **state: Any) -> ScheduleRow:
    """Add a schedule and return it as the store has it."""
    row = await desk.store.add_schedule(nightly(name, **state))
    assert row is not None
    return row


def started(row: ScheduleRow, run_no: int, tick_us: int, **state: Any) -> ScheduleWrite:
    """Return the change that comes with the run of a tick."""
    moved = replace(row.state, cursor_us=tick_us, starts=row.state.starts + 1, **state)
    tick = Tick(tick_us=tick_us, outcome=TickOutcome.STARTED, run_no=run_no, at_us=tick_us + 1)
    return ScheduleWrite(row=replace(row, state=moved), revision=row.state.revision, ticks=[tick])


def skipped(row: ScheduleRow, *ticks: int, **state: Any) -> ScheduleWrite:
    """Return a change that starts nothing."""
    moved = replace(row.state, cursor_us=max(ticks, default=row.state.cursor_us), **state)
    told = [Tick(tick_us=t, outcome=TickOutcome.SKIPPED, at_us=t, detail="open") for t in ticks]
    return ScheduleWrite(row=replace(row, state=moved), revision=row.state.revision, ticks=told)


async def fire(desk: Desk, row: ScheduleRow, tick_us: int, **fields: Any) -> RunWrite:
    """Return the creation of a tick's run."""
    write = await desk.creation(**fields)
    return replace(write, schedule=started(row, write.run_no, tick_us))


async def now(desk: Desk, row: ScheduleRow) -> ScheduleRow:
    """Return a schedule as it is now."""
    found = await desk.store.schedule(row.schedule_no)
    assert found is not None
    return found


@behaviour
async def a_schedule_is_found_as_it_was_added(world: World) -> None:
    """By its number and by its name; every field comes back."""
    desk = await world.desk()
    row = await added(desk)
    assert row == replace(nightly(), schedule_no=row.schedule_no)
    assert await desk.store.schedule(row.schedule_no) == row
    assert await desk.store.schedule_named("acme", "nightly") == row
    assert await desk.store.schedule_named("other", "nightly") is None
    assert await desk.store.schedule(row.schedule_no + 1) is None


@behaviour
async def a_name_belongs_to_one_schedule_of_an_organization(world: World) -> None:
    """Two people who create it at once must not both succeed."""
    desk = await world.desk()
    await added(desk)
    assert await desk.store.add_schedule(nightly()) is None
    other = await desk.store.add_schedule(replace(nightly(), organization="other"))
    assert other is not None


@behaviour
async def a_change_applies_to_the_revision_it_was_decided_on(world: World) -> None:
    """Of two nodes that decide on the same schedule, one is refused."""
    first, second = await world.two_desks()
    row = await added(first)
    assert await first.store.change_schedule(skipped(row, 200, next_us=300))
    assert not await second.store.change_schedule(skipped(row, 200, next_us=999))
    found = await now(second, row)
    assert (found.state.revision, found.state.cursor_us, found.state.next_us) == (2, 200, 300)
    assert await first.store.change_schedule(skipped(found, 300))


@behaviour
async def a_change_leaves_name_and_organization_alone(world: World) -> None:
    """They are what people and idempotency keys know the schedule by."""
    desk = await world.desk()
    row = await added(desk)
    renamed = replace(row, name="other", organization="other", created_us=1, comment="new")
    assert await desk.store.change_schedule(skipped(renamed))
    found = await now(desk, row)
    assert (found.name, found.organization, found.created_us) == ("nightly", "acme", 50)
    assert found.comment == "new"


@behaviour
async def a_run_comes_with_the_tick_that_starts_it(world: World) -> None:
    """One transaction: never a tick without its run, never a run without its tick."""
    desk = await world.desk()
    row = await added(desk)
    write = await fire(desk, row, 200)
    await desk.commit(write)
    found = await now(desk, row)
    assert (found.state.cursor_us, found.state.starts, found.state.revision) == (200, 1, 2)
    assert await desk.store.schedule_runs(row.schedule_no) == [write.run_no]
    tick = await desk.store.schedule_tick(row.schedule_no, 200)
    assert tick is not None
    assert (tick.run_no, tick.outcome) == (write.run_no, TickOutcome.STARTED)


@behaviour
async def a_tick_that_was_taken_starts_no_second_run(world: World) -> None:
    """The node that comes second is told, and its run does not exist; others go through."""
    first, second = await world.two_desks()
    row = await added(first)
    late = await fire(second, row, 200)
    await first.commit(await fire(first, row, 200))
    plain = await second.creation()
    committed = await second.submit(late, plain)
    assert kinds(committed) == {late.run_no: RefusalKind.OVERTAKEN}
    assert await second.store.run(late.run_no) is None
    assert await second.store.run(plain.run_no) is not None
    assert len(await second.store.schedule_runs(row.schedule_no)) == 1


@behaviour
async def a_paused_or_removed_schedule_starts_nothing(world: World) -> None:
    """Once that is acknowledged, a node that had decided before is too late."""
    desk = await world.desk()
    paused, removed = await added(desk), await added(desk, "removed")
    writes = [await fire(desk, row, 200) for row in (paused, removed)]
    await desk.store.change_schedule(skipped(paused, status=ScheduleStatus.PAUSED))
    assert await desk.store.remove_schedule(removed.schedule_no)
    committed = await desk.submit(*writes)
    assert set(kinds(committed).values()) == {RefusalKind.OVERTAKEN}
    assert len(committed.refused) == 2


@behaviour
async def a_start_that_is_sent_twice_is_one_tick(world: World) -> None:
    """The answer was lost, the transaction was not."""
    desk = await world.desk()
    row = await added(desk)
    write = await fire(desk, row, 200)
    await desk.commit(write)
    await desk.commit(write)
    assert (await now(desk, row)).state.revision == 2


@behaviour
async def a_taken_key_is_told_before_a_taken_tick(world: World) -> None:
    """A backfill that finds the run of its tick wants to know which one it is."""
    desk = await world.desk()
    row = await added(desk)
    known = await desk.start(idempotency_key="tick-200")
    again = await fire(desk, row, 200, idempotency_key="tick-200")
    [refusal] = (await desk.submit(again)).refused
    assert (refusal.kind, refusal.existing) == (RefusalKind.DUPLICATE, known)
    assert await now(desk, row) == row


@behaviour
async def a_refused_start_leaves_its_schedule_alone(world: World) -> None:
    """A run that cannot be stored takes its tick with it."""
    desk = await world.desk()
    row = await added(desk)
    write = await fire(desk, row, 200, workflow="a\0b")
    assert kinds(await desk.submit(write)) == {write.run_no: RefusalKind.DATA}
    assert await now(desk, row) == row
    assert await desk.store.schedule_ticks(row.schedule_no) == []


@behaviour
async def due_schedules_come_longest_due_first(world: World) -> None:
    """Paused ones do not, ended ones do not, and those to come do not."""
    desk = await world.desk()
    late = await added(desk, "late", next_us=300)
    first = await added(desk, "first", next_us=200)
    await added(desk, "to-come", next_us=401)
    await added(desk, "never", next_us=None)
    paused = await added(desk, "paused", next_us=100)
    await desk.store.change_schedule(skipped(paused, status=ScheduleStatus.PAUSED))
    due = await desk.store.due_schedules(400, limit=10)
    assert [row.name for row in due] == ["first", "late"]
    assert [row.name for row in await desk.store.due_schedules(400, limit=1)] == ["first"]
    assert await desk.store.next_schedule_us() == 200
    assert await desk.store.next_schedule_us(after_us=200) == 300
    for row in (first, late):
        await desk.store.remove_schedule(row.schedule_no)
    assert await desk.store.next_schedule_us() == 401


@behaviour
async def a_held_tick_is_due_once_no_run_is_open(world: World) -> None:
    """Whatever the schedule's own clock says, and also when it will never be due again."""
    desk = await world.desk()
    row = await added(desk, next_us=999)
    write = await fire(desk, row, 120)
    await desk.commit(write)
    held = skipped(await now(desk, row), status=ScheduleStatus.ENDED, next_us=None, held_us=150)
    assert await desk.store.change_schedule(held)
    await added(desk, "first", next_us=999, held_us=140)
    assert [each.name for each in await desk.store.due_schedules(1, limit=10)] == ["first"]
    holding = await desk.store.holding_schedules(limit=10)
    assert [each.name for each in holding] == ["first", "nightly"]
    await desk.end(write.run_no)
    due = await desk.store.due_schedules(1, limit=10)
    assert [each.name for each in due] == ["first", "nightly"]
    assert due[1].state.held_us == 150


@behaviour
async def schedules_are_counted(world: World) -> None:
    """A health check asks often and must not read them all."""
    desk = await world.desk()
    assert await desk.store.schedule_counts(1) == ScheduleCounts()
    await added(desk, "late", next_us=200)
    await added(desk, "later", next_us=300, held_us=5)
    failing = await added(desk, "failing", next_us=None)
    await desk.store.change_schedule(skipped(replace(failing, failures=2, error="no workflow")))
    await added(desk, "paused", next_us=100, status=ScheduleStatus.PAUSED)
    await added(desk, "ended", next_us=None, status=ScheduleStatus.ENDED)
    expected = ScheduleCounts(
        active=3, paused=1, ended=1, failing=1, holding=1, overdue_since_us=200
    )
    assert await desk.store.schedule_counts(400) == expected
    assert (await desk.store.schedule_counts(200)).overdue_since_us is None
    assert await desk.store.schedule_counts(400, organization="other") == ScheduleCounts()


@behaviour
async def open_runs_are_those_that_have_not_ended(world: World) -> None:
    """They are what overlap policies ask about."""
    desk = await world.desk()
    row = await added(desk)
    runs: list[int] = []
    for tick_us in (200, 300, 400):
        write = await fire(desk, await now(desk, row), tick_us)
        await desk.commit(write)
        runs.append(write.run_no)
    await desk.end(runs[1])
    assert await desk.store.schedule_runs(row.schedule_no) == [runs[0], runs[2]]


@behaviour
async def the_run_of_the_last_tick_counts_when_it_opens_again(world: World) -> None:
    """A failed run that somebody retries is open: the next tick must see it."""
    desk = await world.desk()
    row = await added(desk)
    write = await fire(desk, row, 200)
    await desk.commit(write)
    closed = await desk.changed_row(write.run_no, status=8, ended_us=5, error=b"e")
    await desk.advance(write.run_no, row=closed)
    await desk.store.change_schedule(skipped(await now(desk, row), 300))
    assert await desk.store.schedule_runs(row.schedule_no) == []
    opened = await desk.changed_row(write.run_no, status=2, ended_us=None, error=None)
    await desk.advance(write.run_no, row=opened)
    assert await desk.store.schedule_runs(row.schedule_no) == [write.run_no]


@behaviour
async def ticks_are_listed_newest_first(world: World) -> None:
    """With their outcome, page by page; one that is written again is replaced."""
    desk = await world.desk()
    row = await added(desk)
    await desk.store.change_schedule(skipped(row, 200, 300, 400))
    found = await desk.store.schedule_ticks(row.schedule_no, limit=2)
    assert [tick.tick_us for tick in found] == [400, 300]
    [last] = await desk.store.schedule_ticks(row.schedule_no, before_us=300)
    assert (last.tick_us, last.detail) == (200, "open")
    backfilled = Tick(
        tick_us=200, outcome=TickOutcome.STARTED, kind=TickKind.BACKFILL, run_no=7, at_us=9
    )
    current = await now(desk, row)
    write = ScheduleWrite(row=current, revision=current.state.revision, ticks=[backfilled])
    assert await desk.store.change_schedule(write)
    assert await desk.store.schedule_tick(row.schedule_no, 200) == backfilled
    assert await desk.store.schedule_tick(row.schedule_no, 201) is None


@behaviour
async def old_ticks_are_forgotten_unless_their_run_is_open(world: World) -> None:
    """A schedule that ticks every second must not fill the disk."""
    desk = await world.desk()
    row = await added(desk)
    write = await fire(desk, row, 1)
    await desk.commit(write)
    ticks = range(2, TICKS_KEPT + 12)
    await desk.store.change_schedule(skipped(await now(desk, row), *ticks))
    kept = await desk.store.schedule_ticks(row.schedule_no, limit=TICKS_KEPT * 2)
    assert [tick.tick_us for tick in kept] == [*range(TICKS_KEPT + 11, 11, -1), 1]
    await desk.end(write.run_no)
    newer = TICKS_KEPT + 12
    await desk.commit(await fire(desk, await now(desk, row), newer))
    kept = await desk.store.schedule_ticks(row.schedule_no, limit=TICKS_KEPT * 2)
    assert [tick.tick_us for tick in kept] == [*range(newer, 12, -1)]


@behaviour
async def a_removed_schedule_is_gone_and_its_number_is_not_used_again(world: World) -> None:
    """Its runs stay, and no later schedule may take over their keys."""
    desk = await world.desk()
    row = await added(desk)
    write = await fire(desk, row, 200)
    await desk.commit(write)
    assert await desk.store.remove_schedule(row.schedule_no)
    assert not await desk.store.remove_schedule(row.schedule_no)
    assert await desk.store.run(write.run_no) is not None
    assert await desk.store.schedule_runs(row.schedule_no) == []
    assert await desk.store.schedule_ticks(row.schedule_no) == []
    assert (await added(desk)).schedule_no > row.schedule_no


@behaviour
async def schedules_are_listed_by_number_and_organization(world: World) -> None:
    """An organization sees its own."""
    desk = await world.desk()
    first, second = await added(desk, "b"), await added(desk, "a")
    other = await desk.store.add_schedule(replace(nightly(), organization="other"))
    assert await desk.store.schedules() == [first, second, other]
    assert await desk.store.schedules(organization="acme", limit=1) == [first]
    after = first.schedule_no
    assert await desk.store.schedules(organization="acme", after=after) == [second]


@behaviour
async def other_processes_notice_a_new_schedule(world: World) -> None:
    """They may be the ones that are to run it."""
    first, second = await world.two_desks()
    second.store.changed()
    await added(first)
    assert second.store.changed()
