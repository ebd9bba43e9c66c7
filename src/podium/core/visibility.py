"""What expressions may see: every name an expression reads must exist, and come before it.

Each expression is compiled, never evaluated. The rules follow the scope of the language:
`inputs`, `tasks` and `run` everywhere, `item` and its kin inside a map, `parent` inside nested
maps, `iteration` and `previous` inside a loop, `output` in a loop's `until`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from podium.core.definition import Task, Workflow
from podium.core.graph import Ancestry
from podium.core.template import (
    Compiler,
    ExpressionFailure,
    compile_condition,
    compile_expression,
    split_text,
)
from podium.errors import Fault, did_you_mean

__all__ = ["expression_faults"]

Json = Any
Path = tuple[str, ...]

MAP_NAMES: Final = frozenset({"item", "index", "key"})
LOOP_NAMES: Final = frozenset({"iteration", "previous"})
ALWAYS: Final = frozenset({"inputs", "tasks", "run"})
ALL_NAMES: Final = ALWAYS | MAP_NAMES | LOOP_NAMES | {"parent", "output"}
TASK_MEMBERS: Final = ("output", "status", "error")
HYPHENATED_RE: Final = re.compile(r"\btasks\.([A-Za-z][A-Za-z0-9_]*(?:-[A-Za-z0-9_]+)+)")


class _Level:
    """The tasks an expression on one level can name, with the levels around it."""

    def __init__(self, tasks: Sequence[Task], around: "_Place | None") -> None:
        self.tasks = {task.name: task for task in tasks}
        self.around = around
        self._listed = tasks
        self._ancestry: Ancestry | None = None

    def precedes(self, earlier: str, later: str) -> bool:
        """Return whether task `later` waits for `earlier`, directly or through others."""
        # Most expressions read a direct dependency; the closure is built only when one does not.
        if earlier in self.tasks[later].depends_on:
            return True
        if self._ancestry is None:
            self._ancestry = Ancestry(self._listed)
        return self._ancestry.precedes(earlier, later)


class _Place:
    """Where an expression stands: in which task of which level, under which maps and loops."""

    def __init__(self, level: _Level, task: str, *, maps: int, is_in_loop: bool) -> None:
        self.level = level
        self.task = task
        self.maps = maps
        self.is_in_loop = is_in_loop

    def with_own(self, task: Task) -> "_Place":
        """Return the place inside the map or loop of the task itself."""
        return _Place(
            self.level,
            self.task,
            maps=self.maps + (task.for_each is not None),
            is_in_loop=self.is_in_loop or task.loop is not None,
        )


class _Checker:
    """Checks the expressions of one workflow."""

    def __init__(self, workflow: Workflow, expressions: Compiler) -> None:
        self.inputs = workflow.inputs if isinstance(workflow.inputs, dict) else None
        self.expressions = expressions

    def level(self, tasks: Sequence[Task], pointer: str, around: _Place | None) -> Iterator[Fault]:
        """Yield the faults of all expressions of one level and of the blocks inside it."""
        level = _Level(tasks, around)
        for index, task in enumerate(tasks):
            place = _Place(
                level,
                task.name,
                maps=around.maps if around else 0,
                is_in_loop=around is not None and around.is_in_loop,
            )
            yield from self.task(task, f"{pointer}/{index}", place)

    def task(self, task: Task, pointer: str, place: _Place) -> Iterator[Fault]:
        """Yield the faults of the expressions of one task."""
        inner = place.with_own(task)
        yield from self.value(task.for_each, f"{pointer}/for_each", place)
        yield from self.condition(task.when, f"{pointer}/when", place)
        for key, value in (
            ("with", task.with_),
            ("key", task.key),
            ("idempotency_key", task.idempotency_key),
        ):
            yield from self.value(value, f"{pointer}/{key}", inner)
        if task.loop:
            yield from self.condition(
                task.loop.until, f"{pointer}/loop/until", inner, extra=frozenset({"output"})
            )
        if task.tasks:
            yield from self.level(task.tasks, f"{pointer}/tasks", inner)

    def value(self, value: Json, pointer: str, place: _Place) -> Iterator[Fault]:
        """Yield the faults of every expression inside a JSON value."""
        waiting: list[tuple[Json, str]] = [(value, pointer)]
        while waiting:
            part, at = waiting.pop()
            if isinstance(part, str) and "${{" in part:
                yield from self.text(part, at, place)
            elif isinstance(part, dict):
                yield from _key_faults(part, at)
                waiting.extend((v, f"{at}/{_escape(str(k))}") for k, v in part.items())
            elif isinstance(part, list | tuple):
                waiting.extend((v, f"{at}/{i}") for i, v in enumerate(part))

    def text(self, text: str, pointer: str, place: _Place) -> Iterator[Fault]:
        """Yield the faults of the expressions inside a text; one bad one does not hide others."""
        try:
            sources = [piece for piece, is_expression in split_text(text) if is_expression]
        except ExpressionFailure as failure:
            yield _failed(failure, pointer)
            return
        for source in sources:
            try:
                references = compile_expression(source, self.expressions).references
            except ExpressionFailure as failure:
                yield _failed(failure, pointer)
                continue
            yield from self.references(source, references, pointer, place, frozenset())

    def condition(
        self,
        source: str | None,
        pointer: str,
        place: _Place,
        *,
        extra: frozenset[str] = frozenset(),
    ) -> Iterator[Fault]:
        """Yield the faults of a condition, written with or without `${{ }}`."""
        if source is None:
            return
        try:
            references = compile_condition(source, self.expressions).references
        except ExpressionFailure as failure:
            yield _failed(failure, pointer)
            return
        yield from self.references(source, references, pointer, place, extra)

    def references(
        self,
        source: str,
        references: frozenset[Path],
        pointer: str,
        place: _Place,
        extra: frozenset[str],
    ) -> Iterator[Fault]:
        """Yield the faults of the paths one expression reads."""
        hyphenated = _hyphenated(source, place)
        if hyphenated:
            yield _fault(
                "PDM-D314",
                f"{source.strip()!r} subtracts: tasks.{hyphenated} is not one name.",
                pointer,
                why="In an expression - is minus.",
                fix=f'Write tasks["{hyphenated}"].',
            )
            return
        for path in sorted(references):
            if path[0] == "tasks" and len(path) > 1:
                yield from _task_reference(path, pointer, place)
            elif path[0] == "inputs" and len(path) > 1:
                yield from self.input_reference(path, pointer)
            else:
                yield from _variable(path, pointer, place, extra)

    def input_reference(self, path: Path, pointer: str) -> Iterator[Fault]:
        """Yield a fault if `inputs` are declared and this one is not; else any name may come."""
        if self.inputs is not None and path[1] not in self.inputs:
            yield _fault(
                "PDM-D317",
                f"The expression reads the input {path[1]!r}, which is not declared.",
                pointer,
                why="Inputs other than the declared ones are refused when a run starts.",
                fix=did_you_mean(path[1], list(self.inputs), what="input"),
            )


def expression_faults(workflow: Workflow, expressions: Compiler) -> Iterator[Fault]:
    """Yield what is wrong in the expressions of `workflow`, each at its JSON pointer."""
    yield from _Checker(workflow, expressions).level(workflow.tasks, "/tasks", None)


def _task_reference(path: Path, pointer: str, place: _Place) -> Iterator[Fault]:
    name = path[1]
    at: _Place | None = place
    visible: list[str] = []
    while at is not None:
        if name in at.level.tasks:
            break
        visible += filter(None, at.level.tasks)
        at = at.level.around
    if at is None:
        yield _fault(
            "PDM-D311",
            f"The expression reads the task {name!r}, which does not exist.",
            pointer,
            why="Visible are the tasks of the same level and of the levels around it.",
            fix=did_you_mean(name, visible, what="task"),
        )
        return
    if not at.level.precedes(name, at.task):
        yield _fault(
            "PDM-D312",
            f"The expression reads {name!r}, but {at.task!r} does not wait for it."
            if name != at.task
            else f"The expression reads {name!r}, the task it belongs to.",
            pointer,
            why="Only a task that has ended has an output.",
            fix=f"Add depends_on: [{name}] to {at.task!r}."
            if name != at.task
            else "In a loop, read `previous`; else read another task.",
        )
    if len(path) > 2 and path[2] not in TASK_MEMBERS:
        yield _fault(
            "PDM-D318",
            f"A task has no {path[2]!r}; it has {', '.join(TASK_MEMBERS)}.",
            pointer,
            fix=f"Write {_member_text(name)}.output.{path[2]} for a member of its output.",
        )


def _variable(path: Path, pointer: str, place: _Place, extra: frozenset[str]) -> Iterator[Fault]:
    name = path[0]
    if name in ALWAYS or name in extra:
        return
    if name in MAP_NAMES and not place.maps:
        yield _fault(
            "PDM-D313",
            f"{name!r} has a value only inside a map.",
            pointer,
            why="Each step of a map has its own; this task is in none.",
            fix="Add for_each to the task, or read inputs or another task.",
        )
    elif name == "parent":
        yield from _parent(path, pointer, place)
    elif name in LOOP_NAMES and not place.is_in_loop:
        yield _fault(
            "PDM-D316",
            f"{name!r} has a value only inside a loop.",
            pointer,
            fix="Add loop: {until: …} to the task.",
        )
    elif name == "output":
        yield _fault(
            "PDM-D316",
            "'output' alone has a value only in the until of a loop.",
            pointer,
            fix="Name the task: tasks.<name>.output",
        )
    elif name not in ALL_NAMES:
        known = sorted(ALWAYS | (MAP_NAMES if place.maps else frozenset()))
        is_task = name in place.level.tasks
        yield _fault(
            "PDM-D309",
            f"The expression reads {name!r}, which does not exist.",
            pointer,
            why="Variables are inputs, tasks and run; item, index, key and parent in a map.",
            fix=f"Write {_member_text(name)}.output" if is_task else did_you_mean(name, known),
        )


def _parent(path: Path, pointer: str, place: _Place) -> Iterator[Fault]:
    steps = next((i for i, part in enumerate(path) if part != "parent"), len(path))
    if place.maps <= steps:
        yield _fault(
            "PDM-D315",
            f"{'.'.join(path[:steps])!r} goes out of {steps + 1} maps; "
            f"this place is inside {place.maps}.",
            pointer,
            why="`parent` is the map around the map of `item`.",
            fix="Put the task into a block with for_each, or read item.",
        )


def _hyphenated(source: str, place: _Place) -> str:
    """Return the hyphenated task name that `source` reads as if it were a member, or ""."""
    for name in HYPHENATED_RE.findall(source) if "-" in source else ():
        at: _Place | None = place
        while at is not None:
            if name in at.level.tasks:
                return str(name)
            at = at.level.around
    return ""


def _member_text(name: str) -> str:
    return f'tasks["{name}"]' if "-" in name else f"tasks.{name}"


def _key_faults(value: dict[str, Json], pointer: str) -> Iterator[Fault]:
    for key in value:
        if "${{" in str(key):
            yield _fault(
                "PDM-D305",
                f"The key {key!r} holds an expression; only values may.",
                pointer,
                fix="Build the object in one expression: ${{ {inputs.name: inputs.value} }}",
            )


def _failed(failure: ExpressionFailure, pointer: str) -> Fault:
    return _fault(failure.code, failure.what, pointer, why=failure.why, fix=failure.fix)


def _fault(code: str, message: str, pointer: str, *, why: str = "", fix: str = "") -> Fault:
    return Fault(code=code, message=message, why=why, fix=fix, pointer=pointer)


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
