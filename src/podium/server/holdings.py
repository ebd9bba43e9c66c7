"""The shapes of what the service keeps beside runs: workflows, budgets, agents, parked work.

Plain structs without a framework, like those of runs in `podium.server.shapes`.
"""

from typing import Annotated, Any, Literal

import msgspec

from podium.server.shapes import KEY_MAX, TEXT_MAX, Answer, Body

__all__ = [
    "Account",
    "Activate",
    "AgentPage",
    "AgentShape",
    "Amounts",
    "BreakerPage",
    "BreakerShape",
    "BudgetRule",
    "Budgets",
    "DeadLetter",
    "DeadLetterPage",
    "Diff",
    "Fault",
    "Grant",
    "PublishWorkflow",
    "SetBudget",
    "Validated",
    "WorkflowPage",
    "WorkflowShape",
    "WorkflowVersion",
]

Json = Any


class WorkflowVersion(Answer, kw_only=True):
    """One published version of a workflow; it never changes."""

    name: str
    number: int
    label: str
    version: str
    """The hash of its content."""
    active: bool
    """Whether new runs take it."""
    created_at: str | None


class WorkflowPage(Answer, kw_only=True):
    """Workflows by name, or the versions of one, newest first."""

    items: list[WorkflowVersion]
    next_cursor: str | None


class WorkflowShape(WorkflowVersion, kw_only=True):
    """A version with its definition and its outline."""

    definition: Json
    plan: Json


class PublishWorkflow(Body, kw_only=True):
    """A definition to check or to publish: an object, or YAML text."""

    definition: dict[str, Json] | str
    activate: bool = True
    """Whether new runs take it at once."""


class Fault(Answer, kw_only=True):
    """Something an author should know about a definition."""

    code: str
    detail: str
    why: str
    fix: str
    path: str
    line: int
    column: int


class Validated(Answer, kw_only=True):
    """A sound definition: what it would do, and what its author should know."""

    name: str
    version: str
    warnings: list[Fault]
    plan: Json


class Diff(Answer, kw_only=True):
    """What differs between two versions, as lines of a unified diff."""

    name: str
    equal: bool
    diff: list[str]


class Activate(Body, kw_only=True):
    """Which version new runs are to take."""

    version: Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_MAX)]


class Amounts(Answer, kw_only=True):
    """So much of each thing that budgets count; null: no limit of that kind."""

    usd: float | None
    tokens: int | None
    calls: int | None
    time_s: float | None


class BudgetRule(Answer, kw_only=True):
    """Who may use how much in which time."""

    name: str
    scope: str
    key: str
    per: str
    limits: Amounts
    on_limit: str


class Account(Answer, kw_only=True):
    """What was used of a budget."""

    account: str
    limits: Amounts
    granted: Amounts
    spent: Amounts
    held: Amounts
    in_doubt: Amounts
    """The part of `held` whose process is gone."""


class Budgets(Answer, kw_only=True):
    """The rules, and where their accounts stand, those used last first."""

    rules: list[BudgetRule]
    items: list[Account]
    next_cursor: str | None


class SetBudget(Body, kw_only=True):
    """A rule to keep in place of the one with the same scope, key and window."""

    scope: Literal["organization", "user", "workflow", "run", "step", "agent"]
    key: Annotated[str, msgspec.Meta(max_length=KEY_MAX)] = ""
    """The one thing it holds for; empty: each by itself."""
    per: Literal["run", "hour", "day", "month", "total"] = "total"
    limits: dict[str, Json] = msgspec.field(default_factory=dict)
    """Such as `{"usd": 20, "tokens": 1000000, "calls": 500, "time": "2h"}`."""
    on_limit: Literal["deny", "downgrade", "pause", "partial"] = "deny"
    remove: bool = False


class Grant(Body, kw_only=True):
    """So much more for an account."""

    account: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX)]
    amounts: dict[str, Json]
    """Such as `{"usd": 5}`."""


class AgentShape(Answer, kw_only=True):
    """An agent that definitions of this server may name."""

    slug: str
    description: str
    model: str
    tools: list[str]
    status: str
    """`healthy`, or `rules` where no model is configured and a fallback stands in."""
    mode: str
    """`model` or `rules`."""


class AgentPage(Answer, kw_only=True):
    """Agents by slug."""

    items: list[AgentShape]
    next_cursor: str | None


class BreakerShape(Answer, kw_only=True):
    """A circuit breaker of this process."""

    key: str
    """What it protects, such as a provider and its model."""
    state: str
    failures: int
    """In a row."""


class BreakerPage(Answer, kw_only=True):
    """The breakers that have seen a call, by key."""

    items: list[BreakerShape]
    next_cursor: str | None


class DeadLetter(Answer, kw_only=True):
    """Parked work: a step that was given up because its process died again and again."""

    run_id: str
    step_record_id: str
    path: str
    reason: str
    status: str
    created_at: str


class DeadLetterPage(Answer, kw_only=True):
    """Dead letters, oldest first."""

    items: list[DeadLetter]
    next_cursor: str | None
