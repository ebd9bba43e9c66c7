"""Compiled JSON templates: values whose strings may hold `${{ expression }}`.

A string that is exactly one expression becomes the typed value; mixed text is interpolated.
Plain paths such as `item` or `tasks.list.output` are walked here; every other expression goes
to the engine behind `Compiler`. Constants render to themselves: never change what is rendered.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

from podium.errors import PodiumError

__all__ = [
    "Compiler",
    "Condition",
    "ExpressionFailure",
    "PathProgram",
    "Program",
    "Template",
    "compile_condition",
    "compile_expression",
    "compile_template",
    "parse_path",
]

Json = Any
Scope = Mapping[str, Json]
Render = Callable[[Scope], Json]

TEMPLATE_DEPTH_MAX: Final = 64
NO_MEMBERS: Final[Mapping[str | int, Json]] = {}
OPEN: Final = "${{"
CLOSE: Final = "}}"

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
MEMBER_RE: Final = re.compile(
    rf"""
    \.(?P<name>{NAME})
    | \["(?P<double>[^"\\]*)"\]
    | \['(?P<single>[^'\\]*)'\]
    | \[(?P<index>\d{{1,9}})\]
    """,
    re.ASCII | re.VERBOSE,
)
ROOT_RE: Final = re.compile(NAME)

RESERVED: Final = frozenset(
    "as break const continue else false for function if import in let loop namespace null "
    "package return true var void while".split()
)
"""Words that CEL keeps for itself; a path never contains one."""


class ExpressionFailure(PodiumError):
    """An expression cannot be compiled or evaluated; `column` is 1-based, 0 if unknown."""

    code = "PDM-D301"
    status = 422
    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        fix: str = "",
        code: str = "",
        source: str = "",
        column: int = 0,
    ) -> None:
        super().__init__(what, why=why, fix=fix, code=code)
        self.source = source
        self.column = column


class Program(Protocol):
    """A compiled expression; see `podium.ports.expressions.Program`."""

    @property
    def source(self) -> str:
        """Return the text the program was compiled from."""

    @property
    def references(self) -> frozenset[tuple[str, ...]]:
        """Return the variable paths read."""

    def evaluate(self, scope: Scope) -> Json:
        """Return the value over `scope`."""


class Compiler(Protocol):
    """What templates need of an expression engine; see `podium.ports.expressions`."""

    def compile(self, source: str) -> Program:
        """Return the program of `source`; raises `ExpressionFailure`."""


class PathProgram:
    """A path of constant members, walked without the expression engine."""

    __slots__ = ("_steps", "references", "source")

    def __init__(self, source: str, steps: tuple[str | int, ...]) -> None:
        self.source = source
        self._steps = steps
        named: list[str] = []
        for step in steps:
            if isinstance(step, int):
                break
            named.append(step)
        self.references = frozenset([tuple(named)])

    def evaluate(self, scope: Scope) -> Json:
        """Return the member the path names; a missing one raises `ExpressionFailure`."""
        value: Json = scope
        try:
            for step in self._steps:
                # Text has positions in Python, but not in the expression language.
                value = value[step] if value.__class__ is not str else NO_MEMBERS[step]
        except (KeyError, IndexError, TypeError):
            raise self._missing(scope) from None
        return value

    def _missing(self, scope: Scope) -> ExpressionFailure:
        value: Json = scope
        walked, step = "", self._steps[0]
        for step in self._steps:
            if isinstance(value, str):
                break
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                break
            walked = _join(walked, step)
        return ExpressionFailure(
            f"{self.source!r} has no value: {_absence(walked, value, step)}.",
            why="Every member of a path must exist when it is read.",
            fix=f"Test it first, for instance: has({self.source}) ? {self.source} : null",
            code="PDM-D304",
            source=self.source,
            column=len(walked) + 1,
        )


def _join(walked: str, step: str | int) -> str:
    if isinstance(step, int):
        return f"{walked}[{step}]"
    if not ROOT_RE.fullmatch(step):
        return f'{walked}["{step}"]'
    return f"{walked}.{step}" if walked else step


def _absence(walked: str, value: Json, step: str | int) -> str:
    owner = repr(walked) if walked else "the scope"
    if isinstance(value, Mapping):
        known = ", ".join(sorted(map(str, value))[:8])
        return f"{owner} has no member {step!r}; it has {known or 'none'}"
    if isinstance(value, list | tuple) and isinstance(step, int):
        return f"{owner} has {len(value)} items, so there is no item {step}"
    return f"{owner} is {_kind(value)}, which has no member {step!r}"


def _kind(value: Json) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list"}
    return "null" if value is None else kinds.get(type(value), "an object")


def parse_path(source: str) -> PathProgram | None:
    """Return the path program of `source`, or None if it is more than a plain path."""
    text = source.strip()
    root = ROOT_RE.match(text)
    if root is None or root[0] in RESERVED:
        return None
    steps: list[str | int] = [root[0]]
    at = root.end()
    while at < len(text):
        member = MEMBER_RE.match(text, at)
        if member is None or member["name"] in RESERVED:
            return None
        steps.append(_step(member))
        at = member.end()
    return PathProgram(text, tuple(steps))


def _step(member: re.Match[str]) -> str | int:
    if member["index"] is not None:
        return int(member["index"])
    for group in ("name", "double", "single"):
        if member[group] is not None:
            return member[group]
    return ""


def compile_expression(source: str, expressions: Compiler) -> Program:
    """Return the program of a bare expression (without `${{ }}`), by the cheapest way."""
    return parse_path(source) or expressions.compile(source.strip())


class Template:
    """A JSON value with its expressions compiled; immutable and safe to share."""

    __slots__ = ("_render", "is_constant", "programs")

    def __init__(self, render: Render, programs: tuple[Program, ...]) -> None:
        self._render = render
        self.programs = programs
        self.is_constant = not programs

    @property
    def references(self) -> frozenset[tuple[str, ...]]:
        """Return the variable paths that rendering reads."""
        return frozenset[tuple[str, ...]]().union(*(p.references for p in self.programs))

    def render(self, scope: Scope) -> Json:
        """Return the value over `scope`; raises `ExpressionFailure`.

        Constant parts are returned as they are, not copied: the result must not be changed.
        """
        return self._render(scope)


def compile_template(value: Json, expressions: Compiler) -> Template:
    """Compile every `${{ … }}` inside `value`, at any depth; raises `ExpressionFailure`."""
    programs: list[Program] = []
    render = _compile(value, expressions, programs, 0)
    return Template(render or (lambda _: value), tuple(programs))


def _compile(
    value: Json, expressions: Compiler, programs: list[Program], depth: int
) -> Render | None:
    """Return how to render `value`, or None if it is constant."""
    if isinstance(value, str):
        return _compile_text(value, expressions, programs) if OPEN in value else None
    if not isinstance(value, dict | list | tuple):
        return None
    if depth >= TEMPLATE_DEPTH_MAX:
        raise ExpressionFailure(
            f"A value is nested deeper than {TEMPLATE_DEPTH_MAX} levels.",
            fix="Pass large structures as the output of a task, not as literals.",
            code="PDM-D305",
        )
    if isinstance(value, dict):
        for key in value:
            _refuse_expression_key(key)
        members = {k: _compile(v, expressions, programs, depth + 1) for k, v in value.items()}
        return _object_render(value, {k: r for k, r in members.items() if r})
    items = [_compile(item, expressions, programs, depth + 1) for item in value]
    return _list_render(value, [(i, r) for i, r in enumerate(items) if r])


def _refuse_expression_key(key: Json) -> None:
    if isinstance(key, str) and OPEN in key:
        raise ExpressionFailure(
            f"The key {key!r} holds an expression; only values may.",
            fix="Build the object in one expression: ${{ {inputs.name: inputs.value} }}",
            code="PDM-D305",
            source=key,
        )


def _object_render(value: dict[str, Json], dynamic: dict[str, Render]) -> Render | None:
    if not dynamic:
        return None
    parts = tuple(dynamic.items())

    def render(scope: Scope) -> Json:
        rendered = value.copy()
        for key, part in parts:
            rendered[key] = part(scope)
        return rendered

    return render


def _list_render(
    value: list[Json] | tuple[Json, ...], dynamic: list[tuple[int, Render]]
) -> Render | None:
    if not dynamic:
        return None

    def render(scope: Scope) -> Json:
        rendered = list(value)
        for index, part in dynamic:
            rendered[index] = part(scope)
        return rendered

    return render


def _compile_text(text: str, expressions: Compiler, programs: list[Program]) -> Render:
    parts: list[str | Program] = []
    for piece, is_expression in split_text(text):
        if is_expression:
            program = compile_expression(piece, expressions)
            programs.append(program)
            parts.append(program)
        else:
            parts.append(piece)
    if len(parts) == 1 and not isinstance(parts[0], str):
        return parts[0].evaluate
    return _text_render(parts)


def _text_render(parts: list[str | Program]) -> Render:
    def render(scope: Scope) -> Json:
        return "".join(
            part if isinstance(part, str) else _as_text(part.evaluate(scope)) for part in parts
        )

    return render


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def split_text(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of `text` in order, each with whether it is an expression."""
    at = 0
    while (start := text.find(OPEN, at)) >= 0:
        if start > at:
            yield text[at:start], False
        end = _expression_end(text, start + len(OPEN))
        yield text[start + len(OPEN) : end], True
        at = end + len(CLOSE)
    if at < len(text):
        yield text[at:], False


def _expression_end(text: str, start: int) -> int:
    """Return where the `}}` of the expression at `start` is, past quotes and object literals."""
    quote, depth, at = "", 0, start
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "{":
            depth += 1
        elif char == "}" and not depth:
            if text.startswith(CLOSE, at):
                return at
        elif char == "}":
            depth -= 1
        at += 1
    raise ExpressionFailure(
        f"An expression is opened with {OPEN!r} and never closed: {text[start - 3 :][:60]!r}",
        why=f"Every {OPEN} needs a {CLOSE} outside of quotes and object literals.",
        fix=f"Close it: ${{{{ {text[start:][:40].strip()} }}}}",
        code="PDM-D302",
        source=text,
        column=start - len(OPEN) + 1,
    )


class Condition:
    """A compiled `when` or `until`: a program whose value must be true or false."""

    __slots__ = ("_program", "references", "source")

    def __init__(self, source: str, program: Program) -> None:
        self.source = source
        self._program = program
        self.references = program.references

    def evaluate(self, scope: Scope) -> bool:
        """Return the truth over `scope`; any value that is not a boolean is a failure."""
        value = self._program.evaluate(scope)
        if value is True or value is False:
            return value
        raise ExpressionFailure(
            f"The condition {self.source!r} gives {_kind(value)}, not true or false.",
            why="Podium never guesses which values count as true.",
            fix="Compare it, for instance: size(x) > 0, x != null, x == 'yes'",
            code="PDM-D306",
            source=self.source,
        )


def compile_condition(source: str, expressions: Compiler) -> Condition:
    """Compile a condition, written with or without `${{ }}`; raises `ExpressionFailure`."""
    pieces = list(split_text(source.strip()))
    if len(pieces) > 1:
        raise ExpressionFailure(
            f"A condition is one expression, but {source!r} mixes text and expressions.",
            fix="Write the whole condition in one pair: ${{ a && b }}",
            code="PDM-D303",
            source=source,
        )
    text = pieces[0][0].strip() if pieces else ""
    return Condition(text, compile_expression(text, expressions))
