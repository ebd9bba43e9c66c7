"""The expression language: CEL, parsed by Google's engine and evaluated within a budget.

The native library is loaded on the first expression that is more than a plain path. It parses
everything and computes what is rare (times, patterns, formats); `evaluation` does the rest.
"""

import datetime as dt
import math
import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from podium.adapters.expressions.evaluation import Delegate, Evaluate, compile_tree
from podium.adapters.expressions.names import calls_of, references_of
from podium.adapters.expressions.operators import Budget, Unsuited
from podium.adapters.expressions.syntax import Node, read_tree
from podium.core.template import ExpressionFailure
from podium.errors import did_you_mean

__all__ = ["FUNCTION_NAMES", "CelExpressions", "CelProgram"]

Json = Any

SOURCE_CHARS_MAX: Final = 4_096
PROGRAMS_KEPT_MAX: Final = 20_000
RESULT_NODES_MAX: Final = 1_000_000
DELEGATED_CHARS_MAX: Final = 100_000
DELEGATED_ITEMS_MAX: Final = 100

FUNCTION_NAMES: Final = frozenset(
    """
    bool contains double duration dyn endsWith getDate getDayOfMonth getDayOfWeek getDayOfYear
    getFullYear getHours getMilliseconds getMinutes getMonth getSeconds int matches size
    startsWith string timestamp
    charAt format indexOf join lastIndexOf lowerAscii replace reverse split substring trim
    upperAscii
    """.split()
)
"""What an expression may call, besides the macros has, all, exists, exists_one, map, filter."""

OPERATOR_NAMES: Final = frozenset(
    "_?_:_ _&&_ _||_ !_ -_ _+_ _-_ _*_ _/_ _%_ _==_ _!=_ _<_ _<=_ _>_ _>=_ _[_] @in "
    "@not_strictly_false".split()
)
CONVERSIONS: Final = {dt.datetime: "timestamp", dt.timedelta: "duration"}
POSITION_RE: Final = re.compile(r"<input>:(-?\d+):(-?\d+): (?:Syntax error: )?(.*)")
STATUS_RE: Final = re.compile(r"^[A-Z_]+: (?:ERROR: )?| \[[A-Z_]+\]$")


class CelProgram:
    """A compiled CEL expression; see `podium.ports.expressions.Program`."""

    __slots__ = ("_evaluate", "references", "source")

    def __init__(self, source: str, tree: Node, delegate: Delegate) -> None:
        self.source = source
        self.references = references_of(tree)
        self._evaluate: Evaluate = compile_tree(tree, source, delegate)

    def evaluate(self, scope: Mapping[str, Json]) -> Json:
        """See `podium.ports.expressions.Program.evaluate`."""
        value = self._evaluate(scope, Budget())
        if value.__class__ in (bool, int, str):
            return value
        return _Outcome(self.source).plain(value, 0)


class CelExpressions:
    """Compiles CEL and keeps the programs; see `podium.ports.expressions.Expressions`."""

    def __init__(self) -> None:
        self._programs: dict[str, CelProgram] = {}
        self._calls: dict[str, Any] = {}
        self._environment: Any = None

    def compile(self, source: str) -> CelProgram:
        """See `podium.ports.expressions.Expressions.compile`."""
        program = self._programs.get(source)
        if program is None:
            program = self._compile(source)
            if len(self._programs) >= PROGRAMS_KEPT_MAX:
                self._programs.clear()
            self._programs[source] = program
        return program

    def _compile(self, source: str) -> CelProgram:
        _check_source(source)
        try:
            tree = read_tree(self._parse(source).serialize())
        except RuntimeError as error:
            raise _syntax_failure(source, str(error)) from None
        _check_calls(source, tree)
        return CelProgram(source, tree, self._call)

    def _parse(self, source: str) -> Any:
        if self._environment is None:
            self._environment = _new_environment()
        # Unchecked: the checker refuses `ok ? "text" : null`, which is sound over JSON.
        return self._environment.compile(source, disable_check=True)

    def _call(self, name: str, values: list[Json]) -> Json:
        """Compute one call by the engine, see `Delegate`; raises `Unsuited`."""
        text = _call_text(name, values)
        expression = self._calls.get(text)
        if expression is None:
            expression = self._calls[text] = self._parse(text)
        try:
            result = expression.eval(data={f"x{i}": _outward(v) for i, v in enumerate(values)})
        except (RuntimeError, ValueError, OverflowError) as error:
            raise Unsuited(STATUS_RE.sub("", str(error).partition("\n")[0])) from None
        if result.type().name() == "ERROR":
            why = STATUS_RE.sub("", str(result.plain_value()))
            raise Unsuited("" if "overload" in why else why[:1].lower() + why[1:])
        return result.plain_value()


def _call_text(name: str, values: list[Json]) -> str:
    """Return the call as an expression over x0, x1, …; times travel as text."""
    places = [f"{CONVERSIONS.get(type(value), '')}(x{i})" for i, value in enumerate(values)]
    if name.startswith("_") and len(places) == 2:
        return f"{places[0]} {name.strip('_')} {places[1]}"
    if name in ("-_", "!_"):
        return f"{name[0]}{places[0]}"
    if name.startswith("."):
        return f"{places[0]}{name}({', '.join(places[1:])})"
    return f"{name}({', '.join(places)})"


def _new_environment() -> Any:
    cel: Any = import_module("cel_expr_python.cel")
    strings: Any = import_module("cel_expr_python.ext.ext_strings")
    return cel.NewEnv(extensions=[strings.ExtStrings()])


def _outward(value: Json) -> Json:
    """Return a value as the engine may see it: it cuts text at NUL and limits no memory."""
    if isinstance(value, str):
        _check_outward(value)
    elif isinstance(value, list):
        if len(value) > DELEGATED_ITEMS_MAX:
            raise Unsuited(f"a list has more than {DELEGATED_ITEMS_MAX} items")
        return [_outward(item) for item in value]
    elif isinstance(value, Mapping):
        raise Unsuited
    elif isinstance(value, dt.datetime):
        return value.isoformat()
    elif isinstance(value, dt.timedelta):
        return f"{value.total_seconds():f}s"
    return value


def _check_outward(text: str) -> None:
    if len(text) > DELEGATED_CHARS_MAX:
        raise Unsuited(f"a text has more than {DELEGATED_CHARS_MAX:,} characters")
    if "\0" in text or not _is_encodable(text):
        raise Unsuited("a text holds a NUL or a lone surrogate")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_source(source: str) -> None:
    what = fix = ""
    code = "PDM-D301"
    if not source.strip():
        what, fix = "The expression is empty.", "Write one, for instance ${{ inputs.path }}"
    elif len(source) > SOURCE_CHARS_MAX:
        what = f"The expression has {len(source):,} characters, more than {SOURCE_CHARS_MAX:,}."
        fix = "Compute it in a python: task and read that task's output."
        code = "PDM-D310"
    elif "\0" in source or not _is_encodable(source):
        what, fix = "The expression holds a NUL or a lone surrogate.", "Remove it."
    if what:
        raise ExpressionFailure(what, fix=fix, code=code, source=source[:200], column=1)


def _check_calls(source: str, tree: Node) -> None:
    for name, node in calls_of(tree).items():
        if name not in FUNCTION_NAMES and name not in OPERATOR_NAMES:
            raise ExpressionFailure(
                f"The expression {source[:200]!r} calls {name!r}, which does not exist.",
                fix=did_you_mean(name, sorted(FUNCTION_NAMES), what="function"),
                code="PDM-D308",
                source=source,
                column=node.column,
            )


def _syntax_failure(source: str, text: str) -> ExpressionFailure:
    """Turn the parser's text into what happened, with the first position it names."""
    found = POSITION_RE.search(text)
    column = max(int(found[2]), 0) if found else 0
    cause = found[3] if found else STATUS_RE.sub("", text.partition("\n")[0])
    if "<EOF>" in cause:
        cause = "it ends too early"
    is_limit = "recursion" in text or "limit" in text
    rest = source[column - 1 :][:20] if column else ""
    near = f" at column {column}, near {rest!r}" if rest else ""
    cause = cause.partition(" expecting ")[0].rstrip(".")
    return ExpressionFailure(
        f"The expression {source[:200]!r} is not sound{near}: {cause}.",
        why="Expressions are bounded in size and nesting." if is_limit else "",
        fix="Compute it in a python: task and read that task's output."
        if is_limit
        else "Expressions are CEL; docs/reference/definitions.md shows what they can do.",
        code="PDM-D310" if is_limit else "PDM-D301",
        source=source,
        column=column,
    )


class _Outcome:
    """Turns a result into plain JSON data, counting as it goes."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._left = RESULT_NODES_MAX

    def plain(self, value: Json, depth: int) -> Json:
        """Return `value` as JSON data; raises `ExpressionFailure`."""
        self._left -= 1
        if self._left < 0 or depth > 100:
            raise self._failure(f"more than {RESULT_NODES_MAX:,} values", code="PDM-D310")
        if isinstance(value, list):
            return [self.plain(item, depth + 1) for item in value]
        if isinstance(value, Mapping):
            return {key: self.plain(member, depth + 1) for key, member in value.items()}
        return self._scalar(value)

    def _scalar(self, value: Json) -> Json:
        if value is None or isinstance(value, str | bool | int):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        if isinstance(value, dt.datetime):
            return value.isoformat().replace("+00:00", "Z")
        if isinstance(value, dt.timedelta):
            return value.total_seconds()
        raise self._failure(f"{value!r:.40}, which is no JSON", code="PDM-D307")

    def _failure(self, what: str, *, code: str) -> ExpressionFailure:
        return ExpressionFailure(
            f"Expression {self._source[:200]!r} results in {what}.",
            fix="Convert it, for instance with string(x), or compute it in a python: task.",
            code=code,
            source=self._source,
        )
