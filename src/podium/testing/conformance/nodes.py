"""Nodes: leases, deaths, and what becomes of the runs."""

import asyncio

from podium.core.states import RunStatus
from podium.ports.store import NodeState, RefusalKind
from podium.testing.conformance.desk import SECOND_US, Behaviours, World, kinds

__all__ = ["BEHAVIOURS"]

BEHAVIOURS = behaviour = Behaviours()


@behaviour
async def a_node_is_up_with_a_lease(world: World) -> None:
    """As long as it was asked for, from the store's own clock."""
    desk = await world.desk(role="engine")
    node = desk.node
    assert (node.state, node.role, node.boot_id) == (NodeState.UP, "engine", "boot-engine")
    assert node.lease_until_us - node.started_us == 30 * SECOND_US
    assert await desk.store.nodes() == [node]


@behaviour
async def a_node_number_is_never_used_again(world: World) -> None:
    """Or a late write of the dead would pass for one of the living."""
    desk = await world.desk()
    await desk.store.release_node(desk.node)
    again = await desk.store.register_node(boot_id="b", role="r", lease_us=SECOND_US)
    assert again.node_id > desk.node.node_id


@behaviour
async def living_nodes_are_not_dead(world: World) -> None:
    """A death declared in error interrupts work for nothing."""
    desk, other = await world.two_desks()
    assert await desk.store.dead_nodes(desk.node) == []
    assert await other.store.dead_nodes(other.node) == []


@behaviour
async def the_end_of_a_process_proves_its_death_at_once(world: World) -> None:
    """Without proof, each recovery would wait for a lease to run out."""
    desk, other = await world.two_desks()
    await world.harness.crash(other.store)
    assert [node.node_id for node in await desk.store.dead_nodes(desk.node)] == [other.node.node_id]


@behaviour
async def a_node_whose_lease_ran_out_counts_as_dead(world: World) -> None:
    """A frozen process keeps its lock; only its lease tells."""
    desk, other = await world.two_desks()
    world.advance(29)
    assert await desk.store.dead_nodes(desk.node) == []
    world.advance(2)
    assert [node.node_id for node in await desk.store.dead_nodes(desk.node)] == [other.node.node_id]


@behaviour
async def a_death_frees_the_runs_of_the_node(world: World) -> None:
    """Due at once and counted, whatever they waited for: deeds may have been cut off."""
    desk, other = await world.two_desks()
    run_no = await other.start(wake_us=None)
    mine = await desk.start()
    world.advance(60)
    assert await desk.store.declare_dead(other.node) == 1
    row = await desk.row(run_no)
    assert (row.home, row.home_epoch, row.recoveries) == (None, 2, 1)
    assert row.wake_us == desk.store.now_us()
    assert (await desk.row(mine)).home == desk.node.node_id


@behaviour
async def a_freed_run_is_adopted_and_its_old_node_is_fenced(world: World) -> None:
    """A node that wakes up again must not write over its successor."""
    desk, other = await world.two_desks()
    run_no = await other.start()
    late = await other.move(run_no)
    await desk.store.declare_dead(other.node)
    assert await desk.store.adopt(desk.node, limit=9) == [run_no]
    assert kinds(await other.submit(late)) == {run_no: RefusalKind.NODE}
    await desk.advance(run_no)


@behaviour
async def a_dead_node_is_no_longer_listed(world: World) -> None:
    """Whoever reads the list counts on each of them."""
    desk, other = await world.two_desks()
    world.advance(60)
    await desk.store.declare_dead(other.node)
    assert await desk.store.dead_nodes(desk.node) == []
    assert [node.node_id for node in await desk.store.nodes()] == [desk.node.node_id]


@behaviour
async def a_death_is_declared_once(world: World) -> None:
    """A second declaration must not count a second recovery."""
    desk, other = await world.two_desks()
    run_no = await other.start()
    assert await desk.store.declare_dead(other.node) == 1
    assert await desk.store.declare_dead(other.node) == 0
    assert (await desk.row(run_no)).recoveries == 1


@behaviour
async def of_two_that_declare_a_death_one_wins(world: World) -> None:
    """All nodes notice at the same time; the runs are freed by one."""
    desk, other = await world.two_desks()
    third = await world.desk(role="third")
    await other.start()
    freed = await asyncio.gather(
        desk.store.declare_dead(other.node), third.store.declare_dead(other.node)
    )
    assert sorted(freed) == [0, 1]


@behaviour
async def every_death_counts(world: World) -> None:
    """The count is what parks a run that kills its process again and again."""
    desk = await world.desk()
    run_no = await desk.rest(wake_us=0)
    for expected in (1, 2):
        other = await world.desk(role="victim")
        await other.store.adopt(other.node, limit=1)
        await desk.store.declare_dead(other.node)
        assert (await desk.row(run_no)).recoveries == expected


@behaviour
async def an_ended_run_is_not_woken_by_a_death(world: World) -> None:
    """It has left nothing undone, so there is nothing to recover."""
    desk, other = await world.two_desks()
    run_no = await other.start(status=RunStatus.COMPLETED, ended_us=1)
    await desk.store.declare_dead(other.node)
    row = await desk.row(run_no)
    assert (row.home, row.home_epoch, row.recoveries, row.wake_us) == (None, 2, 0, None)
    assert await desk.store.adopt(desk.node, limit=9) == []


@behaviour
async def a_node_that_leaves_makes_its_runs_ready(world: World) -> None:
    """Without a recovery: leaving in good order is nobody's fault."""
    desk, other = await world.two_desks()
    run_no = await other.start()
    await other.store.release_node(other.node)
    row = await desk.row(run_no)
    assert (row.home, row.home_epoch, row.recoveries) == (None, 2, 0)
    assert await desk.store.adopt(desk.node, limit=9) == [run_no]
    assert [node.node_id for node in await desk.store.nodes()] == [desk.node.node_id]


@behaviour
async def leaving_twice_is_leaving_once(world: World) -> None:
    """Clean-up code runs twice now and then; it must not fence the next home."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.store.release_node(desk.node)
    await desk.store.release_node(desk.node)
    assert (await desk.row(run_no)).home_epoch == 2


@behaviour
async def a_node_that_left_writes_nothing(world: World) -> None:
    """Its runs may be at home elsewhere by now."""
    desk = await world.desk()
    creation = await desk.creation()
    await desk.store.release_node(desk.node)
    assert kinds(await desk.submit(creation)) == {creation.run_no: RefusalKind.NODE}


@behaviour
async def a_node_that_left_is_not_dead(world: World) -> None:
    """There is nothing to bury, and no recovery to count."""
    desk, other = await world.two_desks()
    await other.store.release_node(other.node)
    assert await desk.store.dead_nodes(desk.node) == []
    assert await desk.store.declare_dead(other.node) == 0


@behaviour
async def time_does_not_go_back_with_the_clock(world: World) -> None:
    """Timers and order of rows rely on it, whatever an administrator does."""
    desk = await world.desk()
    before = desk.store.now_us()
    world.advance(-3600)
    assert desk.store.now_us() >= before
    world.advance(7200)
    assert desk.store.now_us() >= before + 3600 * SECOND_US
