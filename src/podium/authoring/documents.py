"""Text of a workflow definition → `Workflow`, or every fault in it with its place.

Nothing named in a definition is imported or evaluated here: reading a hostile file is safe.
"""

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final, Literal, NamedTuple

import msgspec

from podium.authoring.agents import FileReader, with_agents
from podium.authoring.fields import FieldReader
from podium.authoring.inputs import schema_faults
from podium.authoring.json_text import read_json
from podium.authoring.models import build_workflow
from podium.authoring.places import Places
from podium.authoring.schema import ALIASES, EQUIVALENTS
from podium.authoring.tree import TreeBuilder
from podium.authoring.yaml_text import read_yaml
from podium.core.agents import AgentSpec
from podium.core.definition import Settings, Workflow
from podium.core.validation import Limits, validate
from podium.errors import DefinitionError, Fault
from podium.ports.expressions import Expressions

__all__ = ["DEFINITION_BYTES_MAX", "Loaded", "load_workflow"]

Json = Any
Format = Literal["auto", "yaml", "json"]

DEFINITION_BYTES_MAX: Final = 4 * 1024 * 1024
"""A local file; a server accepts less."""

ENCODING_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
CONTROL_RE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
SECONDARY: Final = frozenset({"PDM-D312", "PDM-D313", "PDM-D315", "PDM-D316"})
"""Faults that another fault in the same task may be the only reason for."""


class Loaded(NamedTuple):
    """A sound workflow, and what its author should know about it."""

    workflow: Workflow
    warnings: tuple[Fault, ...]


def load_workflow(
    text: str | bytes,
    *,
    source: str = "definition",
    expressions: Expressions,
    format: Format = "auto",  # noqa: A002
    bytes_max: int = DEFINITION_BYTES_MAX,
    defaults: Settings | None = None,
    limits: Limits | None = None,
    read_file: FileReader | None = None,
    agents: Mapping[str, AgentSpec] | None = None,
) -> Loaded:
    """Read a definition; `source` names it in errors, and names a workflow without a name.

    `defaults` are the settings that the definition's own are laid over. `read_file` gives the
    files that its agents name (none without it), `agents` those declared elsewhere. Raises
    `DefinitionError` with every fault found.
    """
    decoded = _decode(text, source, bytes_max)
    tree = _parse(decoded, source, format)
    if tree.value is None and not tree.faults:
        raise DefinitionError([_empty_fault()], source=source)
    places = tree.places(ALIASES, EQUIVALENTS)
    reader = FieldReader(places)
    if not tree.is_complete:
        raise DefinitionError(_ordered(tree.faults), source=source)
    workflow = build_workflow(
        tree.value,
        reader,
        name=_name_from(source),
        defaults=defaults or Settings(),
        read_file=read_file,
    )
    workflow = with_agents(workflow, agents or {})
    refused = {(fault.line, fault.column) for fault in tree.faults}
    structural = [*tree.faults, *(f for f in reader.faults if (f.line, f.column) not in refused)]
    semantic = validate(workflow, expressions=expressions, places=places, limits=limits)
    if not any(fault.code == "PDM-D207" for fault in semantic):
        semantic += schema_faults(workflow.inputs, places)
    faults = _ordered(structural + _primary(semantic, structural, places))
    errors = [fault for fault in faults if not fault.warning]
    if errors:
        raise DefinitionError(errors, source=source)
    return Loaded(workflow, tuple(faults))


def _decode(text: str | bytes, source: str, bytes_max: int) -> str:
    size = len(text) if isinstance(text, bytes) else len(text.encode(errors="surrogatepass"))
    if size > bytes_max:
        fault = Fault(
            code="PDM-D003",
            message=f"The definition has {size:,} bytes; at most {bytes_max:,} are accepted.",
            why="A definition says what to do; data belongs into inputs and files.",
            fix="Move data out, or split it into child workflows (uses: workflow:<name>).",
        )
        raise DefinitionError([fault], source=source)
    decoded = _decode_bytes(text, source) if isinstance(text, bytes) else text
    return _check_characters(decoded.removeprefix("\ufeff"), source)


def _decode_bytes(data: bytes, source: str) -> str:
    for mark, name in ENCODING_MARKS:
        if data.startswith(mark):
            raise DefinitionError([_encoding_fault(f"The text is {name}.", 1, 1)], source=source)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        fault = _encoding_fault(
            f"The text is not UTF-8: byte 0x{data[error.start]:02x} has no meaning there.",
            *_position(before, len(before)),
        )
        raise DefinitionError([fault], source=source) from None


def _check_characters(text: str, source: str) -> str:
    control = CONTROL_RE.search(text)
    if control:
        what = f"The text holds the control character U+{ord(control[0]):04X}."
        fault = _encoding_fault(what, *_position(text, control.start()))
        raise DefinitionError([fault], source=source)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        what = "The text holds a lone surrogate, half of a character."
        fault = _encoding_fault(what, *_position(text, error.start))
        raise DefinitionError([fault], source=source) from None
    return text


def _position(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1


def _encoding_fault(message: str, line: int, column: int) -> Fault:
    return Fault(
        code="PDM-D004",
        message=message,
        why="Definitions are UTF-8 text without control characters.",
        fix="Remove the character, or save the file as UTF-8.",
        line=line,
        column=column,
    )


def _empty_fault() -> Fault:
    return Fault(
        code="PDM-D002",
        message="The definition is empty.",
        why="A definition needs at least one task.",
        fix="Start with:\n\n    name: hello\n    tasks:\n      - name: first\n        uses: noop",
        line=1,
        column=1,
    )


def _parse(text: str, source: str, format: Format) -> TreeBuilder:  # noqa: A002
    if format == "json" or (format == "auto" and source.endswith(".json")):
        return read_json(text) if text.strip() else TreeBuilder()
    if format == "auto" and text.lstrip()[:1] == "{":
        tree = read_json(text)
        # A YAML flow mapping starts like JSON; what is not JSON may still be that.
        if tree.is_complete or tree.faults[-1].code != "PDM-D001":
            return tree
    return read_yaml(text)


def _name_from(source: str) -> str:
    stem = PurePath(source).stem if source != "definition" else ""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in stem)
    name = name.lstrip("-_0123456789")[:63].rstrip("-")
    return name or "workflow"


def _primary(semantic: list[Fault], structural: list[Fault], places: Places) -> list[Fault]:
    """Return the semantic faults that are not just echoes of structural ones."""
    at = {fault.pointer for fault in structural}
    broken = {_task_of(fault.pointer) for fault in structural}
    kept: list[Fault] = []
    for fault in semantic:
        written = places.written(fault.pointer)
        is_nameless = fault.code == "PDM-D104" and written.removesuffix("/name") in at
        is_echo = fault.code in SECONDARY and _task_of(written) in broken
        is_taskless = fault.code == "PDM-D112" and "" in at
        if written in at or is_nameless or is_echo or is_taskless:
            continue
        kept.append(msgspec.structs.replace(fault, pointer=written))
    return kept


def _task_of(pointer: str) -> str:
    """Return the pointer of the innermost task that `pointer` lies in."""
    parts = pointer.split("/")
    last = max((i for i, part in enumerate(parts[:-1]) if part == "tasks"), default=-1)
    return "/".join(parts[: last + 2]) if last >= 0 else ""


def _ordered(faults: list[Fault]) -> list[Fault]:
    return sorted(faults, key=lambda fault: (fault.line, fault.column, fault.code))
