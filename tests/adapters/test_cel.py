"""The expression engine: the language, agreement with the reference, and its limits."""

import functools
import importlib
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.adapters.expressions.cel import CelExpressions
from podium.core.template import ExpressionFailure

SCOPE = {
    "inputs": {"a": 3, "b": -7, "c": 2.5, "s": "aXb,c", "none": None},
    "item": [1, 2, 3, "x", None, [1]],
    "output": {"k": 1, "z": {"y": [True]}},
}


ENGINE = CelExpressions()


def value(source: str, scope: dict[str, Any] = SCOPE) -> Any:
    return ENGINE.compile(source).evaluate(scope)


def failure(source: str, scope: dict[str, Any] = SCOPE) -> ExpressionFailure:
    with pytest.raises(ExpressionFailure) as caught:
        value(source, scope)
    return caught.value


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("inputs.a + 1", 4),
        ("inputs.b / 2", -3),
        ("inputs.b % 4", -3),
        ("inputs.c * 2.0", 5.0),
        ("size('äö') + size(item) + size(output)", 10),
        ("has(output.k) && !has(output.q)", True),
        ("has(output.q) ? output.q : null", None),
        ("item[0] in [1, 2]", True),
        ("'k' in output", True),
        ("output.z.y[0]", True),
        ("[1, 2, 3].map(i, i * 2)", [2, 4, 6]),
        ("[1, 2, 3].map(i, i > 1, i * 2)", [4, 6]),
        ("[1, 2, 3].filter(i, i > 1)", [2, 3]),
        ("[1, 2].exists(i, i == 2) && [1, 2].all(i, i > 0)", True),
        ("[1, 2, 2].exists_one(i, i == 2)", False),
        ("output.map(k, k)", ["k", "z"]),
        ("inputs.s.split(',').join('-').upperAscii()", "AXB-C"),
        ("inputs.s.matches('^a.b')", True),
        ("inputs.s.replace('X', 'YY').startsWith('aYY')", True),
        ("'%s-%d'.format(['a', 1])", "a-1"),
        ("'aaa'.replace('a', 'b', 2)", "bba"),
        ("' a '.trim() + 'abc'.substring(1)", "abc"),
        ("int('5') + int(2.9)", 7),
        ("string(1.5) + string(true)", "1.5true"),
        ("timestamp('2020-01-01T00:00:00Z') + duration('5m')", "2020-01-01T00:05:00Z"),
        ("timestamp('2020-01-01T00:00:00Z').getFullYear()", 2020),
        ("duration('90s') > duration('1m')", True),
        ("duration('90s')", 90.0),
        ("1 == 1.0 && 1 != true && null == null", True),
        ("{'a': [1, {'b': inputs.a}]}", {"a": [1, {"b": 3}]}),
        ("false && inputs.nothing", False),
        ("inputs.nothing || true", True),
    ],
)
def test_expressions_give_plain_json(source: str, expected: Any) -> None:
    found = value(source)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("inputs.a + 'x'", "PDM-D307", "+ does not take int and string"),
        ("inputs.a + 0.5", "PDM-D307", "+ does not take int and double"),
        ("1 / 0", "PDM-D307", "divides by zero"),
        ("9223372036854775807 + 1", "PDM-D307", "64-bit"),
        ("1.0 / 0.0", "PDM-D307", "no JSON"),
        ("b'abc'", "PDM-D307", "no JSON"),
        ("{1: 2}", "PDM-D307", "keys are strings"),
        ("int('x')", "PDM-D307", "cannot convert"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('9999h')", "PDM-D307", "Expression"),
        ("timestamp('yesterday')", "PDM-D307", "Expression"),
        ("inputs.a ? 1 : 2", "PDM-D307", "not bool"),
        ("inputs.nothing + 1", "PDM-D304", "no member 'nothing'"),
        ("item[9] == 1", "PDM-D304", "no item 9 of 6"),
        ("item.all(i, i > 0)", "PDM-D307", "does not take"),
        ("previous + 1", "PDM-D304", "'previous' has no value here"),
    ],
)
def test_a_failed_evaluation_says_why(source: str, code: str, said: str) -> None:
    failed = failure(source)
    assert failed.code == code
    assert said in failed.what


@pytest.mark.parametrize(
    ("source", "column"),
    [("inputs.a +", 11), ("1 + siz(inputs)", 8), ("inputs.a + (1 +* 2)", 16), ("[1, 2", 6)],
)
def test_a_broken_expression_names_the_column(source: str, column: int) -> None:
    assert failure(source).column == column


@pytest.mark.parametrize(
    ("source", "references"),
    [
        ("size(tasks.list.output) > 0", {("tasks", "list", "output")}),
        ("tasks['a-b'].output[0].x", {("tasks", "a-b", "output")}),
        ("tasks[item].output", {("tasks",), ("item",)}),
        ("has(inputs.x) ? inputs.x : item", {("inputs", "x"), ("item",)}),
        ("inputs.map(item, item.x + index)", {("inputs",), ("index",)}),
        ("tasks.x.output.exists(inputs, inputs == item)", {("tasks", "x", "output"), ("item",)}),
        ("{'a': [run.id]}", {("run", "id")}),
        ("1 + 1", set()),
    ],
)
def test_references_are_the_free_paths(source: str, references: set[tuple[str, ...]]) -> None:
    assert CelExpressions().compile(source).references == references


HOSTILE = [
    ("item.all(a, item.all(b, item.all(c, a + b + c >= 0)))", list(range(150))),
    ("item.map(a, item.map(b, item.map(c, a + b + c)))", list(range(100))),
    ("item.map(a, item.map(b, item))", list(range(300))),
    ("item.map(a, a + a + a)", ["x" * 100_000] * 1_000),
    ("item.map(a, item.join(a))", ["x" * 1_000] * 1_000),
    ("item.map(a, 'x'.replace('', a))", ["x" * 1_000_000] * 100),
    ("item[0].replace('', item[0], 99999)", ["x" * 90_000]),
    ("item == item", [list(range(1_000))] * 1_500),
    ("item.map(a, a in item)", list(range(10_000))),
    ("item.map(a, string(a).matches('(a+)+$'))", list(range(100_000))),
    ("(" * 1_000 + "1" + ")" * 1_000, None),
    ("1" + "+1" * 1_000, None),
    ("'" + "a" * 1_000_000 + "'", None),
    ("inputs" + ".a" * 2_000, None),
]


@pytest.mark.timeout(30)
@pytest.mark.parametrize(("source", "item"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_expressions_are_cut_off(source: str, item: Any) -> None:
    assert failure(source, {"item": item}).code == "PDM-D310"


def test_a_pattern_that_backtracks_elsewhere_is_linear_here() -> None:
    assert value("item.matches('^(a+)+$')", {"item": "a" * 50_000 + "b"}) is False


def test_ordinary_work_over_many_items_is_within_the_limits() -> None:
    findings = [{"level": "high" if i % 2 else "low", "n": i} for i in range(10_000)]
    scope = {"item": findings}
    assert value("size(item.filter(f, f.level == 'high' && f.n > 3))", scope) == 4_998


def test_text_with_nul_is_not_cut() -> None:
    assert value("item + 'x'", {"item": "a\0b"}) == "a\0bx"
    assert "NUL" in failure("item.matches('a')", {"item": "a\0b"}).what


def test_a_large_output_that_is_not_read_costs_nothing() -> None:
    class Untouchable(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise AssertionError(key)

    scope = {"tasks": {"small": {"output": 1}, "big": Untouchable()}}
    assert value("tasks.small.output + 1", scope) == 2


def test_results_do_not_share_containers_with_the_scope() -> None:
    found = value("[output]")
    assert found == [SCOPE["output"]]
    assert found[0] is not SCOPE["output"]


def test_the_engine_is_loaded_with_the_first_expression_only() -> None:
    program = (
        "import sys; from podium.adapters.expressions.cel import CelExpressions;"
        "x = CelExpressions(); print('cel_expr_python' in sys.modules, end=' ');"
        "x.compile('1 + 1'); print('cel_expr_python' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False True\n"


# --- agreement with the reference evaluator -------------------------------------------------------

ATOMS = (
    *("inputs.a", "inputs.b", "inputs.c", "inputs.s", "inputs.none", "item", "output"),
    *("1", "0", "-2", "1.5", "'a'", "','", "''", "true", "false", "null", "[]", "{}", "[1, 2]"),
    *("{'k': 2}", "9223372036854775807", "output.k", "output.z.y[0]", "item[1]", "output.q"),
)
BINARY = "+ - * / % == != < <= > >= && || in".split()
MACROS = ("map", "filter", "all", "exists", "exists_one")


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(pair, st.sampled_from(BINARY)).map(lambda t: f"({t[0][0]} {t[1]} {t[0][1]})"),
        st.tuples(inner, pair).map(lambda t: f"({t[0]} ? {t[1][0]} : {t[1][1]})"),
        inner.map(lambda a: f"(!{a})"),
        inner.map(lambda a: f"(-{a})"),
        inner.map(lambda a: f"size({a})"),
        pair.map(lambda t: f"[{t[0]}, {t[1]}]"),
        pair.map(lambda t: f"{t[0]}[{t[1]}]"),
        inner.map(lambda a: f"{{'q': {a}}}"),
        st.tuples(
            pair, st.sampled_from(("contains", "startsWith", "endsWith", "split", "join"))
        ).map(lambda t: f"{t[0][0]}.{t[1]}({t[0][1]})"),
        st.tuples(inner, st.sampled_from(("lowerAscii", "upperAscii", "trim", "size"))).map(
            lambda t: f"{t[0]}.{t[1]}()"
        ),
        st.tuples(inner, st.sampled_from(("string", "int", "double"))).map(
            lambda t: f"{t[1]}({t[0]})"
        ),
        st.tuples(pair, st.sampled_from(MACROS)).map(
            lambda t: f"{t[0][0]}.{t[1]}(v, {t[0][1].replace('inputs.a', 'v')})"
        ),
    )


EXPRESSIONS = st.recursive(st.sampled_from(ATOMS), grow, max_leaves=7)
NOT_JSON = ("no JSON", "keys are strings")


@functools.cache
def environment() -> Any:
    cel = importlib.import_module("cel_expr_python.cel")
    strings = importlib.import_module("cel_expr_python.ext.ext_strings")
    return cel.NewEnv(extensions=[strings.ExtStrings()])


def reference(source: str) -> tuple[bool, Any]:
    try:
        result = environment().compile(source, disable_check=True).eval(data=SCOPE)
    except RuntimeError:
        return False, None
    is_sound = result.type().name() != "ERROR"
    return is_sound, result.plain_value() if is_sound else None


def outcome(source: str) -> Any:
    try:
        return value(source)
    except ExpressionFailure as failed:
        return failed


def typed(found: Any) -> Any:
    if isinstance(found, list):
        return [typed(item) for item in found]
    if isinstance(found, dict):
        return {key: typed(item) for key, item in found.items()}
    return type(found).__name__, found


VALUES = (
    *("''", "'a'", "'äöa'", "'a,b,,c'", "','", "'-3'", "'1.5'", "0", "1", "-1", "2", "1.5", "-2.5"),
    *(
        "9223372036854775807",
        "-9223372036854775808",
        "true",
        "null",
        "[]",
        "['a', 'b']",
        "[1, 'a']",
    ),
    *("{}", "{'a': 1}"),
)
CALLS = (
    *[f"{name}({{0}})" for name in ("size", "string", "int", "double", "bool", "dyn")],
    *[f"{{0}}.{name}()" for name in ("size", "lowerAscii", "upperAscii", "trim", "join")],
    *[f"{{0}}.{name}({{1}})" for name in ("contains", "startsWith", "endsWith", "split", "join")],
    *[f"{{0}}.replace({{1}}, {{0}}, {count})" for count in ("-1", "0", "1", "2")],
    *[f"{{0}} {operator} {{1}}" for operator in BINARY],
    *("{0}.replace({1}, {0})", "{0}[{1}]", "-{0}", "!{0}", "{0} ? 1 : 2"),
)


@pytest.mark.parametrize("call", CALLS)
def test_every_call_agrees_with_the_reference_on_every_pair_of_values(call: str) -> None:
    pairs = [(a, b) for a in VALUES for b in (VALUES if "{1}" in call else ("0",))]
    for left, right in pairs:
        check_agreement(call.format(left, right))


@settings(max_examples=300, deadline=None)
@given(source=EXPRESSIONS)
def test_evaluation_agrees_with_the_reference(source: str) -> None:
    check_agreement(source)


def check_agreement(source: str) -> None:
    is_sound, expected = reference(source)
    found = outcome(source)
    if isinstance(found, ExpressionFailure):
        assert not is_sound or any(text in found.what for text in NOT_JSON), found.what
    else:
        assert is_sound
        assert typed(found) == typed(expected)
