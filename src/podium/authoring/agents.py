"""Agents as authors declare them: fields of a document → `AgentSpec`, their files read in.

A file that an agent names (instructions, the schema of its output) lies beside the definition
and becomes part of it: its content is what the version of the workflow is hashed from.
"""

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec

from podium.authoring.fields import FieldReader, Fields
from podium.authoring.json_text import read_json
from podium.authoring.places import Places, escape
from podium.core.agent_faults import spec_faults
from podium.core.agents import AgentBudget, AgentSpec, AgentTool, agents_below
from podium.core.definition import Task, Workflow
from podium.errors import DefinitionError, RequestError

__all__ = [
    "FileReader",
    "build_agents",
    "build_spec",
    "files_beside",
    "known_agents",
    "remember_agents",
    "shared_agents",
    "with_agents",
]

Json = Any
FileReader = Callable[[str], str]
"""Gives the text of a file beside the definition; raises `RequestError` PDM-R409."""

FILE_BYTES_MAX: Final = 1024 * 1024
TEXT_FILE_RE: Final = re.compile(r"[^\s]+\.(md|txt)")
PLAIN_KEYS: Final = (
    "model",
    "description",
    "max_turns",
    "max_tokens",
    "temperature",
    "approvals",
    "on_lost",
    "on_taint",
    "untrusted_input",
    "repairs",
    "fallback",
)


_KNOWN: dict[str, AgentSpec] = {}


def remember_agents(agents: Mapping[str, AgentSpec]) -> None:
    """Let durable functions and graphs of this process use these agents by name."""
    _KNOWN.update(agents)


def known_agents() -> dict[str, AgentSpec]:
    """Return the agents of this process by name; the last declaration of a name wins."""
    return dict(_KNOWN)


def files_beside(folder: Path) -> FileReader:
    """Return what reads text files inside `folder`, and nowhere else."""

    def read(name: str) -> str:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise _unreadable(name, "It lies outside of the folder of the definition.")
        try:
            with path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise _unreadable(name, f"{error.strerror}: {path.name}") from error
        if len(data) > FILE_BYTES_MAX:
            raise _unreadable(name, f"It has more than {FILE_BYTES_MAX:,} bytes.")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise _unreadable(name, "It is not UTF-8 text.") from error

    return read


def _unreadable(name: str, why: str) -> RequestError:
    return RequestError(
        f"The file {name!r} cannot be read.",
        why=why,
        fix="Put it beside the definition, or write its content there.",
        code="PDM-R062",
    )


def build_agents(
    fields: Json, reader: FieldReader, read_file: FileReader | None, place: str = "/agents"
) -> dict[str, AgentSpec] | None:
    """Return the agents of a document; what is wrong in them is left out and reported."""
    if not isinstance(fields, dict):
        return None
    return {
        slug: build_spec(slug, each, reader, read_file, f"{place}/{escape(slug)}")
        for slug, each in fields.items()
    }


def build_spec(
    slug: str, fields: Fields, reader: FieldReader, read_file: FileReader | None, place: str
) -> AgentSpec:
    """Return one agent from its checked fields; files are read and schemas checked."""
    budget = dict(fields.get("budget", {}))
    if "time" in budget:
        budget["time_us"] = budget.pop("time")
    texts = _Texts(slug, reader, read_file)
    return AgentSpec(
        name=slug,
        instructions=texts.instructions(fields.get("instructions", ""), f"{place}/instructions"),
        output=texts.schema(fields.get("output"), f"{place}/output"),
        tools=tuple(_tool(each) for each in fields.get("tools", [])),
        budget=AgentBudget(**budget),
        **{key: fields[key] for key in PLAIN_KEYS if key in fields},
    )


def _tool(fields: Fields) -> AgentTool:
    given = dict(fields)
    if given.pop("timeout", None) is not None:
        given["timeout_us"] = fields["timeout"]
    return AgentTool(**{"uses": "", **given})


class _Texts:
    """Reads what an agent may keep in files, and reports what is wrong with it."""

    def __init__(self, slug: str, reader: FieldReader, read_file: FileReader | None) -> None:
        self._slug = slug
        self._reader = reader
        self._read_file = read_file

    def instructions(self, value: str, pointer: str) -> str:
        """Return instructions; one word that ends like a text file names one."""
        if not TEXT_FILE_RE.fullmatch(value):
            return value
        return self._content(value, pointer)

    def schema(self, value: Json, pointer: str) -> Json:
        """Return the schema of the output, or None after reporting why it is none."""
        if isinstance(value, str):
            text = self._content(value, pointer)
            tree = read_json(text)
            if text and tree.faults:
                self._unsound(pointer, f"{value}: {tree.faults[0].message}")
            value = None if tree.faults else tree.value
        if value is None:
            return None
        if not isinstance(value, dict):
            return self._unsound(pointer, "It is no object.")
        return self._checked(value, pointer)

    def _checked(self, schema: dict[str, Json], pointer: str) -> Json:
        # Imported here: it is large, and most definitions have no agents.
        rules: Any = import_module("jsonschema_rs")
        try:
            rules.validator_for(schema, offline=True, pattern_options=rules.RegexOptions())
        except (rules.ValidationError, ValueError) as error:
            return self._unsound(pointer, str(error).partition("\n")[0][:200])
        return schema

    def _content(self, name: str, pointer: str) -> str:
        if self._read_file is None:
            error = _unreadable(name, "No files are read with this definition.")
        else:
            try:
                return self._read_file(name)
            except RequestError as raised:
                error = raised
        message = f"Agent {self._slug!r} needs the file {name!r}, which cannot be read."
        self._reader.fault("PDM-D404", message, pointer, why=error.why, fix=error.fix)
        return ""

    def _unsound(self, pointer: str, why: str) -> None:
        self._reader.fault(
            "PDM-D405",
            f"The output of agent {self._slug!r} is no sound JSON Schema.",
            pointer,
            why=why,
            fix="For example: {type: object, properties: {risk: {type: string}}}",
        )


def shared_agents(
    declared: Mapping[str, Any],
    *,
    folder: Path,
    places: Places | None = None,
    source: str = "podium.yaml",
) -> dict[str, AgentSpec]:
    """Return the agents of a project's `agents:` block; those that are built already stay.

    Raises `DefinitionError` with everything that is wrong in them.
    """
    ready = {slug: spec for slug, spec in declared.items() if isinstance(spec, AgentSpec)}
    given = {slug: body for slug, body in declared.items() if slug not in ready}
    reader = FieldReader(places or Places((0, 0), {}, {}))
    fields = {
        slug: reader.read("agent", body, f"/agents/{escape(slug)}") for slug, body in given.items()
    }
    agents = {**ready, **(build_agents(fields, reader, files_beside(folder)) or {})}
    faults = list(reader.faults)
    for slug in given:
        for fault in spec_faults(agents[slug], agents, f"/agents/{escape(slug)}"):
            line, column = reader.places[fault.pointer]
            faults.append(msgspec.structs.replace(fault, line=line, column=column))
    if faults:
        raise DefinitionError(faults, source=source)
    return agents


def with_agents(workflow: Workflow, shared: Mapping[str, AgentSpec]) -> Workflow:
    """Return `workflow` with the shared agents that its tasks and agents name."""
    own = workflow.agents or {}
    known = {**shared, **own}
    wanted = dict(own)
    for name in {*_agents_used(workflow.tasks), *own} & known.keys():
        wanted[name] = known[name]
        wanted |= agents_below(known, name)
    if not wanted:
        return workflow
    return msgspec.structs.replace(workflow, agents=dict(sorted(wanted.items())))


def _agents_used(tasks: tuple[Task, ...]) -> set[str]:
    found, waiting = set[str](), list(tasks)
    while waiting:
        task = waiting.pop()
        waiting += task.tasks
        kind, _, name = task.uses.partition(":")
        if kind == "agent":
            found.add(name)
    return found
