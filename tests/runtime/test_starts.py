"""Starting: idempotency keys, versions, sizes, and what is wrong with the code that is named."""

import asyncio

import bodies
import flows
import pytest
from waiting import called, dag, look, run

import podium

ONE = '[{name: a, uses: fn:echo, with: {value: "${{ inputs.x }}"}}]'


async def test_the_same_key_and_request_is_the_same_run(app):
    first = await app.start(dag(ONE), input={"x": 1}, idempotency_key="k")
    again = await app.start(dag(ONE), input={"x": 1}, idempotency_key="k")
    assert first.id == again.id
    assert await again.result() == 1
    assert bodies.calls == [1]


async def test_the_same_key_at_the_same_time_is_one_run(app):
    starts = (app.start(dag(ONE), input={"x": 1}, idempotency_key="k") for _ in range(10))
    handles = await asyncio.gather(*starts)
    assert len({handle.id for handle in handles}) == 1
    await handles[0].result()
    assert bodies.calls == [1]


@pytest.mark.parametrize("other", [{"input": {"x": 2}}, {"text": ONE + "  # same"}])
async def test_a_key_of_another_request_is_a_conflict(app, other):
    await app.start(dag(ONE), input={"x": 1}, idempotency_key="k")
    text = other.get("text", ONE).replace("# same", "").replace("name: a", "name: b")
    with pytest.raises(podium.ConflictError) as caught:
        await app.start(dag(text), input=other.get("input", {"x": 1}), idempotency_key="k")
    assert caught.value.code == "PDM-C010"


async def test_a_key_holds_over_a_restart(house):
    async with house.app() as app:
        first = await app.start(flows.kid, input={"x": 1}, idempotency_key="k")
        await first.result()
    async with house.app() as app:
        again = await app.start(flows.kid, input={"x": 1}, idempotency_key="k")
        assert (again.id, await again.result()) == (first.id, 10)
    assert bodies.calls == [1]


async def test_a_run_stays_with_the_version_it_was_started_with(app):
    registry = app.engine.registry
    old = dag("name: v\ntasks: [{name: h, uses: fn:hold, with: {value: old}}]")
    await registry.publish(old)
    handle = await app.start("v")
    await called("gate in")
    await registry.publish(dag("name: v\ntasks: [{name: n, with: {is: new}}]"))
    bodies.gate("gate").set()
    assert await handle.result() == "old"
    assert await (await app.start("v")).result() == {"is": "new"}


async def test_a_named_version_is_started_by_label_number_or_hash(app):
    for label in ("one", "two"):
        text = f"name: v\nversion: {label}\ntasks: [{{name: n, with: {{is: {label}}}}}]"
        plan = await app.engine.registry.publish(dag(text))
    for version in ("two", "2", plan.def_hash[:8]):
        assert await (await app.start("v", version=version)).result() == {"is": "two"}
    assert await (await app.start("v", version="1")).result() == {"is": "one"}


async def test_publishing_an_older_version_again_rolls_back(app):
    texts = [f"name: v\ntasks: [{{name: n, with: {{is: {number}}}}}]" for number in (1, 2)]
    for text in [*texts, texts[0]]:
        await app.engine.registry.publish(dag(text))
    assert await (await app.start("v")).result() == {"is": 1}


async def test_an_unknown_workflow_is_not_found_with_a_suggestion(app):
    await app.engine.registry.publish(dag("name: invoices\ntasks: [{name: n}]"))
    with pytest.raises(podium.NotFoundError, match="invoices"):
        await app.start("invoces")


async def test_large_values_travel_through_blobs(app):
    text = """
    - {name: a, uses: fn:large, with: {size: 300000}}
    - {name: b, depends_on: [a], uses: fn:echo, with: {value: "${{ tasks.a.output }}"}}
    """
    handle = await app.start(dag(text))
    assert await handle.result() == "x" * 300_000
    records = await app.engine.store.events(handle.run_no)
    assert sum(len(record.body) for record in records) < 5_000


async def test_a_large_output_of_a_map_is_put_together_when_it_is_asked_for(app):
    text = "[{name: m, for_each: [1, 2, 3, 4], uses: fn:large, with: {size: 30000}}]"
    handle = await app.start(dag(text))
    assert [len(part) for part in await handle.result()] == [30_000] * 4
    assert [len(part) for part in (await handle.view()).output] == [30_000] * 4


async def test_a_large_input_reaches_the_tasks(app):
    value = {"x": "y" * 200_000}
    assert await run(app, ONE, input=value) == value["x"]


@pytest.mark.parametrize(
    ("uses", "code", "words"),
    [
        ("python:no_such_module:f", "PDM-R022", "no_such_module"),
        ("python:bodies:ecko", "PDM-R023", "echo"),
        ("python:bodies:calls", "PDM-R023", "not a function"),
        ("python:bodies:echo", "PDM-R024", "wrong"),
        ("python:bodies:unserialisable", "PDM-R015", "cannot be stored"),
    ],
)
async def test_code_that_cannot_run_fails_once_with_what_why_and_fix(app, uses, code, words):
    given = "{wrong: 1}" if uses.endswith("echo") else "{}"
    handle = await app.start(dag(f"[{{name: a, uses: {uses}, with: {given}}}]"))
    with pytest.raises(podium.TaskError) as caught:
        await handle.result()
    error = caught.value
    assert (error.code, words in f"{error.what} {error.why} {error.fix}") == (code, True)
    assert (await handle.view()).steps[0].attempts == 1


async def test_the_trace_of_a_failure_shows_the_users_line(app):
    handle = await app.start(
        dag("[{name: a, uses: fn:fail_on, with: {value: 1, bad: 1}, max_retries: 0}]")
    )
    await handle.wait()
    assert 'raise ValueError(f"bad {value}")' in (await handle.view()).error.trace


@pytest.mark.parametrize("kind", [SystemExit, asyncio.CancelledError])
async def test_a_body_that_raises_what_ends_programs_only_fails_its_step(app, kind):
    @podium.task(max_retries=0)
    async def leave():
        raise kind

    @podium.workflow
    async def flow():
        await leave()

    handle = await app.start(flow)
    with pytest.raises(podium.TaskError):
        await handle.result()
    assert await (await app.start(flows.kid)).result() == 10


async def test_a_function_that_raises_what_ends_programs_only_fails_its_run(app):
    @podium.workflow
    async def flow():
        raise SystemExit(3)

    with pytest.raises(podium.TaskError):
        await (await app.start(flow)).result()
    assert await (await app.start(flows.kid)).result() == 10


@pytest.mark.parametrize(("key", "name"), [("", "0"), (', key: "${{ item }}"', "a\ufffdb")])
async def test_text_that_no_store_keeps_may_still_be_an_item_and_its_key(app, key, name):
    text = f'[{{name: m, for_each: "${{{{ inputs.x }}}}", with: "${{{{ item }}}}"{key}}}]'
    handle = await app.start(dag(text), input={"x": ["a\0b", "c"]})
    assert await handle.result() == ["a\0b", "c"]
    assert f"m[{name}]" in await look(handle)


async def test_a_reason_that_no_store_keeps_does_not_hold_up_the_run(app):
    handle = await app.start(dag("[{name: s, uses: sleep, with: {duration: 1h}}]"))
    await handle.cancel(reason="a\0b", by="c\0d")
    assert (await handle.wait()).reason == "a\ufffdb"


async def test_100_runs_at_once_all_end(app):
    handles = await asyncio.gather(*(app.start(flows.kid, input={"x": n}) for n in range(100)))
    results = await asyncio.gather(*(handle.result() for handle in handles))
    assert results == [n * 10 for n in range(100)]
