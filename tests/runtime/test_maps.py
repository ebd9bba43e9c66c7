"""Maps: items, keys, nesting, windows, tolerance."""

import bodies
import pytest
from waiting import dag, look, run

import podium


async def test_a_map_runs_one_step_for_each_item_and_keeps_their_order(app):
    text = """
    - {name: m, for_each: [c, a, b], uses: fn:echo, with: {value: "${{ item + string(index) }}"}}
    """
    assert await run(app, text) == ["c0", "a1", "b2"]


async def test_the_steps_of_a_map_are_named_by_their_keys(app):
    handle = await app.start(dag('[{name: m, for_each: [x, 7], with: "${{ key }}"}]'))
    assert await handle.result() == ["x", "7"]
    assert set(await look(handle)) == {"m", "m[x]", "m[7]"}


async def test_a_map_over_an_object_gives_its_entries(app):
    text = """
    - {name: m, for_each: {a: 1, b: 2}, with: "${{ item.key + '=' + string(item.value) }}"}
    """
    assert await run(app, text) == ["a=1", "b=2"]


async def test_a_map_over_an_earlier_output(app):
    text = """
    - {name: list, with: "${{ [1, 2, 3] }}"}
    - {name: m, depends_on: [list], for_each: "${{ tasks.list.output }}", with: "${{ item * 2 }}"}
    - {name: all, depends_on: [m], with: "${{ tasks.m.output.map(x, x + 1) }}"}
    """
    assert await run(app, text) == [3, 5, 7]


async def test_an_empty_map_completes_with_an_empty_list(app):
    text = """
    - {name: m, for_each: [], uses: fn:echo}
    - {name: after, depends_on: [m], with: "${{ tasks.m.output }}"}
    """
    assert await run(app, text) == []


async def test_a_key_expression_names_the_steps(app):
    text = """[{name: m, for_each: [{n: a}, {n: b}], key: "${{ item.n }}"}]"""
    handle = await app.start(dag(text))
    await handle.result()
    assert {"m[a]", "m[b]"} <= set(await look(handle))


@pytest.mark.parametrize("items", ["[a, b, a]", "[1, '1']"])
async def test_two_items_with_one_key_are_refused_before_any_starts(app, items):
    with pytest.raises(podium.TaskError) as caught:
        await run(app, f"[{{name: m, for_each: {items}, uses: fn:echo}}]")
    assert caught.value.code == "PDM-T032"
    assert not bodies.calls


async def test_a_map_over_a_number_says_what_it_takes(app):
    text = """[{name: m, for_each: "${{ 5 }}"}]"""
    with pytest.raises(podium.TaskError, match="not a list or map") as caught:
        await run(app, text)
    assert caught.value.code == "PDM-T030"


async def test_max_parallel_bounds_how_many_items_run_at_once(app):
    text = """
    - {name: m, for_each: "${{ inputs.n }}", max_parallel: 3, uses: fn:count,
       with: {value: "${{ item }}"}}
    """
    assert await run(app, text, input={"n": list(range(20))}) == list(range(20))
    assert bodies.crowd["peak"] == 3


async def test_max_parallel_steps_bounds_the_whole_run(app):
    text = """
    settings: {max_parallel_steps: 2}
    tasks:
    - {name: m, for_each: [1, 2, 3, 4, 5], uses: fn:count}
    - {name: k, for_each: [1, 2, 3, 4, 5], uses: fn:count}
    """
    await run(app, text)
    assert (bodies.crowd["peak"], len(bodies.calls)) == (2, 10)


async def test_the_capacity_of_the_node_bounds_all_its_runs(house):
    async with house.app(capacity=2) as app:
        text = "[{name: m, for_each: [1, 2, 3, 4, 5], uses: fn:count}]"
        handles = [await app.start(dag(text)) for _ in range(3)]
        assert [len(await handle.result()) for handle in handles] == [5, 5, 5]
    assert bodies.crowd["peak"] == 2


@pytest.mark.parametrize("tolerate", ["{failures: 1}", "{percent: 34}"])
async def test_a_map_tolerates_failures_and_says_that_it_is_partial(app, tolerate):
    handle = await app.start(
        dag(f"""
        - {{name: m, for_each: [1, 2, 3], tolerate: {tolerate}, max_retries: 0,
           uses: fn:fail_on, with: {{value: "${{{{ item }}}}", bad: 2}}}}
        """)
    )
    assert await handle.result() == [1, None, 3]
    view = await handle.view()
    assert (view.status, view.reason) == ("completed", "partial")
    assert view.steps[0].items_failed == 1


@pytest.mark.parametrize("tolerate", ["", "tolerate: {failures: 1},", "tolerate: {percent: 50},"])
async def test_more_failures_than_tolerated_fail_the_map(app, tolerate):
    handle = await app.start(
        dag(f"""
        - {{name: m, for_each: [1, 2, 3], {tolerate} max_retries: 0, uses: fn:fail_on,
           with: {{value: "${{{{ item }}}}", bad: [1, 2]}}}}
        """)
    )
    with pytest.raises(podium.TaskError, match="bad 1"):
        await handle.result()
    assert (await handle.view()).error.step.startswith("m[")


async def test_nested_maps_see_the_items_around_them(app):
    text = """
    - name: outer
      for_each: [a, b]
      output: inner
      tasks:
      - {name: inner, for_each: [1, 2], with: "${{ parent.item + string(item) + parent.key }}"}
    """
    assert await run(app, text) == [["a1a", "a2a"], ["b1b", "b2b"]]


async def test_the_steps_of_nested_maps_have_nested_paths(app):
    handle = await app.start(
        dag("""
        - name: o
          for_each: [a]
          tasks: [{name: i, for_each: [x], uses: fn:about_me}]
        """)
    )
    assert (await handle.result())[0]["i"][0]["step"] == "o[a]/i[x]"


async def test_the_item_of_a_map_of_blocks_has_all_outputs_of_its_block(app):
    text = """
    - name: m
      for_each: [1, 2]
      tasks:
      - {name: a, with: "${{ item }}"}
      - {name: b, depends_on: [a], with: "${{ tasks.a.output * 10 + parent_index }}"}
    """.replace("parent_index", "index")
    assert await run(app, text) == [{"a": 1, "b": 10}, {"a": 2, "b": 21}]


async def test_blocks_of_a_map_run_depth_first_within_their_window(app):
    text = """
    - name: m
      for_each: [1, 2, 3]
      max_parallel: 1
      tasks:
      - {name: a, uses: fn:echo, with: {value: "${{ 'a' + string(item) }}"}}
      - {name: b, depends_on: [a], uses: fn:echo, with: {value: "${{ 'b' + string(item) }}"}}
    """
    await run(app, text)
    assert bodies.calls == ["a1", "b1", "a2", "b2", "a3", "b3"]


async def test_a_map_of_sleeps_sleeps_side_by_side(app):
    text = """[{name: m, for_each: [1, 2, 3, 4, 5], uses: sleep, with: {duration: 50ms}}]"""
    handle = await app.start(dag(text))
    await handle.result()
    view = await handle.view()
    assert 50_000 <= view.ended_us - view.created_us < 200_000


async def test_a_map_of_3000_items_runs_through_its_window(app):
    text = """[{name: m, for_each: "${{ inputs.n }}", with: "${{ item }}"}]"""
    assert await run(app, text, input={"n": list(range(3000))}) == list(range(3000))


async def test_an_item_that_fails_cancels_the_open_items(app):
    handle = await app.start(
        dag("""
        - name: m
          for_each: [1, 2]
          max_retries: 0
          tasks:
          - {name: bad, when: "${{ item == 1 }}", uses: fn:fail}
          - {name: slow, when: "${{ item == 2 }}", uses: fn:hold}
        """)
    )
    with pytest.raises(podium.RunError):
        await handle.result()
    assert (await look(handle))["m[2]/slow"] == "cancelled"
