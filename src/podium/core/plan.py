"""A workflow compiled for execution: tasks by number, their edges, their expressions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from podium.core.agents import AgentSpec
from podium.core.definition import RetryPolicy, Task, Workflow, WorkflowKind
from podium.core.states import StepKind
from podium.core.template import (
    Compiler,
    Condition,
    Template,
    compile_condition,
    compile_template,
)

__all__ = ["Plan", "PlannedTask", "compile_plan"]

NO_BLOCK: Final = -1

KINDS: Final[Mapping[str, StepKind]] = {
    "noop": StepKind.VALUE,
    "sleep": StepKind.SLEEP,
    "signal": StepKind.SIGNAL,
    "approval": StepKind.APPROVAL,
    "workflow": StepKind.CHILD,
    "agent": StepKind.CHILD,
}


@dataclass(slots=True)
class PlannedTask:
    """One task of a plan. `index` is its number in the plan, stable for the version."""

    index: int
    task: Task
    block: int
    base: StepKind
    """What one instance is, inside any map or loop around it."""
    retry: RetryPolicy
    arguments: Template
    for_each: Template | None = None
    key: Template | None = None
    when: Condition | None = None
    until: Condition | None = None
    effect_key: Template | None = None
    """The idempotency key the author chose for effects outside."""
    deps: tuple[int, ...] = ()
    dependents: tuple[int, ...] = ()
    members: tuple[int, ...] = ()
    """The tasks of a block."""

    @property
    def name(self) -> str:
        """Return the task's name."""
        return self.task.name


@dataclass(slots=True)
class Plan:
    """A compiled workflow and the pure functions injected into deciding.

    `decode` turns payload bytes into plain data; it may fetch content-addressed blobs, which
    never change, so that deciding stays a function of its arguments. `offload` turns a large
    payload into a reference: equal bytes give an equal one, so deciding twice decides the same.
    """

    workflow: Workflow
    def_hash: str
    tasks: list[PlannedTask]
    roots: tuple[int, ...]
    names: dict[tuple[int, str], int]
    decode: Callable[[bytes], Any]
    by_block: dict[int, tuple[int, ...]] = field(default_factory=dict)
    offload: Callable[[bytes], bytes] = bytes

    @property
    def is_code(self) -> bool:
        """Return whether a durable function decides the steps."""
        return self.workflow.kind is WorkflowKind.CODE

    @property
    def output_task(self) -> int:
        """Return the index of the task whose output is the run's, or -1 for none."""
        if self.workflow.output:
            return self.names[NO_BLOCK, self.workflow.output]
        return self.roots[-1] if self.roots else -1


def compile_plan(
    workflow: Workflow,
    *,
    expressions: Compiler,
    decode: Callable[[bytes], Any],
    offload: Callable[[bytes], bytes] = bytes,
    has_model: Callable[[AgentSpec], bool] = lambda _: True,
) -> Plan:
    """Compile a validated workflow; raises `ExpressionFailure` only if validation was skipped.

    Without `offload`, large payloads stay where they are. An agent with a fallback that
    `has_model` denies is a plain step that runs the fallback, not a run of its own.
    """
    plan = Plan(workflow, workflow.content_hash, [], (), {}, decode, offload=offload)
    plan.roots = _add_block(plan, workflow.tasks, NO_BLOCK, expressions)
    _plan_fallbacks(plan, has_model)
    plan.by_block[NO_BLOCK] = plan.roots
    for planned in plan.tasks:
        names = [(planned.block, name) for name in planned.task.depends_on]
        planned.deps = tuple(plan.names[name] for name in names)
        for dep in planned.deps:
            plan.tasks[dep].dependents += (planned.index,)
    return plan


def _plan_fallbacks(plan: Plan, has_model: Callable[[AgentSpec], bool]) -> None:
    agents = plan.workflow.agents or {}
    for planned in plan.tasks:
        kind, _, slug = planned.task.uses.partition(":")
        spec = agents.get(slug) if kind == "agent" else None
        if spec is not None and spec.fallback and not has_model(spec):
            planned.base = StepKind.TASK


def _add_block(
    plan: Plan, tasks: tuple[Task, ...], block: int, expressions: Compiler
) -> tuple[int, ...]:
    numbers = []
    for task in tasks:
        planned = _plan_task(task, len(plan.tasks), block, plan.workflow, expressions)
        plan.tasks.append(planned)
        plan.names[block, task.name] = planned.index
        numbers.append(planned.index)
    for number in numbers:
        planned = plan.tasks[number]
        if planned.task.tasks:
            planned.members = _add_block(plan, planned.task.tasks, number, expressions)
            plan.by_block[number] = planned.members
    return tuple(numbers)


def _plan_task(
    task: Task, index: int, block: int, workflow: Workflow, expressions: Compiler
) -> PlannedTask:
    head = task.uses.partition(":")[0]
    base = StepKind.BLOCK if task.tasks else KINDS.get(head, StepKind.TASK)
    return PlannedTask(
        index,
        task,
        block,
        base,
        task.retry or workflow.settings.retry,
        compile_template(task.with_, expressions),
        for_each=None if task.for_each is None else compile_template(task.for_each, expressions),
        key=None if task.key is None else compile_template(task.key, expressions),
        when=None if task.when is None else compile_condition(task.when, expressions),
        until=None if task.loop is None else compile_condition(task.loop.until, expressions),
        effect_key=compile_template(task.idempotency_key, expressions)
        if task.idempotency_key is not None
        else None,
    )
