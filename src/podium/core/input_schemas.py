"""What is wrong in the input declarations of a workflow, as far as it shows without a validator."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from podium.errors import Fault, did_you_mean

__all__ = ["TYPES", "input_faults", "is_of_type"]

Json = Any

TYPES: Final[Mapping[str, tuple[type, ...]]] = MappingProxyType(
    {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "array": (list,),
        "object": (dict,),
        "null": (type(None),),
    }
)
INPUT_NAME_RE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")


def is_of_type(value: Json, name: str) -> bool:
    """Return whether `value` is of the JSON Schema type `name`."""
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES[name])


def input_faults(inputs: Json) -> Iterator[Fault]:
    """Yield the faults of the input declarations, each at its JSON pointer."""
    if not isinstance(inputs, dict):
        return
    for name, schema in inputs.items():
        place = f"/inputs/{name.replace('~', '~0').replace('/', '~1')}"
        if not INPUT_NAME_RE.fullmatch(name):
            yield _fault(
                f"{name[:80]!r} is no name for an input.",
                place,
                fix="Use a letter or _, then letters, digits, _ and -, 63 at most.",
            )
        if not isinstance(schema, dict):
            yield _fault(
                f"The input {name!r} is not declared by a JSON Schema.",
                place,
                fix=f"For example {name}: {{type: string}}",
            )
            continue
        yield from _type_faults(name, schema, place)
        yield from _reference_faults(schema, place)


def _type_faults(name: str, schema: Mapping[str, Json], place: str) -> Iterator[Fault]:
    listed = schema.get("type", [])
    types = listed if isinstance(listed, list) else [listed]
    unknown = [kind for kind in types if not isinstance(kind, str) or kind not in TYPES]
    for kind in unknown:
        yield _fault(
            f"The input {name!r} has the unknown type {kind!r}.",
            f"{place}/type",
            fix=did_you_mean(str(kind), list(TYPES)),
        )
    if "default" not in schema or not types or unknown:
        return
    if not any(is_of_type(schema["default"], kind) for kind in types):
        yield _fault(
            f"The default of the input {name!r} is not of type {' or '.join(types)}.",
            f"{place}/default",
            fix="Change the default or the type; quote it if it must be text.",
        )


def _reference_faults(schema: Mapping[str, Json], place: str) -> Iterator[Fault]:
    waiting: list[Json] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            target = part.get("$ref")
            if isinstance(target, str) and not target.startswith("#"):
                yield _fault(
                    f"The schema refers to {target[:120]!r}.",
                    place,
                    why="Nothing is fetched or read while a definition is checked.",
                    fix="Copy what it refers to into the schema.",
                )
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _fault(message: str, pointer: str, *, why: str = "", fix: str = "") -> Fault:
    return Fault(code="PDM-D207", message=message, why=why, fix=fix, pointer=pointer)
