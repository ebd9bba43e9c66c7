"""What is wrong in a workflow that reads well: every fault at once, nothing executed.

Names, graph and values are checked here; what expressions may see is `core.visibility`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from podium.core.actions import action_faults
from podium.core.agent_faults import agent_faults
from podium.core.budgets import Limits as BudgetLimits
from podium.core.charges import NANO
from podium.core.definition import (
    TASKS_MAX,
    Checkpoint,
    ClosePolicy,
    JoinKind,
    OnLost,
    RetryPolicy,
    Settings,
    Task,
    Timeouts,
    Workflow,
    WorkflowKind,
)
from podium.core.graph import (
    all_tasks,
    find_cycle,
    graph_depth,
    graph_width,
    unknown_dependencies,
)
from podium.core.input_schemas import input_faults
from podium.core.limit_faults import limit_faults
from podium.core.ranges import Value, range_faults
from podium.core.template import Compiler
from podium.core.visibility import expression_faults
from podium.errors import Fault, did_you_mean

__all__ = ["Limits", "Places", "validate"]

Places = Mapping[str, tuple[int, int]]

NAME_RE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
BLOCKS_DEPTH_MAX: Final = 8
DEPTH_WARN: Final = 4
NO_PLACES: Final[Places] = {}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How strict validation is."""

    depth_warn: int = DEPTH_WARN
    """Longest chain of tasks that is accepted silently."""
    is_depth_refused: bool = False
    """Whether a longer chain is a fault and not a warning."""
    tasks_max: int = TASKS_MAX


def validate(
    workflow: Workflow,
    *,
    expressions: Compiler,
    places: Places = NO_PLACES,
    limits: Limits | None = None,
) -> list[Fault]:
    """Return everything wrong with `workflow`, warnings included, ordered by place.

    `places` gives line and column by JSON pointer into the definition. Pure, and safe on
    hostile definitions: nothing they name is imported, and no expression is evaluated.
    """
    faults = list(_workflow_faults(workflow, limits or Limits()))
    if workflow.kind is WorkflowKind.GRAPH and not any(f.code == "PDM-D105" for f in faults):
        faults += _level_faults(workflow.tasks, "/tasks", 1)
        # What is nested too deep is not walked by anything that recurses.
        if not any(fault.code == "PDM-D113" for fault in faults):
            faults += expression_faults(workflow, expressions)
    placed = [_placed(fault, places) for fault in faults]
    return sorted(placed, key=lambda fault: (fault.line, fault.column))


def _placed(fault: Fault, places: Places) -> Fault:
    line, column = places.get(fault.pointer) or (0, 0)
    return msgspec.structs.replace(fault, line=line, column=column) if line else fault


def _workflow_faults(workflow: Workflow, limits: Limits) -> Iterator[Fault]:
    yield from _name_faults(workflow.name, "/name", "workflow")
    yield from _settings_faults(workflow.settings)
    yield from input_faults(workflow.inputs)
    for slug in workflow.agents or {}:
        yield from _name_faults(slug, f"/agents/{_escape(slug)}", "agent")
    yield from agent_faults(workflow)
    if workflow.kind is WorkflowKind.CODE:
        return
    count = sum(1 for _ in all_tasks(workflow.tasks))
    if not count:
        yield Fault(
            code="PDM-D112",
            message="The workflow has no tasks.",
            fix="Add one: tasks: [{name: first, uses: noop}]",
            pointer="/tasks",
        )
    if count > limits.tasks_max:
        yield Fault(
            code="PDM-D105",
            message=f"The workflow has {count:,} tasks; at most {limits.tasks_max:,} may be.",
            why="Every task of a graph is part of its definition and is loaded with it.",
            fix="Use for_each for many alike tasks, or child workflows (uses: workflow:<name>).",
            pointer="/tasks",
        )
        return
    yield from _group_faults(workflow)
    yield from _output_faults(workflow.output, workflow.tasks, "/output")
    yield from _shape_warnings(workflow, limits)


def _name_faults(name: str, pointer: str, what: str) -> Iterator[Fault]:
    if NAME_RE.fullmatch(name):
        return
    sound = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:63].lstrip("0123456789_-")
    yield Fault(
        code="PDM-D104",
        message=f"{name[:80]!r} is no name for a {what}.",
        why="A name starts with a letter; then letters, digits, _ and - follow, 63 at most.",
        fix=f"For example {sound or what!r}.",
        pointer=pointer,
    )


def _group_faults(workflow: Workflow) -> Iterator[Fault]:
    declared = workflow.groups if isinstance(workflow.groups, dict) else {}
    for name in declared:
        yield from _name_faults(str(name), f"/groups/{_escape(str(name))}", "group")
    yield from _membership_faults(workflow.tasks, "/tasks", list(declared))


def _membership_faults(
    tasks: Sequence[Task], pointer: str, declared: Sequence[str]
) -> Iterator[Fault]:
    waiting = [(task, f"{pointer}/{index}") for index, task in enumerate(tasks)]
    while waiting:
        task, place = waiting.pop()
        waiting += [(inner, f"{place}/tasks/{i}") for i, inner in enumerate(task.tasks)]
        if task.group is None:
            continue
        if not declared:
            yield from _name_faults(task.group, f"{place}/group", "group")
        elif task.group not in declared:
            yield Fault(
                code="PDM-D111",
                message=f"Task {task.name!r} is in the group {task.group!r}, "
                "which is not declared.",
                why="`groups` lists all groups when it is given.",
                fix=did_you_mean(task.group, declared, what="group"),
                pointer=f"{place}/group",
            )


def _output_faults(output: str | None, tasks: Sequence[Task], pointer: str) -> Iterator[Fault]:
    names = [task.name for task in tasks]
    if output is not None and output not in names:
        yield Fault(
            code="PDM-D110",
            message=f"The output is taken from {output!r}, which is no task here.",
            why="`output` names a task of the same level.",
            fix=did_you_mean(output, names, what="task"),
            pointer=pointer,
        )


def _shape_warnings(workflow: Workflow, limits: Limits) -> Iterator[Fault]:
    tasks = workflow.tasks
    is_wide = graph_width(tasks) > 1 or any(task.for_each is not None for task in tasks)
    if workflow.settings.max_parallel_steps == 1 and is_wide:
        yield Fault(
            code="PDM-D902",
            message="max_parallel_steps is 1, so steps that could run together run in turn.",
            why="This workflow has tasks that do not wait for each other.",
            fix="Raise it, or remove it to use the capacity of the node.",
            pointer="/settings/max_parallel_steps",
            warning=True,
        )
    depth = 0 if _nesting(tasks) > BLOCKS_DEPTH_MAX else graph_depth(tasks)
    if depth > limits.depth_warn:
        yield Fault(
            code="PDM-D903",
            message=f"The longest chain has {depth} tasks; more than {limits.depth_warn}.",
            why="Every level adds waiting, and an early failure wastes what is below it.",
            fix="Let tasks that do not need each other run side by side.",
            pointer="/tasks",
            warning=not limits.is_depth_refused,
        )


def _nesting(tasks: Sequence[Task]) -> int:
    depth, level = 0, list(tasks)
    while level and depth <= BLOCKS_DEPTH_MAX:
        depth += 1
        level = [inner for task in level for inner in task.tasks]
    return depth


def _level_faults(tasks: Sequence[Task], pointer: str, depth: int) -> Iterator[Fault]:
    """Yield the faults of the tasks of one level, and of the blocks inside them."""
    if depth > BLOCKS_DEPTH_MAX:
        yield Fault(
            code="PDM-D113",
            message=f"Blocks are nested deeper than {BLOCKS_DEPTH_MAX} levels.",
            fix="Move the inner ones into a child workflow (uses: workflow:<name>).",
            pointer=pointer,
        )
        return
    yield from _duplicate_faults(tasks, pointer)
    yield from _dependency_faults(tasks, pointer)
    for index, task in enumerate(tasks):
        place = f"{pointer}/{index}"
        yield from _name_faults(task.name, f"{place}/name", "task")
        yield from _task_faults(task, place)
        if task.tasks:
            yield from _output_faults(task.output, task.tasks, f"{place}/output")
            yield from _level_faults(task.tasks, f"{place}/tasks", depth + 1)


def _duplicate_faults(tasks: Sequence[Task], pointer: str) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for index, task in enumerate(tasks):
        if first.setdefault(task.name, index) != index and task.name:
            yield Fault(
                code="PDM-D103",
                message=f"The name {task.name!r} is already used by {pointer}/{first[task.name]}.",
                why="A task is known by its name, in dependencies and in results.",
                fix=f"Rename one of them, for instance {task.name + '_2'!r}.",
                pointer=f"{pointer}/{index}/name",
            )


def _dependency_faults(tasks: Sequence[Task], pointer: str) -> Iterator[Fault]:
    names = [task.name for task in tasks]
    for index, position, name in unknown_dependencies(tasks):
        others = [other for other in names if other not in ("", tasks[index].name)]
        yield Fault(
            code="PDM-D101",
            message=f"Task {tasks[index].name!r} depends on {name!r}, which is not defined.",
            why="Dependencies name tasks of the same level.",
            fix=did_you_mean(name, others, what="other task"),
            pointer=f"{pointer}/{index}/depends_on/{position}",
        )
    for index, task in enumerate(tasks):
        repeated = {name for name in task.depends_on if task.depends_on.count(name) > 1}
        for name in sorted(repeated):
            yield Fault(
                code="PDM-D904",
                message=f"Task {task.name!r} lists the dependency {name!r} more than once.",
                fix="List it once.",
                pointer=f"{pointer}/{index}/depends_on",
                warning=True,
            )
    cycle = find_cycle(tasks)
    if cycle:
        index = names.index(cycle[0])
        is_self = len(cycle) == 2
        yield Fault(
            code="PDM-D102",
            message=f"Task {cycle[0]!r} waits for itself."
            if is_self
            else f"Tasks wait for each other in a cycle: {_path_text(cycle)}.",
            why="No task of a cycle could ever start.",
            fix=f"Remove {cycle[-2]!r} from the depends_on of {cycle[0]!r}"
            + ("." if is_self else ", or another edge of the cycle; to repeat a task, use loop."),
            pointer=f"{pointer}/{index}/depends_on",
        )


def _path_text(cycle: Sequence[str]) -> str:
    shown = cycle if len(cycle) <= 12 else (*cycle[:6], "…", *cycle[-5:])
    return " → ".join(shown)


def _task_faults(task: Task, place: str) -> Iterator[Fault]:
    yield from action_faults(task, place)
    yield from _combination_faults(task, place)
    yield from range_faults([*_task_values(task), *_budget_values(task.budget)], place)
    if task.retry:
        yield from range_faults(_retry_values(task.retry), place)
    yield from _timeout_faults(task.timeouts, place)
    yield from limit_faults(task, place)
    for key in task.extensions or {}:
        if key != "description":
            yield _recorded_fault(key, f"{place}/{key}")
    if task.pool not in (None, "default"):
        yield _recorded_fault("pool", f"{place}/pool")
    if task.executor not in (None, "asyncio"):
        yield _recorded_fault("executor", f"{place}/executor")
    if task.timeouts.lock_us is not None:
        yield _recorded_fault("lock", f"{place}/timeouts/lock")


def _recorded_fault(key: str, pointer: str) -> Fault:
    return Fault(
        code="PDM-D901",
        message=f"{key!r} is recorded but has no effect in this version.",
        why="The key is part of the language; what enforces it is not there yet.",
        fix="Keep it if that is fine for now, or remove it.",
        pointer=pointer,
        warning=True,
    )


def _combination_faults(task: Task, place: str) -> Iterator[Fault]:
    for key, value, needs, has in (
        ("key", task.key, "for_each", task.for_each is not None),
        (
            "max_parallel",
            task.max_parallel,
            "for_each",
            bool(task.for_each is not None or task.tasks),
        ),
        ("tolerate", task.tolerate, "for_each", task.for_each is not None),
        ("output", task.output, "tasks", bool(task.tasks)),
        ("approval", task.approval, "checkpoint", _asks_somebody(task)),
        (
            "close_policy",
            None if task.close_policy is ClosePolicy.CANCEL else task.close_policy,
            "uses: workflow:…",
            task.uses.partition(":")[0] in {"workflow", "agent"},
        ),
    ):
        if value is not None and not has:
            yield Fault(
                code="PDM-D206",
                message=f"Task {task.name!r} has {key!r} but no {needs!r}.",
                why=f"{key!r} says something about {needs!r} only.",
                fix=f"Add {needs!r}, or remove {key!r}.",
                pointer=f"{place}/{key}",
            )
    if task.for_each is not None and task.loop is not None:
        yield Fault(
            code="PDM-D206",
            message=f"Task {task.name!r} has both 'for_each' and 'loop'.",
            why="A task is either repeated for items or until a condition.",
            fix="Put one of them on a block (`tasks:`) around the other.",
            pointer=f"{place}/loop",
        )
    if task.join.kind is JoinKind.AT_LEAST and task.join.count > len(set(task.depends_on)):
        yield Fault(
            code="PDM-D204",
            message=f"Task {task.name!r} waits for at least {task.join.count} of "
            f"{len(set(task.depends_on))} dependencies.",
            why="It could never start.",
            fix="Lower at_least, or add dependencies.",
            pointer=f"{place}/join/at_least",
        )
    if task.tolerate and task.tolerate.failures is not None and task.tolerate.percent is not None:
        yield Fault(
            code="PDM-D205",
            message=f"Task {task.name!r} tolerates both a number and a percentage.",
            fix="Keep either failures or percent.",
            pointer=f"{place}/tolerate",
        )


def _asks_somebody(task: Task) -> bool:
    is_gate = task.checkpoint is not Checkpoint.NONE or task.uses == "approval"
    return is_gate or task.on_lost is OnLost.IN_DOUBT


def _task_values(task: Task) -> Iterator[Value]:
    yield "max_parallel", "max_parallel", task.max_parallel
    yield "priority", "priority", task.priority
    yield "max_recoveries", "max_recoveries", task.max_recoveries
    if task.approval:
        yield "expires_in", "approval/expires_in", task.approval.expires_us
        yield "escalate_after", "approval/escalate_after", task.approval.escalate_us
    if task.tolerate:
        yield "failures", "tolerate/failures", task.tolerate.failures
        yield "percent", "tolerate/percent", task.tolerate.percent
    if task.join.kind is JoinKind.AT_LEAST:
        yield "at_least", "join/at_least", task.join.count
    if task.loop:
        yield "max_iterations", "loop/max_iterations", task.loop.max_iterations
        yield "loop_delay", "loop/delay", task.loop.delay_us


def _retry_values(retry: RetryPolicy) -> Iterator[Value]:
    yield "max_retries", "max_retries", retry.max_retries
    yield "retry_delay", "retry_delay", retry.delay_initial_us
    yield "max_delay", "retry/max_delay", retry.delay_max_us
    for index, rule in enumerate(retry.rules):
        yield "max_retries", f"retry/rules/{index}/max_retries", rule.max_retries
        yield "retry_delay", f"retry/rules/{index}/delay", rule.delay_initial_us


def _settings_faults(settings: Settings) -> Iterator[Fault]:
    values: list[Value] = [
        ("timeout", "timeout", settings.timeout_us),
        ("deadline", "deadline", settings.deadline_us),
        ("max_parallel_steps", "max_parallel_steps", settings.max_parallel_steps),
        *_retry_values(settings.retry),
    ]
    values += _budget_values(settings.budget)
    yield from range_faults(values, "/settings")
    if settings.circuit_breaker is not None:
        yield _recorded_fault("circuit_breaker", "/settings/circuit_breaker")


def _budget_values(budget: BudgetLimits | None) -> list[Value]:
    if budget is None:
        return []
    return [
        ("usd", "budget/usd", None if budget.cost_nano is None else budget.cost_nano / NANO),
        ("tokens", "budget/tokens", budget.tokens),
        ("calls", "budget/calls", budget.calls),
        ("timeout", "budget/time", budget.time_us),
    ]


def _timeout_faults(timeouts: Timeouts, place: str) -> Iterator[Fault]:
    values: list[Value] = [
        ("queue", "timeouts/queue", timeouts.queue_us),
        ("attempt", "timeouts/attempt", timeouts.attempt_us),
        ("total", "timeouts/total", timeouts.total_us),
        ("heartbeat", "timeouts/heartbeat", timeouts.heartbeat_us),
        ("lock", "timeouts/lock", timeouts.lock_us),
    ]
    yield from range_faults(values, place)


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
