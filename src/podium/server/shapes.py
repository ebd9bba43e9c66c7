"""The shapes of what the service takes and gives: requests, runs, steps, lists.

Plain structs without a framework: the typed client uses the same ones. Times are RFC 3339 text
in UTC, money is dollars.
"""

from typing import Annotated, Any, Final, Literal

import msgspec

__all__ = [
    "KEY_MAX",
    "TEXT_MAX",
    "Acted",
    "Answer",
    "Approval",
    "ApprovalPage",
    "Body",
    "Bulk",
    "Cost",
    "Decision",
    "ErrorShape",
    "Fork",
    "LedgerLine",
    "Modifications",
    "Pause",
    "Reason",
    "Resume",
    "Retry",
    "Run",
    "RunPage",
    "RunPlan",
    "RunStatusShape",
    "RunSummary",
    "Signal",
    "Skip",
    "StartRun",
    "StartedRun",
    "Step",
    "StepCounts",
    "StepPage",
    "StepReason",
    "Stop",
]

Json = Any
KEY_MAX: Final = 255
TEXT_MAX: Final = 10_000
BULK_MAX: Final = 10_000
"""Runs that one request may steer."""
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_MAX, pattern=r"^[\x21-\x7e]+$")]
Label = Annotated[str, msgspec.Meta(max_length=KEY_MAX)]
Priority = Annotated[int, msgspec.Meta(ge=0, le=100)]


class Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of what is sent to the service: a field nobody knows is a mistake."""


class Answer(msgspec.Struct, kw_only=True):
    """Base of what the service gives: every field is always there."""


class StartRun(Body, kw_only=True):
    """What to start: a published workflow by name, or a definition sent along."""

    workflow: Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_MAX)] = ""
    version: Annotated[str, msgspec.Meta(max_length=KEY_MAX)] = ""
    """Hash, label or number of a published version; the active one without it."""
    definition: dict[str, Json] | str | None = None
    """An object, or YAML text."""
    input: Json = None
    idempotency_key: Key | None = None
    """The same key with the same request is the same run."""
    priority: Priority = 50
    """The lower number goes first."""
    labels: dict[Label, Label] = {}
    budget: dict[str, Json] | None = None
    """What the run and its child runs may use of models, such as `{"usd": 0.5}`."""


class StartedRun(Answer, kw_only=True):
    """A run that is durable."""

    run_id: str
    status: str


class ErrorShape(Answer, kw_only=True):
    """Why a run or a step failed."""

    code: str
    title: str
    detail: str
    why: str
    fix: str
    step: str
    causes: list["ErrorShape"]


class StepCounts(Answer, kw_only=True):
    """How many steps of a run are where."""

    open: int
    done: int
    failed: int


class RunSummary(Answer, kw_only=True):
    """A run as lists give it."""

    run_id: str
    workflow: str
    version: str
    status: str
    reason: str
    generation: int
    organization: str
    labels: dict[str, str]
    idempotency_key: str | None
    created_at: str
    started_at: str | None
    ended_at: str | None
    steps: StepCounts
    cost_usd: float
    parent_run_id: str | None
    forked_from: str | None


class RunPage(Answer, kw_only=True):
    """Runs, newest first."""

    items: list[RunSummary]
    next_cursor: str | None


class Run(RunSummary, kw_only=True):
    """One run with what it was given and what it gave."""

    priority: int
    input: Json
    output: Json
    error: ErrorShape | None
    duration_ms: int
    seq: int
    """Grows with every change; what `If-Match` compares."""
    allowed: list[str]
    """The verbs it takes now."""
    tokens: int
    model_calls: int
    is_cost_estimated: bool


class RunStatusShape(Answer, kw_only=True):
    """Where a run stands, cheap enough to be asked often."""

    run_id: str
    status: str
    reason: str
    generation: int
    seq: int
    updated_at: str
    steps: StepCounts
    allowed: list[str]


class StepReason(Answer, kw_only=True):
    """Why a step has not ended."""

    step: str
    step_record_id: str
    status: str
    code: str
    sentence: str
    since_at: str | None
    expected_at: str | None
    fix: str
    blocker: str
    holder: str


class Reason(Answer, kw_only=True):
    """Why a run is where it is: a code for programs, one sentence for people, one thing to do."""

    run_id: str
    status: str
    code: str
    sentence: str
    step: str
    """The path of the step it is about."""
    since_at: str | None
    expected_at: str | None
    """When it goes on by itself, as far as anybody can know."""
    fix: str
    blocker: str
    """What holds it, by name."""
    holder: str
    """Who has that in hand: a process, a person, another run."""
    steps: list[StepReason]
    """The same for its open steps, at most 100."""


class Step(Answer, kw_only=True):
    """One step of a run."""

    step_record_id: str
    path: str
    kind: str
    status: str
    reason: str
    attempts: int
    recoveries: int
    started_at: str | None
    ended_at: str | None
    wake_at: str | None
    duration_ms: int | None
    items: int | None
    items_done: int | None
    items_failed: int | None
    child_run_id: str | None
    cost_usd: float
    error: ErrorShape | None
    output: Json


class StepDetail(Step, kw_only=True):
    """One step with what it was given."""

    input: Json
    """Its arguments; null for steps of durable functions, and where they cannot be told yet."""


class StepPage(Answer, kw_only=True):
    """Steps in the order in which they were opened."""

    items: list[Step]
    next_cursor: str | None


class Modifications(Body, kw_only=True):
    """What a step or a new run gets instead of what was declared."""

    inputs: dict[str, Json] | None = None
    """Merged into the arguments of the step, or into the input of the new run."""
    agent_overrides: dict[str, str] = {}
    """Agents that stand in for others, by slug."""


class Stop(Body, kw_only=True):
    """Why a run is to stop."""

    reason: Annotated[str, msgspec.Meta(max_length=TEXT_MAX)] = ""


class Pause(Body, kw_only=True):
    """Nothing needs to be said; what is said by mistake is refused."""


class Resume(Body, kw_only=True):
    """Go on; with an approval: approve it, which lets its run go on."""

    approval_id: str = ""


class Retry(Body, kw_only=True):
    """Which failed step to run again; without one, all that failed."""

    step_record_id: str = ""
    step: Annotated[str, msgspec.Meta(max_length=TEXT_MAX)] = ""
    """The path of the step, instead of its id."""
    modifications: Modifications | None = None


class Skip(Body, kw_only=True):
    """Which step to skip, and what its dependents get for its output."""

    step_record_id: str = ""
    step: Annotated[str, msgspec.Meta(max_length=TEXT_MAX)] = ""
    output: Json = None


class Fork(Body, kw_only=True):
    """A new run from an old one: from a step on, with edits, on another version."""

    step_record_id: str = ""
    from_step: Annotated[str, msgspec.Meta(max_length=TEXT_MAX)] = ""
    """Finished steps that do not come after it keep their results; without it all run anew."""
    version: Annotated[str, msgspec.Meta(max_length=KEY_MAX)] = ""
    modifications: Modifications | None = None


class Signal(Body, kw_only=True):
    """What a signal carries."""

    payload: Json = None


class Bulk(Body, kw_only=True):
    """Which runs to steer: all that fit every part of the filter, at least one of them given."""

    status: list[str] = []
    workflow: Annotated[str, msgspec.Meta(max_length=KEY_MAX)] = ""
    label: Annotated[str, msgspec.Meta(max_length=TEXT_MAX)] = ""
    """As name=value."""
    created_after: str = ""
    created_before: str = ""
    dry_run: bool = False
    """Say what would happen, and change nothing."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=BULK_MAX)] = 1000
    reason: Annotated[str, msgspec.Meta(max_length=TEXT_MAX)] = ""
    """Of `cancel` and `abort`."""


class Acted(Answer, kw_only=True):
    """Where a run stands after a verb."""

    run_id: str
    status: str
    applied: bool = True
    """False: recorded, and applied as soon as an engine takes the run."""
    forked_from: str | None = None
    """The run that this new one was made from."""


class Approval(Answer, kw_only=True):
    """A question to a person, bound to the payload it shows."""

    approval_id: str
    run_id: str
    step_record_id: str
    path: str
    status: str
    conversation_id: str
    organization: str
    prompt: str
    payload: Json
    payload_hash: str
    """Send it back with the decision: one about another payload is refused."""
    created_at: str
    expires_at: str | None
    decided_at: str | None
    decided_by: str
    comment: str
    requested_by: str
    escalated_at: str | None
    escalated_to: str
    edited: Json
    """What was approved instead of the payload."""
    rework: bool
    """Whether it was rejected in order to be done again."""


class ApprovalPage(Answer, kw_only=True):
    """Approvals, oldest first."""

    items: list[Approval]
    next_cursor: str | None


class Decision(Body, kw_only=True):
    """What a person decided."""

    decision: Literal["approve", "reject", "edit", "rework"]
    comment: Annotated[str, msgspec.Meta(max_length=TEXT_MAX)] = ""
    payload: Json = msgspec.UNSET
    """With `edit`: what to go on with instead of what was shown."""
    payload_hash: str = ""
    """The hash of the payload that the person saw."""


class LedgerLine(Answer, kw_only=True):
    """One billed request."""

    run_id: str
    step_record_id: str
    attempt: int
    provider: str
    model: str
    agent: str
    input: int
    cached: int
    cache_write: int
    output: int
    thinking: int
    cost_usd: float
    is_estimated: bool
    prices: str
    at: str


class Cost(Answer, kw_only=True):
    """What a run has cost, its child runs included."""

    run_id: str
    cost_usd: float
    tokens: int
    model_calls: int
    is_estimated: bool
    """Whether any of it is our estimate: a provider did not say what it billed."""
    items: list[LedgerLine]


class RunPlan(Answer, kw_only=True):
    """What a run was to do beside what became of it."""

    run_id: str
    plan: Json
    """Tasks in waves, with what they depend on."""
    actual: dict[str, str]
    """Status by path, of the steps that were opened."""
