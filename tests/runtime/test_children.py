"""Child runs: their output, their failure, their cancellation, their depth."""

import bodies
import flows
import pytest
from waiting import called, dag, look, run, seen, status

import podium
from podium.core.ids import parse_run_id
from podium.core.states import RunStatus

PARENT = "[{name: c, uses: 'workflow:NAME', with: ARGS}, {name: d, depends_on: [c], with: OUT}]"


def parent(name, args="{}"):
    out = '"${{ tasks.c.output }}"'
    return PARENT.replace("NAME", name).replace("ARGS", args).replace("OUT", out)


async def publish(app, text):
    await app.engine.registry.publish(dag(text))


async def child_of(app, handle):
    view = await seen(handle, lambda view: any(step.child_run_id for step in view.steps))
    return app.run(next(step.child_run_id for step in view.steps if step.child_run_id))


async def test_a_child_gives_its_output_to_the_step_that_started_it(app):
    await publish(app, 'name: pup\ntasks: [{name: k, with: "${{ inputs.x + 1 }}"}]')
    assert await run(app, parent("pup", "{x: 4}")) == 5


async def test_a_graph_may_start_a_function_and_a_function_a_graph(app):
    assert await run(app, parent("kid", "{x: 2}")) == 20
    await publish(app, "name: pup2\ntasks: [{name: k, with: {y: 3}}]")

    @podium.workflow
    async def flow():
        return [await podium.child("pup2"), await podium.child(flows.kid, {"x": 1})]

    assert await (await app.start(flow)).result() == [{"y": 3}, 10]


async def test_a_child_runs_the_version_it_is_asked_for(app):
    for number in (1, 2):
        text = f'name: old\nversion: "v{number}"\ntasks: [{{name: k, with: {{v: {number}}}}}]'
        await publish(app, text)
    assert await run(app, parent("old@v1")) == {"v": 1}
    assert await run(app, parent("old")) == {"v": 2}


async def test_a_failing_child_fails_its_step_with_its_error(app):
    with pytest.raises(podium.TaskError, match="bad 2") as caught:
        await run(app, parent("kid_that_fails"))
    assert caught.value.kind == "ValueError"


async def test_a_retried_parent_starts_its_failed_child_anew(app):
    handle = await app.start(dag(parent("kid_that_fails")))
    await handle.wait()
    bodies.mend()
    await handle.retry()
    await handle.result()
    assert bodies.calls == [2, 2]


async def test_an_unknown_child_is_named_with_a_suggestion(app):
    await publish(app, "name: known_child\ntasks: [{name: k}]")
    with pytest.raises(podium.TaskError, match="unknown_child") as caught:
        await run(app, parent("unknown_child"))
    assert "known_child" in caught.value.fix


async def test_children_of_children_end_at_the_depth_limit(app):
    with pytest.raises(podium.TaskError, match="levels deep") as caught:
        await (await app.start(flows.endless)).result()
    assert caught.value.code == "PDM-R030"


@pytest.mark.parametrize("verb", ["cancel", "abort"])
async def test_stopping_the_parent_stops_the_child(app, verb):
    handle = await app.start(dag(parent("kid_that_waits")))
    child = await child_of(app, handle)
    await getattr(handle, verb)()
    assert (await child.wait()).status == RunStatus.CANCELLED


@pytest.mark.parametrize(("verb", "label"), [("cancel", "cancelled"), ("abort", "aborted")])
async def test_a_child_that_was_stopped_fails_the_parent_and_never_counts_as_done(app, verb, label):
    handle = await app.start(dag(parent("kid_that_waits")))
    child = await child_of(app, handle)
    await getattr(child, verb)()
    with pytest.raises(podium.TaskError, match=f"was {label}"):
        await handle.result()
    assert await look(handle) == {"c": "failed", "d": "skipped"}


async def test_a_failing_sibling_cancels_the_child(app):
    handle = await app.start(
        dag("""
        - {name: c, uses: "workflow:kid_that_waits"}
        - {name: h, uses: fn:hold}
        - {name: bad, depends_on: [h], uses: fn:fail, max_retries: 0}
        """)
    )
    child = await child_of(app, handle)
    bodies.gate("gate").set()
    assert (await child.wait()).status == RunStatus.CANCELLED
    assert (await handle.wait()).status == RunStatus.FAILED


async def test_the_parent_waits_for_the_last_life_of_a_child(app):
    assert await (await app.start(flows.parent_of_a_count)).result() == 3


async def test_a_large_output_of_a_child_reaches_its_parent(app):
    await publish(
        app,
        """
        name: big
        tasks: [{name: m, for_each: [1, 2, 3], uses: fn:large, with: {size: 40000}}]
        """,
    )
    output = await run(app, parent("big"))
    assert [len(part) for part in output] == [40_000] * 3


async def test_a_map_of_children_runs_one_for_each_item(app):
    text = """
    - {name: m, for_each: [1, 2, 3], uses: "workflow:kid", with: {x: "${{ item }}"}}
    """
    assert await run(app, text) == [10, 20, 30]


async def test_a_child_knows_its_parent_and_the_parent_its_child(app):
    handle = await app.start(dag(parent("kid_that_waits")))
    child = await child_of(app, handle)
    assert (await child.view()).parent_run_id == handle.id
    await handle.cancel()


async def test_a_stale_child_is_no_news_to_the_next_generation(app):
    """The child of an earlier generation is retried by itself: the parent waits for its own."""
    handle = await app.start(dag(parent("kid_that_fails")))
    await handle.wait()
    old = next(s.child_run_id for s in (await handle.view()).steps if s.child_run_id)
    await handle.pause() if False else None
    await handle.retry()
    await handle.wait()
    bodies.mend()
    await app.run(old).retry()
    assert (await app.run(old).wait()).status == RunStatus.COMPLETED
    assert (await handle.row()).status == RunStatus.FAILED


async def test_a_child_waits_for_a_person_like_any_run(app):
    handle = await app.start(dag(parent("asks_and_sleeps")))
    child = await child_of(app, handle)
    await status(child, "waiting")
    [approval] = await child.pending_approvals()
    await app.decide(approval, "approve", by="eve")
    await child.signal("go", 1)
    assert await handle.result() == [True, "eve", 1]
    assert parse_run_id(child.id) != handle.run_no


async def test_a_long_chain_of_lives_leaves_one_parent_waiting_and_one_answer(app):
    handle = await app.start(dag(parent("counting")))
    assert await handle.result() == 3
    await called("0", "1", "2", "3")


LARGE = {
    "a map": ("{name: k, for_each: [a, b, c], uses: fn:echo, with: {value: T}}", 3, 3),
    "a block": ("{name: k, tasks: [{name: x, with: T}, {name: y, with: T}]}", 2, 2),
    "blocks": (
        "{name: k, for_each: [a, b], tasks: [{name: x, with: T}, {name: y, with: T}]}",
        4,
        4,
    ),
    "a value": ("{name: k, with: {x: T, y: T, z: T}}", 3, 0),
}
"""A child's task, how often the text is in its output, and how often in the steps it is made of."""


@pytest.mark.parametrize("shape", LARGE)
async def test_a_large_output_of_a_child_is_kept_once_and_not_in_its_row(app, shape):
    task, copies, parts = LARGE[shape]
    tasks = task.replace(": T", ': "${{ inputs.text }}"')
    await publish(app, f"name: pup\ntasks: [{tasks}]")
    text = f"{shape} " * 5_000  # small enough to stay inline on its own
    flow = "tasks: " + parent("pup", '{text: "${{ inputs.text }}"}')
    handle = await app.start(dag(flow), input={"text": text})
    assert str(await handle.result()).count(text) == copies
    # A child that is quicker than the news of its start is found by its number.
    records = await app.engine.store.load([handle.run_no, handle.run_no + 1])
    assert records[1].row.parent_run == handle.run_no
    for record, inline in zip(records, (1, 1 + parts), strict=True):
        # The input is one text; what an output is made of is in the journal of its own steps.
        assert len(record.row.output or b"") < 1000
        assert sum(len(part.body) for part in record.tail) < inline * len(text) + 3000


async def test_a_large_input_of_a_child_is_not_in_its_row(app):
    await publish(app, "name: pup\ntasks: [{name: k, with: {size: '${{ size(inputs.x.a) }}'}}]")
    flow = "tasks: " + parent("pup", '{x: {a: "${{ inputs.text }}", b: "${{ inputs.text }}"}}')
    handle = await app.start(dag(flow), input={"text": "x" * 50_000})
    assert await handle.result() == {"size": 50_000}
    [record] = await app.engine.store.load([handle.run_no + 1])
    assert (record.row.parent_run, len(record.row.input) < 1000) == (handle.run_no, True)
    assert sum(len(part.body) for part in record.tail) < 3000
