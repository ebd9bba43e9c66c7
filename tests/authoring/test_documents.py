"""Reading definitions: what YAML and JSON mean, the seed spellings, defaults, and speed."""

import contextlib
import json
import sys
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.adapters.expressions.cel import CelExpressions
from podium.authoring.documents import Format, Loaded, load_workflow
from podium.core.definition import (
    Checkpoint,
    Join,
    JoinKind,
    Loop,
    OnLost,
    RetryPolicy,
    RetryRule,
    Settings,
    Task,
    Timeouts,
    Tolerance,
)
from podium.errors import DefinitionError

SECOND = 1_000_000


def load(text: str | bytes, **options: Any) -> Loaded:
    return load_workflow(text, expressions=CelExpressions(), **options)


def task(body: str) -> Task:
    return load(f"tasks:\n  - {{name: a, {body}}}").workflow.tasks[0]


def arguments(yaml_value: str) -> Any:
    return (
        load(f"tasks:\n  - name: a\n    with:\n      x: {yaml_value}\n")
        .workflow.tasks[0]
        .with_["x"]
    )


def codes(text: str | bytes, **options: Any) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        load(text, **options)
    return [fault.code for fault in caught.value.faults]


REVIEW = """
name: review
version: "3"
description: Looks at every file.
inputs: {path: {type: string}, limit: {type: integer, default: 50}}
settings:
  timeout: 3600
  max_retries: 3
  retry_delay: 60
  exponential_backoff: true
  max_parallel_steps: 8
tasks:
  - name: list
    uses: python:review.steps:list_files
    with: {path: "${{ inputs.path }}"}
  - name: check
    depends_on: [list]
    for_each: "${{ tasks.list.output }}"
    max_parallel: 16
    tolerate: {failures: 2}
    uses: python:review.steps:check
    key: "${{ item }}"
    with: {file: "${{ item }}"}
    cache: {ttl: 1h}
  - name: publish
    depends_on: [check]
    when: "${{ size(tasks.check.output) > 0 }}"
    checkpoint: before
    uses: shell
    with: {command: ["cp", "report.md", "out/"]}
"""


def test_the_example_of_the_reference_loads() -> None:
    workflow, warnings = load(REVIEW)
    assert (workflow.name, workflow.label) == ("review", "3")
    assert workflow.settings.retry.delay_initial_us == 60 * SECOND
    assert workflow.settings.max_parallel_steps == 8
    assert workflow.tasks[1].tolerate == Tolerance(failures=2)
    assert workflow.tasks[2].checkpoint is Checkpoint.BEFORE
    assert [(w.code, w.pointer) for w in warnings] == [("PDM-D901", "/tasks/1/cache")]


def test_json_and_yaml_of_the_same_content_are_the_same_version() -> None:
    text = json.dumps(yaml.safe_load(REVIEW))
    expected = load(REVIEW).workflow.content_hash
    assert load(text).workflow.content_hash == expected
    assert load(text, format="json").workflow.content_hash == expected
    assert load(text, format="yaml").workflow.content_hash == expected


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("012", 12),
        ("0o17", 15),
        ("0x1f", 31),
        ("12:30:45", "12:30:45"),
        ("2020-01-01", "2020-01-01"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-0", 0),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("True", True),
        ("~", None),
        ("", None),
        ("null", None),
        ("'5'", "5"),
        ("=", "="),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_plain_scalars_follow_yaml_1_2(written: str, value: Any) -> None:
    found = arguments(written)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "{tasks: [{name: a}, {name: b, dependsOn: [a]}]}",
        "tasks:\n  a:\n  b: {depends_on: a}\n",
        "tasks: {a: {uses: noop}, b: {uses: noop, depends_on: [a]}}",
        '{"tasks": [{"name": "a"}, {"name": "b", "dependsOn": ["a"]}]}',
        b"\xef\xbb\xbftasks: [{name: a}, {name: b, depends_on: [a]}]",
        "tasks: [{name: a}, {name: b, depends_on: [a]}]\r\n",
    ],
)
def test_a_bare_graph_is_a_workflow_of_noops(text: str | bytes) -> None:
    workflow = load(text).workflow
    assert workflow.tasks == (Task(name="a"), Task(name="b", depends_on=("a",)))


def test_a_byte_order_mark_is_no_part_of_json() -> None:
    text = b'\xef\xbb\xbf{"tasks": [{"name": "a"}]}'
    assert load(text, format="json").workflow.tasks == (Task(name="a"),)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("definition", "workflow"),
        ("flows/daily report.yaml", "daily-report"),
        ("42-things.json", "things"),
        ("ÄÖ.yaml", "workflow"),
    ],
)
def test_a_workflow_without_a_name_takes_it_from_its_source(source: str, name: str) -> None:
    text = '{"tasks": [{"name": "a"}]}'
    assert load(text, source=source).workflow.name == name


def test_workflow_is_another_word_for_settings() -> None:
    settings = load("workflow: {timeout: 5m, max_retries: 1}\ntasks: [{name: a}]").workflow.settings
    assert settings.timeout_us == 300 * SECOND
    assert settings.retry.max_retries == 1


def test_settings_hold_the_whole_retry_policy() -> None:
    text = """
settings:
  deadline: 2h
  fail_fast: false
  timeout: null
  retry:
    max_retries: 5
    delay: 2s
    max_delay: 1m
    jitter: false
    rules: [{on: "Http*", max_retries: 0}, {error: TimeoutError, delay: 5}]
tasks: [{name: a}]
"""
    found = load(text).workflow.settings
    rules = (
        RetryRule(error="Http*", max_retries=0),
        RetryRule(error="TimeoutError", delay_initial_us=5 * SECOND),
    )
    assert (found.deadline_us, found.fail_fast, found.timeout_us) == (7_200 * SECOND, False, None)
    assert found.retry == RetryPolicy(
        max_retries=5,
        delay_initial_us=2 * SECOND,
        delay_max_us=60 * SECOND,
        jitter=False,
        rules=rules,
    )


def test_settings_are_laid_over_the_defaults_given() -> None:
    defaults = Settings(timeout_us=SECOND, retry=RetryPolicy(max_retries=9, jitter=False))
    text = "settings: {retry_delay: 2}\ntasks: [{name: a}]"
    found = load(text, defaults=defaults).workflow.settings
    assert (found.timeout_us, found.retry.max_retries, found.retry.jitter) == (SECOND, 9, False)
    assert found.retry.delay_initial_us == 2 * SECOND


def test_a_task_changes_only_the_part_of_the_retry_policy_it_names() -> None:
    text = (
        "settings: {max_retries: 9, retry_delay: 2}\ntasks: [{name: a, max_retries: 1}, {name: b}]"
    )
    changed, inherited = load(text).workflow.tasks
    assert changed.retry == RetryPolicy(max_retries=1, delay_initial_us=2 * SECOND)
    assert inherited.retry is None


def test_a_first_delay_is_not_cut_by_the_default_limit() -> None:
    assert task("retry_delay: 5m").retry == RetryPolicy(
        delay_initial_us=300 * SECOND, delay_max_us=300 * SECOND
    )


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ("checkpoint_before: true", "checkpoint", Checkpoint.BEFORE),
        ("checkpoint_after: true", "checkpoint", Checkpoint.AFTER),
        ("checkpoint: none", "checkpoint", Checkpoint.NONE),
        ("join: any", "join", Join(kind=JoinKind.ANY)),
        ("priority: high", "priority", 25),
        ("priority: 7", "priority", 7),
        ("on_lost: in_doubt", "on_lost", OnLost.IN_DOUBT),
        ("optional: true", "optional", True),
        ("when: true", "when", "true"),
        ("timeout: 30s", "timeouts", Timeouts(attempt_us=30 * SECOND)),
        (
            "timeouts: {queue: 1, total: 2}",
            "timeouts",
            Timeouts(queue_us=SECOND, total_us=2 * SECOND),
        ),
        ("loop: {until: output > 1}", "loop", Loop(until="output > 1")),
        ("for_each: [1, 2], max_parallel_steps: 4", "max_parallel", 4),
        ("for_each: [1], key: 5", "key", "5"),
        ("cache: {ttl: 1h}, agent: x", "extensions", {"cache": {"ttl": "1h"}, "agent": "x"}),
        ("description: a note", "extensions", {"description": "a note"}),
    ],
)
def test_a_key_of_a_task_fills_its_field(body: str, field: str, value: Any) -> None:
    assert getattr(task(body), field) == value


def test_at_least_is_a_join() -> None:
    text = "tasks: [{name: a}, {name: b, depends_on: a, join: {at_least: 1}}]"
    assert load(text).workflow.tasks[1].join == Join(kind=JoinKind.AT_LEAST, count=1)


def test_a_block_holds_tasks_and_may_name_its_output() -> None:
    text = """
tasks:
  - name: per_file
    for_each: "${{ inputs.files }}"
    output: judge
    tasks:
      - {name: read, with: {file: "${{ item }}"}}
      - {name: judge, depends_on: [read], with: {text: "${{ tasks.read.output }}"}}
"""
    block = load(text).workflow.tasks[0]
    assert block.output == "judge"
    assert [inner.name for inner in block.tasks] == ["read", "judge"]


def test_a_task_takes_from_its_group_what_it_does_not_say() -> None:
    text = """
groups: {io: {description: Slow things., timeout: 5, max_retries: 7, priority: low}}
tasks: [{name: a, group: io, timeout: 1}, {name: b}]
"""
    grouped, alone = load(text).workflow.tasks
    assert grouped.timeouts.attempt_us == SECOND
    assert (grouped.priority, grouped.extensions) == (75, None)
    assert grouped.retry is not None
    assert grouped.retry.max_retries == 7
    assert alone == Task(name="b")


def test_an_expression_may_give_all_arguments() -> None:
    assert task('for_each: [1], with: "${{ item }}"').with_ == "${{ item }}"


def test_at_most_fifty_faults_are_listed_and_all_are_counted() -> None:
    text = "tasks:\n" + "".join(f"  - {{name: t{i}, uses: x}}\n" for i in range(60))
    with pytest.raises(DefinitionError) as caught:
        load(text)
    assert len(caught.value.faults) == 50
    assert "60 faults" in str(caught.value)


def test_faults_come_in_the_order_of_the_text() -> None:
    text = "tasks:\n  - {name: 1a, usses: x}\n  - {name: b, depends_on: [c], timeout: soon}\n"
    with pytest.raises(DefinitionError) as caught:
        load(text)
    places = [(fault.line, fault.column) for fault in caught.value.faults]
    assert places == sorted(places)
    assert len(places) == 4


def test_pointers_are_those_of_the_text_and_not_of_the_model() -> None:
    text = "tasks: {a/b: {dependsOn: [x]}}"
    with pytest.raises(DefinitionError) as caught:
        load(text)
    pointers = {fault.pointer for fault in caught.value.faults}
    assert pointers == {"/tasks/a~1b/name", "/tasks/a~1b/dependsOn/0"}


def test_a_definition_larger_than_the_cap_is_refused_before_it_is_parsed() -> None:
    assert codes("x" * 101, bytes_max=100) == ["PDM-D003"]
    assert codes("ä" * 60, bytes_max=100) == ["PDM-D003"]


def test_a_lone_surrogate_in_the_text_itself_is_refused() -> None:
    assert codes("name: \ud800\ntasks: [{name: a}]") == ["PDM-D004"]


def test_nothing_is_imported_while_a_definition_is_checked() -> None:
    sys.modules.pop("antigravity", None)
    load("tasks: [{name: a, uses: python:antigravity:geohash}]")
    assert "antigravity" not in sys.modules


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_loaded_or_refused_and_never_anything_else(text: str | bytes) -> None:
    for kind in ("auto", "json", "yaml"):
        check_or_refuse(text, kind)


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            *"{}[]:,-\n\"'&*!|>#%@",
            "  ",
            "name",
            "tasks",
            "a",
            "${{",
            "}}",
            "depends_on",
            "5",
            "uses",
        ]
    ),
    max_size=40,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(text=FRAGMENTS)
def test_any_mix_of_the_language_is_loaded_or_refused(text: str) -> None:
    check_or_refuse(text, "yaml")
    check_or_refuse(f"tasks: [{{name: a, with: {{x: {text}}}}}]", "yaml")


TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.sampled_from(["a", "${{ b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "name tasks uses with depends_on for_each loop until join retry rules groups "
                "settings timeout inputs type default key when priority tolerate output a".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(tree=st.dictionaries(st.sampled_from(["tasks", "settings", "inputs", "groups"]), TREES))
def test_any_tree_of_known_keys_is_loaded_or_refused(tree: dict[str, Any]) -> None:
    check_or_refuse(json.dumps(tree), "json")


def check_or_refuse(text: str | bytes, kind: Format) -> None:
    with contextlib.suppress(DefinitionError):
        assert load(text, format=kind).workflow.tasks


@pytest.mark.timeout(60)
def test_ten_thousand_tasks_load_in_seconds() -> None:
    lines = ["tasks:"]
    for number in range(10_000):
        earlier = number // 2
        lines.append(f"  - name: t{number}")
        if number:
            lines.append(f"    depends_on: [t{earlier}]")
            lines.append(f'    with: {{x: "${{{{ tasks.t{earlier}.output }}}}"}}')
    started = time.process_time()
    assert len(load("\n".join(lines)).workflow.tasks) == 10_000
    # The aim is two seconds on an idle machine; this bound only catches a quadratic algorithm.
    assert time.process_time() - started < 10
