"""The older words for the same things: runs as `orchestrations` and `executions`, in camelCase.

Only shapes and their translation stand here; what is asked for is answered by the same app.
Scripts written for these paths keep working; new ones are better off with `/v1/runs`.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from podium.core.definition import Workflow
from podium.core.graph import all_tasks
from podium.ports.store import RunRow
from podium.runtime.views import RunView
from podium.server.holdings import AgentShape
from podium.server.records import run_shape, run_status, run_summary, step_shape
from podium.server.shapes import (
    Acted,
    Answer,
    Approval,
    Body,
    ErrorShape,
    Modifications,
    Retry,
    Skip,
    Step,
    StepCounts,
    Stop,
)

__all__ = [
    "ActedOn",
    "AgentEntry",
    "ApprovalEntry",
    "ApprovalList",
    "Execution",
    "ExecutionPage",
    "Orchestration",
    "OrchestrationStatus",
    "ResumeOrder",
    "RetryOrder",
    "SkipOrder",
    "StopOrder",
    "acted_on",
    "agent_entry",
    "approval_entry",
    "execution",
    "orchestration",
    "orchestration_status",
]

Json = Any
STEPS_MAX: Final = 10_000
"""Steps that come with their run; `/v1/runs/{id}/steps` has pages."""


class Said(Answer, kw_only=True, rename="camel"):
    """Base of what is told in camelCase."""


class Order(Body, kw_only=True, rename="camel"):
    """Base of what is asked for in camelCase."""


# -- what is told ------------------------------------------------------------------------------


class Execution(Said, kw_only=True):
    """A run as lists give it."""

    execution_id: str
    run_id: str
    workflow: str
    version: str
    status: str
    reason: str
    organization_slug: str
    created_at: str
    started_at: str | None
    ended_at: str | None
    steps: StepCounts


class ExecutionPage(Said, kw_only=True):
    """Runs, newest first."""

    items: list[Execution]
    next_cursor: str | None


class Concurrency(Said, kw_only=True):
    """How many steps go together; null: no limit of this run's own."""

    max_parallel_steps: int | None


class Caching(Said, kw_only=True):
    """Which tasks declare that their results may be used again."""

    enabled: bool
    tasks: list[str]


class ExecutionSettings(Said, kw_only=True):
    """What the run's definition says about how it is carried out."""

    concurrency: Concurrency
    caching: Caching


class CacheUse(Said, kw_only=True):
    """How many steps took an earlier result."""

    hits: int


class SubOrchestration(Said, kw_only=True):
    """The child run."""

    child_run_id: str


class Runtime(Said, kw_only=True):
    """What became of the definition's words while the run went on."""

    cache: CacheUse
    sub_orchestration: SubOrchestration | None
    """Of a step: its child run. Of a run: the child that failed, or else the last one."""


class Metadata(Said, kw_only=True):
    """What is known beside the result."""

    runtime: Runtime


class OrchestrationStep(Said, kw_only=True):
    """One step."""

    step_record_id: str
    name: str
    status: str
    reason: str
    attempts: int
    started_at: str | None
    ended_at: str | None
    error: ErrorShape | None
    output: Json
    metadata: Metadata


class Orchestration(Said, kw_only=True):
    """One run with everything about it."""

    execution_id: str
    run_id: str
    workflow: str
    version: str
    status: str
    reason: str
    organization_slug: str
    created_at: str
    started_at: str | None
    ended_at: str | None
    steps: list[OrchestrationStep]
    step_counts: StepCounts
    execution: ExecutionSettings
    metadata: Metadata
    input: Json
    output: Json
    error: ErrorShape | None
    parent_run_id: str | None
    forked_from: str | None
    seq: int
    allowed_actions: list[str]


class OrchestrationStatus(Said, kw_only=True):
    """Where a run stands."""

    run_id: str
    status: str
    reason: str
    seq: int
    updated_at: str
    steps: StepCounts
    allowed_actions: list[str]


class ActedOn(Said, kw_only=True):
    """Where a run stands after an action."""

    run_id: str
    status: str
    applied: bool


class ApprovalEntry(Said, kw_only=True):
    """A question to a person."""

    approval_id: str
    run_id: str
    step_record_id: str
    step_name: str
    status: str
    conversation_id: str
    organization_slug: str
    prompt: str
    payload: Json
    payload_hash: str
    created_at: str
    expires_at: str | None
    requested_by: str


class ApprovalList(Said, kw_only=True):
    """What waits for a person, oldest first."""

    items: list[ApprovalEntry]
    next_cursor: str | None


class AgentEntry(Said, kw_only=True):
    """One agent."""

    slug: str
    description: str
    model: str
    tools: list[str]
    status: str
    mode: str


# -- what is asked for -------------------------------------------------------------------------


class Edits(Order, kw_only=True):
    """What a step gets instead of what was declared."""

    inputs: dict[str, Json] | None = None
    agent_overrides: dict[str, str] | None = None

    def canonical(self) -> Modifications:
        """Return the same in our words."""
        return Modifications(inputs=self.inputs, agent_overrides=self.agent_overrides or {})


class RetryOrder(Order, kw_only=True):
    """Which step to run again; without one, all that failed."""

    step_record_id: str = ""
    modifications: Edits | None = None

    def canonical(self) -> Retry:
        """Return the same in our words."""
        edits = None if self.modifications is None else self.modifications.canonical()
        return Retry(step_record_id=self.step_record_id, modifications=edits)


class SkipOrder(Order, kw_only=True):
    """Which step to skip, and what its dependents get."""

    step_record_id: str = ""
    output: Json = None

    def canonical(self) -> Skip:
        """Return the same in our words."""
        return Skip(step_record_id=self.step_record_id, output=self.output)


class StopOrder(Order, kw_only=True):
    """Why to stop."""

    reason: str = ""

    def canonical(self) -> Stop:
        """Return the same in our words."""
        return Stop(reason=self.reason)


class ResumeOrder(Order, kw_only=True):
    """The approval that lets the run go on; none after a pause."""

    approval_id: str = ""


# -- translation -------------------------------------------------------------------------------


def execution(row: RunRow) -> Execution:
    """Return a run as lists give it."""
    return Execution(**_head(row), steps=run_summary(row).steps)


def orchestration(row: RunRow, view: RunView, plan: Workflow, *, now_us: int) -> Orchestration:
    """Return a run with its steps and what its definition says."""
    run = run_shape(row, view, now_us=now_us)
    steps = [_step(step_shape(each)) for each in view.steps[:STEPS_MAX]]
    return Orchestration(
        **(_head(row) | {"status": run.status, "reason": run.reason}),
        steps=steps,
        step_counts=run.steps,
        execution=_settings(plan),
        metadata=_metadata(steps),
        input=run.input,
        output=run.output,
        error=run.error,
        parent_run_id=run.parent_run_id,
        forked_from=run.forked_from,
        seq=run.seq,
        allowed_actions=run.allowed,
    )


def orchestration_status(row: RunRow) -> OrchestrationStatus:
    """Return where a run stands, from its row alone."""
    told = run_status(row)
    return OrchestrationStatus(
        run_id=told.run_id,
        status=told.status,
        reason=told.reason,
        seq=told.seq,
        updated_at=told.updated_at,
        steps=told.steps,
        allowed_actions=told.allowed,
    )


def acted_on(told: Acted) -> ActedOn:
    """Return where a run stands after an action."""
    return ActedOn(run_id=told.run_id, status=told.status, applied=told.applied)


def approval_entry(told: Approval) -> ApprovalEntry:
    """Return an approval in the older words."""
    return ApprovalEntry(
        approval_id=told.approval_id,
        run_id=told.run_id,
        step_record_id=told.step_record_id,
        step_name=told.path,
        status=told.status,
        conversation_id=told.conversation_id,
        organization_slug=told.organization,
        prompt=told.prompt,
        payload=told.payload,
        payload_hash=told.payload_hash,
        created_at=told.created_at,
        expires_at=told.expires_at,
        requested_by=told.requested_by,
    )


def agent_entry(told: AgentShape) -> AgentEntry:
    """Return an agent; only the case of its names may differ."""
    return msgspec.convert(msgspec.structs.asdict(told), AgentEntry)


def _head(row: RunRow) -> dict[str, Any]:
    told = run_summary(row)
    return {
        "execution_id": told.run_id,
        "run_id": told.run_id,
        "workflow": told.workflow,
        "version": told.version,
        "status": told.status,
        "reason": told.reason,
        "organization_slug": told.organization,
        "created_at": told.created_at,
        "started_at": told.started_at,
        "ended_at": told.ended_at,
    }


def _settings(plan: Workflow) -> ExecutionSettings:
    cached = [task.name for task in all_tasks(plan.tasks) if "cache" in (task.extensions or {})]
    return ExecutionSettings(
        concurrency=Concurrency(max_parallel_steps=plan.settings.max_parallel_steps),
        caching=Caching(enabled=bool(cached), tasks=cached),
    )


def _step(told: Step) -> OrchestrationStep:
    child = told.child_run_id
    return OrchestrationStep(
        step_record_id=told.step_record_id,
        name=told.path,
        status=told.status,
        reason=told.reason,
        attempts=told.attempts,
        started_at=told.started_at,
        ended_at=told.ended_at,
        error=told.error,
        output=told.output,
        metadata=Metadata(
            runtime=Runtime(
                cache=CacheUse(hits=int(told.reason == "cached")),
                sub_orchestration=SubOrchestration(child_run_id=child) if child else None,
            )
        ),
    )


def _metadata(steps: Sequence[OrchestrationStep]) -> Metadata:
    found = [step for step in steps if step.metadata.runtime.sub_orchestration is not None]
    failed = [step for step in found if step.status == "failed"]
    shown = (failed or found)[-1:]
    return Metadata(
        runtime=Runtime(
            cache=CacheUse(hits=sum(step.metadata.runtime.cache.hits for step in steps)),
            sub_orchestration=shown[0].metadata.runtime.sub_orchestration if shown else None,
        )
    )
