"""Graph questions: laws over random graphs, and the sizes that must not hurt."""

from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.core.definition import Task
from podium.core.graph import (
    Ancestry,
    find_cycle,
    graph_depth,
    graph_levels,
    graph_width,
    topological_order,
    unknown_dependencies,
)


def tasks(**edges: list[str]) -> list[Task]:
    return [Task(name=name, depends_on=tuple(needs)) for name, needs in edges.items()]


@st.composite
def graphs(draw: st.DrawFn, *, is_acyclic: bool = False) -> list[Task]:
    count = draw(st.integers(1, 9))
    drawn = []
    for number in range(count):
        others = range(number) if is_acyclic else range(count)
        needs = draw(st.lists(st.sampled_from(others), max_size=4)) if others else []
        drawn.append(Task(name=f"t{number}", depends_on=tuple(f"t{need}" for need in needs)))
    return draw(st.permutations(drawn))


def is_cyclic(graph: list[Task]) -> bool:
    try:
        list(TopologicalSorter({t.name: t.depends_on for t in graph}).static_order())
    except CycleError:
        return True
    return False


@given(graph=graphs())
def test_a_cycle_is_found_exactly_when_there_is_one(graph: list[Task]) -> None:
    assert bool(find_cycle(graph)) == is_cyclic(graph)


@given(graph=graphs())
def test_a_cycle_is_a_path_of_real_edges_that_ends_where_it_began(graph: list[Task]) -> None:
    cycle = find_cycle(graph)
    needs = {task.name: task.depends_on for task in graph}
    assert all(earlier in needs[later] for earlier, later in pairwise(cycle))
    assert not cycle or cycle[0] == cycle[-1]
    assert len(set(cycle)) == max(len(cycle) - 1, 0)


@given(graph=graphs(is_acyclic=True))
def test_the_order_has_every_task_after_its_dependencies(graph: list[Task]) -> None:
    order = topological_order(graph)
    assert sorted(order) == sorted(task.name for task in graph)
    assert all(order.index(d) < order.index(t.name) for t in graph for d in t.depends_on)


@given(graph=graphs(is_acyclic=True))
def test_a_level_is_one_below_the_deepest_dependency(graph: list[Task]) -> None:
    levels = graph_levels(graph)
    for task in graph:
        assert levels[task.name] == 1 + max((levels[d] for d in task.depends_on), default=0)
    assert graph_depth(graph) == max(levels.values())


@given(graph=graphs(is_acyclic=True))
def test_ancestry_is_the_transitive_closure_of_dependencies(graph: list[Task]) -> None:
    ancestry = Ancestry(graph)
    needs = {task.name: set(task.depends_on) for task in graph}
    for name in topological_order(graph):
        needs[name] = needs[name].union(*(needs[d] for d in needs[name]))
    for later, earlier in needs.items():
        assert {name for name in needs if ancestry.precedes(name, later)} == earlier


def test_ties_keep_the_declared_order() -> None:
    assert topological_order(tasks(c=[], a=[], b=["c"])) == ("c", "a", "b")


def test_a_cycle_is_told_in_the_order_of_execution_from_the_task_declared_first() -> None:
    assert find_cycle(tasks(a=["c"], b=["a"], c=["b"])) == ("a", "b", "c", "a")


def test_a_task_that_waits_for_itself_is_the_shortest_cycle() -> None:
    assert find_cycle(tasks(a=["a"])) == ("a", "a")


def test_a_task_behind_a_cycle_is_not_part_of_it() -> None:
    assert find_cycle(tasks(behind=["b"], a=["b"], b=["a"])) == ("a", "b", "a")


def test_unknown_dependencies_are_listed_and_otherwise_ignored() -> None:
    graph = tasks(a=["x"], b=["a", "y"])
    assert unknown_dependencies(graph) == [(0, 0, "x"), (1, 1, "y")]
    assert topological_order(graph) == ("a", "b")


def test_a_block_is_as_deep_as_its_inside() -> None:
    block = Task(name="block", tasks=tuple(tasks(a=[], b=["a"])))
    assert graph_depth([block, Task(name="after", depends_on=("block",))]) == 3


def test_width_is_one_only_for_a_single_line() -> None:
    assert graph_width(tasks(a=[], b=["a"], c=["b"])) == 1
    assert graph_width(tasks(a=[], b=["a"], c=["a"])) == 2
    assert graph_width([]) == 0


@pytest.mark.timeout(20)
def test_a_chain_of_ten_thousand_tasks_is_no_special_case() -> None:
    chain = [Task(name=f"t{i}", depends_on=(f"t{i - 1}",) if i else ()) for i in range(10_000)]
    assert graph_depth(chain[::-1]) == 10_000
    assert Ancestry(chain).precedes("t0", "t9999")
    closed = [Task(name="t0", depends_on=("t9999",)), *chain[1:]]
    assert len(find_cycle(closed)) == 10_001
