"""The inputs of a run against what its workflow declares: defaults, types, suggestions."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, Final

import msgspec

from podium.authoring.json_text import read_json
from podium.authoring.places import Places, escape
from podium.core.definition import Workflow, WorkflowKind
from podium.core.input_schemas import TYPES
from podium.errors import DefinitionError, Fault, PodiumError, RequestError, did_you_mean

__all__ = ["check_inputs", "fit_input", "parse_cli_inputs", "schema_faults"]

Json = Any

PLAIN_KEYWORDS: Final = frozenset({"type", "default", "description", "title", "examples"})
"""Keywords that `core.input_schemas` checks in full; others need the validator."""
SHOWN_CHARS_MAX: Final = 80
WORDS: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def fit_input(workflow: Workflow, value: Any) -> Any:
    """Return the input of a run; a durable function may take a single value that is no map."""
    if workflow.inputs is None and workflow.kind is WorkflowKind.CODE:
        return value
    return check_inputs(workflow, value)


def check_inputs(workflow: Workflow, given: Mapping[str, Json] | None) -> dict[str, Json]:
    """Return the inputs of a run, defaults filled in; raises `RequestError` naming all faults.

    A workflow that declares no inputs accepts any.
    """
    values = {} if given is None else given
    if not isinstance(values, Mapping):
        raise RequestError(
            "The input of a run is not an object.",
            fix='Give the inputs by name, such as {"path": "src"}.',
            code="PDM-R012",
        )
    if workflow.inputs is None:
        return dict(values)
    errors = _unknown(workflow, values)
    filled = dict(values)
    for name, schema in workflow.inputs.items():
        if name in values:
            continue
        if "default" in schema:
            filled[name] = schema["default"]
        else:
            errors.append(_missing(name, schema))
    declared = {name: value for name, value in values.items() if name in workflow.inputs}
    errors += _invalid(workflow.inputs, declared)
    if errors:
        raise _joined(errors)
    return filled


def _unknown(workflow: Workflow, values: Mapping[str, Json]) -> list[RequestError]:
    known = list(workflow.inputs)
    return [
        RequestError(
            f"Workflow {workflow.name!r} has no input {name!r}.",
            fix=did_you_mean(name, known, what="input"),
            code="PDM-R010",
        )
        for name in values
        if name not in workflow.inputs
    ]


def _missing(name: str, schema: Mapping[str, Json]) -> RequestError:
    about = schema.get("description")
    return RequestError(
        f"The input {name!r} is missing; it takes {_expected(schema)}.",
        why=str(about) if about else "It has no default.",
        fix=f"Give it, for instance: -i {name}=…",
        code="PDM-R011",
    )


def _invalid(inputs: Mapping[str, Json], values: Mapping[str, Json]) -> list[RequestError]:
    if not any(inputs[name] for name in values):
        return []
    rules: Any = import_module("jsonschema_rs")
    try:
        validator = _validator({"type": "object", "properties": inputs})
    except (rules.ValidationError, ValueError) as error:
        # A definition in text was checked when it was loaded; one built in Python was not.
        what = "The schemas of the inputs are not sound."
        raise DefinitionError([_unsound(what, str(error), "/inputs")]) from None
    errors: list[RequestError] = []
    for found in validator.iter_errors(dict(values)):
        path = [str(part) for part in found.instance_path]
        name = path[0] if path else ""
        place = name + "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in path[1:])
        errors.append(
            RequestError(
                f"The input {place!r} is not accepted: {_shortened(found.message)}.",
                fix=f"{name!r} takes {_expected(inputs.get(name, {}))}.",
                code="PDM-R012",
            )
        )
    return errors


def _validator(schema: Json) -> Any:
    """Return a validator that fetches nothing and matches patterns in linear time."""
    # Imported here: it is large, and most commands never check an input.
    rules: Any = import_module("jsonschema_rs")
    return rules.validator_for(schema, offline=True, pattern_options=rules.RegexOptions())


def _expected(schema: Mapping[str, Json]) -> str:
    types = schema.get("type", [])
    named = [WORDS[kind] for kind in ([types] if isinstance(types, str) else types)]
    text = " or ".join(named) or "a value"
    if "enum" in schema:
        text = "one of " + ", ".join(repr(choice) for choice in schema["enum"][:12])
    limits = [
        f"{word} {schema[keyword]}"
        for keyword, word in (("minimum", "at least"), ("maximum", "at most"))
        if keyword in schema
    ]
    return f"{text}, {' and '.join(limits)}" if limits else text


def _shortened(message: str) -> str:
    return message if len(message) <= 200 else f"{message[:SHOWN_CHARS_MAX]} … {message[-100:]}"


def _joined(errors: list[RequestError]) -> RequestError:
    if len(errors) == 1:
        return errors[0]
    return RequestError(
        f"{len(errors)} inputs are not accepted.",
        why="\n          ".join(f"{error.what} {error.fix}" for error in errors[:50]),
        fix="Correct them all and start again.",
        code=errors[0].code,
    )


def schema_faults(inputs: Json, places: Places) -> list[Fault]:
    """Return the faults of declared schemas that only a schema validator finds."""
    if not isinstance(inputs, dict):
        return []
    faults: list[Fault] = []
    for name, schema in inputs.items():
        if not isinstance(schema, dict) or schema.keys() <= PLAIN_KEYWORDS:
            continue
        faults += _schema_fault(name, schema, places)
    return faults


def _schema_fault(name: str, schema: dict[str, Json], places: Places) -> list[Fault]:
    rules: Any = import_module("jsonschema_rs")
    pointer = f"/inputs/{escape(name)}"
    try:
        validator = _validator(schema)
        if "default" not in schema or validator.is_valid(schema["default"]):
            return []
        pointer += "/default"
        fault = _unsound(f"The default of the input {name!r} does not fit its schema.", "", pointer)
    except (rules.ValidationError, ValueError) as error:
        what = f"The schema of the input {name!r} is not sound."
        fault = _unsound(what, str(error), pointer)
    line, column = places[pointer]
    return [msgspec.structs.replace(fault, line=line, column=column)]


def _unsound(what: str, why: str, pointer: str) -> Fault:
    return Fault(
        code="PDM-D207",
        message=what,
        why=why.partition("\n")[0][:200],
        fix="Inputs are JSON Schema (2020-12): {type: integer, minimum: 1, default: 5}",
        pointer=pointer,
    )


def parse_cli_inputs(
    pairs: Iterable[str], inputs: Mapping[str, Json] | None = None
) -> dict[str, Json]:
    """Return inputs from `name=text` and `name:=json`; texts take the type that is declared.

    Raises `RequestError` for what is no pair, repeated, or not of the declared type.
    """
    parsed: dict[str, Json] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":").strip()
        if not equals or not name:
            raise _malformed(f"The input {pair!r} is not written as name=value.")
        if name in parsed:
            raise _malformed(f"The input {name!r} is given twice.")
        schema = (inputs or {}).get(name, {})
        parsed[name] = _from_json(name, text) if is_json else _typed(name, text, schema)
    return parsed


def _malformed(what: str) -> PodiumError:
    return RequestError(
        what,
        why="name=text takes the declared type; name:=json takes JSON as it is.",
        fix='For example: -i path=src -i limit=5 -i tags:=\'["a", "b"]\'',
        code="PDM-R013",
    )


def _from_json(name: str, text: str) -> Json:
    tree = read_json(text)
    if tree.faults:
        fault = tree.faults[0]
        raise _malformed(f"The input {name!r} is not JSON: {fault.message}")
    return tree.value


def _typed(name: str, text: str, schema: Mapping[str, Json]) -> Json:
    """Return `text` as the declared type; text itself where text is accepted or nothing is."""
    types = schema.get("type", "string")
    wanted = [kind for kind in ([types] if isinstance(types, str) else types) if kind in TYPES]
    if "string" in wanted or not wanted:
        return text
    tree = read_json(text)
    if tree.faults:
        raise RequestError(
            f"The input {name!r} is {text[:SHOWN_CHARS_MAX]!r}; it takes {_expected(schema)}.",
            fix=f"For example: -i {name}={_example(wanted[0])}",
            code="PDM-R012",
        )
    return tree.value


def _example(kind: str) -> str:
    examples = {"array": '\'["a", "b"]\'', "object": "'{\"a\": 1}'", "boolean": "true"}
    return examples.get(kind, "5")
