"""Approvals, checkpoints, signals, sleeps: what a run waits for without holding anything."""

from datetime import UTC, datetime, timedelta

import bodies
import pytest
from waiting import at, dag, look, run, status

import podium
from podium.core.ids import parse_approval_id, unpack_key
from podium.core.messages import Decide, Signal
from podium.core.states import RunStatus

GATE = "[{name: a, checkpoint: CHECK, uses: fn:echo, with: {value: 1}}, {name: b, depends_on: [a]}]"


async def asked(app, text):
    handle = await app.start(dag(text))
    await status(handle, "waiting")
    return handle, (await handle.pending_approvals())[0]


async def test_a_checkpoint_before_a_task_holds_it_until_it_is_approved(app):
    handle, approval = await asked(app, GATE.replace("CHECK", "before"))
    assert (bodies.calls, (await handle.row()).reason) == ([], "checkpoint")
    await app.decide(approval, "approve", by="eve")
    await handle.result()
    assert bodies.calls == [1]


async def test_a_checkpoint_after_a_task_holds_its_result_back(app):
    handle, approval = await asked(app, GATE.replace("CHECK", "after"))
    assert (bodies.calls, await look(handle)) == ([1], {"a": "checkpoint_pending"})
    await app.decide(approval, "approve")
    await handle.result()
    assert bodies.calls == [1]


@pytest.mark.parametrize("check", ["before", "after"])
async def test_a_rejection_fails_the_run_and_says_who_and_why(app, check):
    handle, approval = await asked(app, GATE.replace("CHECK", check))
    await app.decide(approval, "reject", by="eve", comment="too risky")
    with pytest.raises(podium.TaskError, match="rejected by eve") as caught:
        await handle.result()
    assert (caught.value.why, caught.value.code) == ("too risky", "PDM-T020")


async def test_arguments_edited_at_a_checkpoint_are_those_the_task_gets(app):
    handle, approval = await asked(app, GATE.replace("CHECK", "before"))
    await app.decide(approval, "edit", payload={"value": 99})
    await handle.result()
    assert bodies.calls == [99]


async def test_an_approval_behind_a_checkpoint_waits_for_two_answers(app):
    text = "[{name: a, uses: approval, checkpoint: before, with: {prompt: Ship it?, payload: 1}}]"
    handle, first = await asked(app, text)
    await app.decide(first, "approve", by="eve")
    assert (await handle.row()).status == RunStatus.WAITING
    [second] = await app.approvals()
    assert (second.prompt, second.status, second.decided_by) == ("Ship it?", 0, "")
    await app.decide(first, "approve", by="bob")
    assert (await handle.result())["by"] == "bob"


async def test_a_result_edited_at_a_checkpoint_is_the_tasks_output(app):
    text = "[{name: a, checkpoint: after, uses: fn:echo, with: {value: 1}}]"
    handle, approval = await asked(app, text)
    await app.decide(approval, "edit", payload=5)
    assert await handle.result() == 5


@pytest.mark.parametrize(
    "task",
    [
        "with: {x: 7}",
        "for_each: [7], with: '${{ item }}'",
        "tasks: [{name: b}]",
        "uses: sleep, with: {duration: 0}",
        "loop: {until: 'true'}",
    ],
)
async def test_a_checkpoint_after_any_kind_of_task_asks_once(app, task):
    handle, approval = await asked(app, f"[{{name: a, checkpoint: after, {task}}}]")
    assert await handle.pending_approvals() == [approval]
    await app.decide(approval, "approve")
    assert (await handle.wait()).status == RunStatus.COMPLETED


async def test_a_checkpoint_before_a_map_shows_its_items_once(app):
    text = """[{name: m, checkpoint: before, for_each: [1, 2], with: "${{ item }}"}]"""
    handle, approval = await asked(app, text)
    [row] = await app.approvals()
    assert app.engine.payloads.decode(row.payload) == {"items": [1, 2]}
    with pytest.raises(podium.ConflictError, match="several steps"):
        await app.decide(approval, "edit", payload=[])
    await app.decide(approval, "approve")
    assert await handle.result() == [1, 2]


async def test_a_checkpoint_before_a_loop_is_asked_once(app):
    text = """
    - {name: l, checkpoint: before, uses: fn:echo, with: {value: "${{ iteration }}"},
       loop: {until: "iteration == 1"}}
    """
    handle, approval = await asked(app, text)
    await app.decide(approval, "approve")
    await handle.result()
    assert bodies.calls == [0, 1]


async def test_an_approval_task_gives_the_decision_as_its_output(app):
    text = "[{name: ok, uses: approval, with: {prompt: Go?, payload: {x: 1}}}]"
    handle, approval = await asked(app, text)
    [row] = await app.approvals()
    assert (row.prompt, app.engine.payloads.decode(row.payload)) == ("Go?", {"x": 1})
    await app.decide(approval, "approve", by="eve", comment="fine")
    answer = await handle.result()
    assert answer["approved"] is True
    assert (answer["by"], answer["comment"]) == ("eve", "fine")


async def test_repeating_a_decision_is_harmless_and_another_one_conflicts(app):
    handle, approval = await asked(app, "[{name: ok, uses: approval}]")
    await app.decide(approval, "approve")
    await app.decide(approval, "approve")
    with pytest.raises(podium.ConflictError) as caught:
        await app.decide(approval, "reject")
    assert caught.value.code == "PDM-C020"
    await handle.result()


async def test_a_decision_on_something_else_than_was_shown_is_refused(app):
    handle, approval = await asked(app, GATE.replace("CHECK", "before"))
    _, step_no = unpack_key(parse_approval_id(approval))
    mail = Decide(step_no=step_no, decision="approve", payload_hash="0" * 64)
    with pytest.raises(podium.ConflictError, match="has changed"):
        await app.engine.tell(handle.run_no, mail)
    assert not bodies.calls


async def test_an_unknown_decision_is_refused(app):
    _handle, approval = await asked(app, GATE.replace("CHECK", "before"))
    with pytest.raises(podium.PodiumError, match="not a decision"):
        await app.decide(approval, "perhaps")


async def test_an_approval_that_expires_fails_its_step(app):
    text = "[{name: ok, uses: approval, with: {expires_in: 40ms}}]"
    handle, approval = await asked(app, text)
    with pytest.raises(podium.TaskError, match="approval expiry"):
        await handle.result()
    [row] = await app.approvals(pending=False)
    assert row.status == 4
    with pytest.raises(podium.ConflictError):
        await app.decide(approval, "approve")


async def test_a_signal_ends_the_wait_for_it(app):
    handle = await app.start(dag("[{name: s, uses: signal, with: {name: go}}]"))
    await status(handle, "waiting")
    await handle.signal("other", 1)
    await handle.signal("go", {"x": 2})
    assert await handle.result() == {"x": 2}


async def test_a_signal_that_came_early_is_kept_for_who_waits_later(app):
    text = """
    - {name: h, uses: fn:hold}
    - {name: s, depends_on: [h], uses: signal, with: {name: go}}
    """
    handle = await app.start(dag(text))
    await handle.signal("go", 7)
    bodies.gate("gate").set()
    assert await handle.result() == 7


async def test_each_signal_is_taken_once_and_in_order(app):
    text = """
    - {name: h, uses: fn:hold}
    - {name: a, depends_on: [h], uses: signal, with: {name: go}}
    - {name: b, depends_on: [a], uses: signal, with: {name: go}}
    - {name: c, depends_on: [b], with: "${{ [tasks.a.output, tasks.b.output] }}"}
    """
    handle = await app.start(dag(text))
    await handle.signal("go", 1)
    await handle.signal("go", 2)
    bodies.gate("gate").set()
    assert await handle.result() == [1, 2]


async def test_two_waiting_steps_take_a_signal_each(app):
    text = "[{name: m, for_each: [1, 2], uses: signal, with: {name: go}}]"
    handle = await app.start(dag(text))
    await status(handle, "waiting")
    await handle.signal("go", "a")
    await at(handle, "m", "running")
    await handle.signal("go", "b")
    assert await handle.result() == ["a", "b"]


async def test_a_signal_that_does_not_come_in_time_fails_its_step(app):
    with pytest.raises(podium.TaskError, match="signal timeout"):
        await run(app, "[{name: s, uses: signal, with: {name: go, timeout: 40ms}}]")


async def test_a_signal_repeated_under_its_id_is_delivered_once(app):
    handle = await app.start(dag("[{name: s, uses: fn:hold}]"))
    mail = Signal(name="go", payload=b"\x01")
    for _ in range(2):
        await app.engine.tell(handle.run_no, mail, message_id="one")
    bodies.gate("gate").set()
    await handle.result()
    events = [r.body for r in await app.engine.store.events(handle.run_no)]
    assert sum(b"\xa2go\xc4\x01\x01" in body for body in events) == 1


async def test_a_sleep_lasts_as_long_as_it_says(app):
    handle = await app.start(dag("[{name: s, uses: sleep, with: {duration: 60ms}}]"))
    await status(handle, "waiting")
    assert (await handle.row()).reason == "timer"
    await handle.result()
    view = await handle.view()
    assert 60_000 <= view.ended_us - view.created_us < 1_000_000


async def test_a_sleep_until_a_time_lasts_until_then(house):
    async with house.app() as app:
        now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=app.engine.store.now_us())
        then = (now + timedelta(milliseconds=80)).isoformat()
        handle = await app.start(dag(f"[{{name: s, uses: sleep, with: {{until: '{then}'}}}}]"))
        await handle.result()
        view = await handle.view()
        assert view.ended_us - view.created_us >= 50_000


async def test_a_sleep_until_the_past_is_over_at_once(app):
    await run(app, "[{name: s, uses: sleep, with: {until: '2001-01-01T00:00:00Z'}}]")


async def test_what_only_waits_leaves_memory_and_comes_back(house):
    async with house.app(evict_after_us=1, sweep_every_us=2_000, resting_max=0) as app:
        text = """
        - {name: s, uses: signal, with: {name: go}}
        - {name: t, uses: sleep, with: {duration: 90ms}}
        """
        handle = await app.start(dag(text))
        await run(app, "[{name: w, uses: sleep, with: {duration: 40ms}}]")
        assert app.engine.actor(handle.run_no) is None
        await handle.signal("go", 5)
        await handle.result()


async def test_a_run_waits_for_a_person_or_for_time_and_says_which(app):
    text = """
    - {name: s, uses: sleep, with: {duration: 50ms}}
    - {name: ok, depends_on: [s], uses: approval}
    - {name: x, uses: signal, with: {name: never}}
    """
    handle = await app.start(dag(text))
    await at(handle, "ok", "waiting")
    assert (await handle.row()).status == RunStatus.WAITING
    await handle.cancel()
