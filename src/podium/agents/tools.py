"""The tools of an agent: what a model is told about them, and how one call of one is made.

A tool is a function. Its parameters become the schema a model sees and arguments are checked
against; what it returns is text from outside, cut to size and cleared of secrets before anybody
keeps it.
"""

import inspect
from collections.abc import Callable, Coroutine
from inspect import iscoroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, get_type_hints, overload

import msgspec

from podium.core.agents import AgentSpec, AgentTool
from podium.errors import RequestError, TaskError
from podium.runtime.attempts import AttemptContext, attempt_context
from podium.runtime.failures import NonRetryable
from podium.runtime.registry import load_target

__all__ = ["Grant", "KnownTool", "ToolRefused", "describe_tools", "tool", "use_tool"]

F = TypeVar("F", bound=Callable[..., Any])

DESCRIPTION_MAX: Final = 1024
MARK: Final = "__podium_tool__"
CONTROL: Final = {code: None for code in range(32) if chr(code) not in "\n\t"} | {127: None}
"""Characters that mean something to terminals and nothing to readers."""


class ToolRefused(NonRetryable):
    """A tool will not do what it was asked: the model is told why, and the run goes on."""


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What `@tool` says of a function."""

    effect: str = "write"
    description: str = ""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """How far one call of a built-in tool may reach."""

    roots: tuple[Path, ...] = ()
    hosts: tuple[str, ...] = ()
    result_bytes: int = 32_768


class KnownTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as it was when its agent began; recorded, so that it stays that for the run."""

    spec: AgentTool
    name: str
    effect: str
    description: str
    parameters: dict[str, Any]


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(*, effect: str = "write", description: str = "") -> Callable[[F], F]: ...
def tool(function: Callable[..., Any] | None = None, /, **traits: Any) -> Any:
    """Say of a function how agents may use it; it stays the function it was.

    `effect="read"` promises that a call changes nothing: such calls are repeated after a crash.
    `write`, the default, means that a call cut off by a crash waits for a person, and that an
    agent that has read content from outside needs a person's approval for it. Parameters are
    typed; their types are the schema that arguments are checked against. `description` (default:
    the first paragraph of the docstring) is what the model reads. Writing tools find a key for
    what they call in `podium.context().idempotency_key`.
    """
    said = Traits(**traits)
    if said.effect not in ("read", "write"):
        raise RequestError(
            f"A tool has the effect {said.effect!r}.",
            fix="Write effect='read' or effect='write'.",
            code="PDM-R025",
        )

    def decorate(target: Callable[..., Any]) -> Callable[..., Any]:
        setattr(target, MARK, said)
        return target

    return decorate if function is None else decorate(function)


# -- what a model is told ------------------------------------------------------------------------


def describe_tools(spec: AgentSpec, others: dict[str, AgentSpec]) -> list[KnownTool]:
    """Return the tools of an agent as they are now; a step of its run records them.

    Raises `RequestError` PDM-R080 for a function whose parameters no schema can describe.
    """
    return [_describe(each, others) for each in spec.tools]


def _describe(declared: AgentTool, others: dict[str, AgentSpec]) -> KnownTool:
    kind, _, name = declared.uses.partition(":")
    if kind == "agent":
        about = others[name].description or f"The agent {name}."
        return KnownTool(
            spec=declared,
            name=declared.label,
            effect=declared.effect or "read",
            description=about,
            parameters=ASKED,
        )
    function = _function(declared.uses, _context())
    said: Traits = getattr(function, MARK, Traits())
    about = said.description or (inspect.getdoc(function) or "").partition("\n\n")[0]
    return KnownTool(
        spec=declared,
        name=declared.label,
        effect=declared.effect or said.effect,
        description=" ".join(about.split())[:DESCRIPTION_MAX],
        parameters=_schema(function),
    )


ASKED: Final = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "What to work on."}},
    "required": ["input"],
    "additionalProperties": False,
}


def _context() -> AttemptContext:
    context = attempt_context()
    if context is None:
        raise RuntimeError("tools are used in attempts only")
    return context


def _function(uses: str, context: AttemptContext) -> Callable[..., Any]:
    kind, _, target = uses.partition(":")
    function = load_target(target if kind == "python" else context.services.tools[uses])
    inner: Callable[..., Any] = getattr(function, "function", function)
    return inner


def _schema(function: Callable[..., Any]) -> dict[str, Any]:
    arguments = _arguments(function)
    try:
        [_], parts = msgspec.json.schema_components((arguments,))
    except TypeError as error:
        raise _not_describable(function, str(error)) from error
    schema = parts.pop(arguments.__name__)
    schema.pop("title", None)
    schema.setdefault("required", [])
    return {**schema, "$defs": parts} if parts else schema


def _arguments(function: Callable[..., Any]) -> type[msgspec.Struct]:
    """Return a struct with the parameters of `function`; what is granted is not asked for."""
    hints = get_type_hints(function, include_extras=True)
    fields: list[Any] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "grant":
            continue
        if parameter.kind in _UNNAMED:
            raise _not_describable(function, f"{parameter} has no name to call it by.")
        kind = hints.get(name, Any)
        if parameter.default is inspect.Parameter.empty:
            fields.append((name, kind))
        else:
            fields.append((name, kind, _default(parameter.default)))
    try:
        return msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)
    except TypeError as error:
        raise _not_describable(function, str(error)) from error


_UNNAMED: Final = (
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
    inspect.Parameter.POSITIONAL_ONLY,
)


def _default(value: Any) -> Any:
    return msgspec.field(default_factory=lambda: value)


def _not_describable(function: Callable[..., Any], why: str) -> RequestError:
    return RequestError(
        f"The function {function.__qualname__!r} cannot be a tool.",
        why=why,
        fix="Give it named parameters of plain types: text, numbers, lists, dataclasses.",
        code="PDM-R080",
    )


# -- one call ------------------------------------------------------------------------------------


def use_tool(declared: AgentTool, arguments: dict[str, Any], roots: list[str]) -> Any:
    """Call a tool with checked arguments; the body of a step of the agent's run.

    Returns `{content, is_error}`. What the tool refuses is an answer, not a failure; what it
    raises fails the attempt, which the engine may repeat.
    """
    context = _context()
    function = _function(declared.uses, context)
    try:
        given = msgspec.convert(arguments, _arguments(function))
    except msgspec.ValidationError as error:
        return {"content": f"The arguments do not fit: {error}.", "is_error": True}
    named = {name: getattr(given, name) for name in given.__struct_fields__}
    if not declared.uses.startswith("python:"):
        folder = Path(context.folder or ".").resolve()
        named["grant"] = Grant(
            roots=tuple((folder / root).resolve() for root in roots),
            hosts=declared.hosts,
            result_bytes=declared.result_bytes,
        )
    return _outcome(function, named, declared, context)


def verify_tool(declared: AgentTool, arguments: dict[str, Any], roots: list[str]) -> Any:
    """Return what an earlier attempt of a call came to, or None if it did nothing."""
    context = _context()
    function = _function(declared.verify, context)
    with _Guarded(context) as guarded:
        value = function(**arguments)
        if iscoroutine(value):
            return _known_later(value, declared, context)
        return None if value is None else _result(value, declared, context)
    return guarded.refusal


async def _known_later(
    value: Coroutine[Any, Any, Any], declared: AgentTool, context: AttemptContext
) -> Any:
    with _Guarded(context) as guarded:
        known = await value
        return None if known is None else _result(known, declared, context)
    return guarded.refusal


def _outcome(
    function: Callable[..., Any],
    named: dict[str, Any],
    declared: AgentTool,
    context: AttemptContext,
) -> Any:
    with _Guarded(context) as guarded:
        value = function(**named)
        if iscoroutine(value):
            return _later(value, declared, context)
        return _result(value, declared, context)
    return guarded.refusal


async def _later(
    value: Coroutine[Any, Any, Any], declared: AgentTool, context: AttemptContext
) -> Any:
    with _Guarded(context) as guarded:
        return _result(await value, declared, context)
    return guarded.refusal


class _Guarded:
    """Turns refusals into answers, and keeps secrets out of the errors that are recorded."""

    def __init__(self, context: AttemptContext) -> None:
        self._redact = context.services.secrets.redact
        self.refusal: dict[str, Any] = {}

    def __enter__(self) -> Self:
        """Begin to watch."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Swallow a refusal; raise an error that would tell a secret in other words."""
        if isinstance(error, ToolRefused):
            self.refusal = {"content": self._redact(str(error)), "is_error": True}
            return True
        if isinstance(error, Exception) and self._redact(str(error)) != str(error):
            name = type(error).__name__
            raise TaskError(self._redact(str(error)), kind=name) from None
        return False


def _result(value: Any, declared: AgentTool, context: AttemptContext) -> dict[str, Any]:
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    text = context.services.secrets.redact(text.translate(CONTROL))
    return {"content": _cut(text, declared.result_bytes), "is_error": False}


def _cut(text: str, size: int) -> str:
    body = text.encode("utf-8", "replace")
    if len(body) <= size:
        return body.decode()
    return f"{body[:size].decode(errors='ignore')}\n[cut: {size:,} of {len(body):,} bytes]"
