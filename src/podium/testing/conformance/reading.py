"""Reads for people: runs, events, steps, approvals and parked work, in order and in pages."""

from podium.core.states import RunStatus
from podium.ports.store import DeadLetterRow, RunFilter
from podium.testing.conformance.desk import (
    Behaviours,
    Desk,
    World,
    approval,
    numbers,
    step,
)

__all__ = ["BEHAVIOURS"]

BEHAVIOURS = behaviour = Behaviours()


@behaviour
async def what_does_not_exist_is_none_or_empty(world: World) -> None:
    """Readers ask and look; only they know whether absence is an error."""
    store = (await world.desk()).store
    found = (await store.run(1), await store.run_by_key("a", "k"), await store.approval(1))
    assert found == (None, None, None)
    assert (await store.outcome("m"), await store.definition("acme", "d")) == (None, None)
    assert [*await store.events(1), *await store.steps(1), *await store.load([1])] == []


@behaviour
async def runs_come_newest_first_in_pages(world: World) -> None:
    """The end of one page is the beginning of the next, with no run twice or missing."""
    desk = await world.desk()
    runs = [await desk.start() for _ in range(5)]
    everything = RunFilter()
    page = await desk.store.runs(everything, limit=2)
    assert numbers(page) == [runs[4], runs[3]]
    page = await desk.store.runs(everything, limit=2, before=page[-1].run_no)
    assert numbers(page) == [runs[2], runs[1]]
    page = await desk.store.runs(everything, limit=2, before=page[-1].run_no)
    assert numbers(page) == [runs[0]]


@behaviour
async def a_listed_run_is_the_run(world: World) -> None:
    """List and detail are one truth, field by field."""
    desk = await world.desk()
    run_no = await desk.start(labels={"a": "b"}, input=b"i")
    assert await desk.store.runs(RunFilter(), limit=1) == [await desk.row(run_no)]


async def _found(desk: Desk, where: RunFilter) -> list[int]:
    return numbers(await desk.store.runs(where, limit=9))


@behaviour
async def runs_are_found_by_status(world: World) -> None:
    """What has failed is the question of every morning."""
    desk = await world.desk()
    running = await desk.start()
    waiting = await desk.start(status=RunStatus.WAITING)
    failed = await desk.start(status=RunStatus.FAILED, ended_us=1)
    assert await _found(desk, RunFilter(statuses=[RunStatus.WAITING])) == [waiting]
    both = RunFilter(statuses=(RunStatus.RUNNING, RunStatus.FAILED))
    assert await _found(desk, both) == [failed, running]


@behaviour
async def runs_are_found_by_workflow_and_organization(world: World) -> None:
    """Conditions add up."""
    desk = await world.desk()
    first = await desk.start(workflow="a", organization="x")
    second = await desk.start(workflow="b", organization="x")
    third = await desk.start(workflow="a", organization="y")
    assert await _found(desk, RunFilter(workflow="a")) == [third, first]
    assert await _found(desk, RunFilter(organization="x")) == [second, first]
    assert await _found(desk, RunFilter(workflow="a", organization="x")) == [first]


@behaviour
async def runs_are_found_by_label(world: World) -> None:
    """Labels carry the ids of other systems: that is how people find a run."""
    desk = await world.desk()
    first = await desk.start(labels={"env": "prod", "team": "a"})
    await desk.start(labels={"env": "test"})
    await desk.start(labels={"team": "prod"})
    assert await _found(desk, RunFilter(label=("env", "prod"))) == [first]


@behaviour
async def runs_are_found_by_time_of_creation(world: World) -> None:
    """From is included and until is not, so that days can be put side by side."""
    desk = await world.desk()
    runs = [await desk.start(created_us=t) for t in (10, 20, 30)]
    assert await _found(desk, RunFilter(created_after_us=10)) == [runs[2], runs[1]]
    assert await _found(desk, RunFilter(created_before_us=30)) == [runs[1], runs[0]]


@behaviour
async def runs_are_found_by_parent(world: World) -> None:
    """The tree of child runs is read from the children."""
    desk = await world.desk()
    parent = await desk.start()
    children = [await desk.start(parent_run=parent, parent_step=n) for n in (1, 2, 3)]
    await desk.start(parent_run=parent + 100)
    where = RunFilter(parent_run=parent)
    assert await _found(desk, where) == children[::-1]
    page = await desk.store.runs(where, limit=1, before=children[2])
    assert numbers(page) == [children[1]]


@behaviour
async def events_are_read_after_a_sequence_number(world: World) -> None:
    """A reader that was cut off goes on where it was."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, new_seq=4)
    await desk.advance(run_no, new_seq=6)
    await desk.start()
    firsts = {
        after: [r.first_seq for r in await desk.store.events(run_no, after=after)]
        for after in range(7)
    }
    expected = {0: [1, 2, 5], 1: [2, 5], 2: [2, 5], 3: [2, 5], 4: [5], 5: [5], 6: []}
    assert firsts == expected


@behaviour
async def events_are_read_in_pages(world: World) -> None:
    """A journal may be longer than memory."""
    desk = await world.desk()
    run_no = await desk.start()
    for _ in range(4):
        await desk.advance(run_no)
    page = await desk.store.events(run_no, limit=2)
    assert [r.first_seq for r in page] == [1, 2]
    page = await desk.store.events(run_no, after=2, limit=2)
    assert [r.first_seq for r in page] == [3, 4]


@behaviour
async def a_record_is_read_as_it_was_written(world: World) -> None:
    """Bytes are not interpreted: their format is the engine's."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, new_seq=3, body=bytes(range(256)), format=7)
    [record] = await desk.store.events(run_no, after=1)
    assert (record.run_no, record.count, record.format) == (run_no, 2, 7)
    assert record.body == bytes(range(256))


@behaviour
async def steps_are_read_in_order_and_pages(world: World) -> None:
    """By number, which is the order in which they came to be."""
    desk = await world.desk()
    run_no, other = await desk.start(), await desk.start()
    rows = [step(run_no, number) for number in (0, 1, 2, 5)]
    await desk.advance(run_no, steps=rows[::-1])
    await desk.advance(other, steps=[step(other, 3)])
    assert await desk.store.steps(run_no) == rows
    assert await desk.store.steps(run_no, limit=2) == rows[:2]
    assert await desk.store.steps(run_no, after=1, limit=9) == rows[2:]


@behaviour
async def pending_approvals_come_oldest_first(world: World) -> None:
    """Who has waited longest is asked about first."""
    desk = await world.desk()
    first, second = await desk.start(), await desk.start()
    late = approval(first, 1, created_us=9)
    early = approval(second, 1, created_us=2)
    decided = approval(second, 2, created_us=1, status=2, decided_us=5)
    await desk.commit(
        await desk.move(first, approvals=[late]),
        await desk.move(second, approvals=[early, decided]),
    )
    assert await desk.store.approvals() == [early, late]
    assert await desk.store.approvals(limit=1) == [early]
    assert await desk.store.approvals(pending=False) == [decided, early, late]
    assert await desk.store.approvals(run_no=first) == [late]
    assert await desk.store.approvals(pending=False, run_no=second) == [decided, early]


@behaviour
async def parked_work_comes_oldest_first(world: World) -> None:
    """Replay works through it in the order in which it failed."""
    desk = await world.desk()
    run_no = await desk.start()
    letters = [
        DeadLetterRow(run_no=run_no, step_no=n, path="p", reason="r", created_us=t)
        for n, t in ((1, 9), (2, 3), (3, 6))
    ]
    await desk.advance(run_no, dead_letters=letters)
    assert [letter.step_no for letter in await desk.store.dead_letters()] == [2, 3, 1]
    assert [letter.step_no for letter in await desk.store.dead_letters(limit=1)] == [2]


@behaviour
async def an_ended_run_keeps_its_output(world: World) -> None:
    """It is read long after the run has left all memory."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.end(run_no)
    row = await desk.row(run_no)
    assert (row.status, row.output, row.home) == (RunStatus.COMPLETED, b"42", None)
