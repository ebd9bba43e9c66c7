"""Retries and limits: how often, how soon, how long."""

import asyncio

import bodies
import pytest
from waiting import at, called, dag, look, run, status

import podium
from podium.core.payload import decode_error


async def failure(handle):
    with pytest.raises(podium.TaskError) as caught:
        await handle.result()
    return caught.value


async def test_a_failed_attempt_is_tried_again_until_it_works(app):
    text = """[{name: a, uses: fn:flaky, with: {times: 2}, max_retries: 2, retry_delay: 0}]"""
    assert await run(app, text) == "done"
    assert bodies.calls == [1, 2, 3]


async def test_retries_end_and_the_last_error_is_the_runs(app):
    text = """[{name: a, uses: fn:flaky, with: {times: 9}, max_retries: 2, retry_delay: 0}]"""
    error = await failure(await app.start(dag(text)))
    assert (str(error.what), error.kind, bodies.calls) == ("try 3", "ValueError", [1, 2, 3])


async def test_the_delay_doubles_up_to_its_cap_and_the_dice_choose_within(house):
    async with house.app(dice=lambda: 0.999) as app:
        text = """
        - {name: a, uses: fn:flaky, with: {times: 3}, retry_delay: 10ms,
           retry: {max_retries: 3, max_delay: 30ms}}
        """
        handle = await app.start(dag(text))
        await handle.result()
        view = await handle.view()
    assert 59_000 <= view.ended_us - view.created_us < 2_000_000


async def test_a_retry_waits_as_long_as_the_failing_side_asks(app):
    text = """[{name: a, uses: fn:later, with: {seconds: 0.05}, retry_delay: 0}]"""
    handle = await app.start(dag(text))
    await handle.result()
    view = await handle.view()
    assert view.ended_us - view.created_us >= 50_000


async def test_a_rule_makes_an_error_final_and_another_grants_more(app):
    rules = "[{error: Key*, max_retries: 0}, {error: Value*, max_retries: 3}]"
    for kind, tries in (("KeyError", 1), ("ValueError", 4)):
        text = f"""
        - {{name: a, uses: fn:fail, with: {{kind: {kind}}}, retry_delay: 0,
           retry: {{rules: {rules}}}}}
        """
        assert (await failure(await app.start(dag(text)))).kind == kind
        assert bodies.calls.count(kind) == tries


async def test_an_error_marked_final_is_not_retried(app):
    text = """[{name: a, uses: fn:fail, with: {kind: NonRetryable}, retry_delay: 0}]"""
    await failure(await app.start(dag(text)))
    assert bodies.calls == ["NonRetryable"]


def test_no_other_store_has_the_same_idempotency_keys(tmp_path):
    async def key_in(name):
        async with podium.connect(f"sqlite:///{tmp_path}/{name}.db") as app:
            output = await (await app.start(dag("\n    - {name: a, uses: fn:about_me}\n"))).result()
            return output["key"].split("/", 1)

    (one, rest), (other, same) = (asyncio.run(key_in(name)) for name in "ab")
    assert rest == same == "run_00000001/a/1"
    assert one != other


async def test_every_attempt_of_a_step_has_the_same_idempotency_key(app):
    seen = []

    @podium.task(max_retries=1, retry_delay=0)
    async def body():
        seen.append(podium.context().idempotency_key)
        raise ValueError

    @podium.workflow
    async def flow():
        await body()

    await failure(await app.start(flow))
    assert len(seen) == 2
    assert len(set(seen)) == 1


async def test_an_attempt_that_takes_too_long_is_cut_off_and_tried_again(app):
    text = """
    - {name: a, uses: fn:hold, timeout: 30ms, max_retries: 1, retry_delay: 0}
    """
    error = await failure(await app.start(dag(text)))
    assert (error.kind, error.code) == ("TimeoutError", "PDM-T002")
    assert bodies.calls == ["gate in", "gate cancelled"] * 2


async def test_the_total_limit_spans_all_attempts(app):
    text = """
    - {name: a, uses: fn:hold, max_retries: 9, retry_delay: 0,
       timeouts: {attempt: 40ms, total: 100ms}}
    """
    handle = await app.start(dag(text))
    # On a slow machine an attempt may end late: then there is no time left for the next one.
    assert (await failure(handle)).kind == "TimeoutError"
    view = await handle.view()
    assert 80_000 <= view.ended_us - view.created_us < 1_000_000
    assert 2 <= bodies.calls.count("gate in") <= 3


async def test_a_retry_that_would_come_too_late_is_not_made(app):
    text = """
    - {name: a, uses: fn:fail, retry_delay: 1s, timeouts: {total: 500ms},
       retry: {jitter: false}}
    """
    handle = await app.start(dag(text))
    await failure(handle)
    assert bodies.calls == ["ValueError"]
    assert (await handle.view()).steps[0].reason == "total_timeout"


async def test_a_step_that_finds_no_room_in_time_fails(house):
    async with house.app(capacity=1) as app:
        holder = await app.start(dag("[{name: h, uses: fn:hold}]"))
        await called("gate in")
        handle = await app.start(dag("[{name: a, uses: fn:echo, timeouts: {queue: 40ms}}]"))
        assert "queue timeout" in (await failure(handle)).what
        bodies.gate("gate").set()
        await holder.result()


async def test_a_silent_attempt_is_given_up_and_a_beating_one_is_not(app):
    text = """
    - {name: a, uses: fn:FN, with: WITH, max_retries: 0, timeouts: {heartbeat: 80ms}}
    """
    alive = text.replace("FN", "beating").replace("WITH", "{beats: 10}")
    assert await run(app, alive) == "alive"
    silent = text.replace("FN", "silent").replace("WITH", "{}")
    assert "no heartbeat" in (await failure(await app.start(dag(silent)))).what


async def test_the_run_limit_counts_only_the_time_spent_running(app):
    text = """
    settings: {timeout: 80ms}
    tasks: [{name: s, uses: sleep, with: {duration: 150ms}}, {name: a, depends_on: [s]}]
    """
    await run(app, text)


async def test_a_run_that_runs_too_long_fails_with_the_reason_timeout(app):
    handle = await app.start(dag("settings: {timeout: 50ms}\ntasks: [{name: h, uses: fn:hold}]"))
    error = await failure(handle)
    row = await handle.row()
    assert (error.code, row.reason) == ("PDM-T003", "timeout")
    assert decode_error(row.error).kind == "TimeoutError"
    assert await look(handle) == {"h": "cancelled"}


async def test_the_deadline_counts_waiting_too(app):
    text = """
    settings: {deadline: 50ms}
    tasks: [{name: s, uses: sleep, with: {duration: 10s}}]
    """
    handle = await app.start(dag(text))
    assert "deadline" in (await failure(handle)).what


async def test_the_deadline_passes_while_the_run_is_paused(app):
    text = "settings: {deadline: 100ms}\ntasks: [{name: s, uses: signal, with: {name: x}}]"
    handle = await app.start(dag(text))
    await status(handle, "waiting")
    await handle.pause()
    assert "deadline" in (await failure(handle)).what


async def test_with_room_for_one_the_most_urgent_run_goes_first(house):
    async with house.app(capacity=1) as app:
        holder = await app.start(dag("[{name: h, uses: fn:hold}]"))
        await called("gate in")
        runs = []
        for priority in (75, 0, 50, 25):
            text = f"[{{name: a, uses: fn:echo, with: {{value: {priority}}}}}]"
            runs.append(await app.start(dag(text), priority=priority))
        bodies.gate("gate").set()
        for handle in [holder, *runs]:
            await handle.result()
    assert [call for call in bodies.calls if isinstance(call, int)] == [0, 25, 50, 75]


async def test_an_urgent_run_does_not_wait_for_the_end_of_a_long_one(house):
    chain = [f"{{name: t{n}, uses: fn:echo, with: {{value: {n}}}, NEEDS}}" for n in range(5)]
    for n in range(5):
        chain[n] = chain[n].replace("NEEDS", f"depends_on: [{f't{n - 1}' if n else 'h'}]")
    async with house.app(capacity=1) as app:
        long = await app.start(dag(f"[{{name: h, uses: fn:hold}}, {', '.join(chain)}]"))
        await called("gate in")
        urgent = await app.start(dag("[{name: u, uses: fn:echo, with: {value: u}}]"), priority=0)
        bodies.gate("gate").set()
        await urgent.result()
        await long.result()
    assert bodies.calls[2] == "u"


async def test_with_room_for_one_the_most_urgent_task_goes_first(house):
    async with house.app(capacity=1) as app:
        text = """
        - {name: first, uses: fn:echo, with: {value: first}}
        - {name: low, depends_on: [first], priority: low, uses: fn:echo, with: {value: low}}
        - {name: now, depends_on: [first], priority: critical, uses: fn:echo, with: {value: now}}
        - {name: next, depends_on: [now], priority: low, uses: fn:echo, with: {value: next}}
        - {name: high, depends_on: [first], priority: high, uses: fn:echo, with: {value: high}}
        """
        await run(app, text)
    assert bodies.calls == ["first", "now", "high", "low", "next"]


async def test_a_step_that_is_retried_shows_it_and_its_error(app):
    text = """
    - {name: a, uses: fn:flaky, with: {times: 1}, retry_delay: 200ms, retry: {jitter: false}}
    """
    handle = await app.start(dag(text))
    view = await at(handle, "a", "retrying")
    assert (view.steps[0].error.message, view.steps[0].attempts) == ("try 1", 1)
    assert await handle.result() == "done"
