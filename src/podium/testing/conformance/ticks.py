"""Ticks: what a batch of writes does when nothing stands against it."""

import threading

from msgspec.structs import replace

from podium.core.states import RunStatus
from podium.ports.store import ApprovalDecision, Batch, Committed, DeadLetterRow
from podium.testing.conformance.desk import (
    Behaviours,
    World,
    approval,
    message,
    outcome,
    step,
)

__all__ = ["BEHAVIOURS"]

BEHAVIOURS = behaviour = Behaviours()


@behaviour
async def a_new_run_has_the_row_it_was_created_with(world: World) -> None:
    """Every field, for each of them is read by somebody."""
    desk = await world.desk()
    write = await desk.creation(
        priority=25,
        labels={"team": "a", "ß": "é"},
        input=b"in",
        idempotency_key="k",
        parent_run=3,
        parent_step=4,
        forked_from=5,
        request_hash="h",
        started_us=8,
        steps_open=2,
    )
    await desk.commit(write)
    assert write.row is not None
    stored = await desk.row(write.run_no)
    assert (stored.home, stored.home_epoch, stored.last_seq) == (desk.node.node_id, 1, 1)
    for name in set(stored.__struct_fields__) - {"home", "home_epoch", "last_seq", "updated_us"}:
        assert getattr(stored, name) == getattr(write.row, name), name


@behaviour
async def a_tick_appends_its_events(world: World) -> None:
    """Nothing that was written is changed: the journal is the run."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, new_seq=4, body=b"three events")
    await desk.advance(run_no, body=b"one more")
    expected = [(1, 1, b"created"), (2, 3, b"three events"), (5, 1, b"one more")]
    assert await desk.journal(run_no) == expected
    assert (await desk.row(run_no)).last_seq == 5


@behaviour
async def a_tick_without_a_row_changes_only_sequence_and_time(world: World) -> None:
    """That is the ordinary step: the cheaper it is, the faster is everything."""
    desk = await world.desk()
    run_no = await desk.start(reason="r", wake_us=77)
    before = await desk.changed_row(run_no, last_seq=2, updated_us=99)
    await desk.advance(run_no, updated_us=99)
    assert await desk.row(run_no) == before


@behaviour
async def a_tick_with_a_row_replaces_what_may_change(world: World) -> None:
    """The row is a summary of the journal, and follows it in the same commit."""
    desk = await world.desk()
    run_no = await desk.start()
    changed = await desk.changed_row(
        run_no,
        status=RunStatus.FAILED,
        reason="timeout",
        priority=0,
        generation=2,
        wake_us=11,
        started_us=12,
        ended_us=13,
        recoveries=1,
        steps_open=1,
        steps_done=2,
        steps_failed=3,
        output=b"o",
        error=b"e",
        last_seq=2,
        updated_us=14,
    )
    await desk.advance(run_no, row=changed, updated_us=14)
    assert await desk.row(run_no) == changed


@behaviour
async def what_a_run_was_started_with_never_changes(world: World) -> None:
    """Input, key and version are what the run is, not where it stands."""
    desk = await world.desk()
    run_no = await desk.start(input=b"first", labels={"a": "b"})
    changed = await desk.changed_row(run_no, input=b"second", labels={}, workflow="other")
    await desk.advance(run_no, row=changed)
    row = await desk.row(run_no)
    assert (row.input, row.labels, row.workflow) == (b"first", {"a": "b"}, "invoice")


@behaviour
async def a_row_cannot_move_the_home_by_itself(world: World) -> None:
    """Homes change by adoption, release and death only: those grow the epoch."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, row=await desk.changed_row(run_no, home=99, home_epoch=99))
    row = await desk.row(run_no)
    assert (row.home, row.home_epoch) == (desk.node.node_id, 1)


@behaviour
async def one_tick_carries_many_runs(world: World) -> None:
    """Group commit: hundreds of runs share one flush."""
    desk = await world.desk()
    creations = [await desk.creation() for _ in range(5)]
    await desk.commit(*creations)
    moves = [await desk.move(write.run_no) for write in creations]
    await desk.commit(*moves, await desk.creation())
    assert [(await desk.row(w.run_no)).last_seq for w in creations] == [2] * 5


@behaviour
async def one_tick_is_one_commit(world: World) -> None:
    """Two would cost a second flush, and could be torn apart by a crash."""
    desk = await world.desk()
    creations = [await desk.creation() for _ in range(5)]
    before = desk.store.stats.commits
    await desk.commit(*creations)
    assert desk.store.stats.commits == before + 1


@behaviour
async def a_tick_reads_nothing(world: World) -> None:
    """A read on this path would cost every step of every run."""
    desk = await world.desk()
    run_no = await desk.start()
    move = await desk.move(run_no, steps=[step(run_no, 1)])
    before = desk.store.stats.reads
    await desk.commit(move)
    assert desk.store.stats.reads == before


@behaviour
async def an_empty_tick_commits(world: World) -> None:
    """Nothing to write is an answer, too."""
    desk = await world.desk()
    await desk.commit()


@behaviour
async def a_tick_may_bring_no_event(world: World) -> None:
    """A release or a consumed message changes no state."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, new_seq=1, body=b"", outcomes=[outcome(run_no, "m")])
    assert await desk.journal(run_no) == [(1, 1, b"created")]
    assert await desk.store.outcome("m") == outcome(run_no, "m")


@behaviour
async def the_answer_comes_once_on_the_thread_of_the_loop(world: World) -> None:
    """Actors are not locked: their memory belongs to that thread."""
    desk = await world.desk()
    answers: list[tuple[Committed | BaseException, int]] = []
    batch = Batch(node_id=desk.node.node_id, node_epoch=1, writes=[await desk.creation()])
    desk.store.submit(batch, lambda answer: answers.append((answer, threading.get_ident())))
    assert not answers
    await desk.start()
    assert [(type(answer), thread) for answer, thread in answers] == [
        (Committed, threading.get_ident())
    ]


@behaviour
async def a_step_is_replaced_by_its_number(world: World) -> None:
    """A step has one row, however often it changes."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, steps=[step(run_no, 1), step(run_no, 2)])
    await desk.advance(run_no, steps=[step(run_no, 1, reason="cached", error=b"e", wake_us=3)])
    assert await desk.store.steps(run_no) == [
        step(run_no, 1, reason="cached", error=b"e", wake_us=3),
        step(run_no, 2),
    ]


@behaviour
async def an_approval_is_written_and_decided_by_ticks(world: World) -> None:
    """The question and its answer are durable with the state that goes with them."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, approvals=[approval(run_no, 2, expires_us=50)])
    decided = approval(
        run_no, 2, status=1, decided_us=9, decided_by="eve", comment="fine", generation=2
    )
    assert await desk.store.approval(decided.approval_no) == approval(run_no, 2, expires_us=50)
    await desk.advance(run_no, approvals=[decided])
    assert await desk.store.approval(decided.approval_no) == decided


@behaviour
async def a_decision_keeps_what_was_asked(world: World) -> None:
    """Whoever audits it must see what the person saw."""
    desk = await world.desk()
    run_no = await desk.start()
    asked = approval(run_no, 2, prompt="Pay?", payload=b"100", expires_us=50, generation=3)
    await desk.advance(run_no, approvals=[asked])
    decision = ApprovalDecision(
        approval_no=asked.approval_no, status=2, decided_us=9, decided_by="eve", comment="no"
    )
    await desk.advance(run_no, decisions=[decision])
    expected = replace(asked, status=2, decided_us=9, decided_by="eve", comment="no")
    assert await desk.store.approval(asked.approval_no) == expected
    assert await desk.store.approvals() == []


@behaviour
async def a_decision_about_nothing_changes_nothing(world: World) -> None:
    """The row may have been pruned; the journal has the decision all the same."""
    desk = await world.desk()
    run_no = await desk.start()
    decision = ApprovalDecision(approval_no=run_no << 24 | 9, status=1, decided_us=9)
    await desk.advance(run_no, decisions=[decision])
    assert await desk.store.approvals(pending=False) == []


@behaviour
async def parked_work_is_written_and_cleared_by_ticks(world: World) -> None:
    """It is listed exactly while somebody has to look at it."""
    desk = await world.desk()
    run_no = await desk.start()
    parked = DeadLetterRow(run_no=run_no, step_no=1, path="a", reason="poison", created_us=4)
    await desk.advance(run_no, dead_letters=[parked])
    assert await desk.store.dead_letters() == [parked]
    replayed = DeadLetterRow(
        run_no=run_no, step_no=1, path="a", reason="poison", created_us=4, status="replayed"
    )
    await desk.advance(run_no, dead_letters=[replayed])
    assert await desk.store.dead_letters() == []


@behaviour
async def a_snapshot_replaces_the_older_one_and_shortens_the_tail(world: World) -> None:
    """Coming home costs what happened since, not a whole history."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, snapshot=b"old")
    await desk.advance(run_no, new_seq=4, snapshot=b"new")
    await desk.advance(run_no, body=b"tail")
    [record] = await desk.store.load([run_no])
    assert (record.snapshot, record.snapshot_seq) == (b"new", 4)
    assert [(r.first_seq, r.count, r.body) for r in record.tail] == [(5, 1, b"tail")]


@behaviour
async def a_release_gives_up_the_home(world: World) -> None:
    """And grows the epoch: the old home has no say from here on."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, release=True)
    row = await desk.row(run_no)
    assert (row.home, row.home_epoch, row.last_seq) == (None, 2, 2)


@behaviour
async def a_run_may_be_created_without_a_home(world: World) -> None:
    """A deferred start is taken by whoever has room."""
    desk = await world.desk()
    released = await desk.start(release=True)
    homeless = await desk.start(home=None)
    assert [(await desk.row(n)).home for n in (released, homeless)] == [None, None]
    assert (await desk.row(released)).home_epoch == 2


@behaviour
async def a_tick_sends_messages_to_other_runs(world: World) -> None:
    """With the commit that decided them: neither may exist without the other."""
    desk = await world.desk()
    sender, receiver = await desk.start(), await desk.start()
    await desk.advance(sender, posts=[message(receiver, "hello")])
    assert await desk.store.mail([receiver]) == [message(receiver, "hello")]


@behaviour
async def everything_survives_closing(world: World) -> None:
    """What was answered is on the disk."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, steps=[step(run_no, 1)], posts=[message(run_no, "m")])
    await desk.store.close()
    other = await world.desk()
    assert (await other.row(run_no)).last_seq == 2
    assert await other.store.steps(run_no) == [step(run_no, 1)]
    assert await other.store.mail([run_no]) == [message(run_no, "m")]


@behaviour
async def a_store_has_a_name_of_its_own(world: World) -> None:
    """Keys for effects outside begin with it, so it is there from the first attempt on."""
    desk = await world.desk()
    uid = desk.store.uid
    await desk.store.close()
    assert uid
    assert (await world.desk()).store.uid == uid


@behaviour
async def closing_twice_is_closing_once(world: World) -> None:
    """Clean-up code runs twice now and then."""
    desk = await world.desk()
    await desk.store.close()
    await desk.store.close()
