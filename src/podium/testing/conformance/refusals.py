"""Refusals: fences, repeated sending, duplicates and data that cannot be stored."""

from typing import Any

from msgspec.structs import replace

from podium.core.ids import EVENTS_MAX
from podium.core.states import RunStatus
from podium.ports.store import ApprovalDecision, RefusalKind, RunWrite
from podium.testing.conformance.desk import (
    Behaviours,
    Desk,
    World,
    approval,
    kinds,
    message,
    outcome,
    step,
)

__all__ = ["BEHAVIOURS"]

BEHAVIOURS = behaviour = Behaviours()


async def _both(desk: Desk, run_no: int, **changes: Any) -> list[RunWrite]:
    """Return the same write without and with a new row: each has guards of its own."""
    move = await desk.move(run_no, **changes)
    return [move, replace(move, row=await desk.changed_row(run_no, reason="moved"))]


@behaviour
async def a_node_declared_dead_writes_nothing(world: World) -> None:
    """The first guard: the node of the tick must be up."""
    desk, other = await world.two_desks()
    creation = await desk.creation()
    run_no = await desk.start()
    moves = await _both(desk, run_no)
    await other.store.declare_dead(desk.node)
    for move in moves:
        committed = await desk.submit(move, creation)
        assert kinds(committed) == dict.fromkeys((run_no, creation.run_no), RefusalKind.NODE)
    assert await desk.store.run(creation.run_no) is None
    assert (await desk.row(run_no)).last_seq == 1


@behaviour
async def the_node_guard_holds_alone(world: World) -> None:
    """The run is at home here under the right epoch, and still the node's epoch decides."""
    desk = await world.desk()
    run_no = await desk.start()
    for write in (*await _both(desk, run_no), await desk.creation()):
        assert kinds(await desk.submit(write, epoch=2)) == {write.run_no: RefusalKind.NODE}
    assert (await desk.row(run_no)).last_seq == 1


@behaviour
async def the_home_guard_holds_alone(world: World) -> None:
    """The node is up, and still it cannot write a run that lives elsewhere now."""
    desk, other = await world.two_desks()
    run_no = await desk.start()
    await desk.advance(run_no, release=True)
    assert await other.store.adopt(other.node, limit=1, run_nos=[run_no]) == [run_no]
    for stale in await _both(desk, run_no):
        assert kinds(await desk.submit(stale)) == {run_no: RefusalKind.HOME}
    assert (await desk.row(run_no)).last_seq == 2


@behaviour
async def a_run_that_came_back_refuses_its_old_epoch(world: World) -> None:
    """The second guard: one node guard alone lets an old home write over the new state."""
    desk = await world.desk()
    run_no = await desk.start()
    stale_moves = await _both(desk, run_no, old_seq=2, new_seq=3)
    await desk.advance(run_no, release=True)
    await desk.store.adopt(desk.node, limit=1, run_nos=[run_no])
    for stale in stale_moves:
        assert kinds(await desk.submit(stale)) == {run_no: RefusalKind.HOME}


@behaviour
async def a_stale_sequence_is_refused(world: World) -> None:
    """The third: who has missed an event decides on what is no longer so."""
    desk = await world.desk()
    run_no = await desk.start()
    stale_moves = await _both(desk, run_no, body=b"stale", new_seq=3)
    await desk.advance(run_no)
    for stale in stale_moves:
        assert kinds(await desk.submit(stale)) == {run_no: RefusalKind.HOME}
    assert await desk.journal(run_no) == [(1, 1, b"created"), (2, 1, b"event")]


@behaviour
async def an_unknown_run_is_refused(world: World) -> None:
    """A tick cannot bring to life what was never created."""
    desk = await world.desk()
    move = await desk.move(await desk.start())
    ghost = await desk.creation(create=False, old_seq=1, new_seq=2)
    committed = await desk.submit(ghost, move)
    assert kinds(committed) == {ghost.run_no: RefusalKind.HOME}


async def _everything_but(desk: Desk, run_no: int, **changes: Any) -> Any:
    """Return a stale write that touches every table."""
    await desk.store.post([message(run_no, "in")])
    return await desk.move(
        run_no,
        steps=[step(run_no, 1)],
        approvals=[approval(run_no, 1)],
        consumed=["in"],
        outcomes=[outcome(run_no, "in")],
        posts=[message(run_no, "out")],
        snapshot=b"s",
        **changes,
    )


async def _assert_no_trace(desk: Desk, run_no: int) -> None:
    store = desk.store
    assert await desk.journal(run_no) == [(1, 1, b"created")]
    assert await store.steps(run_no) == []
    assert await store.approvals(run_no=run_no) == []
    assert [m.message_id for m in await store.mail([run_no])] == ["in"]
    assert await store.outcome("in") is None
    [record] = await store.load([run_no])
    assert record.snapshot is None


@behaviour
async def a_refused_run_leaves_no_trace(world: World) -> None:
    """No step, mail or approval of it: they belong to a state that does not exist."""
    desk = await world.desk()
    run_no = await desk.start()
    stale = await _everything_but(desk, run_no, home_epoch=9)
    assert kinds(await desk.submit(stale)) == {run_no: RefusalKind.HOME}
    await _assert_no_trace(desk, run_no)


@behaviour
async def a_run_refused_for_its_data_leaves_no_trace(world: World) -> None:
    """Also where the fault is found in the middle of its rows."""
    desk = await world.desk()
    run_no = await desk.start()
    guilty = await _everything_but(desk, run_no, row=await desk.changed_row(run_no, status=11))
    assert kinds(await desk.submit(guilty)) == {run_no: RefusalKind.DATA}
    await _assert_no_trace(desk, run_no)


@behaviour
async def a_refused_run_does_not_stop_the_others(world: World) -> None:
    """They share a commit, not a fate."""
    desk = await world.desk()
    runs = [await desk.start() for _ in range(3)]
    moves = [await desk.move(n, steps=[step(n, 1)]) for n in runs]
    stale = await desk.move(runs[1], home_epoch=9)
    committed = await desk.submit(moves[0], stale, moves[2], await desk.creation())
    assert kinds(committed) == {runs[1]: RefusalKind.HOME}
    assert [(await desk.row(n)).last_seq for n in runs] == [2, 1, 2]
    assert await desk.store.steps(runs[2]) == [step(runs[2], 1)]


@behaviour
async def a_tick_sent_again_changes_nothing(world: World) -> None:
    """An unknown outcome is resolved by sending it again."""
    desk = await world.desk()
    run_no = await desk.start()
    move = await desk.move(run_no, steps=[step(run_no, 1)], posts=[message(run_no, "m")])
    await desk.commit(move)
    before = await desk.row(run_no)
    await desk.commit(move)
    assert await desk.row(run_no) == before
    assert await desk.journal(run_no) == [(1, 1, b"created"), (2, 1, b"event")]


@behaviour
async def a_tick_half_of_which_is_known_applies_the_rest(world: World) -> None:
    """Each run is judged by itself."""
    desk = await world.desk()
    first, second = await desk.start(), await desk.start()
    moves = [await desk.move(first), await desk.move(second)]
    await desk.commit(moves[0])
    await desk.commit(*moves)
    assert [(await desk.row(n)).last_seq for n in (first, second)] == [2, 2]


@behaviour
async def a_tick_that_others_followed_is_not_taken_for_the_last_one(world: World) -> None:
    """A sequence number alone does not prove whose event it was."""
    desk = await world.desk()
    run_no = await desk.start()
    move = await desk.move(run_no)
    await desk.commit(move)
    await desk.advance(run_no)
    assert kinds(await desk.submit(move)) == {run_no: RefusalKind.HOME}


@behaviour
async def a_creation_sent_again_is_no_duplicate(world: World) -> None:
    """Its own key is taken by itself: that is not a conflict."""
    desk = await world.desk()
    creation = await desk.creation(idempotency_key="once")
    await desk.commit(creation)
    await desk.commit(creation)
    assert await desk.journal(creation.run_no) == [(1, 1, b"created")]


@behaviour
async def a_release_sent_again_is_one_release(world: World) -> None:
    """A second new epoch would fence whoever adopted in between."""
    desk = await world.desk()
    run_no = await desk.start()
    move = await desk.move(run_no, release=True)
    await desk.commit(move)
    await desk.commit(move)
    assert (await desk.row(run_no)).home_epoch == 2


@behaviour
async def a_release_without_events_may_be_sent_again(world: World) -> None:
    """There is no event to recognise it by, and still it is only one."""
    desk = await world.desk()
    run_no = await desk.start()
    move = await desk.move(run_no, release=True, body=b"", new_seq=1)
    await desk.commit(move)
    await desk.commit(move)
    assert (await desk.row(run_no)).home_epoch == 2


@behaviour
async def a_tick_sent_again_is_refused_once_the_run_moved_on(world: World) -> None:
    """It cannot be told from a stale one, and refusing is safe."""
    desk, other = await world.two_desks()
    run_no = await desk.start()
    move = await desk.move(run_no, release=True)
    await desk.commit(move)
    await other.store.adopt(other.node, limit=1, run_nos=[run_no])
    assert kinds(await desk.submit(move)) == {run_no: RefusalKind.HOME}


@behaviour
async def the_same_sequence_without_its_journal_is_not_the_same_tick(world: World) -> None:
    """Recognised is what is there, not what has the right number."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, new_seq=3)
    forged = await desk.move(run_no, old_seq=2, new_seq=3)
    assert kinds(await desk.submit(forged)) == {run_no: RefusalKind.HOME}


@behaviour
async def a_taken_key_names_its_owner(world: World) -> None:
    """The caller gets the run that has the key, and can compare the requests."""
    desk = await world.desk()
    owner = await desk.start(idempotency_key="k", request_hash="h1")
    late = await desk.creation(idempotency_key="k", request_hash="h2")
    [refusal] = (await desk.submit(late)).refused
    assert (refusal.run_no, refusal.kind) == (late.run_no, RefusalKind.DUPLICATE)
    assert (refusal.existing, refusal.existing_hash) == (owner, "h1")
    assert await desk.store.run(late.run_no) is None
    assert await desk.journal(late.run_no) == []


@behaviour
async def of_two_creations_with_one_key_in_a_tick_the_first_wins(world: World) -> None:
    """The group commit must not be a hole in idempotency."""
    desk = await world.desk()
    first = await desk.creation(idempotency_key="k")
    second = await desk.creation(idempotency_key="k")
    [refusal] = (await desk.submit(first, second, await desk.creation())).refused
    assert (refusal.run_no, refusal.existing) == (second.run_no, first.run_no)


@behaviour
async def keys_of_different_organizations_are_apart(world: World) -> None:
    """A stranger's key must neither collide nor be found out."""
    desk = await world.desk()
    first = await desk.start(idempotency_key="k", organization="a")
    second = await desk.start(idempotency_key="k", organization="b")
    found = [await desk.store.run_by_key(name, "k") for name in ("a", "b", "c")]
    assert [row and row.run_no for row in found] == [first, second, None]


@behaviour
async def a_creation_starts_at_the_first_event(world: World) -> None:
    """A journal without its beginning cannot be folded."""
    desk = await world.desk()
    late = await desk.creation(old_seq=1, new_seq=2)
    assert kinds(await desk.submit(late)) == {late.run_no: RefusalKind.HOME}
    assert await desk.store.run(late.run_no) is None


@behaviour
async def a_run_number_is_given_once(world: World) -> None:
    """Two runs in one journal would be neither."""
    desk = await world.desk()
    run_no = await desk.start(workflow="first")
    again = await desk.creation(run_no=run_no, workflow="second", home_epoch=5)
    assert kinds(await desk.submit(again)) == {run_no: RefusalKind.HOME}
    assert (await desk.row(run_no)).workflow == "first"


@behaviour
async def a_new_run_cannot_be_given_to_another_node(world: World) -> None:
    """Nobody drives there what nobody there knows of."""
    desk, other = await world.two_desks()
    write = await desk.creation(home=other.node.node_id)
    assert kinds(await desk.submit(write)) == {write.run_no: RefusalKind.DATA}


async def _refused_data(world: World, **bad: Any) -> str:
    """Submit a write with a bad step between good ones; return why it was refused."""
    desk = await world.desk()
    good, guilty, fine = [await desk.start() for _ in range(3)]
    moves = [await desk.move(n, steps=[step(n, 1)]) for n in (good, fine)]
    bad_move = await desk.move(guilty, steps=[step(guilty, 1), step(guilty, 2, **bad)])
    [refusal] = (await desk.submit(moves[0], bad_move, moves[1])).refused
    assert (refusal.run_no, refusal.kind) == (guilty, RefusalKind.DATA)
    assert [(await desk.row(n)).last_seq for n in (good, guilty, fine)] == [2, 1, 2]
    assert await desk.store.steps(guilty) == []
    return refusal.detail


@behaviour
async def text_with_nul_refuses_only_the_guilty_run(world: World) -> None:
    """Some databases keep no NUL in text."""
    assert await _refused_data(world, path="a\0b")


@behaviour
async def text_that_is_not_unicode_refuses_only_the_guilty_run(world: World) -> None:
    """A lone surrogate is text in Python and nowhere else."""
    assert await _refused_data(world, path="\ud800")


@behaviour
async def a_number_beyond_64_bits_refuses_only_the_guilty_run(world: World) -> None:
    """Python counts further than any column."""
    assert await _refused_data(world, started_us=1 << 63)


@behaviour
async def an_unknown_step_status_refuses_only_the_guilty_run(world: World) -> None:
    """The table of states is checked where it is kept, too."""
    assert await _refused_data(world, status=12)


@behaviour
async def a_value_of_the_wrong_type_refuses_only_the_guilty_run(world: World) -> None:
    """A store that takes anything would hide a fault of ours for weeks."""
    assert await _refused_data(world, error=object())


@behaviour
async def a_completed_step_without_an_end_refuses_only_the_guilty_run(world: World) -> None:
    """Status and end time go together, or durations lie."""
    assert await _refused_data(world, ended_us=None)


@behaviour
async def a_guilty_creation_is_refused_alone(world: World) -> None:
    """Bad input of one caller is no outage for the others."""
    desk = await world.desk()
    guilty = await desk.creation(labels={"a": "\0"}, idempotency_key="k")
    fine = await desk.creation()
    assert kinds(await desk.submit(guilty, fine)) == {guilty.run_no: RefusalKind.DATA}
    assert await desk.store.run(guilty.run_no) is None
    assert await desk.store.run_by_key("acme", "k") is None


@behaviour
async def an_unknown_decision_refuses_the_run(world: World) -> None:
    """What an approval became is read by people: it must mean something."""
    desk = await world.desk()
    run_no = await desk.start()
    asked = approval(run_no, 1)
    await desk.advance(run_no, approvals=[asked])
    for status in (0, 6):
        bad = ApprovalDecision(approval_no=asked.approval_no, status=status, decided_us=9)
        committed = await desk.submit(await desk.move(run_no, decisions=[bad]))
        assert kinds(committed) == {run_no: RefusalKind.DATA}
    assert await desk.store.approvals() == [asked]


@behaviour
async def a_closed_run_has_an_end(world: World) -> None:
    """Status and end time go together, in both directions."""
    desk = await world.desk()
    run_no = await desk.start()
    row = await desk.changed_row(run_no, status=RunStatus.COMPLETED)
    committed = await desk.submit(await desk.move(run_no, row=row))
    assert kinds(committed) == {run_no: RefusalKind.DATA}


@behaviour
async def a_run_whose_event_numbers_are_used_up_is_refused(world: World) -> None:
    """The next number would be the first of another run."""
    desk = await world.desk()
    run_no = await desk.start()
    [refusal] = (await desk.submit(await desk.move(run_no, new_seq=EVENTS_MAX + 1))).refused
    assert (refusal.run_no, refusal.kind) == (run_no, RefusalKind.DATA)
    assert f"at most {EVENTS_MAX} events" in refusal.detail
    await desk.advance(run_no, new_seq=EVENTS_MAX)


@behaviour
async def a_step_number_that_does_not_fit_is_refused(world: World) -> None:
    """It shares a key with the run number: too large, it would name another run."""
    desk = await world.desk()
    run_no = await desk.start()
    committed = await desk.submit(await desk.move(run_no, steps=[step(run_no, EVENTS_MAX + 1)]))
    assert kinds(committed) == {run_no: RefusalKind.DATA}
    assert await desk.store.steps(run_no + 1) == []
