"""What operators ask of runs: cancel, abort, pause, resume, retry, skip, rerun."""

import bodies
import pytest
from waiting import at, called, dag, look, run, seen, status

import podium
from podium.core.states import RunStatus

HOLD = "[{name: h, uses: fn:hold}, {name: after, depends_on: [h], uses: fn:echo}]"


async def failed(app, text, **options):
    handle = await app.start(dag(text), **options)
    await handle.wait()
    assert (await handle.row()).status == RunStatus.FAILED
    return handle


async def test_a_cancelled_body_sees_it_and_nothing_new_starts(app):
    handle = await app.start(dag(HOLD))
    await called("gate in")
    assert await handle.cancel(by="me", reason="stop it") is RunStatus.CANCELLING
    row = await handle.wait()
    assert (row.status, row.reason) == (RunStatus.CANCELLED, "stop it")
    assert bodies.calls == ["gate in", "gate cancelled"]
    assert await look(handle) == {"h": "cancelled"}


async def test_a_thread_cannot_be_cancelled_so_its_result_is_ignored(sqlite_house):
    async with sqlite_house.app() as app:
        text = "[{name: t, uses: fn:block_thread}, {name: u, depends_on: [t]}]"
        handle = await app.start(dag(text))
        await called("thread in")
        await handle.cancel()
        assert (await handle.wait()).status == RunStatus.CANCELLED
        bodies.held.set()
        assert await look(handle) == {"t": "cancelled"}


async def test_a_body_that_ignores_its_cancellation_for_a_while_may_still_finish(app):
    done = []

    @podium.task
    async def stubborn():
        try:
            await bodies.hold()
        except BaseException:
            done.append("cleaned up")
            raise

    @podium.workflow
    async def flow():
        await stubborn()

    handle = await app.start(flow)
    await called("gate in")
    await handle.cancel()
    assert (await handle.wait()).status == RunStatus.CANCELLED
    assert done == ["cleaned up"]


async def test_cancelling_twice_is_harmless_and_a_closed_run_refuses(app):
    handle = await app.start(dag("[{name: s, uses: sleep, with: {duration: 1h}}]"))
    await status(handle, "waiting")
    await handle.cancel()
    await handle.wait()
    with pytest.raises(podium.ConflictError) as caught:
        await handle.cancel()
    assert (caught.value.state, caught.value.allowed) == ("cancelled", ())
    with pytest.raises(podium.RunError, match="was cancelled"):
        await handle.result()


async def test_cancelling_withdraws_a_pending_approval(app):
    handle = await app.start(dag("[{name: a, uses: approval}, {name: c, checkpoint: before}]"))
    await status(handle, "waiting")
    approvals = await handle.pending_approvals()
    await handle.cancel()
    await handle.wait()
    assert not await handle.pending_approvals()
    for approval in approvals:
        with pytest.raises(podium.ConflictError):
            await app.decide(approval, "approve")


async def test_abort_stops_at_once_whatever_runs(app):
    handle = await app.start(dag(HOLD))
    await called("gate in")
    assert await handle.abort() is RunStatus.ABORTED
    assert await look(handle) == {"h": "cancelled"}


async def test_a_failed_run_can_be_aborted_and_then_accepts_nothing(app):
    handle = await failed(app, "[{name: a, uses: fn:fail, max_retries: 0}]")
    assert await handle.abort() is RunStatus.ABORTED
    with pytest.raises(podium.ConflictError):
        await handle.retry()


async def test_a_paused_run_lets_what_runs_end_and_starts_nothing_more(app):
    handle = await app.start(dag(HOLD))
    await called("gate in")
    assert await handle.pause() is RunStatus.PAUSED
    bodies.gate("gate").set()
    await at(handle, "after", "queued")
    assert await handle.resume() is RunStatus.RUNNING
    await handle.result()
    assert await look(handle) == {"h": "completed", "after": "completed"}


async def test_a_long_pause_does_not_lose_what_runs(house):
    async with house.app(evict_after_us=1, sweep_every_us=5_000, resting_max=0) as app:
        handle = await app.start(dag(HOLD))
        await called("gate in")
        await handle.pause()
        await run(app, "[{name: s, uses: sleep, with: {duration: 60ms}}]")
        bodies.gate("gate").set()
        await at(handle, "h", "completed")
        await handle.resume()
        await handle.result()
    assert bodies.calls.count("gate in") == 1


async def test_a_retry_that_falls_due_during_a_pause_waits_for_the_resume(app):
    text = """
    - {name: a, uses: fn:flaky, with: {times: 1}, retry_delay: 40ms, retry: {jitter: false}}
    """
    handle = await app.start(dag(text))
    await at(handle, "a", "retrying")
    await handle.pause()
    await run(app, "[{name: s, uses: sleep, with: {duration: 80ms}}]")
    assert await look(handle) == {"a": "retrying"}
    await handle.resume()
    assert await handle.result() == "done"


async def test_a_paused_run_starts_no_child(app):
    await app.engine.registry.publish(dag('name: cub\ntasks: [{name: k, with: "${{ 1 }}"}]'))
    text = '[{name: h, uses: fn:hold}, {name: c, depends_on: [h], uses: "workflow:cub"}]'
    handle = await app.start(dag(text))
    await called("gate in")
    await handle.pause()
    bodies.gate("gate").set()
    await at(handle, "c", "queued")
    await handle.resume()
    assert await handle.result() == 1


async def test_pause_of_a_closed_run_is_a_conflict_that_names_what_is_allowed(app):
    handle = await failed(app, "[{name: a, uses: fn:fail, max_retries: 0}]")
    with pytest.raises(podium.ConflictError) as caught:
        await handle.pause()
    assert caught.value.state == "failed"
    assert set(caught.value.allowed) == {"abort", "retry", "skip"}


BAD = "max_retries: 0, uses: fn:fail_on, with: {value: V, bad: 2}"


async def test_retry_repeats_what_failed_and_nothing_that_finished(app):
    text = f"""
    - {{name: a, uses: fn:echo, with: {{value: 1}}}}
    - {{name: b, depends_on: [a], {BAD.replace("V", "2")}}}
    - {{name: c, depends_on: [b], uses: fn:echo, with: {{value: 3}}}}
    """
    handle = await failed(app, text)
    bodies.mend()
    assert await handle.retry() is RunStatus.RUNNING
    assert await handle.result() == 3
    assert bodies.calls == [1, 2, 2, 3]
    view = await handle.view()
    assert view.generation == 2
    assert [(s.path, s.status) for s in view.steps if s.status != "completed"] == []
    assert sorted(step.path for step in view.steps) == ["a", "b", "c"]


async def test_retry_in_a_map_repeats_only_the_failed_item_and_the_cut_off_ones(app):
    bad = BAD.replace("V", '"${{ item }}"')
    text = f"[{{name: m, for_each: [1, 2, 3], max_parallel: 1, {bad}}}]"
    handle = await failed(app, text)
    bodies.mend()
    await handle.retry()
    assert await handle.result() == [1, 2, 3]
    assert bodies.calls == [1, 2, 2, 3]


async def test_retry_in_blocks_of_a_map_repeats_only_what_did_not_finish(app):
    text = f"""
    - name: m
      for_each: [1, 2, 3]
      output: b
      tasks:
      - {{name: a, uses: fn:echo, with: {{value: "${{{{ 'a' + string(item) }}}}"}}}}
      - {{name: b, depends_on: [a], {BAD.replace("V", '"${{ item }}"')}}}
    """
    handle = await failed(app, text)
    bodies.mend()
    await handle.retry()
    assert await handle.result() == [1, 2, 3]
    assert sorted(c for c in bodies.calls if isinstance(c, str)) == ["a1", "a2", "a3"]


async def test_retry_keeps_the_finished_items_of_a_map_that_was_cut_off(app):
    text = f"""
    - {{name: m, for_each: [7, 8], uses: fn:echo, with: {{value: "${{{{ item }}}}"}}}}
    - {{name: n, for_each: [7, 9], uses: fn:hold, with: {{value: "${{{{ item }}}}"}}}}
    - {{name: b, depends_on: [m], {BAD.replace("V", "2")}}}
    """
    handle = await failed(app, text)
    assert (await look(handle))["n"] == "cancelled"
    bodies.mend()
    bodies.gate("gate").set()
    await handle.retry()
    await handle.result()
    assert bodies.calls.count(7) == bodies.calls.count(8) == 1
    assert bodies.calls.count("gate out") == 2


async def test_retry_of_one_step_by_its_path_leaves_the_others_failed(app):
    text = f"""
    settings: {{fail_fast: false}}
    tasks: [{{name: a, {BAD.replace("V", "2")}}}, {{name: b, {BAD.replace("V", "2")}}}]
    """
    handle = await failed(app, text)
    bodies.mend()
    await handle.retry("a")
    await handle.wait()
    assert await look(handle) == {"a": "completed", "b": "failed"}
    with pytest.raises(podium.ConflictError, match="has not failed"):
        await handle.retry("a")


async def test_retry_leaves_tolerated_and_optional_failures_alone(app):
    text = f"""
    - {{name: m, for_each: [1, 2], tolerate: {{failures: 1}}, {BAD.replace("V", '"${{ item }}"')}}}
    - {{name: o, optional: true, {BAD.replace("V", "2")}}}
    - {{name: b, depends_on: [m, o], {BAD.replace("V", "2")}}}
    """
    handle = await failed(app, text)
    bodies.mend()
    await handle.retry()
    await handle.result()
    assert await look(handle) | {"m[1]": ""} == {
        "m": "completed",
        "m[1]": "",
        "m[2]": "failed",
        "o": "failed",
        "b": "completed",
    }


async def test_a_tolerated_failure_cannot_be_retried_by_its_path(app):
    text = f"""
    - {{name: m, for_each: [1, 2], tolerate: {{failures: 1}}, {BAD.replace("V", '"${{ item }}"')}}}
    - {{name: b, depends_on: [m], {BAD.replace("V", "2")}}}
    """
    handle = await failed(app, text)
    for verb in (handle.retry, handle.skip):
        with pytest.raises(podium.ConflictError, match="completed without it"):
            await verb("m[2]")


async def test_retry_asks_again_before_a_step_that_was_rejected(app):
    text = "[{name: a, checkpoint: before, uses: fn:echo}]"
    handle = await app.start(dag(text))
    await status(handle, "waiting")
    [approval] = await handle.pending_approvals()
    await app.decide(approval, "reject")
    await handle.wait()
    await handle.retry()
    await status(handle, "waiting")
    assert not bodies.calls
    [again] = await handle.pending_approvals()
    await app.decide(again, "approve")
    await handle.result()


async def test_retry_evaluates_a_failed_condition_again_and_never_ignores_it(app):
    text = """
    - {name: a, with: {}}
    - {name: b, depends_on: [a], when: "${{ tasks.a.output.no }}", uses: fn:echo}
    """
    handle = await failed(app, text)
    await handle.retry()
    assert (await handle.wait()).status == RunStatus.FAILED
    assert not bodies.calls
    assert (await handle.view()).error.code == "PDM-D304"


async def test_a_run_that_timed_out_can_be_retried_with_its_time_anew(app):
    text = """
    settings: {timeout: 150ms}
    tasks: [{name: a, uses: fn:echo, with: {value: 1}}, {name: h, depends_on: [a], uses: fn:hold}]
    """
    handle = await failed(app, text)
    bodies.gate("gate").set()
    await handle.retry()
    await handle.result()
    assert bodies.calls.count(1) == 1


async def test_a_loop_that_never_ended_starts_over_when_retried(app):
    text = """
    - {name: l, uses: fn:echo, with: {value: "${{ iteration }}"},
       loop: {until: "false", max_iterations: 2}}
    """
    handle = await failed(app, text)
    await handle.retry()
    assert (await handle.wait()).status == RunStatus.FAILED
    assert bodies.calls == [0, 1, 0, 1]


async def test_a_failed_iteration_is_retried_in_its_place(app):
    text = """
    - {name: l, uses: fn:fail_on, with: {value: "${{ iteration }}", bad: 1}, max_retries: 0,
       loop: {until: "iteration == 2"}}
    """
    handle = await failed(app, text)
    bodies.mend()
    await handle.retry()
    assert await handle.result() == 2
    assert bodies.calls == [0, 1, 1, 2]


async def test_skip_takes_a_substitute_and_goes_on(app):
    text = f"""
    - {{name: b, {BAD.replace("V", "2")}}}
    - {{name: c, depends_on: [b], with: "${{{{ tasks.b.output.x }}}}"}}
    """
    handle = await failed(app, text)
    await handle.skip(output={"x": 5})
    assert await handle.result() == 5
    assert await look(handle) == {"b": "skipped", "c": "completed"}


async def test_skip_in_a_map_fills_the_place_of_the_item(app):
    text = f"""[{{name: m, for_each: [1, 2, 3], {BAD.replace("V", '"${{ item }}"')}}}]"""
    handle = await failed(app, text)
    await handle.skip("m[2]", output="two")
    assert await handle.result() == [1, "two", 3]


async def test_skip_of_a_whole_map_takes_one_output_for_it(app):
    text = f"""
    - {{name: m, for_each: [1, 2], {BAD.replace("V", '"${{ item }}"')}}}
    - {{name: c, depends_on: [m], with: "${{{{ tasks.m.output }}}}"}}
    """
    handle = await failed(app, text)
    await handle.skip("m", output=["none"])
    assert await handle.result() == ["none"]


async def test_skip_in_a_loop_takes_the_output_of_the_iteration(app):
    text = """
    - {name: l, uses: fn:fail_on, with: {value: "${{ iteration }}", bad: 1}, max_retries: 0,
       loop: {until: "output == 9"}}
    """
    handle = await failed(app, text)
    await handle.skip(output=9)
    assert await handle.result() == 9


async def test_a_rerun_from_a_step_keeps_what_does_not_come_after_it(app):
    text = """
    inputs: {n: {type: integer}}
    tasks:
    - {name: a, uses: fn:echo, with: {value: a}}
    - {name: b, depends_on: [a], uses: fn:echo, with: {value: "${{ inputs.n }}"}}
    - {name: c, depends_on: [b], uses: fn:echo, with: {value: "${{ tasks.b.output + 1 }}"}}
    - {name: d, for_each: [1], uses: fn:echo, with: {value: d}}
    """
    first = await app.start(dag(text), input={"n": 1})
    await first.result()
    again = await app.rerun(first.id, from_step="b", changes={"n": 5})
    await again.result()
    assert bodies.calls.count("a") == bodies.calls.count("d") == 1
    assert {1, 2, 5, 6} <= set(bodies.calls)
    assert (await again.view()).forked_from == first.id


async def test_a_whole_rerun_repeats_everything_under_a_new_id(app):
    first = await app.start(dag("[{name: a, uses: fn:echo, with: {value: 1}}]"))
    await first.result()
    again = await app.rerun(first.id)
    await again.result()
    assert bodies.calls == [1, 1]
    assert again.id != first.id


async def test_a_rerun_from_an_unknown_step_suggests_one(app):
    first = await app.start(dag("[{name: fetch}]"))
    await first.result()
    with pytest.raises(podium.NotFoundError, match="fetch"):
        await app.rerun(first.id, from_step="fetsh")


async def test_verbs_on_an_unknown_run_say_so(app):
    with pytest.raises(podium.NotFoundError):
        await app.run("run_0000zzzz").cancel()


@pytest.mark.parametrize("verb", ["cancel", "abort", "pause"])
async def test_verbs_reach_a_run_that_nobody_has_taken_yet(app, verb):
    handle = await app.start(dag("[{name: s, uses: sleep, with: {duration: 1h}}]"), detach=True)
    await getattr(handle, verb)()
    wanted = {"cancel": "cancelled", "abort": "aborted", "pause": "paused"}[verb]
    await seen(handle, lambda view: view.status == wanted)


async def test_a_detached_run_is_taken_by_the_next_sweep(app):
    handle = await app.start(dag("[{name: a, uses: fn:echo, with: {value: 1}}]"), detach=True)
    assert await handle.result() == 1
