"""The model of a workflow definition: what YAML, JSON and Python all become.

Values here are plain and frozen; they say what was declared, never what happened. Reading
text into this model and finding its faults is `authoring.documents`; compiling it for
execution is `core.plan`.
"""

import hashlib
from enum import StrEnum
from typing import Any, Final

import msgspec

from podium.core.agents import AgentSpec
from podium.core.budgets import Limits

__all__ = [
    "ApprovalPolicy",
    "Checkpoint",
    "ClosePolicy",
    "Join",
    "JoinKind",
    "Loop",
    "OnLost",
    "Priority",
    "RetryPolicy",
    "RetryRule",
    "Settings",
    "Task",
    "Timeouts",
    "Tolerance",
    "Workflow",
    "WorkflowKind",
]

Json = Any

SECOND_US: Final = 1_000_000
TASKS_MAX: Final = 10_000


class WorkflowKind(StrEnum):
    """How a workflow decides its next step: from a graph, or by running a function."""

    GRAPH = "graph"
    CODE = "code"


class Checkpoint(StrEnum):
    """Whether a person must approve before a task starts or before its result is released."""

    NONE = "none"
    BEFORE = "before"
    AFTER = "after"


class JoinKind(StrEnum):
    """When a task with several dependencies becomes ready."""

    ALL = "all"
    """Every dependency completed; a failed or skipped one skips this task."""
    ANY = "any"
    """At least one dependency completed; the others need not end."""
    ALL_DONE = "all_done"
    """Every dependency ended, however it ended."""
    AT_LEAST = "at_least"
    """At least `count` dependencies completed."""


class OnLost(StrEnum):
    """What an attempt interrupted by a crash means for its step."""

    RETRY = "retry"
    IN_DOUBT = "in_doubt"


class ClosePolicy(StrEnum):
    """What becomes of a child run when the step that started it is cancelled."""

    CANCEL = "cancel"
    ABORT = "abort"
    ABANDON = "abandon"
    """It goes on, and nobody waits for it."""


class Priority:
    """Named priorities; a lower number goes first. Any integer 0..100 is accepted."""

    CRITICAL: Final = 0
    HIGH: Final = 25
    NORMAL: Final = 50
    LOW: Final = 75


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all definition values: immutable, keyword-only, compact when encoded."""


class RetryRule(Model, frozen=True, kw_only=True):
    """An exception to the retry policy for errors whose class name matches `error`."""

    error: str
    """A class name or a glob over class names, such as `TimeoutError` or `Http*`."""
    max_retries: int | None = None
    delay_initial_us: int | None = None


class RetryPolicy(Model, frozen=True, kw_only=True):
    """How often and how soon a failed attempt is tried again."""

    max_retries: int = 3
    delay_initial_us: int = SECOND_US
    exponential: bool = True
    delay_max_us: int = 60 * SECOND_US
    jitter: bool = True
    rules: tuple[RetryRule, ...] = ()
    """The first matching rule wins; `max_retries: 0` in a rule makes an error final."""


class Timeouts(Model, frozen=True, kw_only=True):
    """Limits of one step; `None` means no limit of that kind."""

    queue_us: int | None = None
    """From ready to started."""
    attempt_us: int | None = None
    """One attempt, from its start."""
    total_us: int | None = None
    """All attempts with the waits between them, from the first start."""
    heartbeat_us: int | None = None
    """The longest silence between two heartbeats of an attempt."""
    lock_us: int | None = None
    """Waiting for a concurrency key."""


class Join(Model, frozen=True, kw_only=True):
    """The join policy of a task; `count` matters only for `at_least`."""

    kind: JoinKind = JoinKind.ALL
    count: int = 0


class Tolerance(Model, frozen=True, kw_only=True):
    """How many items of a map may fail before the map fails; at most one of the two is set."""

    failures: int | None = None
    percent: float | None = None


class ApprovalPolicy(Model, frozen=True, kw_only=True):
    """Who may answer the questions about a task, and until when."""

    expires_us: int | None = None
    """How long an answer is waited for; then the step fails."""
    escalate_us: int | None = None
    """After how long somebody else is told."""
    escalate_to: str = ""
    """Who: a name, a team, an address; it means what those who listen make of it."""
    four_eyes: bool = False
    """Whoever asked for the run cannot approve it."""


class Loop(Model, frozen=True, kw_only=True):
    """Repeat a task until an expression over its last output is true."""

    until: str
    """Expression over `output`, `iteration` (from 0), `inputs` and `tasks`."""
    max_iterations: int = 100
    delay_us: int = 0


class Settings(Model, frozen=True, kw_only=True):
    """Run-wide settings, already merged with the file and the defaults."""

    timeout_us: int | None = 3600 * SECOND_US
    """Limit of the time spent in `running`; `waiting` and `paused` stop that clock."""
    deadline_us: int | None = None
    """Wall-clock limit from the start of the run."""
    retry: RetryPolicy = RetryPolicy()
    max_parallel_steps: int | None = None
    fail_fast: bool = True
    """Cancel open siblings when a required step fails; otherwise let them end first."""
    circuit_breaker: Json = None
    budget: Limits | None = None
    """What a run and its child runs may use of models."""


class Task(Model, frozen=True, kw_only=True):
    """One task of a workflow: what to run, on what, when, and how failures are treated."""

    name: str
    uses: str = "noop"
    with_: Json = msgspec.field(default=None, name="with")
    """Arguments: JSON whose strings may hold `${{ … }}` expressions."""
    depends_on: tuple[str, ...] = ()
    for_each: Json = None
    """An expression giving a list or map (or a literal list): one step for each item."""
    key: str | None = None
    max_parallel: int | None = None
    tolerate: Tolerance | None = None
    when: str | None = None
    join: Join = Join()
    checkpoint: Checkpoint = Checkpoint.NONE
    group: str | None = None
    loop: Loop | None = None
    tasks: tuple["Task", ...] = ()
    """A block: a graph of its own run in this task's place (once, or for each item)."""
    output: str | None = None
    """The task of the block whose output is the block's; None: an object of all outputs."""
    retry: RetryPolicy | None = None
    """None: the policy of the run's settings."""
    timeouts: Timeouts = Timeouts()
    priority: int = Priority.NORMAL
    on_lost: OnLost = OnLost.RETRY
    verify: str = ""
    """`python:module:function` that is asked before every attempt but the first: given the same
    arguments, it returns what an earlier attempt has done, or None if nothing happened yet."""
    max_recoveries: int = 3
    idempotency_key: str | None = None
    optional: bool = False
    """A failure of an optional task does not fail the run."""
    budget: Limits | None = None
    """What the step may use of models, over all its attempts; of a child run: with it."""
    approval: ApprovalPolicy | None = None
    """How its checkpoint, or the approval that it is, is answered."""
    close_policy: ClosePolicy = ClosePolicy.CANCEL
    executor: str | None = None
    pool: str | None = None
    extensions: Json = None
    """Declared keys this version records but does not act on, such as `cache`."""


class Workflow(Model, frozen=True, kw_only=True):
    """A workflow definition, complete and validated; equal content has an equal hash."""

    name: str
    label: str = ""
    """The `version:` written by the author, for people; identity is the content hash."""
    description: str = ""
    kind: WorkflowKind = WorkflowKind.GRAPH
    entrypoint: str = ""
    """For code workflows: `module:function`."""
    source_hash: str = ""
    """For code workflows: hash of the function's source."""
    inputs: Json = None
    """JSON Schema properties by input name; None: any input is accepted."""
    settings: Settings = Settings()
    tasks: tuple[Task, ...] = ()
    groups: Json = None
    output: str | None = None
    """The task whose output is the run's output; None: the last task."""
    agents: dict[str, AgentSpec] | None = None
    """The agents its tasks name, by slug."""

    def canonical(self) -> bytes:
        """Return the canonical JSON of this definition, the form that is stored and hashed."""
        return msgspec.json.encode(self, order="sorted")

    @property
    def content_hash(self) -> str:
        """Return the hash that identifies this version (32 hex digits of SHA-256)."""
        return hashlib.sha256(self.canonical()).hexdigest()[:32]
