"""Homes: who may take a run, which one comes first, and when the next is due."""

import asyncio

from podium.core.states import RunStatus
from podium.testing.conformance.desk import SECOND_US, Behaviours, World, message

__all__ = ["BEHAVIOURS"]

BEHAVIOURS = behaviour = Behaviours()


@behaviour
async def adopting_gives_a_home_and_a_new_epoch(world: World) -> None:
    """The new epoch is what fences the home before: it grows with every move."""
    desk = await world.desk()
    run_no = await desk.rest(wake_us=0)
    assert await desk.store.adopt(desk.node, limit=5) == [run_no]
    row = await desk.row(run_no)
    assert (row.home, row.home_epoch) == (desk.node.node_id, 3)
    await desk.advance(run_no)


@behaviour
async def the_most_urgent_run_is_adopted_first(world: World) -> None:
    """With little room, order decides who waits: urgency first, then time."""
    desk = await world.desk()
    places = [(50, 1), (0, 5), (50, 0), (100, 0), (25, 3)]
    runs = [await desk.rest(priority=p, wake_us=t) for p, t in places]
    assert await desk.store.adopt(desk.node, limit=2) == [runs[1], runs[4]]
    assert await desk.store.adopt(desk.node, limit=9) == [runs[2], runs[0], runs[3]]


@behaviour
async def of_equal_urgency_the_longest_due_comes_first(world: World) -> None:
    """Or else a run could be overtaken for ever."""
    desk = await world.desk()
    runs = [await desk.rest(wake_us=t) for t in (5, 1, 3)]
    taken = [await desk.store.adopt(desk.node, limit=1) for _ in range(3)]
    assert taken == [[runs[1]], [runs[2]], [runs[0]]]


@behaviour
async def what_cannot_be_adopted_takes_no_place_among_the_first(world: World) -> None:
    """A limit counts runs that come, or runs nobody can take would block the rest."""
    desk, other = await world.two_desks()
    await desk.rest(wake_us=0, format=2)
    await desk.rest(wake_us=0, min_engine=2)
    await desk.rest(wake_us=0, status=RunStatus.FAILED, ended_us=1)
    occupied = await other.start()
    await desk.store.post([message(occupied, "m", sent_us=0)])
    due = await desk.rest(wake_us=3)
    assert await desk.store.adopt(desk.node, limit=1) == [due]


@behaviour
async def mail_does_not_jump_the_queue_of_urgency(world: World) -> None:
    """Mail makes a run due, not urgent."""
    desk = await world.desk()
    normal = await desk.rest(priority=50)
    critical = await desk.rest(priority=0, wake_us=0)
    await desk.store.post([message(normal, "m")])
    assert await desk.store.adopt(desk.node, limit=2) == [critical, normal]


@behaviour
async def a_run_that_is_not_due_is_left_alone(world: World) -> None:
    """Waiting costs nothing as long as nobody loads what waits."""
    desk = await world.desk()
    soon = await desk.rest(wake_us=desk.store.now_us() + 10 * SECOND_US)
    await desk.rest(wake_us=None)
    assert await desk.store.adopt(desk.node, limit=9) == []
    world.advance(11)
    assert await desk.store.adopt(desk.node, limit=9) == [soon]


@behaviour
async def a_run_with_mail_is_adopted_before_it_is_due(world: World) -> None:
    """A signal to a run that nobody drives must not wait for its timer."""
    desk = await world.desk()
    run_no = await desk.rest(wake_us=None)
    await desk.store.post([message(run_no, "a"), message(run_no, "b")])
    assert await desk.store.adopt(desk.node, limit=9) == [run_no]


@behaviour
async def a_due_run_with_mail_is_adopted_once(world: World) -> None:
    """Two reasons to come are one arrival: a second would fence the first."""
    desk = await world.desk()
    run_no = await desk.rest(wake_us=0)
    await desk.store.post([message(run_no, "m")])
    assert await desk.store.adopt(desk.node, limit=9) == [run_no]
    assert (await desk.row(run_no)).home_epoch == 3


@behaviour
async def an_ended_run_is_adopted_only_to_answer_mail(world: World) -> None:
    """It has nothing to do any more, but whoever wrote to it waits for an answer."""
    desk = await world.desk()
    run_no = await desk.start(wake_us=0)
    await desk.end(run_no)
    still_open = await desk.rest(wake_us=0)
    assert await desk.store.adopt(desk.node, limit=9) == [still_open]
    await desk.store.post([message(run_no, "late")])
    assert await desk.store.adopt(desk.node, limit=9) == [run_no]


@behaviour
async def a_run_with_a_home_is_never_adopted(world: World) -> None:
    """Neither its mail nor its number takes a run from a node that lives."""
    desk, other = await world.two_desks()
    run_no = await desk.start(wake_us=0)
    await other.store.post([message(run_no, "m")])
    assert await other.store.adopt(other.node, limit=9) == []
    assert await other.store.adopt(other.node, limit=9, run_nos=[run_no]) == []
    assert (await desk.row(run_no)).home == desk.node.node_id


@behaviour
async def a_run_can_be_adopted_by_number_before_it_is_due(world: World) -> None:
    """A caller who asks for one run gets that one, and brings no others along."""
    desk = await world.desk()
    run_no = await desk.rest()
    other = await desk.rest(wake_us=0)
    assert await desk.store.adopt(desk.node, limit=9, run_nos=[run_no]) == [run_no]
    assert (await desk.row(other)).home is None


@behaviour
async def a_run_whose_adoption_was_not_answered_can_be_adopted_again_by_number(
    world: World,
) -> None:
    """A lost answer leaves a run at home with nobody to drive it: asking again helps."""
    desk = await world.desk()
    run_no = await desk.rest(wake_us=0)
    assert await desk.store.adopt(desk.node, limit=9) == [run_no]
    epoch = (await desk.row(run_no)).home_epoch
    assert await desk.store.adopt(desk.node, limit=9) == []
    assert await desk.store.adopt(desk.node, limit=9, run_nos=[run_no]) == [run_no]
    assert (await desk.row(run_no)).home_epoch == epoch + 1


@behaviour
async def an_unknown_number_is_not_adopted(world: World) -> None:
    """It is an answer, not an error: the run may have been pruned."""
    desk = await world.desk()
    assert await desk.store.adopt(desk.node, limit=9, run_nos=[12345]) == []


@behaviour
async def two_adopters_never_share_a_run(world: World) -> None:
    """A run with two drivers would do its work twice."""
    desk, other = await world.two_desks()
    runs = [await desk.rest(wake_us=0) for _ in range(6)]
    taken = await asyncio.gather(
        *(d.store.adopt(d.node, limit=2) for d in (desk, other) for _ in range(3))
    )
    assert sorted(run_no for part in taken for run_no in part) == runs


@behaviour
async def a_run_of_a_newer_engine_is_left_alone(world: World) -> None:
    """Who does not understand a journal must not continue it, asked by number or not."""
    desk = await world.desk()
    await desk.rest(wake_us=0, format=2)
    newer = await desk.rest(wake_us=0, min_engine=2)
    known = await desk.rest(wake_us=0)
    await desk.store.post([message(newer, "m")])
    assert await desk.store.adopt(desk.node, limit=9, run_nos=[newer]) == []
    assert await desk.store.adopt(desk.node, limit=9) == [known]


@behaviour
async def a_fenced_node_adopts_nothing(world: World) -> None:
    """It would take runs it cannot write, and nobody would look for them."""
    desk, other = await world.two_desks()
    run_no = await desk.rest(wake_us=0)
    await desk.store.declare_dead(other.node)
    assert await other.store.adopt(other.node, limit=9) == []
    assert await other.store.adopt(other.node, limit=9, run_nos=[run_no]) == []


@behaviour
async def the_next_wake_is_the_earliest_of_the_homeless(world: World) -> None:
    """Residents have timers of their own; this is for the runs that nobody holds."""
    desk = await world.desk()
    assert await desk.store.next_wake_us() is None
    await desk.start(wake_us=10)
    assert await desk.store.next_wake_us() is None
    for priority, wake_us in ((50, 40), (100, 30), (0, 50)):
        await desk.rest(priority=priority, wake_us=wake_us)
    await desk.rest(wake_us=None)
    assert await desk.store.next_wake_us() == 30


@behaviour
async def an_ended_run_has_no_next_wake(world: World) -> None:
    """A stale time on a closed run would wake nodes for nothing, for ever."""
    desk = await world.desk()
    await desk.rest(status=RunStatus.CANCELLED, ended_us=1, wake_us=10)
    assert await desk.store.next_wake_us() is None
    await desk.rest(wake_us=20)
    assert await desk.store.next_wake_us() == 20


@behaviour
async def run_numbers_are_unique_across_views(world: World) -> None:
    """A number is an identity: given twice, two runs would share a journal."""
    desk, other = await world.two_desks()
    firsts = await asyncio.gather(
        *(d.store.reserve_run_numbers(10) for d in (desk, other) for _ in range(5))
    )
    numbers = [first + offset for first in firsts for offset in range(10)]
    assert len(set(numbers)) == 100
    assert min(numbers) >= 1


@behaviour
async def loading_returns_the_runs_that_exist(world: World) -> None:
    """Whatever the order asked for, each with its row and its whole tail."""
    desk = await world.desk()
    first, second = await desk.start(), await desk.start()
    await desk.advance(second, body=b"tail")
    records = await desk.store.load([second, 999, first])
    by_number = {record.row.run_no: record for record in records}
    assert sorted(by_number) == [first, second]
    record = by_number[second]
    assert (record.row, record.snapshot) == (await desk.row(second), None)
    assert [r.body for r in record.tail] == [b"created", b"tail"]
