"""One sentence on why a run is where it is, for each state it can be in."""

import bodies
import pytest
from waiting import at, called, dag, seen, status

from podium.runtime.explain import explain_run


async def explained(app, text, wanted="waiting"):
    handle = await app.start(dag(text))
    await status(handle, wanted)
    return await explain_run(app.engine, handle.run_no)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("[{name: s, uses: sleep, with: {duration: 1h}}]", "timer", "sleeps for another"),
        ("[{name: s, uses: signal, with: {name: go}}]", "signal", "the signal 'go'"),
        ("[{name: s, uses: approval}]", "approval", "a person"),
        ("[{name: s, checkpoint: before}]", "approval", "a person"),
        ("[{name: s, checkpoint: before, for_each: [1]}]", "approval", "a person"),
        ("[{name: s, checkpoint: after, uses: fn:echo}]", "approval", "a person"),
    ],
)
async def test_a_waiting_run_names_what_it_waits_for(app, text, code, words):
    found = await explained(app, text)
    assert (found.code, found.step, words in found.sentence) == (code, "s", True)


async def test_a_run_that_waits_for_its_child_names_it(app):
    await app.engine.registry.publish(
        dag("name: napping\ntasks: [{name: z, uses: sleep, with: {duration: 1h}}]")
    )
    handle = await app.start(dag("[{name: c, uses: 'workflow:napping'}]"))
    view = await seen(handle, lambda view: any(step.child_run_id for step in view.steps))
    found = await explain_run(app.engine, handle.run_no)
    assert (found.code, view.steps[0].child_run_id in found.sentence) == ("child", True)


async def test_a_running_step_is_named_with_its_process(app):
    handle = await app.start(dag("[{name: h, uses: fn:hold}]"))
    await called("gate in")
    found = await explain_run(app.engine, handle.run_no)
    assert (found.code, found.step) == ("running", "h")
    assert "has been running for" in found.sentence
    bodies.gate("gate").set()
    await handle.result()


async def test_a_retrying_step_says_its_error_and_when_it_is_tried_again(app):
    text = """
    - {name: a, uses: fn:flaky, with: {times: 1}, retry_delay: 1h,
       retry: {jitter: false, max_delay: 1h}}
    """
    handle = await app.start(dag(text))
    await at(handle, "a", "retrying")
    found = await explain_run(app.engine, handle.run_no)
    assert (found.code, "try 1" in found.sentence) == ("retrying", True)
    assert found.expected_us > app.engine.store.now_us()


async def test_a_queued_step_says_that_there_is_no_room(house):
    async with house.app(capacity=1) as app:
        await app.start(dag("[{name: h, uses: fn:hold}]"))
        await called("gate in")
        handle = await app.start(dag("[{name: q, uses: fn:echo}]"))
        found = await explain_run(app.engine, handle.run_no)
    assert (found.code, found.step) == ("blocked_on_concurrency", "q")


async def test_a_map_that_found_no_room_for_any_item_says_so(house):
    async with house.app(capacity=1) as app:
        await app.start(dag("[{name: h, uses: fn:hold}]"))
        await called("gate in")
        handle = await app.start(dag("[{name: m, for_each: [1, 2], uses: fn:echo}]"))
        found = await explain_run(app.engine, handle.run_no)
    assert (found.code, found.step) == ("blocked_on_concurrency", "m")


async def test_a_paused_run_says_how_to_go_on(app):
    handle = await app.start(dag("[{name: s, uses: sleep, with: {duration: 1h}}]"))
    await handle.pause()
    found = await explain_run(app.engine, handle.run_no)
    assert (found.code, found.fix) == ("paused", f"podium runs resume {handle.id}")


async def test_a_run_whose_process_is_gone_says_so(house):
    async with house.app() as app:
        handle = await app.start(dag("[{name: h, uses: fn:hold}]"))
        await called("gate in")
        engine = app.engine
        await engine.store.release_node(engine.node)
        found = await explain_run(engine, handle.run_no)
        assert (found.code, found.fix) == ("no_engine", "podium recover")


async def test_a_step_in_doubt_says_what_a_person_decides(house):
    async with house.app() as app:
        handle = await app.start(dag("[{name: h, uses: fn:hold, on_lost: in_doubt}]"))
        await called("gate in")
        house.crash(app)
    async with house.app() as app:
        await status(app.run(handle.id), "waiting")
        found = await explain_run(app.engine, handle.run_no)
    assert (found.code, "may have had its effect" in found.sentence) == ("in_doubt", True)


async def test_a_failed_run_says_where_and_why_and_what_to_do(app):
    text = "[{name: a, uses: fn:fail, with: {message: no disk}, max_retries: 0}]"
    found = await explained(app, text, "failed")
    assert (found.step, "at step 'a': no disk" in found.sentence) == ("a", True)
    assert found.fix


async def test_a_completed_and_a_cancelled_run_say_just_that(app):
    found = await explained(app, "[{name: a}]", "completed")
    assert found.sentence == "It completed."
    handle = await app.start(dag("[{name: s, uses: sleep, with: {duration: 1h}}]"))
    await handle.cancel()
    await handle.wait()
    assert (await explain_run(app.engine, handle.run_no)).sentence == "It was cancelled."
