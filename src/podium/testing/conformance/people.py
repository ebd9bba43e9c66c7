"""What people are asked and answer: escalation, edits, rework; parked work; names out of use."""

from typing import Final

from msgspec.structs import replace

from podium.ports.store import (
    ApprovalDecision,
    ApprovalStatus,
    DeadLetterRow,
    DefinitionRow,
    Escalation,
)
from podium.testing.conformance.desk import Behaviours, World, approval, outcome

__all__ = ["BEHAVIOURS"]

BEHAVIOURS: Final = Behaviours()
behaviour = BEHAVIOURS


@behaviour
async def a_policy_and_an_answer_are_kept_whole(world: World) -> None:
    """Who asked, who may not answer, what was edited: an audit reads it years later."""
    desk = await world.desk()
    run_no = await desk.start()
    asked = approval(run_no, 2, requested_by="ann, bob", four_eyes=True)
    await desk.advance(run_no, approvals=[asked])
    assert await desk.store.approval(asked.approval_no) == asked
    edit = ApprovalDecision(
        approval_no=asked.approval_no,
        status=ApprovalStatus.EDITED,
        decided_us=9,
        decided_by="eve",
        edited=b"{5}",
    )
    await desk.advance(run_no, decisions=[edit])
    found = await desk.store.approval(asked.approval_no)
    assert found == replace(asked, status=3, decided_us=9, decided_by="eve", edited=b"{5}")


@behaviour
async def an_escalated_approval_waits_on(world: World) -> None:
    """Somebody else was told; the question is as open as before."""
    desk = await world.desk()
    run_no = await desk.start()
    asked = approval(run_no, 2)
    await desk.advance(run_no, approvals=[asked])
    told = Escalation(approval_no=asked.approval_no, at_us=7, to="leads")
    await desk.advance(run_no, escalations=[told])
    escalated = replace(asked, escalated_us=7, escalated_to="leads")
    assert await desk.store.approvals() == [escalated]
    unknown = Escalation(approval_no=run_no << 24 | 9, at_us=7, to="leads")
    await desk.advance(run_no, escalations=[unknown])
    assert await desk.store.approvals(pending=False) == [escalated]


@behaviour
async def a_rejection_may_ask_for_rework(world: World) -> None:
    """It is a rejection like any other, and says so."""
    desk = await world.desk()
    run_no = await desk.start()
    asked = approval(run_no, 2)
    await desk.advance(run_no, approvals=[asked])
    decision = ApprovalDecision(
        approval_no=asked.approval_no, status=2, decided_us=9, comment="shorter", rework=True
    )
    await desk.advance(run_no, decisions=[decision])
    found = await desk.store.approval(asked.approval_no)
    assert found is not None
    assert (found.status, found.rework, found.comment) == (2, True, "shorter")


@behaviour
async def approvals_are_listed_by_organization_and_in_pages(world: World) -> None:
    """Nobody sees what waits for others, and a page goes on where the last one ended."""
    desk = await world.desk()
    run_no = await desk.start()
    ours = [approval(run_no, n, created_us=t) for n, t in ((1, 5), (2, 5), (3, 2))]
    theirs = approval(run_no, 4, created_us=1, organization="rivals")
    await desk.advance(run_no, approvals=[*ours, theirs])
    store, in_order = desk.store, [ours[2], ours[0], ours[1]]
    assert await store.approvals(organization="acme") == in_order
    assert await store.approvals() == [theirs, *in_order]
    for pending in (True, False):
        first = await store.approvals(organization="acme", pending=pending, limit=2)
        rest = await store.approvals(
            organization="acme", pending=pending, after=first[-1].approval_no
        )
        assert [*first, *rest] == in_order
    assert await store.approvals(organization="acme", after=in_order[-1].approval_no) == []
    assert await store.approvals(after=run_no << 24 | 99) == []


def _letter(run_no: int, step_no: int, **facts: object) -> DeadLetterRow:
    row = DeadLetterRow(run_no=run_no, step_no=step_no, path="p", reason="r", created_us=4)
    return replace(row, **facts)


@behaviour
async def what_became_of_parked_work_keeps_when_and_why_it_was_parked(world: World) -> None:
    """A list of what was given up is of no use without it."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, dead_letters=[_letter(run_no, 1, created_us=4)])
    news = _letter(run_no, 1, created_us=99, reason="other", status="discarded")
    await desk.advance(run_no, dead_letters=[news])
    kept = _letter(run_no, 1, status="discarded")
    assert await desk.store.dead_letter(run_no, 1) == kept
    assert await desk.store.dead_letters(status="discarded") == [kept]
    assert await desk.store.dead_letters() == []
    again = _letter(run_no, 1, created_us=50)
    await desk.advance(run_no, dead_letters=[again])
    assert await desk.store.dead_letters(status="") == [again]
    assert await desk.store.dead_letter(run_no, 2) is None


@behaviour
async def parked_work_is_listed_by_organization_and_in_pages(world: World) -> None:
    """As approvals are."""
    desk = await world.desk()
    run_no = await desk.start(organization="acme")
    other = await desk.start(organization="rivals")
    ours = [_letter(run_no, n, created_us=t) for n, t in ((1, 5), (2, 5), (3, 2))]
    await desk.advance(run_no, dead_letters=ours)
    await desk.advance(other, dead_letters=[_letter(other, 1)])
    store, in_order = desk.store, [ours[2], ours[0], ours[1]]
    for status in ("parked", ""):
        first = await store.dead_letters(status=status, organization="acme", limit=2)
        rest = await store.dead_letters(
            status=status, organization="acme", after=(run_no, first[-1].step_no)
        )
        assert [*first, *rest] == in_order
    assert [row.run_no for row in await store.dead_letters(organization="rivals")] == [other]


@behaviour
async def a_refusal_keeps_its_word(world: World) -> None:
    """Who asks in another process gets the same answer as whoever asked here."""
    desk = await world.desk()
    run_no = await desk.start()
    refused = outcome(run_no, "m", applied=False, detail="no", word="recovery_in_flight")
    await desk.advance(run_no, outcomes=[refused])
    assert await desk.store.outcome("m") == refused


@behaviour
async def a_name_out_of_use_points_at_nothing_until_it_is_used_again(world: World) -> None:
    """Versions stay for the runs that have them."""
    store = (await world.desk()).store
    row = DefinitionRow(organization="acme", name="w", def_hash="a" * 32, label="1", body=b"{}")
    await store.publish(row)
    assert await store.deactivate("rivals", "w") is False
    assert await store.deactivate("acme", "w") is True
    assert await store.deactivate("acme", "w") is False
    assert await store.definition("acme", "w") is None
    assert await store.definitions("acme") == []
    kept = await store.definition("acme", "w", "1")
    assert kept is not None
    assert not kept.active
    await store.publish(row, activate=True)
    assert (await store.definition("acme", "w")) is not None
