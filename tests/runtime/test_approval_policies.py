"""Approvals that nobody gets around: by being late, alone, quick, or by changing what is behind."""

import asyncio

import bodies
import pytest
from waiting import at, dag, look, moment, seen, status

import podium
from podium.core.ids import approval_id, parse_approval_id
from podium.errors import AccessError
from podium.ports.store import ApprovalStatus

GATE = """
- {name: a, checkpoint: before, approval: {POLICY}, uses: fn:echo, with: {value: 1}}
- {name: b, depends_on: [a]}
"""
AFTER = """
- {name: a, checkpoint: after, uses: fn:echo, with: {value: 1}}
- {name: b, depends_on: [a]}
"""
BEHIND = """
- {name: ok, uses: approval, with: {prompt: Ship 7?, payload: 7}}
- {name: ship, depends_on: [ok], max_retries: 0, uses: fn:fail_on, with: {value: 7, bad: [7]}}
"""


async def asked(app, text, **options):
    handle = await app.start(dag(text), **options)
    await status(handle, "waiting")
    return handle, (await handle.pending_approvals())[0]


async def row_of(app, approval):
    return await app.engine.store.approval(parse_approval_id(approval))


# -- four eyes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["ann", ""])
async def test_who_asked_for_the_run_cannot_approve_it(app, by):
    _handle, approval = await asked(app, GATE.replace("POLICY", "four_eyes: true"), by="ann")
    with pytest.raises(AccessError) as caught:
        await app.decide(approval, "approve", by=by)
    assert (caught.value.code_word, caught.value.status) == ("four_eyes", 403)
    assert not bodies.calls


async def test_a_second_person_approves_after_the_first_was_refused(app):
    handle, approval = await asked(app, GATE.replace("POLICY", "four_eyes: true"), by="ann")
    with pytest.raises(AccessError):
        await app.decide(approval, "approve", by="ann")
    await app.decide(approval, "approve", by="bob")
    await handle.result()
    assert (await row_of(app, approval)).requested_by == "ann"


async def test_who_retries_asks_for_the_run_as_well(app):
    handle, approval = await asked(app, GATE.replace("POLICY", "four_eyes: true"), by="ann")
    await app.decide(approval, "reject", by="bob")
    await handle.wait()
    await handle.retry(by="bob")
    await status(handle, "waiting")
    [again] = await handle.pending_approvals()
    with pytest.raises(AccessError):
        await app.decide(again, "approve", by="bob")


async def test_who_asked_may_withdraw_by_rejecting(app):
    handle, approval = await asked(app, GATE.replace("POLICY", "four_eyes: true"), by="ann")
    await app.decide(approval, "reject", by="ann")
    assert (await handle.wait()).status == 8


async def test_a_child_run_was_asked_for_by_whoever_asked_for_its_parent(app):
    text = GATE.replace("POLICY", "four_eyes: true").replace("fn:echo", "noop")
    await app.engine.registry.publish(dag(f"name: gated\ntasks:{text}"))
    handle = await app.start(dag("[{name: c, uses: 'workflow:gated'}]"), by="ann")
    await seen(handle, lambda view: any(step.child_run_id for step in view.steps))
    while not (rows := await app.approvals()):
        await moment()
    assert rows[0].requested_by == "ann"


async def test_an_approval_of_a_durable_function_takes_two_as_well(app):
    @podium.workflow
    async def ask() -> bool:
        return (await podium.approval("go", four_eyes=True)).approved

    handle = await app.start(ask, by="ann")
    await status(handle, "waiting")
    [approval] = await handle.pending_approvals()
    with pytest.raises(AccessError):
        await app.decide(approval, "approve", by="ann")
    await app.decide(approval, "approve", by="bob")
    assert await handle.result() is True


# -- time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", ["before", "after"])
async def test_a_checkpoint_that_nobody_answers_expires(app, check):
    text = GATE.replace("POLICY", "expires_in: 40ms").replace("before", check)
    handle = await app.start(dag(text))
    with pytest.raises(podium.TaskError, match="approval expiry"):
        await handle.result()
    [row] = await app.approvals(pending=False)
    approval = approval_id(row.approval_no)
    with pytest.raises(podium.ConflictError) as caught:
        await app.decide(approval, "approve")
    assert (caught.value.code_word, caught.value.state) == ("approval_expired", "expired")


async def test_a_withdrawn_approval_cannot_be_decided(app):
    handle, approval = await asked(app, AFTER)
    await handle.cancel()
    with pytest.raises(podium.ConflictError, match="withdrawn") as caught:
        await app.decide(approval, "approve")
    assert caught.value.code_word == "approval_expired"


async def test_what_nobody_answers_is_escalated_once_and_can_still_be_answered(app):
    text = GATE.replace("POLICY", "escalate_after: 20ms, escalate_to: leads, expires_in: 1h")
    handle, approval = await asked(app, text)
    while (row := await row_of(app, approval)).escalated_us is None:
        await moment()
    assert (row.escalated_to, row.status) == ("leads", ApprovalStatus.PENDING)
    await app.decide(approval, "approve", by="lead")
    await handle.result()
    kinds = [event.type async for event in app.follow(handle.id)]
    assert kinds.count("orchestration.approval.escalated") == 1


# -- exactly what was shown --------------------------------------------------------------------


async def test_a_decision_on_another_payload_than_the_one_shown_is_refused(app):
    _handle, approval = await asked(app, AFTER)
    with pytest.raises(podium.ConflictError) as caught:
        await app.decide(approval, "approve", payload_hash="0" * 64)
    assert caught.value.code_word == "payload_changed"
    assert (await row_of(app, approval)).status == ApprovalStatus.PENDING


async def test_an_edit_is_kept_beside_what_was_shown(app):
    handle, approval = await asked(app, AFTER)
    await app.decide(approval, "edit", payload=5, by="eve")
    await handle.result()
    row = await row_of(app, approval)
    decode = app.engine.payloads.decode
    assert (decode(row.payload), decode(row.edited), row.status) == (1, 5, ApprovalStatus.EDITED)


async def test_two_edits_at_once_are_one_edit_and_one_conflict(app):
    handle, approval = await asked(app, AFTER)
    answers = await asyncio.gather(
        app.decide(approval, "edit", payload=5, by="ann"),
        app.decide(approval, "edit", payload=6, by="bob"),
        return_exceptions=True,
    )
    [lost] = [each for each in answers if isinstance(each, podium.ConflictError)]
    assert (lost.code_word, len(answers)) == ("already_decided", 2)
    await handle.result()


async def test_the_same_decision_of_two_people_is_one(app):
    handle, approval = await asked(app, AFTER)
    answers = await asyncio.gather(
        *(app.decide(approval, "approve", by=f"p{n}") for n in range(5)), return_exceptions=True
    )
    assert not [each for each in answers if isinstance(each, Exception)]
    await handle.result()


@pytest.mark.parametrize(
    ("decision", "options"),
    [
        ("perhaps", {}),
        ("edit", {}),
        ("reject", {"payload": 1}),
        ("approve", {"rework": True}),
    ],
)
async def test_what_is_no_decision_is_refused_before_it_is_sent(app, decision, options):
    _handle, approval = await asked(app, AFTER)
    with pytest.raises(podium.RequestError) as caught:
        await app.decide(approval, decision, **options)
    assert caught.value.code == "PDM-R196"


# -- rework ------------------------------------------------------------------------------------


async def test_a_result_that_is_sent_back_is_made_anew_with_the_comment_at_hand(app):
    text = "[{name: a, checkpoint: after, uses: fn:draft}]"
    handle, first = await asked(app, text)
    await app.decide(first, "rework", by="eve", comment="shorter")
    await seen(handle, lambda view: view.status == "waiting" and len(bodies.calls) == 2)
    [second] = await handle.pending_approvals()
    await app.decide(second, "approve")
    assert (await handle.result(), bodies.calls) == ("draft: shorter", ["", "shorter"])
    row = await row_of(app, first)
    assert (row.status, row.rework, row.comment) == (ApprovalStatus.REJECTED, True, "shorter")


async def test_a_map_that_is_sent_back_runs_again_as_a_whole(app):
    text = """[{name: m, checkpoint: after, for_each: [1, 2], uses: fn:echo,
                with: {value: "${{ item }}"}}]"""
    handle, first = await asked(app, text)
    await app.decide(first, "reject", rework=True)
    await seen(handle, lambda view: view.status == "waiting" and len(bodies.calls) == 4)
    await app.decide((await handle.pending_approvals())[0], "approve")
    assert await handle.result() == [1, 2]


@pytest.mark.parametrize("text", [GATE.replace("POLICY", ""), "[{name: q, uses: approval}]"])
async def test_what_has_done_no_work_cannot_be_sent_back(app, text):
    _handle, approval = await asked(app, text.replace("approval: {}, ", ""))
    with pytest.raises(podium.ConflictError, match="no work yet"):
        await app.decide(approval, "rework")


# -- ways around that do not exist -------------------------------------------------------------


async def shipped(app):
    """Return a run whose approval was given and whose next step failed."""
    handle, approval = await asked(app, BEHIND)
    await app.decide(approval, "approve", by="eve")
    await handle.wait()
    assert (await look(handle))["ship"] == "failed"
    return handle


async def test_a_plain_retry_keeps_the_approval_it_was_given(app):
    handle = await shipped(app)
    bodies.mend()
    await handle.retry()
    assert await handle.result() == 7


async def test_other_arguments_behind_an_approval_are_asked_about(app):
    handle = await shipped(app)
    await handle.retry(inputs={"value": 8})
    view = await status(handle, "waiting")
    assert {step.path: step.status for step in view.steps}["ship"] == "checkpoint_pending"
    [approval] = await handle.pending_approvals()
    row = await row_of(app, approval)
    assert app.engine.payloads.decode(row.payload)["value"] == 8
    await app.decide(approval, "approve", by="eve")
    assert await handle.result() == 8


async def test_other_arguments_without_an_approval_before_are_taken_at_once(app):
    text = "[{name: s, max_retries: 0, uses: fn:fail_on, with: {value: 7, bad: [7]}}]"
    handle = await app.start(dag(text))
    await handle.wait()
    await handle.retry(inputs={"value": 8})
    assert await handle.result() == 8


async def test_a_rejected_step_is_not_skipped_without_a_person(app):
    handle, approval = await asked(app, BEHIND)
    await app.decide(approval, "reject")
    await handle.wait()
    await handle.skip("ok", output={"by": "nobody"}, by="op")
    await status(handle, "waiting")
    assert bodies.calls == []
    [again] = await handle.pending_approvals()
    assert "Go on without ok" in (await row_of(app, again)).prompt
    bodies.mend()
    await app.decide(again, "approve", by="eve")
    await handle.result()
    assert (await look(handle))["ok"] == "skipped"


async def test_a_child_run_whose_approval_was_rejected_is_not_skipped_without_a_person(app):
    await app.engine.registry.publish(dag("name: gatekeeper\ntasks: [{name: ok, uses: approval}]"))
    handle = await app.start(dag("[{name: c, uses: 'workflow:gatekeeper'}]"))
    while not (rows := await app.approvals()):
        await moment()
    await app.decide(approval_id(rows[0].approval_no), "reject")
    await handle.wait()
    await handle.skip("c")
    await at(handle, "c", "checkpoint_pending")


async def test_a_substitute_that_is_rejected_fails_the_run_again(app):
    handle, approval = await asked(app, BEHIND)
    await app.decide(approval, "reject")
    await handle.wait()
    await handle.skip("ok")
    await status(handle, "waiting")
    await app.decide((await handle.pending_approvals())[0], "reject")
    assert (await handle.wait()).status == 8


async def test_an_open_question_cannot_be_skipped(app):
    handle, _approval = await asked(app, BEHIND)
    with pytest.raises(podium.ConflictError, match="decide the approval"):
        await handle.skip("ok")


async def test_a_fork_behind_an_approval_asks_again(app):
    handle = await shipped(app)
    bodies.mend()
    fork = await app.rerun(handle.id, from_step="ship", changes={})
    view = await status(fork, "waiting")
    assert {step.path: step.status for step in view.steps} == {"ok": "waiting"}
    await app.decide((await fork.pending_approvals())[0], "approve")
    assert await fork.result() == 7


async def test_a_fork_holds_what_was_approved_of_another_run_without_doing_it_again(app):
    text = """
    - {name: charge, checkpoint: before, uses: fn:echo, with: {value: 1}}
    - {name: ship, depends_on: [charge], uses: fn:echo, with: {value: 2}}
    """
    handle, approval = await asked(app, text)
    await app.decide(approval, "approve")
    await handle.result()
    fork = await app.rerun(handle.id, from_step="ship")
    await status(fork, "waiting")
    [again] = await fork.pending_approvals()
    assert "Take over the result of charge" in (await row_of(app, again)).prompt
    assert bodies.calls == [1, 2]
    await app.decide(again, "approve")
    await fork.result()
    assert bodies.calls == [1, 2, 2]


async def test_a_fork_before_an_approval_asks_as_the_first_run_did(app):
    handle = await shipped(app)
    fork = await app.rerun(handle.id, from_step="ok")
    assert (await status(fork, "waiting")).forked_from == handle.id


async def test_a_block_with_an_approval_inside_is_held_in_a_fork(app):
    text = """
    - {name: b, tasks: [{name: ok, uses: approval}]}
    - {name: after, depends_on: [b], uses: fn:echo, with: {value: 1}}
    """
    handle, approval = await asked(app, text)
    await app.decide(approval, "approve")
    await handle.result()
    fork = await app.rerun(handle.id, from_step="after")
    await at(fork, "b", "checkpoint_pending")
    assert bodies.calls == [1]


async def test_items_of_an_approved_map_are_not_changed_in_place(app):
    text = """
    - {name: m, checkpoint: before, for_each: [7], max_retries: 0, uses: fn:fail_on,
       with: {value: "${{ item }}", bad: [7]}}
    """
    handle, approval = await asked(app, text)
    await app.decide(approval, "approve")
    await handle.wait()
    with pytest.raises(podium.ConflictError) as caught:
        await handle.retry("m[7]", inputs={"value": 8})
    assert caught.value.code_word == "approval_needed"


async def test_resuming_with_an_approval_approves_it(app):
    handle, approval = await asked(app, AFTER)
    await handle.resume(approval=approval, by="eve")
    await handle.result()
    assert (await row_of(app, approval)).decided_by == "eve"


async def test_an_approval_of_another_run_is_unknown_to_this_one(app):
    _first, approval = await asked(app, AFTER)
    second, _ = await asked(app, AFTER)
    with pytest.raises(podium.PodiumError, match="does not exist"):
        await second.resume(approval=approval)
