"""Durable functions end to end: steps, branches, maps, time, people, errors, lives."""

import asyncio
from contextlib import suppress

import bodies
import flows
import pytest
from waiting import at, called, look, status

import podium


async def result(app, workflow, **options):
    return await (await app.start(workflow, **options)).result()


async def test_a_function_runs_its_steps_and_returns(app):
    assert await result(app, flows.kid, input={"x": 4}) == 40
    assert bodies.calls == [4]


async def test_a_task_is_still_a_plain_function_outside_of_a_workflow(house):
    assert await flows.note(3) == 3


async def test_branches_run_side_by_side(app):
    handle = await app.start(flows.two_branches)
    await called("slow in", "quick in")
    bodies.gate("quick").set()
    await called("quick ends")
    bodies.gate("slow").set()
    slow, quick = await handle.result()
    assert (slow, quick) == (
        ["slow begins", "slow", "slow ends"],
        ["quick begins", "quick", "quick ends"],
    )


async def test_a_failing_branch_cancels_the_others_and_raises_in_the_function(app):
    @podium.workflow
    async def flow():
        try:
            await podium.gather(flows.wait_for("gate"), flows.broken(2))
        except podium.TaskError as error:
            return [error.kind, str(error.what)]

    handle = await app.start(flow)
    assert await handle.result() == ["ValueError", "bad 2"]
    assert "cancelled" in (await look(handle)).values()


async def test_a_map_keeps_the_order_and_bounds_how_many_run(app):
    counted = podium.task(bodies.count)

    @podium.workflow
    async def flow(n: int):
        return await podium.map(counted, list(range(n)), max_parallel=3)

    assert await result(app, flow, input={"n": 12}) == list(range(12))
    assert bodies.crowd["peak"] == 3


async def test_a_map_with_tolerated_failures_gives_none_in_their_place(app):
    @podium.workflow
    async def flow():
        return await podium.map(flows.broken, [1, 2, 3], tolerate=1)

    assert await result(app, flow) == [1, None, 3]


async def test_a_failing_map_raises_its_first_error(app):
    @podium.workflow
    async def flow():
        await podium.map(flows.broken, [1, 2, 3])

    with pytest.raises(podium.TaskError, match="bad 2"):
        await result(app, flow)


async def test_an_empty_map_and_an_empty_gather_give_empty_lists(app):
    @podium.workflow
    async def flow():
        return [await podium.map(flows.note, []), await podium.gather()]

    assert await result(app, flow) == [[], []]


async def test_people_and_signals_and_sleep(app):
    handle = await app.start(flows.asks_and_sleeps)
    await status(handle, "waiting")
    [approval] = await handle.pending_approvals()
    await app.decide(approval, "approve", by="eve")
    await handle.signal("go", {"k": 1})
    assert await handle.result() == [True, "eve", {"k": 1}]


async def test_a_rejection_is_a_value_in_a_function(app):
    handle = await app.start(flows.asks_and_sleeps)
    await status(handle, "waiting")
    [approval] = await handle.pending_approvals()
    await app.decide(approval, "reject")
    await handle.signal("go")
    assert (await handle.result())[0] is False


async def test_signals_of_one_name_are_taken_one_by_one(app):
    @podium.workflow
    async def flow():
        return [await podium.wait_signal("go"), await podium.wait_signal("go")]

    handle = await app.start(flow)
    await handle.signal("go", 1)
    await handle.signal("go", 2)
    assert await handle.result() == [1, 2]


async def test_a_signal_that_does_not_come_raises_a_timeout(app):
    @podium.workflow
    async def flow():
        try:
            await podium.wait_signal("go", timeout=0.03)
        except podium.TaskError as error:
            return error.kind

    assert await result(app, flow) == "TimeoutError"


async def test_a_function_lives_on_as_a_new_run(app):
    handle = await app.start(flows.counting)
    assert await handle.result() == 3
    assert bodies.calls == [0, 1, 2, 3]
    assert (await handle.row()).reason == "continued_as_new"


async def test_awaiting_the_event_loop_in_a_function_says_what_to_do(app):
    @podium.workflow
    async def flow():
        await asyncio.sleep(0)

    with pytest.raises(podium.TaskError, match="not durable") as caught:
        await result(app, flow)
    assert (caught.value.code, caught.value.kind) == ("PDM-T011", "NondeterminismError")


async def test_asyncio_gather_in_a_function_says_what_to_do(app):
    @podium.workflow
    async def flow():
        await asyncio.gather(flows.note(1), flows.note(2))

    with pytest.raises(podium.TaskError) as caught:
        await result(app, flow)
    assert caught.value.code in {"PDM-T011", "PDM-R020"}
    assert not bodies.calls


async def test_a_durable_call_outside_of_a_function_says_so(house):
    with pytest.raises(podium.PodiumError) as caught:
        await podium.sleep(1)
    assert caught.value.code == "PDM-R020"


async def test_a_call_with_wrong_arguments_fails_in_its_own_line(app):
    @podium.workflow
    async def flow():
        try:
            await flows.note(1, 2)
        except podium.PodiumError as error:
            return error.code

    assert await result(app, flow) == "PDM-R024"


async def test_an_exception_of_the_function_fails_the_run_with_its_place(app):
    @podium.workflow
    async def flow():
        raise LookupError("where is it")

    with pytest.raises(podium.TaskError, match="where is it") as caught:
        await result(app, flow)
    assert caught.value.kind == "LookupError"
    assert "raise LookupError" in caught.value.record.trace


async def test_a_result_that_cannot_be_stored_fails_the_run(app):
    @podium.workflow
    async def flow():
        return object()

    with pytest.raises(podium.TaskError, match="cannot be stored") as caught:
        await result(app, flow)
    assert caught.value.code == "PDM-R015"


async def test_a_function_that_needs_other_input_says_so(app):
    with pytest.raises(podium.PodiumError, match="cannot be called"):
        await result(app, flows.steps_around_a_wait, input={"wrong": 1})


async def test_retry_repeats_the_step_that_ended_the_function_and_no_other(app):
    @podium.workflow
    async def flow():
        await flows.note("a")
        with suppress(podium.TaskError):
            await flows.broken.options(name="handled")(2)
        return await flows.broken(2)

    handle = await app.start(flow)
    await handle.wait()
    bodies.mend()
    await handle.retry()
    assert await handle.result() == 2
    assert bodies.calls == ["a", 2, 2, 2]
    assert (await look(handle))["handled"] == "failed"


async def test_retry_after_a_timeout_repeats_no_failure_that_was_handled(app):
    @podium.workflow(timeout=0.15)
    async def flow():
        with suppress(podium.TaskError):
            await flows.broken(2)
        await flows.wait_for("gate")

    handle = await app.start(flow)
    assert (await handle.wait()).reason == "timeout"
    bodies.gate("gate").set()
    await handle.retry()
    await handle.result()
    assert bodies.calls.count(2) == 1


async def test_retry_of_a_map_repeats_its_failed_items_only(app):
    @podium.workflow
    async def flow():
        return await podium.map(flows.broken, [1, 2, 3], max_parallel=1)

    handle = await app.start(flow)
    await handle.wait()
    bodies.mend()
    await handle.retry()
    assert await handle.result() == [1, 2, 3]
    assert bodies.calls == [1, 2, 2, 3]


async def test_skip_gives_the_function_a_substitute(app):
    @podium.workflow
    async def flow():
        return [await flows.broken(2), await flows.note("after")]

    handle = await app.start(flow)
    await handle.wait()
    await handle.skip(output="instead")
    assert await handle.result() == ["instead", "after"]


async def test_a_retried_branch_goes_on_beside_the_others(app):
    @podium.workflow
    async def flow():
        return await podium.gather(flows.wait_for("gate"), flows.broken(2))

    handle = await app.start(flow)
    await handle.wait()
    bodies.mend()
    bodies.gate("gate").set()
    await handle.retry()
    assert await handle.result() == ["gate", 2]


async def test_cancelling_a_function_cancels_its_steps(app):
    handle = await app.start(flows.steps_around_a_wait, input={"n": 1})
    await called("gate in")
    await handle.cancel()
    row = await handle.wait()
    assert row.reason == "cancel"
    assert bodies.calls == ["first 1", "gate in", "gate cancelled"]


async def test_pausing_a_function_holds_its_next_step(app):
    handle = await app.start(flows.steps_around_a_wait, input={"n": 1})
    await called("gate in")
    await handle.pause()
    bodies.gate("gate").set()
    await at(handle, "note~1", "queued")
    await handle.resume()
    assert await handle.result() == ["first 1", "last 1"]


async def test_a_failure_that_was_handled_does_not_disturb_what_follows(app):
    handle = await app.start(flows.handles_a_failure)
    await called("gate in")
    bodies.gate("gate").set()
    assert await handle.result() == ["ValueError", "after"]
