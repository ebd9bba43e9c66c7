"""What a task may run (`uses`), and the arguments that every built-in kind needs."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from podium.core.definition import Task
from podium.core.durations import DURATION_EXAMPLES, parse_duration
from podium.errors import Fault, did_you_mean

__all__ = ["KINDS", "action_faults"]

Json = Any

WORD: Final = r"(?:[A-Za-z_]\w*|<lambda>)"
"""A function built in Python is called by its qualified name, which may hold these marks."""
SLUG: Final = r"[A-Za-z][A-Za-z0-9_-]{0,62}"
KINDS: Final = MappingProxyType(
    {
        "python": rf"python:({WORD}(\.{WORD})*|[^:\s]+\.py):{WORD}(\.({WORD}|<locals>))*",
        "workflow": rf"workflow:{SLUG}(@[\w.+-]{{1,64}})?",
        "agent": rf"agent:{SLUG}",
        "llm": "llm",
        "shell": "shell",
        "http": "http",
        "noop": "noop",
        "sleep": "sleep",
        "signal": "signal",
        "approval": "approval",
    }
)
"""The kinds this version runs, each with the form it is written in."""

FORMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "python": "python:package.module:function",
        "workflow": "workflow:<name>[@version]",
        "agent": "agent:<slug>",
    }
)
LATER: Final = frozenset({"a2a", "mcp", "sandbox"})
"""Kinds of the language that this version cannot run."""

NEEDED: Final[Mapping[str, str]] = MappingProxyType(
    {"shell": "command", "http": "url", "signal": "name"}
)
EXAMPLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "shell": 'with: {command: ["cp", "a", "b"]}',
        "http": 'with: {url: "https://example.org/"}',
        "signal": "with: {name: payment_received}",
        "sleep": 'with: {duration: "5m"}',
    }
)
VERIFIED: Final = ("python", "shell", "http", "llm")
TARGET_RE: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)


def action_faults(task: Task, place: str) -> Iterator[Fault]:
    """Yield what is wrong with what `task` runs; nothing is imported or looked up."""
    if task.verify:
        yield from _verify_faults(task, place)
    if task.tasks:
        yield from _block_faults(task, place)
        return
    kind = task.uses.partition(":")[0]
    if kind in LATER:
        yield Fault(
            code="PDM-D107",
            message=f"This version of Podium cannot run {task.uses!r} yet.",
            why=f"{kind!r} is part of the definition language, but nothing here executes it.",
            fix="Use a python: task for now.",
            pointer=f"{place}/uses",
        )
    elif kind not in KINDS:
        yield _unknown_kind(task, place)
    elif not re.fullmatch(KINDS[kind], task.uses, re.ASCII):
        yield Fault(
            code="PDM-D108",
            message=f"{task.uses[:120]!r} is not written as {kind!r} is.",
            fix=f"Write {FORMS.get(kind, kind)}.",
            pointer=f"{place}/uses",
        )
    else:
        yield from _argument_faults(task, kind, place)


def _verify_faults(task: Task, place: str) -> Iterator[Fault]:
    if not re.fullmatch(KINDS["python"], task.verify, re.ASCII):
        yield Fault(
            code="PDM-D108",
            message=f"{task.verify[:120]!r} is no function to verify with.",
            why="What tells whether an earlier attempt did its work is a plain function.",
            fix=f"Write verify: {FORMS['python']}.",
            pointer=f"{place}/verify",
        )
    elif task.tasks or task.uses.partition(":")[0] not in VERIFIED:
        yield Fault(
            code="PDM-D109",
            message=f"Task {task.name!r} cannot be verified.",
            why=f"Only what runs as an attempt can: {', '.join(VERIFIED)}.",
            fix="Take `verify` away.",
            pointer=f"{place}/verify",
        )


def _block_faults(task: Task, place: str) -> Iterator[Fault]:
    if task.uses != "noop":
        yield Fault(
            code="PDM-D109",
            message=f"Task {task.name!r} has both 'tasks' and 'uses'.",
            why="A block runs the tasks inside it and nothing of its own.",
            fix="Move what 'uses' names into a task of the block.",
            pointer=f"{place}/uses",
        )
    if task.with_ is not None:
        yield Fault(
            code="PDM-D109",
            message=f"Task {task.name!r} is a block and has arguments.",
            why="Only a task that runs something takes arguments.",
            fix="Give them to the tasks inside the block.",
            pointer=f"{place}/with",
        )


def _unknown_kind(task: Task, place: str) -> Fault:
    known = sorted(FORMS.get(kind, kind) for kind in KINDS)
    fix = did_you_mean(task.uses, known, what="kind")
    if TARGET_RE.fullmatch(task.uses):
        fix = f"For a Python function, write python:{task.uses}"
    return Fault(
        code="PDM-D106",
        message=f"Task {task.name!r} uses {task.uses[:120]!r}, which is unknown.",
        fix=fix,
        pointer=f"{place}/uses",
    )


def _argument_faults(task: Task, kind: str, place: str) -> Iterator[Fault]:
    given = task.with_
    if isinstance(given, str):
        return
    arguments: Mapping[str, Json] = given if isinstance(given, dict) else {}
    where = f"{place}/with" if arguments else place
    if kind == "sleep":
        yield from _sleep_faults(task, arguments, where)
    if kind == "llm":
        yield from _llm_faults(task, arguments, where)
    needed = NEEDED.get(kind)
    if needed and needed not in arguments:
        yield Fault(
            code="PDM-D208",
            message=f"Task {task.name!r} uses {kind!r} without the argument {needed!r}.",
            fix=f"Write {EXAMPLES[kind]}",
            pointer=where,
        )
    command = arguments.get("command")
    if kind == "shell" and command is not None and not _is_command(command):
        yield Fault(
            code="PDM-D208",
            message=f"The command of task {task.name!r} is not a list of texts.",
            why="A command is given word by word, so that no shell ever parses it.",
            fix=f"Write {EXAMPLES['shell']}",
            pointer=f"{place}/with/command",
        )


LLM_ARGUMENTS: Final = (
    "model",
    "prompt",
    "messages",
    "system",
    "max_tokens",
    "temperature",
    "schema",
    "repairs",
    "stop",
)


def _llm_faults(task: Task, arguments: Mapping[str, Json], where: str) -> Iterator[Fault]:
    if len(arguments.keys() & {"prompt", "messages"}) != 1:
        yield Fault(
            code="PDM-D208",
            message=f"Task {task.name!r} uses 'llm' without exactly one of prompt and messages.",
            fix='Write with: {model: small, prompt: "Summarise: ${{ tasks.fetch.output }}"}',
            pointer=where,
        )
    for name in arguments.keys() - {*LLM_ARGUMENTS}:
        yield Fault(
            code="PDM-D208",
            message=f"Task {task.name!r} gives 'llm' the argument {name[:80]!r}.",
            why="A model with tools is an agent: declare it under `agents:`."
            if name == "tools"
            else "",
            fix=did_you_mean(name, LLM_ARGUMENTS, what="argument"),
            pointer=f"{where}/{name}",
        )


def _is_command(command: Json) -> bool:
    if isinstance(command, str):
        return command.startswith("${{")
    if not isinstance(command, list) or not command:
        return False
    return all(isinstance(word, str | int | float) and word is not True for word in command)


def _sleep_faults(task: Task, arguments: Mapping[str, Json], where: str) -> Iterator[Fault]:
    if len(arguments.keys() & {"duration", "until"}) != 1:
        yield Fault(
            code="PDM-D208",
            message=f"Task {task.name!r} sleeps, but not for exactly one of duration and until.",
            fix=f"Write {EXAMPLES['sleep']}, or until: an RFC 3339 time.",
            pointer=where,
        )
    duration = arguments.get("duration", 0)
    if isinstance(duration, str) and "${{" in duration:
        return
    parsed = parse_duration(duration)
    if parsed is None or parsed < 0:
        yield Fault(
            code="PDM-D202",
            message=f"Task {task.name!r} sleeps for {duration!r}, which is no duration.",
            why="Bare numbers are seconds; units are ms, s, m, h, d and w, or ISO 8601.",
            fix=f"For example {DURATION_EXAMPLES}.",
            pointer=f"{where}/duration",
        )
