"""A workflow definition as a picture in text: tasks in waves, blocks indented."""

from collections.abc import Iterator, Sequence
from typing import Any

from podium.cli.output import emit, emit_json
from podium.core.definition import Checkpoint, JoinKind, Task, Workflow, WorkflowKind
from podium.core.graph import graph_depth, graph_levels, graph_width

__all__ = ["plan_document", "plan_lines", "print_plan"]


def print_plan(workflow: Workflow, *, as_json: bool) -> None:
    """Print the plan of a workflow."""
    if as_json:
        emit_json(plan_document(workflow))
    else:
        emit("\n".join(plan_lines(workflow)))


def plan_document(workflow: Workflow) -> dict[str, Any]:
    """Return the plan as programs read it."""
    return {
        "workflow": workflow.name,
        "version": workflow.content_hash,
        "kind": workflow.kind.value,
        "entrypoint": workflow.entrypoint,
        "depth": graph_depth(workflow.tasks),
        "width": graph_width(workflow.tasks),
        "tasks": [_document(task, workflow.tasks) for task in workflow.tasks],
        "waves": waves(workflow.tasks),
        "output": workflow.output or (workflow.tasks[-1].name if workflow.tasks else None),
    }


def _document(task: Task, level: Sequence[Task]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": task.name,
        "uses": "block" if task.tasks else task.uses,
        "depends_on": list(task.depends_on),
        "wave": graph_levels(level).get(task.name, 0),
        "notes": notes(task),
    }
    if task.tasks:
        document["tasks"] = [_document(inner, task.tasks) for inner in task.tasks]
        document["waves"] = waves(task.tasks)
    return document


def waves(tasks: Sequence[Task]) -> list[list[str]]:
    """Return the names of tasks that may run side by side, wave after wave."""
    found: dict[int, list[str]] = {}
    for name, level in graph_levels(tasks).items():
        found.setdefault(level, []).append(name)
    return [found[level] for level in sorted(found)]


def plan_lines(workflow: Workflow) -> Iterator[str]:
    """Yield the lines of the picture."""
    if workflow.kind is WorkflowKind.CODE:
        yield f"{workflow.name}: a durable function, {workflow.entrypoint}"
        yield "  Its steps are known when it runs: podium run, then podium runs show RUN"
        return
    depth, width = graph_depth(workflow.tasks), graph_width(workflow.tasks)
    count = len(workflow.tasks)
    many = f"{count} task{'s' if count != 1 else ''}"
    yield f"{workflow.name}: {many}, {depth} deep, at most {width} side by side"
    if workflow.inputs:
        yield f"  inputs: {', '.join(_input(*pair) for pair in workflow.inputs.items())}"
    yield from _level(workflow.tasks, 1)


def _input(name: str, schema: dict[str, Any]) -> str:
    kind = schema.get("type", "any")
    default = f" = {schema['default']!r}" if "default" in schema else ""
    return f"{name}: {kind if isinstance(kind, str) else '|'.join(kind)}{default}"


def _level(tasks: Sequence[Task], depth: int) -> Iterator[str]:
    levels = graph_levels(tasks)
    indent = "  " * depth
    width = max((len(task.name) for task in tasks), default=0)
    for task in sorted(tasks, key=lambda each: levels.get(each.name, 0)):
        after = f"after {', '.join(task.depends_on)}" if task.depends_on else ""
        uses = "block" if task.tasks else task.uses
        parts = [part for part in (uses, after, *notes(task)) if part]
        yield f"{indent}{levels.get(task.name, 0)}  {task.name:<{width}}  {' · '.join(parts)}"
        yield from _level(task.tasks, depth + 2) if task.tasks else ()


def notes(task: Task) -> list[str]:
    """Return what makes this task more than a plain step."""
    found: list[str] = []
    if task.for_each is not None:
        limit = f", {task.max_parallel} at once" if task.max_parallel else ""
        found.append(f"for each item{limit}")
    if task.loop is not None:
        found.append(f"loop, at most {task.loop.max_iterations} times")
    if task.when is not None:
        found.append("only if its condition holds")
    if task.checkpoint is not Checkpoint.NONE:
        found.append(f"approval {task.checkpoint.value}")
    if task.join.kind is not JoinKind.ALL and task.depends_on:
        found.append(f"join {task.join.kind.value}")
    if task.optional:
        found.append("may fail")
    return found
