"""The outline of a workflow: its tasks in waves, and what makes each more than a plain step."""

from collections.abc import Sequence
from typing import Any

from podium.core.definition import Checkpoint, JoinKind, Task, Workflow
from podium.core.graph import graph_depth, graph_levels, graph_width

__all__ = ["notes", "plan_document", "waves"]


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
