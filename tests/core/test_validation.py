"""Validation of models built in Python, and the warnings; texts are in tests/authoring."""

from typing import Any

import pytest

from podium.adapters.expressions.cel import CelExpressions
from podium.core.definition import (
    Join,
    JoinKind,
    Loop,
    RetryPolicy,
    RetryRule,
    Settings,
    Task,
    Workflow,
    WorkflowKind,
)
from podium.core.validation import Limits, validate
from podium.errors import Fault


def faults(*tasks: Task, limits: Limits | None = None, **keys: Any) -> list[Fault]:
    workflow = Workflow(name="w", tasks=tasks, **keys)
    return validate(workflow, expressions=CelExpressions(), limits=limits)


def codes(*tasks: Task, **keys: Any) -> list[str]:
    return [fault.code for fault in faults(*tasks, **keys)]


def chain(count: int) -> list[Task]:
    return [Task(name=f"t{i}", depends_on=(f"t{i - 1}",) if i else ()) for i in range(count)]


def test_a_sound_workflow_has_no_faults() -> None:
    listed = Task(name="list", uses="python:a.b:c", with_={"path": "${{ inputs.path }}"})
    mapped = Task(
        name="check",
        depends_on=("list",),
        for_each="${{ tasks.list.output }}",
        key="${{ item }}",
        with_={"file": "${{ item }}", "n": "${{ index }}"},
    )
    assert codes(listed, mapped, inputs={"path": {"type": "string"}}) == []


def test_faults_carry_the_place_of_their_pointer() -> None:
    workflow = Workflow(name="w", tasks=(Task(name="a", depends_on=("b",)),))
    places = {"/tasks/0/depends_on/0": (7, 9)}
    [fault] = validate(workflow, expressions=CelExpressions(), places=places)
    assert (fault.line, fault.column, fault.pointer) == (7, 9, "/tasks/0/depends_on/0")


def test_all_faults_are_reported_at_once() -> None:
    found = codes(
        Task(name="1", depends_on=("x",)),
        Task(name="b", uses="shel", retry=RetryPolicy(max_retries=-1)),
        Task(name="b", with_="${{ tasks.c.output }}"),
    )
    assert sorted(found) == ["PDM-D101", "PDM-D103", "PDM-D104", "PDM-D106", "PDM-D201", "PDM-D311"]


def test_a_cycle_is_shown_as_a_path() -> None:
    [fault] = faults(*(Task(name=n, depends_on=(d,)) for n, d in ("ac", "ba", "cb")))
    assert fault.code == "PDM-D102"
    assert "a → b → c → a" in fault.message


def test_a_long_cycle_is_shown_in_short() -> None:
    tasks = chain(100)
    tasks[0] = Task(name="t0", depends_on=("t99",))
    [fault] = faults(*tasks, limits=Limits(depth_warn=1_000))
    assert len(fault.message) < 200
    assert "…" in fault.message


def test_ten_thousand_tasks_are_the_limit() -> None:
    tasks = [Task(name=f"t{i}") for i in range(10_000)]
    assert codes(*tasks) == []
    # Nothing else is looked at then: what is too large is not worth its other faults.
    assert codes(*tasks, Task(name="last", depends_on=("nothing",))) == ["PDM-D105"]


def test_tasks_inside_blocks_count() -> None:
    inner = tuple(Task(name=f"t{i}") for i in range(10_000))
    assert "PDM-D105" in codes(Task(name="block", tasks=inner))


def test_a_chain_deeper_than_four_is_a_warning_and_the_threshold_can_be_moved() -> None:
    [fault] = faults(*chain(5))
    assert (fault.code, fault.warning) == ("PDM-D903", True)
    assert codes(*chain(4)) == []
    assert codes(*chain(5), limits=Limits(depth_warn=5)) == []
    [refused] = faults(*chain(5), limits=Limits(is_depth_refused=True))
    assert not refused.warning


def test_one_step_at_a_time_warns_only_when_steps_could_go_together() -> None:
    settings = Settings(max_parallel_steps=1)
    assert codes(*chain(3), settings=settings) == []
    assert codes(Task(name="a"), Task(name="b"), settings=settings) == ["PDM-D902"]
    assert codes(Task(name="a", for_each=[1, 2]), settings=settings) == ["PDM-D902"]


@pytest.mark.parametrize("key", ["cache", "concurrency", "rate", "compensate", "agent"])
def test_a_key_without_effect_is_a_warning(key: str) -> None:
    [fault] = faults(Task(name="a", extensions={key: {}}))
    assert (fault.code, fault.warning, fault.pointer) == ("PDM-D901", True, f"/tasks/0/{key}")


def test_pools_executors_and_breakers_have_no_effect_yet() -> None:
    settings = Settings(circuit_breaker={"timeout": 60})
    task = Task(name="a", pool="gpu", executor="ray")
    assert codes(task, settings=settings) == ["PDM-D901"] * 3
    assert codes(Task(name="a", pool="default", executor="asyncio")) == []


def test_a_repeated_dependency_is_a_warning() -> None:
    [fault] = faults(Task(name="a"), Task(name="b", depends_on=("a", "a")))
    assert (fault.code, fault.warning) == ("PDM-D904", True)


def test_names_resolve_in_the_own_block_first_and_then_outwards() -> None:
    block = Task(
        name="block",
        depends_on=("before",),
        for_each=["x"],
        tasks=(
            Task(name="first", with_="${{ tasks.before.output }}"),
            Task(name="second", depends_on=("first",), with_="${{ tasks.first.output }}"),
        ),
    )
    assert codes(Task(name="before"), block) == []


def test_a_block_does_not_see_a_task_it_does_not_wait_for() -> None:
    block = Task(name="block", tasks=(Task(name="in", with_="${{ tasks.beside.output }}"),))
    assert codes(Task(name="beside"), block) == ["PDM-D312"]


def test_the_outside_does_not_see_into_a_block() -> None:
    block = Task(name="block", tasks=(Task(name="inner"),))
    after = Task(name="after", depends_on=("block",), with_="${{ tasks.inner.output }}")
    assert codes(block, after) == ["PDM-D311"]


def test_an_ancestor_need_not_be_a_direct_dependency() -> None:
    tasks = chain(4)
    tasks[3] = Task(name="t3", depends_on=("t2",), with_="${{ tasks.t0.output }}")
    assert codes(*tasks) == []


def test_parent_reaches_as_far_as_maps_are_nested() -> None:
    def nested(source: str) -> list[str]:
        inner = Task(name="inner", for_each=[1], with_=source)
        return codes(Task(name="outer", for_each=[1], tasks=(inner,)))

    assert nested("${{ parent.item + item }}") == []
    assert nested("${{ parent.parent.item }}") == ["PDM-D315"]


def test_a_loop_sees_its_iteration_its_previous_output_and_in_until_its_output() -> None:
    loop = Loop(until="output > 3 && iteration > 1")
    assert codes(Task(name="a", loop=loop, with_="${{ previous }}")) == []
    assert codes(Task(name="a", with_="${{ iteration }}")) == ["PDM-D316"]


def test_a_map_is_not_inside_itself_when_its_items_are_computed() -> None:
    assert codes(Task(name="a", for_each="${{ item }}")) == ["PDM-D313"]


def test_undeclared_inputs_are_faults_only_when_inputs_are_declared() -> None:
    task = Task(name="a", with_="${{ inputs.pth }}")
    assert codes(task) == []
    [fault] = faults(task, inputs={"path": {"type": "string"}})
    assert (fault.code, fault.fix) == ("PDM-D317", "Did you mean 'path'?")


def test_a_schema_that_refers_outside_is_refused_without_a_validator() -> None:
    assert codes(Task(name="a"), inputs={"x": {"$ref": "file:///etc/passwd"}}) == ["PDM-D207"]
    assert codes(Task(name="a"), inputs={"x": {"$ref": "#/$defs/y"}}) == []


def test_rules_of_a_retry_policy_have_ranges_too() -> None:
    rule = RetryRule(error="Http*", max_retries=-1, delay_initial_us=-1)
    found = faults(Task(name="a", retry=RetryPolicy(rules=(rule,))))
    assert [f.pointer for f in found] == [
        "/tasks/0/retry/rules/0/max_retries",
        "/tasks/0/retry/rules/0/delay",
    ]


def test_at_least_counts_each_dependency_once() -> None:
    join = Join(kind=JoinKind.AT_LEAST, count=2)
    found = codes(Task(name="a"), Task(name="b", depends_on=("a", "a"), join=join))
    assert "PDM-D204" in found


def test_a_range_fault_shows_the_range_and_an_example() -> None:
    [fault] = faults(Task(name="a"), settings=Settings(timeout_us=0))
    assert "1ms to 3650d" in fault.message
    assert 'timeout: "30s"' in fault.fix


def test_blocks_nested_beyond_reason_are_refused_without_recursing_into_them() -> None:
    task = Task(name="last")
    for level in range(3_000):
        task = Task(name=f"b{level}", tasks=(task,))
    assert "PDM-D113" in codes(task)


def test_a_code_workflow_needs_no_tasks() -> None:
    assert codes(kind=WorkflowKind.CODE, entrypoint="a:b") == []
