"""A workflow definition as a picture in text: tasks in waves, blocks indented."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from podium.agents.forecast import Forecast
from podium.cli.output import emit, emit_json
from podium.core.budgets import dollars
from podium.core.definition import Task, Workflow, WorkflowKind
from podium.core.graph import graph_depth, graph_levels, graph_width
from podium.core.outline import notes, plan_document

__all__ = ["plan_lines", "print_plan"]


def print_plan(workflow: Workflow, costs: Sequence[Forecast] = (), *, as_json: bool) -> None:
    """Print the plan of a workflow and what its models may cost."""
    if as_json:
        models = [msgspec.structs.asdict(cost) for cost in costs]
        emit_json({**plan_document(workflow), "models": models})
    else:
        emit("\n".join([*plan_lines(workflow), *_cost_lines(costs)]))


def _cost_lines(costs: Sequence[Forecast]) -> Iterator[str]:
    if costs:
        yield "  models:"
    width = max((len(cost.name) for cost in costs), default=0)
    for cost in costs:
        parts = [cost.model] if cost.model else []
        if cost.first_call_nano is not None:
            parts.append(f"first call at most {dollars(cost.first_call_nano)} plus its input")
        if cost.model and cost.calls_max > 1:
            parts.append(f"at most {cost.calls_max} calls")
        if cost.model and cost.most_nano is not None:
            parts.append(f"at most {dollars(cost.most_nano)} each time")
        parts += [cost.note] if cost.note else []
        yield f"    {cost.name:<{width}}  {' · '.join(parts)}"


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
