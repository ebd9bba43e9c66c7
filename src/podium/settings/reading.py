"""Reading blocks of podium.yaml into structs, with every fault at once.

The structs are the schema: a key is a field, its type says what is accepted. One walk collects
what is wrong with its path, so that a person corrects a file once and not fault by fault.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import UnionType
from typing import Any, Final, TypeVar, cast, get_args, get_origin

import msgspec

from podium.core.durations import DURATION_EXAMPLES, parse_duration
from podium.errors import Fault, RequestError, did_you_mean
from podium.settings.llm import (
    BUILT_IN_PROVIDERS,
    BudgetSettings,
    LlmSettings,
    Seconds,
)
from podium.settings.retention import RetentionSettings
from podium.settings.secret import Secret

__all__ = ["read_budgets", "read_llm", "read_retention"]

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

UNKNOWN_KEY: Final = "PDM-R040"
WRONG_VALUE: Final = "PDM-R041"


def read_llm(value: Any, *, source: str) -> LlmSettings:
    """Return the `llm:` block; raises `RequestError` with every fault of it."""
    walk = _Walk()
    read = walk.struct(LlmSettings, value, "llm")
    if read is not None:
        _check_models(read, walk)
    return walk.result(read, source)


def read_budgets(value: Any, *, source: str) -> tuple[BudgetSettings, ...]:
    """Return the `budgets:` block; raises `RequestError` with every fault of it."""
    walk = _Walk()
    read: tuple[BudgetSettings, ...] | None
    read = walk.value(tuple[BudgetSettings, ...], value, "budgets")
    if not walk.faults:
        for index, budget in enumerate(read or ()):
            _check_budget(budget, f"budgets[{index}]", walk)
    return walk.result(read, source)


def read_retention(value: Any, *, source: str) -> RetentionSettings:
    """Return the `retention:` block; raises `RequestError` with every fault of it."""
    walk = _Walk()
    return walk.result(walk.struct(RetentionSettings, value, "retention"), source)


class _Walk:
    """Turns plain values into structs and notes every fault on the way."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def note(self, path: str, message: str, fix: str = "", *, code: str = WRONG_VALUE) -> None:
        self.faults.append(Fault(code=code, message=message, fix=fix, pointer=path))

    def result(self, read: T | None, source: str) -> T:
        """Return what was read, or raise one error that tells all faults."""
        if not self.faults:
            assert read is not None
            return read
        first, *others = self.faults
        told = [f"{fault.message} {fault.fix}".strip() for fault in others]
        raise RequestError(
            f"{source}: {first.message}" + (f" ({len(told)} more below)" if told else ""),
            why="\n".join(told),
            fix=first.fix or "`podium config show` lists every value with its source.",
            code=first.code,
        )

    def struct(self, kind: type[S], value: Any, path: str) -> S | None:
        """Return a struct of a mapping; None after noting what is wrong with it."""
        if not isinstance(value, Mapping):
            self.note(path, f"`{path}` is {value!r}.", "Write keys and values.")
            return None
        given = cast("Mapping[str, Any]", value)
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        faults_before = len(self.faults)
        for key in given:
            if key not in fields:
                fix = did_you_mean(str(key), tuple(fields), what="key")
                self.note(path, f"`{path}` has an unknown key {key!r}.", fix, code=UNKNOWN_KEY)
        for name, field in fields.items():
            if field.required and name not in given:
                self.note(path, f"`{path}` needs the key `{name}`.")
        read = {
            name: self.value(fields[name].type, each, f"{path}.{name}")
            for name, each in given.items()
            if name in fields
        }
        return kind(**read) if len(self.faults) == faults_before else None

    def value(self, kind: Any, value: Any, path: str) -> Any:
        """Return a value of a field's type; None after noting what is wrong with it."""
        if _is_struct(kind):
            return self.struct(kind, value, path)
        inner = get_args(kind)
        if get_origin(kind) is UnionType and value is not None:
            return self.value(inner[0], value, path)
        if get_origin(kind) is dict and isinstance(value, Mapping):
            items = cast("Mapping[str, Any]", value).items()
            return {key: self.value(inner[1], each, f"{path}.{key}") for key, each in items}
        if get_origin(kind) is tuple and isinstance(value, list | tuple):
            many = cast("list[Any]", value)
            return tuple(self.value(inner[0], v, f"{path}[{i}]") for i, v in enumerate(many))
        return self._leaf(kind, value, path)

    def _leaf(self, kind: Any, value: Any, path: str) -> Any:
        try:
            read = msgspec.convert(value, kind, dec_hook=_custom)
        except msgspec.ValidationError as error:
            shown = "a hidden value" if kind is Secret else repr(value)
            self.note(path, f"`{path}` is {shown}: {str(error).partition(' - at')[0]}.")
            return None
        if isinstance(read, Decimal) and not (read.is_finite() and read >= 0):
            self.note(path, f"`{path}` is {value!r}.", "Write 0 or more.")
        return read


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _custom(kind: type, value: Any) -> Any:
    return _CUSTOM[kind](value)


def _secret(value: Any) -> Secret:
    if not isinstance(value, str):
        raise TypeError('Expected text, such as "${NAME}"')
    return Secret(value)


def _seconds(value: Any) -> Seconds:
    micros = parse_duration(value)
    if micros is None or micros <= 0:
        raise ValueError(f"Expected a duration, such as {DURATION_EXAMPLES}")
    return Seconds(micros / 1_000_000)


_CUSTOM: Final[Mapping[type, Callable[[Any], Any]]] = {Secret: _secret, Seconds: _seconds}


def _check_models(llm: LlmSettings, walk: _Walk) -> None:
    if llm.default:
        _check_model(llm.default, "", llm, "llm.default", walk)
    for alias, model in llm.models.items():
        path = f"llm.models.{alias}"
        if "/" in alias:
            walk.note(
                path, f"The name `{alias}` has a slash.", "`provider/model` is never declared."
            )
        _check_named(model.provider, _providers(llm), f"{path}.provider", walk)
        others = {
            "fallbacks": model.fallbacks,
            "context_window_fallbacks": model.context_window_fallbacks,
            "content_policy_fallbacks": model.content_policy_fallbacks,
            "downgrade": (model.downgrade,) if model.downgrade else (),
        }
        for key, names in others.items():
            for name in names:
                _check_model(name, alias, llm, f"{path}.{key}", walk)


def _check_model(name: str, alias: str, llm: LlmSettings, path: str, walk: _Walk) -> None:
    if name == alias:
        walk.note(path, f"`{path}` names the model itself.")
    elif "/" in name:
        _check_named(name.partition("/")[0], _providers(llm), path, walk)
    else:
        _check_named(name, tuple(llm.models), path, walk)


def _check_named(name: str, known: tuple[str, ...], path: str, walk: _Walk) -> None:
    if name not in known:
        walk.note(path, f"`{path}` is {name!r}, which is not declared.", did_you_mean(name, known))


def _providers(llm: LlmSettings) -> tuple[str, ...]:
    return tuple({**BUILT_IN_PROVIDERS, **llm.providers})


def _check_budget(budget: BudgetSettings, path: str, walk: _Walk) -> None:
    limits = (budget.limit_usd, budget.limit_tokens, budget.limit_calls, budget.limit_s)
    if all(limit is None for limit in limits):
        walk.note(
            path,
            f"`{path}` limits nothing.",
            "Add limit_usd, limit_tokens, limit_calls or limit_s.",
        )
