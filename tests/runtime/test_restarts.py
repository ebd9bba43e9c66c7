"""A process leaves in the middle and another comes: what finished stays finished."""

import bodies
import flows
import pytest
from waiting import at, called, dag, look, status

import podium
from podium.core.states import RunStatus


async def leave_in_the_middle(house, workflow, until=("gate in",), *, crash=False, **options):
    """Start a run, leave once the bodies were called, and return its id."""
    async with house.app() as app:
        handle = await app.start(workflow, **options)
        await called(*until)
        if crash:
            house.crash(app)
        return handle.id


async def finish(house, run):
    async with house.app() as app:
        return await app.run(run).result()


@pytest.mark.parametrize("crash", [False, True])
async def test_a_graph_goes_on_where_it_was(house, crash):
    text = """
    - {name: a, uses: fn:echo, with: {value: 1}}
    - {name: h, depends_on: [a], uses: fn:hold, with: {value: "${{ tasks.a.output + 1 }}"}}
    - {name: b, depends_on: [h], uses: fn:echo, with: {value: "${{ tasks.h.output + 1 }}"}}
    """
    run = await leave_in_the_middle(house, dag(text), crash=crash)
    bodies.gate("gate").set()
    assert await finish(house, run) == 3
    assert bodies.calls.count(1) == 1
    assert bodies.calls.count("gate in") == 2


async def test_a_map_of_blocks_goes_on_where_it_was(house):
    text = """
    - name: m
      for_each: [x, y, z]
      max_parallel: 2
      output: b
      tasks:
      - {name: a, uses: fn:echo, with: {value: "${{ item }}"}}
      - {name: b, depends_on: [a], uses: fn:hold, with: {name: "${{ item }}", value: "${{ key }}"}}
    """
    run = await leave_in_the_middle(house, dag(text), until=("x in", "y in"))
    for name in "xyz":
        bodies.gate(name).set()
    assert await finish(house, run) == ["x", "y", "z"]
    assert [bodies.calls.count(name) for name in "xyz"] == [1, 1, 1]


async def test_a_loop_goes_on_where_it_was(house):
    text = """
    - {name: l, uses: fn:hold, loop: {until: "iteration == 2"},
       with: {name: "${{ 'g' + string(iteration) }}", value: "${{ iteration }}"}}
    """
    bodies.gate("g0").set()
    run = await leave_in_the_middle(house, dag(text), until=("g1 in",))
    bodies.gate("g1").set()
    bodies.gate("g2").set()
    assert await finish(house, run) == 2
    assert bodies.calls.count("g0 in") == 1


@pytest.mark.parametrize("crash", [False, True])
async def test_a_function_goes_on_where_it_was(house, crash):
    flow = flows.steps_around_a_wait
    run = await leave_in_the_middle(house, flow, input={"n": 7}, crash=crash)
    bodies.gate("gate").set()
    assert await finish(house, run) == ["first 7", "last 7"]
    assert bodies.calls.count("first 7") == 1


async def test_branches_with_the_same_step_names_do_not_swap_their_results(house):
    bodies.gate("quick").set()
    run = await leave_in_the_middle(house, flows.two_branches, until=("slow in", "quick ends"))
    bodies.gate("slow").set()
    slow, quick = await finish(house, run)
    assert slow == ["slow begins", "slow", "slow ends"]
    assert quick == ["quick begins", "quick", "quick ends"]
    assert bodies.calls.count("quick ends") == 1


async def test_time_and_ids_are_the_same_after_a_restart(house):
    run = await leave_in_the_middle(house, flows.recorded_values)
    async with house.app() as app:
        before = [s.output for s in (await app.run(run).view()).steps if s.path in {"now", "uuid"}]
        bodies.gate("gate").set()
        _at, some = await app.run(run).result()
        assert some in before


async def test_the_items_of_a_map_that_finished_stay_finished(house):
    bodies.gate("a").set()
    run = await leave_in_the_middle(
        house, flows.map_around_a_wait, until=("a out", "b in"), input={"items": ["a", "b"]}
    )
    bodies.gate("b").set()
    assert await finish(house, run) == ["a", "b"]
    assert bodies.calls.count("a in") == 1


async def test_a_handled_failure_of_two_branches_is_handled_the_same_again(house):
    run = await leave_in_the_middle(house, flows.handles_a_failure)
    bodies.gate("gate").set()
    assert await finish(house, run) == ["ValueError", "after"]


async def test_two_waits_given_up_at_once_are_given_up_the_same_again(house):
    run = await leave_in_the_middle(house, flows.two_limits_pass_at_once)
    bodies.gate("gate").set()
    assert await finish(house, run) == "TimeoutError"


async def test_a_lost_attempt_counts_as_a_recovery_and_not_as_a_retry(house):
    text = "[{name: h, uses: fn:hold, max_retries: 0}]"
    run = await leave_in_the_middle(house, dag(text), crash=True)
    bodies.gate("gate").set()
    async with house.app() as app:
        await app.run(run).result()
        [step] = (await app.run(run).view()).steps
    assert (step.attempts, step.recoveries, step.status) == (2, 1, "completed")


async def test_a_step_that_was_interrupted_too_often_is_parked(house):
    text = "[{name: h, uses: fn:hold, max_recoveries: 1}]"
    run = await leave_in_the_middle(house, dag(text), crash=True)
    async with house.app() as app:
        await called("gate in", "gate in")
        house.crash(app)
    async with house.app() as app:
        with pytest.raises(podium.TaskError, match="interrupted 2 times"):
            await app.run(run).result()
        [letter] = await app.engine.store.dead_letters()
    assert letter.path == "h"


async def test_a_step_in_doubt_asks_a_person_before_it_runs_again(house):
    text = "[{name: h, uses: fn:hold, on_lost: in_doubt}]"
    run = await leave_in_the_middle(house, dag(text), crash=True)
    bodies.gate("gate").set()
    async with house.app() as app:
        handle = app.run(run)
        await status(handle, "waiting")
        assert bodies.calls.count("gate in") == 1
        [approval] = await handle.pending_approvals()
        await app.decide(approval, "approve")
        await handle.result()
    assert bodies.calls.count("gate in") == 2


async def test_a_timer_that_fell_due_meanwhile_rings_after_the_restart(house):
    async with house.app() as app:
        text = "[{name: s, uses: sleep, with: {duration: 40ms}}, {name: b, depends_on: [s]}]"
        handle = await app.start(dag(text))
        await status(handle, "waiting")
    await finish(house, handle.id)


async def test_a_retry_that_was_due_comes_after_the_restart(house):
    text = """
    - {name: a, uses: fn:flaky, with: {times: 1}, retry_delay: 60ms, retry: {jitter: false}}
    """
    async with house.app() as app:
        handle = await app.start(dag(text))
        await at(handle, "a", "retrying")
    assert await finish(house, handle.id) == "done"


async def test_a_checkpoint_outlives_the_process_that_asked(house):
    async with house.app() as app:
        handle = await app.start(dag("[{name: a, checkpoint: before, uses: fn:echo}]"))
        await status(handle, "waiting")
    async with house.app() as app:
        [approval] = await app.run(handle.id).pending_approvals()
        await app.decide(approval, "edit", payload={"value": 5})
        assert await app.run(handle.id).result() == 5


async def test_edited_arguments_outlive_the_process(house):
    async with house.app() as app:
        text = "[{name: h, checkpoint: before, uses: fn:hold, with: {name: gate, value: 1}}]"
        handle = await app.start(dag(text))
        await status(handle, "waiting")
        [approval] = await handle.pending_approvals()
        await app.decide(approval, "edit", payload={"name": "gate", "value": 2})
        await called("gate in")
    bodies.gate("gate").set()
    assert await finish(house, handle.id) == 2


async def test_a_signal_sent_before_the_restart_is_there_after_it(house):
    async with house.app() as app:
        text = """
        - {name: h, uses: fn:hold}
        - {name: s, depends_on: [h], uses: signal, with: {name: go}}
        """
        handle = await app.start(dag(text))
        await handle.signal("go", 3)
        await called("gate in")
    bodies.gate("gate").set()
    assert await finish(house, handle.id) == 3


async def test_a_pause_outlives_the_process(house):
    async with house.app() as app:
        handle = await app.start(dag("[{name: h, uses: fn:hold}]"))
        await called("gate in")
        await handle.pause()
    bodies.gate("gate").set()
    async with house.app() as app:
        assert await app.run(handle.id).status() is RunStatus.PAUSED
        await app.run(handle.id).resume()
        await app.run(handle.id).result()


async def test_a_child_and_its_parent_find_each_other_after_a_restart(house):
    kid = dag("name: held\ntasks: [{name: h, uses: fn:hold, with: {value: 5}}]")
    async with house.app() as app:
        await app.engine.registry.publish(kid)
        handle = await app.start(dag('[{name: c, uses: "workflow:held"}, {name: d}]'))
        await called("gate in")
    bodies.gate("gate").set()
    await finish(house, handle.id)


@pytest.mark.parametrize("change", ["renamed", "other arguments", "removed", "other kind"])
async def test_a_function_that_changed_under_its_journal_says_so(house, change):
    async def edited(n: int):
        if change == "renamed":
            await flows.note.options(name="other")(f"first {n}")
        elif change == "other arguments":
            await flows.note(f"first {n + 1}")
        elif change == "other kind":
            await podium.map(flows.note, [n], name="note")
        await flows.wait_for("gate")

    run = await leave_in_the_middle(house, flows.steps_around_a_wait, input={"n": 1})
    app = house.app()
    app.engine.registry.remember(flows.steps_around_a_wait.definition.entrypoint, edited)
    async with app:
        with pytest.raises(podium.TaskError, match="step 'note'") as caught:
            await app.run(run).result()
        assert caught.value.code == "PDM-T010"
        assert bodies.calls.count("first 1") == 1


async def test_a_run_with_restored_code_can_be_retried(house):
    async def edited(n: int):
        await flows.broken(n)

    run = await leave_in_the_middle(house, flows.steps_around_a_wait, input={"n": 2})
    bodies.gate("gate").set()
    app, definition = house.app(), flows.steps_around_a_wait.definition
    app.engine.registry.remember(definition.entrypoint, edited)
    async with app:
        await app.run(run).wait()
        app.engine.registry.remember(definition.entrypoint, flows.steps_around_a_wait.function)
        await app.run(run).retry()
        assert await app.run(run).result() == ["first 2", "last 2"]
    assert bodies.calls.count("first 2") == 1


async def test_a_finished_run_shows_the_same_after_a_restart(house):
    async with house.app() as app:
        handle = await app.start(dag("[{name: m, for_each: [1, 2], uses: fn:echo}]"))
        await handle.result()
        before = await look(handle)
    async with house.app() as app:
        assert await look(app.run(handle.id)) == before


async def test_a_run_that_only_waits_is_not_due_because_its_process_left(house):
    texts = {
        "a date": "[{name: s, uses: sleep, with: {duration: 3600}}]",
        "a signal": "[{name: s, uses: signal, with: {name: go}}]",
        "a person": "[{name: s, uses: approval, with: {payload: 1}}]",
    }
    async with house.app(evict_after_us=3600_000_000) as app:
        runs = {what: await app.start(dag(text)) for what, text in texts.items()}
        for handle in runs.values():
            await status(handle, "waiting")
        assert app.engine.residents == 3
        wakes = {what: app.engine.actor(h.run_no).next_wake_us() for what, h in runs.items()}
    async with house.app() as app:
        for what, handle in runs.items():
            row = await app.engine.store.run(handle.run_no)
            assert (row.home, row.wake_us, row.recoveries) == (None, wakes[what], 0), what
        await app.engine.adopt_all()
        assert app.engine.residents == 0


async def test_a_run_that_waits_for_a_child_nobody_started_yet_is_due_at_once(house, monkeypatch):
    async with house.app() as app:
        await app.engine.registry.publish(dag("name: pup\ntasks: [{name: k, with: {x: 1}}]"))
        monkeypatch.setattr(app.engine._deeds, "_start_child", never)
        handle = await app.start(dag("[{name: c, uses: 'workflow:pup'}]"))
        await status(handle, "waiting")
        app.engine._homes.evict_all()
    assert await finish(house, handle.id) == {"x": 1}


async def never(*_):
    """Stand for a deed that was cut off before it did anything."""
