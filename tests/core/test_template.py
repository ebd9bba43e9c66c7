"""Templates: typed values, interpolation, plain paths without the engine, conditions."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.adapters.expressions.cel import CelExpressions
from podium.core.template import (
    ExpressionFailure,
    compile_condition,
    compile_template,
    parse_path,
    split_text,
)

SCOPE = {
    "inputs": {"path": "src", "n": 3},
    "item": 7,
    "parent": {"item": "outer"},
    "tasks": {"list": {"output": ["a", "b"]}, "a-b": {"output": [{"x": 5}]}},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text().filter(lambda t: "${{" not in t),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=8,
)


class NoEngine:
    """Refuses to compile: what works with it works without the engine."""

    def compile(self, source: str) -> Any:
        raise AssertionError(source)


def render(value: Any, scope: dict[str, Any] = SCOPE) -> Any:
    return compile_template(value, CelExpressions()).render(scope)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("item", 7),
        ("inputs.path", "src"),
        ("tasks.list.output", ["a", "b"]),
        ("tasks.list.output[1]", "b"),
        ('tasks["a-b"].output[0].x', 5),
        ("tasks['a-b'].output[0]['x']", 5),
        (" parent.item ", "outer"),
    ],
)
def test_a_plain_path_is_walked_without_the_engine(path: str, value: Any) -> None:
    assert compile_template(f"${{{{{path}}}}}", NoEngine()).render(SCOPE) == value


def test_a_path_gives_the_very_value_and_not_a_copy() -> None:
    assert render("${{ tasks.list.output }}") is SCOPE["tasks"]["list"]["output"]


@pytest.mark.parametrize(
    "source", ["true", "inputs.in", "a b", "a.", "a[-1]", "1", "size(a)", "a.b()", "", 'a["\\n"]']
)
def test_what_is_more_than_a_path_is_left_to_the_engine(source: str) -> None:
    assert parse_path(source) is None


def test_one_expression_keeps_its_type_and_mixed_text_becomes_text() -> None:
    assert render("${{ inputs.n + 1 }}") == 4
    assert (
        render("n=${{ inputs.n }} ${{ tasks.list.output }}${{ item == 7 }}") == 'n=3 ["a","b"]true'
    )


def test_templates_render_at_any_depth_and_keep_the_order_of_keys() -> None:
    value = {"z": 1, "a": ["${{ item }}", {"b": "${{ inputs.n }}"}], "k": None}
    assert render(value) == {"z": 1, "a": [7, {"b": 3}], "k": None}
    assert list(render(value)) == ["z", "a", "k"]


@given(value=JSON)
def test_constants_render_to_themselves(value: Any) -> None:
    template = compile_template(value, NoEngine())
    assert template.is_constant
    assert template.render({}) is value


def test_rendering_leaves_the_definition_as_it_was() -> None:
    value = {"a": ["${{ item }}"]}
    render(value)
    assert value == {"a": ["${{ item }}"]}


def test_references_name_what_rendering_reads() -> None:
    template = compile_template(["${{ item }}", "${{ size(tasks.list.output) }}"], CelExpressions())
    assert template.references == {("item",), ("tasks", "list", "output")}


def test_an_expression_may_hold_braces_and_quoted_ends() -> None:
    assert render("${{ {'a': {'b': item}} }}") == {"a": {"b": 7}}
    assert render("${{ '}}' + \"}\" }}!") == "}}}!"
    assert render("${{ 'it\\'s }}' }}") == "it's }}"


def test_text_that_only_looks_like_an_expression_stays_text() -> None:
    assert render("{{ item }} ${item} $HOME") == "{{ item }} ${item} $HOME"


@given(parts=st.lists(st.tuples(st.text("ab ${}'"), st.booleans()), max_size=6))
def test_splitting_loses_nothing(parts: list[tuple[str, bool]]) -> None:
    plain = [(text.replace("{", ""), code) for text, code in parts]
    source = "".join(f"${{{{ x{i} }}}}" if code else t for i, (t, code) in enumerate(plain))
    back = "".join(f"${{{{{t}}}}}" if code else t for t, code in split_text(source))
    assert back == source


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("${{ inputs.pth }}", "'inputs' has no member 'pth'; it has n, path"),
        ("${{ item.x }}", "'item' is a number, which has no member 'x'"),
        ("${{ tasks.list.output[5] }}", "'tasks.list.output' has 2 items, so there is no item 5"),
        ("${{ inputs.path[0] }}", "'inputs.path' is text, which has no member 0"),
        ("${{ nothing }}", "the scope has no member 'nothing'"),
        ('${{ tasks["a-b"].outptu }}', "'tasks[\"a-b\"]' has no member 'outptu'; it has output"),
    ],
)
def test_a_missing_member_says_what_is_there(source: str, said: str) -> None:
    with pytest.raises(ExpressionFailure) as caught:
        render(source)
    assert caught.value.code == "PDM-D304"
    assert said in caught.value.what


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("${{ item", "PDM-D302"),
        ("${{ 'item }}", "PDM-D302"),
        ("${{ }}", "PDM-D301"),
        ({"${{ item }}": 1}, "PDM-D305"),
    ],
)
def test_a_broken_template_is_refused_when_it_is_compiled(value: Any, code: str) -> None:
    with pytest.raises(ExpressionFailure) as caught:
        compile_template(value, CelExpressions())
    assert caught.value.code == code


def test_a_value_nested_too_deep_is_refused_before_the_stack_is_exhausted() -> None:
    value: Any = 1
    for _ in range(5_000):
        value = [value]
    with pytest.raises(ExpressionFailure) as caught:
        compile_template(value, NoEngine())
    assert caught.value.code == "PDM-D305"


@pytest.mark.parametrize("source", ["inputs.n > 2", "${{ inputs.n > 2 }}", " ${{inputs.n>2}} "])
def test_a_condition_is_written_with_or_without_the_marks(source: str) -> None:
    condition = compile_condition(source, CelExpressions())
    assert condition.evaluate(SCOPE) is True
    assert condition.references == {("inputs", "n")}


@pytest.mark.parametrize("source", ["inputs.n", "inputs.path", "null", "[]"])
def test_a_condition_that_is_not_a_boolean_is_a_failure(source: str) -> None:
    with pytest.raises(ExpressionFailure) as caught:
        compile_condition(source, CelExpressions()).evaluate(SCOPE)
    assert caught.value.code == "PDM-D306"


def test_a_condition_does_not_mix_text_and_expressions() -> None:
    with pytest.raises(ExpressionFailure) as caught:
        compile_condition("yes ${{ inputs.n }}", CelExpressions())
    assert caught.value.code == "PDM-D303"
