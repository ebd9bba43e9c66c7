"""Graphs end to end: order, conditions, joins, groups, blocks, loops, outputs."""

import bodies
import pytest
from waiting import at, dag, look, run, steps

import podium


async def test_a_task_starts_after_all_it_depends_on(app):
    handle = await app.start(
        dag("""
        - {name: a, uses: fn:echo, with: {value: 1}}
        - {name: b, uses: fn:echo, with: {value: 2}}
        - {name: c, uses: fn:echo, depends_on: [a, b], with: {value: "${{ tasks.a.output }}"}}
        """)
    )
    assert await handle.result() == 1
    assert bodies.calls[2] == 1


async def test_the_output_is_that_of_the_task_it_names(app):
    text = """
    output: a
    tasks: [{name: a, uses: noop, with: {x: 1}}, {name: b, depends_on: [a]}]
    """
    assert await run(app, text) == {"x": 1}


async def test_inputs_reach_the_tasks_with_their_defaults(app):
    text = """
    inputs: {a: {type: integer}, b: {type: integer, default: 5}}
    tasks: [{name: sum, with: "${{ inputs.a + inputs.b }}"}]
    """
    assert await run(app, text, input={"a": 2}) == 7


async def test_a_wrong_input_is_refused_before_anything_starts(app):
    text = "inputs: {a: {type: integer}}\ntasks: [{name: t}]"
    with pytest.raises(podium.PodiumError) as caught:
        await run(app, text, input={"a": "x"})
    assert caught.value.status in {400, 422}


async def test_a_false_condition_skips_the_task_and_what_needs_it(app):
    handle = await app.start(
        dag("""
        - {name: a, when: "${{ 1 > 2 }}"}
        - {name: b, depends_on: [a], uses: fn:echo}
        - {name: c, depends_on: [a], join: all_done, with: "${{ tasks.a.status }}"}
        """)
    )
    assert await handle.result() == "skipped"
    assert await look(handle) == {"a": "skipped", "b": "skipped", "c": "completed"}
    assert not bodies.calls


async def test_a_condition_over_an_output_decides(app):
    text = """
    - {name: a, with: "${{ [1, 2] }}"}
    - {name: b, depends_on: [a], when: "${{ size(tasks.a.output) > 1 }}", with: yes it is}
    """
    assert await run(app, text) == "yes it is"


@pytest.mark.parametrize(
    ("join", "expected"),
    [
        ("all", "skipped"),
        ("any", "completed"),
        ("all_done", "completed"),
        ("{at_least: 2}", "completed"),
        ("{at_least: 3}", "skipped"),
    ],
)
async def test_a_join_decides_how_many_dependencies_must_complete(app, join, expected):
    handle = await app.start(
        dag(f"""
        - {{name: a}}
        - {{name: b}}
        - {{name: c, when: "false"}}
        - {{name: d, depends_on: [a, b, c], join: {join}}}
        """)
    )
    await handle.wait()
    assert (await look(handle))["d"] == expected


async def test_a_join_of_any_does_not_wait_for_the_others(app):
    handle = await app.start(
        dag("""
        - {name: slow, uses: fn:hold}
        - {name: fast}
        - {name: next, depends_on: [slow, fast], join: any, uses: fn:echo, with: {value: on}}
        """)
    )
    await at(handle, "next", "completed")
    assert (await look(handle))["slow"] == "running"
    bodies.gate("gate").set()
    await handle.result()


async def test_an_optional_failure_neither_fails_the_run_nor_stops_what_follows(app):
    text = """
    - {name: a, uses: fn:fail, optional: true, max_retries: 0}
    - {name: b, depends_on: [a], with: "${{ tasks.a.error.kind }}"}
    """
    assert await run(app, text) == "ValueError"


async def test_a_failure_cancels_open_siblings_and_skips_what_follows(app):
    handle = await app.start(
        dag("""
        - {name: slow, uses: fn:hold}
        - {name: bad, uses: fn:fail, max_retries: 0}
        - {name: after, depends_on: [bad]}
        """)
    )
    with pytest.raises(podium.TaskError, match="no"):
        await handle.result()
    assert await look(handle) == {"slow": "cancelled", "bad": "failed", "after": "skipped"}


async def test_without_fail_fast_the_siblings_end_first(app):
    handle = await app.start(
        dag("""
        settings: {fail_fast: false}
        tasks:
        - {name: a, uses: fn:count, with: {value: 1}}
        - {name: bad, uses: fn:fail, max_retries: 0}
        - {name: b, depends_on: [a], uses: fn:count, with: {value: 2}}
        """)
    )
    with pytest.raises(podium.RunError):
        await handle.result()
    assert await look(handle) == {"a": "completed", "bad": "failed", "b": "completed"}


async def test_a_cleanup_runs_after_a_failure_although_the_rest_is_cut_off(app):
    handle = await app.start(
        dag("""
        - {name: slow, uses: fn:hold}
        - {name: bad, uses: fn:fail, max_retries: 0}
        - {name: clean, depends_on: [slow, bad], join: all_done, uses: fn:echo,
           with: {value: "${{ tasks.slow.status }}"}}
        """)
    )
    with pytest.raises(podium.RunError):
        await handle.result()
    assert bodies.calls[-1] == "cancelled"


async def test_a_group_gives_its_tasks_options(app):
    handle = await app.start(
        dag("""
        groups: {fast: {max_retries: 0}}
        tasks: [{name: a, group: fast, uses: fn:fail}]
        """)
    )
    with pytest.raises(podium.RunError):
        await handle.result()
    assert bodies.calls == ["ValueError"]


async def test_a_block_runs_a_graph_in_the_place_of_a_task(app):
    text = """
    - name: outer
      tasks:
      - {name: a, with: "${{ 1 }}"}
      - {name: b, depends_on: [a], with: "${{ tasks.a.output + 1 }}"}
    - {name: after, depends_on: [outer], with: "${{ tasks.outer.output }}"}
    """
    assert await run(app, text) == {"a": 1, "b": 2}


async def test_a_block_may_give_the_output_of_one_of_its_tasks(app):
    text = "[{name: outer, output: a, tasks: [{name: a, with: {x: 1}}, {name: b}]}]"
    assert await run(app, text) == {"x": 1}


async def test_a_task_in_a_block_sees_the_tasks_around_it(app):
    text = """
    - {name: a, with: "${{ 7 }}"}
    - {name: outer, depends_on: [a], output: b, tasks: [{name: b, with: "${{ tasks.a.output }}"}]}
    """
    assert await run(app, text) == 7


async def test_a_failing_block_fails_with_the_error_of_its_task(app):
    handle = await app.start(
        dag("""
        - {name: outer, tasks: [{name: a, uses: fn:fail, max_retries: 0}, {name: b}]}
        """)
    )
    with pytest.raises(podium.TaskError, match="no"):
        await handle.result()
    assert (await handle.view()).error.step == "outer/a"


async def test_a_loop_runs_until_its_condition_holds(app):
    text = """
    - name: up
      uses: fn:echo
      with: {value: "${{ previous == null ? 1 : previous + iteration }}"}
      loop: {until: "${{ output >= 4 }}"}
    """
    assert await run(app, text) == 4
    assert bodies.calls == [1, 2, 4]


async def test_a_loop_ends_with_an_error_after_its_last_iteration(app):
    with pytest.raises(podium.TaskError) as caught:
        await run(app, """[{name: l, loop: {until: "false", max_iterations: 3}}]""")
    assert caught.value.code == "PDM-T034"


async def test_a_loop_waits_between_its_iterations(app):
    text = """[{name: l, loop: {until: "${{ iteration == 2 }}", delay: 20ms}}]"""
    handle = await app.start(dag(text))
    await handle.result()
    view = await handle.view()
    assert view.ended_us - view.created_us >= 40_000


async def test_a_loop_with_a_delay_may_repeat_a_sleep(app):
    text = """
    - {name: l, uses: sleep, with: {duration: 30ms}, loop: {until: "iteration == 1", delay: 10ms}}
    """
    handle = await app.start(dag(text))
    await handle.result()
    view = await handle.view()
    assert view.ended_us - view.created_us >= 70_000


async def test_a_block_may_be_repeated_by_a_loop(app):
    text = """
    - name: l
      loop: {until: "${{ output.a > 1 }}"}
      tasks: [{name: a, with: "${{ iteration }}"}]
    """
    assert await run(app, text) == {"a": 2}


async def test_a_chain_of_500_tasks_runs_to_its_end(app):
    graph = podium.Graph("chain")
    for number in range(500):
        needs = [f"t{number - 1}"] if number else []
        graph.add(f"t{number}", with_=number, depends_on=needs)
    assert await (await app.start(graph)).result() == 499


async def test_a_graph_built_in_python_runs_like_one_from_text(app):
    graph = podium.Graph("g").add("a", bodies.echo, with_={"value": 3})
    graph.add("b", bodies.echo, with_={"value": "${{ tasks.a.output * 2 }}"}, depends_on=["a"])
    handle = await app.start(graph)
    assert await handle.result() == 6
    assert steps(await handle.view()) == {"a": "completed", "b": "completed"}


async def test_an_expression_that_fails_is_the_error_of_its_task(app):
    text = """
    - {name: a, with: {}}
    - {name: b, depends_on: [a], uses: fn:echo, with: {value: "${{ tasks.a.output.x }}"}}
    """
    with pytest.raises(podium.TaskError, match="has no member 'x'"):
        await run(app, text)
