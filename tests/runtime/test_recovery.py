"""Manual recovery: exact answers to races, nudges of what is stuck, and runs mended from below."""

import asyncio

import bodies
import flows
import pytest
from test_children import child_of, parent, publish
from waiting import at, called, dag, look, seen, status

import podium
from podium.core.states import RunStatus
from podium.errors import NotFoundError

BROKEN = "[{name: a, max_retries: 0, uses: fn:fail_on, with: {value: 7, bad: [7]}}]"
SLOW_AGAIN = """
- {name: a, uses: fn:flaky, with: {times: 1}, retry_delay: 1h,
   retry: {jitter: false, max_delay: 1h}}
"""


async def failed(app, text, **options):
    handle = await app.start(dag(text), **options)
    await handle.wait()
    return handle


async def word_of(work):
    with pytest.raises(podium.ConflictError) as caught:
        await work
    return caught.value.code_word


# -- races -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 5])
async def test_of_retries_at_once_one_is_applied_and_the_others_are_told_why(app, count):
    handle = await failed(app, "[{name: a, max_retries: 0, uses: fn:fail_once_then_hold}]")
    answers = await asyncio.gather(
        *(handle.retry(by=f"p{n}") for n in range(count)), return_exceptions=True
    )
    lost = [each for each in answers if isinstance(each, podium.ConflictError)]
    assert [each.code_word for each in lost] == ["recovery_in_flight"] * (count - 1)
    assert {(each.state, "retry" in each.allowed) for each in lost} == {("running", False)}
    bodies.gate("gate").set()
    await handle.result()
    assert (await handle.view()).generation == 2


async def test_a_retry_with_no_room_for_its_attempt_is_in_flight_all_the_same(house):
    async with house.app(capacity=1) as app:
        handle = await failed(app, BROKEN)
        await app.start(dag("[{name: h, uses: fn:hold}]"))
        await called("gate in")
        await handle.retry()
        assert await word_of(handle.retry()) == "recovery_in_flight"
        bodies.mend()
        bodies.gate("gate").set()
        await handle.result()


async def test_a_verb_meant_for_an_earlier_state_is_refused_as_stale(app):
    handle = await failed(app, BROKEN)
    seq = (await handle.row()).last_seq
    assert await word_of(handle.retry(seen_seq=seq - 1)) == "stale"
    assert (await handle.row()).last_seq == seq
    bodies.mend()
    await handle.retry(seen_seq=seq)
    await handle.result()
    assert await word_of(handle.cancel(seen_seq=seq)) == "stale"


@pytest.mark.parametrize("verb", ["retry", "skip", "abort", "cancel", "pause", "resume"])
async def test_a_completed_run_refuses_every_verb_with_its_state(app, verb):
    handle = await app.start(dag("[{name: a}]"))
    await handle.result()
    with pytest.raises(podium.ConflictError) as caught:
        await getattr(handle, verb)()
    error = caught.value
    assert (error.code_word, error.state, error.allowed) == ("wrong_state", "completed", ())


# -- steps by record id ------------------------------------------------------------------------


async def test_a_step_is_named_by_its_record_id(app):
    handle = await failed(app, BROKEN)
    [step] = (await handle.view()).steps
    bodies.mend()
    await handle.retry(step.step_record_id)
    assert await handle.result() == 7


async def test_a_record_id_of_an_earlier_generation_is_stale(app):
    handle = await failed(app, BROKEN)
    [step] = (await handle.view()).steps
    await handle.retry(step.step_record_id)
    await handle.wait()
    assert await word_of(handle.retry(step.step_record_id)) == "stale"


@pytest.mark.parametrize("step", ["nobody", "stp_00000001_99", "stp_0000zzzz_1"])
async def test_a_step_the_run_never_had_is_not_found(app, step):
    handle = await failed(app, BROKEN)
    with pytest.raises(NotFoundError) as caught:
        await handle.retry(step)
    assert caught.value.code == "PDM-R408"


# -- modifications -----------------------------------------------------------------------------


async def test_arguments_for_one_of_several_failed_steps_need_its_name(app):
    tasks = BROKEN.replace("[{", "[{name: b, max_retries: 0, uses: fn:fail}, {")
    handle = await failed(app, f"settings: {{fail_fast: false}}\ntasks: {tasks}")
    assert await word_of(handle.retry(inputs={"value": 8})) == "step_needed"
    await handle.retry("a", inputs={"value": 8})
    assert (await handle.wait()).status == RunStatus.FAILED
    assert bodies.calls[-1] == 8


async def test_changed_arguments_hold_for_later_generations_too(app):
    handle = await failed(app, BROKEN)
    await handle.retry(inputs={"bad": [7, 8], "value": 8})
    await handle.wait()
    bodies.mend()
    await handle.retry()
    assert await handle.result() == 8


async def test_a_durable_function_gives_its_steps_their_arguments_itself(app):
    handle = await app.start(flows.kid_that_fails)
    await handle.wait()
    assert await word_of(handle.retry(inputs={"value": 1})) == "wrong_state"


async def test_an_unknown_stand_in_is_refused_with_those_that_are_declared(app):
    handle = await failed(app, BROKEN)
    assert await word_of(handle.retry(agents={"risk": "other"})) == "unknown_agent"
    assert (await handle.row()).status == RunStatus.FAILED


# -- nudging an open run -----------------------------------------------------------------------


@pytest.mark.parametrize("step", ["", "a"])
async def test_retry_of_a_run_that_waits_for_its_next_attempt_tries_now(app, step):
    handle = await app.start(dag(SLOW_AGAIN))
    view = await at(handle, "a", "retrying")
    assert "retry" in view.allowed
    await handle.retry(step)
    assert await handle.result() == "done"
    assert (await handle.view()).generation == 1


async def test_retry_of_a_run_with_a_live_attempt_is_refused(app):
    handle = await app.start(dag("[{name: h, uses: fn:hold}]"))
    await called("gate in")
    assert await word_of(handle.retry()) == "wrong_state"
    assert await word_of(handle.retry("h")) == "wrong_state"
    bodies.gate("gate").set()
    await handle.result()
    assert bodies.calls.count("gate in") == 1


async def test_retry_of_a_run_that_waits_for_something_else_says_what(app):
    handle = await app.start(dag("[{name: s, uses: signal, with: {name: go}}]"))
    await status(handle, "waiting")
    with pytest.raises(podium.ConflictError, match="waits for signal"):
        await handle.retry()


async def test_retry_of_a_run_whose_process_died_enqueues_it_again(house):
    hour = 3_600_000_000
    async with house.app(sweep_every_us=hour, watch_every_us=hour) as app:
        async with house.app() as first:
            handle = await first.start(dag("[{name: h, uses: fn:hold}]"))
            await called("gate in")
            house.crash(first)
        [dead] = await app.engine.store.dead_nodes(app.engine.node)
        await app.engine.store.declare_dead(dead)
        stranded = app.run(handle.id)
        answers = await asyncio.gather(stranded.retry(), stranded.retry(), return_exceptions=True)
        # The other one may come just before the run is at home, or just after.
        assert RunStatus.RUNNING in answers
        await called("gate in", "gate in")
        bodies.gate("gate").set()
        await stranded.result()
    assert bodies.calls.count("gate in") == 2


# -- skip --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[{name: s, uses: signal, with: {name: go}}, {name: b, depends_on: [s], with: OUT}]",
        "[{name: s, uses: sleep, with: {duration: 1h}}, {name: b, depends_on: [s], with: OUT}]",
    ],
)
async def test_a_step_that_rests_in_an_open_run_can_be_skipped(app, text):
    handle = await app.start(dag(text.replace("OUT", '"${{ tasks.s.output }}"')))
    await status(handle, "waiting")
    await handle.skip("s", output=5)
    assert await handle.result() == 5


async def test_a_running_step_and_no_step_at_all_cannot_be_skipped(app):
    handle = await app.start(dag("[{name: h, uses: fn:hold}]"))
    await called("gate in")
    assert await word_of(handle.skip("h")) == "wrong_state"
    assert await word_of(handle.skip()) == "step_needed"


# -- children ----------------------------------------------------------------------------------


async def test_a_child_that_is_mended_opens_its_failed_parent_again(app):
    await publish(app, f"name: frail\ntasks: {BROKEN}")
    handle = await app.start(dag(parent("frail")))
    child = await child_of(app, handle)
    await handle.wait()
    bodies.mend()
    await child.retry()
    view = await status(handle, "completed")
    assert await handle.result() == 7
    assert (view.generation, view.steps[0].child_run_id) == (2, child.id)


async def test_a_mended_grandchild_opens_the_whole_line(app):
    await publish(app, f"name: leaf\ntasks: {BROKEN}")
    await publish(app, "name: twig\ntasks: [{name: l, uses: 'workflow:leaf'}]")
    handle = await app.start(dag(parent("twig")))
    twig = await child_of(app, handle)
    leaf = await child_of(app, twig)
    await handle.wait()
    bodies.mend()
    await leaf.retry()
    await status(handle, "completed")
    assert await handle.result() == 7


async def test_a_mended_child_opens_a_durable_function_again(app):
    await publish(app, f"name: frail2\ntasks: {BROKEN}")

    @podium.workflow
    async def asks_for_it() -> list:
        bodies.calls.append("asked")
        return [await podium.child("frail2"), await flows.note("after")]

    handle = await app.start(asks_for_it)
    child = await child_of(app, handle)
    await handle.wait()
    bodies.mend()
    await child.retry()
    await status(handle, "completed")
    assert await handle.result() == [7, "after"]


async def test_a_parent_that_has_a_new_child_by_now_does_not_listen_to_the_old_one(app):
    task = "{name: h, max_retries: 0, uses: fn:fail_once_then_hold}"
    await publish(app, f"name: late\ntasks: [{task}]")
    handle = await app.start(dag(parent("late")))
    old = await child_of(app, handle)
    await handle.wait()
    await handle.retry()
    await at(handle, "c", "waiting")
    await called("gate in")
    await old.retry()
    await called("gate in", "gate in")
    bodies.gate("gate").set()
    await old.result()
    await handle.result()
    assert (await handle.view()).generation == 2


@pytest.mark.parametrize(
    ("policy", "wanted"), [("cancel", "cancelled"), ("abort", "aborted"), ("abandon", "waiting")]
)
async def test_the_close_policy_says_what_becomes_of_the_child(app, policy, wanted):
    text = parent("kid_that_waits").replace("with: {}", f"close_policy: {policy}")
    handle = await app.start(dag(text))
    child = await child_of(app, handle)
    await status(child, "waiting")
    await handle.abort()
    assert (await status(child, wanted)).status == wanted


async def test_a_durable_function_chooses_the_close_policy_of_its_child(app):
    @podium.workflow
    async def leaves_it() -> None:
        await podium.child(flows.kid_that_waits, close_policy="abandon")

    handle = await app.start(leaves_it)
    child = await child_of(app, handle)
    await status(child, "waiting")
    await handle.cancel()
    await handle.wait()
    assert (await look(child)) == {"signal:never": "waiting"}


async def test_a_graph_that_would_run_inside_of_itself_names_the_circle(app):
    await publish(app, "name: ring_b\ntasks: [{name: b, uses: 'workflow:ring_a'}]")
    await publish(app, "name: ring_a\ntasks: [{name: a, uses: 'workflow:ring_b'}]")
    handle = await app.start("ring_a")
    with pytest.raises(podium.TaskError, match="ring_a → ring_b → ring_a") as caught:
        await handle.result()
    assert caught.value.code == "PDM-R031"


async def test_an_inactive_workflow_is_refused_with_the_reason_until_it_is_active_again(app):
    await publish(app, "name: gone\ntasks: [{name: k, with: {y: 3}}]")
    assert await app.engine.registry.deactivate("gone") is True
    handle = await app.start(dag(parent("gone")))
    with pytest.raises(podium.TaskError, match="not active") as caught:
        await handle.result()
    assert caught.value.code == "PDM-C007"
    with pytest.raises(podium.ConflictError):
        await app.start("gone")
    await publish(app, "name: gone\ntasks: [{name: k, with: {y: 3}}]")
    await handle.retry()
    assert await handle.result() == {"y": 3}


async def test_a_child_that_could_not_start_is_told_as_a_failed_child(app):
    handle = await app.start(dag(parent("nobody_knows_it")))
    await handle.wait()
    kinds = [event.type async for event in app.follow(handle.id)]
    assert "orchestration.child.failed" in kinds


# -- forks -------------------------------------------------------------------------------------


async def test_a_fork_checks_its_changed_input(app):
    text = "inputs: {n: {type: integer}}\ntasks: [{name: a, with: '${{ inputs.n }}'}]"
    handle = await app.start(dag(text), input={"n": 1})
    await handle.result()
    assert await (await app.rerun(handle.id, changes={"n": 2})).result() == 2
    with pytest.raises(podium.RequestError):
        await app.rerun(handle.id, changes={"n": "two"})


async def test_a_fork_from_a_record_id(app):
    text = """
    - {name: a, uses: fn:echo, with: {value: 1}}
    - {name: b, depends_on: [a], uses: fn:echo, with: {value: 2}}
    """
    handle = await app.start(dag(text))
    view = await seen(handle, lambda view: view.status == "completed")
    await (await app.rerun(handle.id, from_step=view.steps[1].step_record_id)).result()
    assert bodies.calls == [1, 2, 2]
