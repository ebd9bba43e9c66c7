"""Every request of the API as a value: where it goes, what it carries, what comes back.

Nothing here sends anything; both clients send what these functions return.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from podium.client.problems import foreign
from podium.server.holdings import (
    Budgets,
    Diff,
    Validated,
    WorkflowPage,
    WorkflowShape,
    WorkflowVersion,
)
from podium.server.shapes import (
    Acted,
    Approval,
    ApprovalPage,
    Cost,
    Run,
    RunPage,
    RunPlan,
    RunStatusShape,
    StartedRun,
    StepPage,
)

__all__ = ["Call"]

Json = Any
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request."""

    method: str
    path: str
    answer: type[T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Json = msgspec.UNSET
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    """Whether sending it twice does no more than sending it once."""

    def content(self) -> bytes | None:
        """Return the body as it is sent."""
        return None if self.body is msgspec.UNSET else msgspec.json.encode(self.body)

    def all_headers(self) -> dict[str, str]:
        """Return the headers, with the type of the body if there is one."""
        kind = {} if self.body is msgspec.UNSET else {"content-type": "application/json"}
        return {"accept": "application/json", **kind, **self.headers}

    def read(self, body: bytes) -> T:
        """Return the answer; raises `StoreError` PDM-S031 if it is of another kind."""
        try:
            return msgspec.json.decode(body or b"null", type=self.answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise foreign(200, {}, body) from error


def _at(*parts: str) -> str:
    """Return a path; what callers give cannot leave its place in it."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _get(*parts: str, answer: type[T], **query: Any) -> Call[T]:
    given = {name: value for name, value in query.items() if value not in (None, "", ())}
    return Call(method="GET", path=_at(*parts), answer=answer, query=given, repeatable=True)


def _post(*parts: str, answer: type[T], repeatable: bool = False, **body: Json) -> Call[T]:
    given = {name: value for name, value in body.items() if value is not None}
    return Call(method="POST", path=_at(*parts), answer=answer, body=given, repeatable=repeatable)


# -- runs --------------------------------------------------------------------------------------


def start(
    workflow: str | Mapping[str, Json],
    *,
    input: Json = None,  # noqa: A002 - the word of the contract
    idempotency_key: str | None = None,
    priority: int | None = None,
    labels: Mapping[str, str] | None = None,
    version: str | None = None,
    budget: Mapping[str, Json] | None = None,
) -> Call[StartedRun]:
    """Start a published workflow by name, or a definition given as a mapping.

    Without an idempotency key it gets one of its own: a start that is sent again because its
    answer was lost starts nothing twice.
    """
    return _post(
        "runs",
        answer=StartedRun,
        repeatable=True,
        **{"workflow" if isinstance(workflow, str) else "definition": workflow},
        input=input,
        idempotency_key=idempotency_key or f"client-{uuid.uuid4().hex}",
        priority=priority,
        labels=labels,
        version=version,
        budget=budget,
    )


def list_runs(
    *,
    status: Sequence[str] = (),
    workflow: str = "",
    label: str = "",
    created_after: str = "",
    created_before: str = "",
    limit: int | None = None,
    cursor: str = "",
) -> Call[RunPage]:
    """List runs, newest first."""
    return _get(
        "runs",
        answer=RunPage,
        status=tuple(status),
        workflow=workflow,
        label=label,
        created_after=created_after,
        created_before=created_before,
        limit=limit,
        cursor=cursor,
    )


def get_run(run: str) -> Call[Run]:
    """Look at one run."""
    return _get("runs", run, answer=Run)


def run_status(run: str) -> Call[RunStatusShape]:
    """Ask where a run stands."""
    return _get("runs", run, "status", answer=RunStatusShape)


def list_steps(run: str, *, limit: int | None = None, cursor: str = "") -> Call[StepPage]:
    """List the steps of a run."""
    return _get("runs", run, "steps", answer=StepPage, limit=limit, cursor=cursor)


def explain(run: str) -> Call[Json]:
    """Ask what a run waits for."""
    return _get("runs", run, "explain", answer=Json)


def plan(run: str) -> Call[RunPlan]:
    """Ask what a run is going to do."""
    return _get("runs", run, "plan", answer=RunPlan)


def cost(run: str) -> Call[Cost]:
    """Ask what a run was billed."""
    return _get("runs", run, "cost", answer=Cost)


def list_events(run: str, *, after: int = 0, limit: int | None = None) -> Call[Json]:
    """Read a page of the journal of a run, oldest first."""
    call = _get("runs", run, "events", answer=Json, after=after or None, limit=limit)
    return replace(call, headers={"accept": "application/json"})


def follow(run: str, *, last_id: str = "") -> Call[Json]:
    """Open the stream of a run's events, after the one with `last_id`."""
    headers = {"accept": "text/event-stream"} | ({"last-event-id": last_id} if last_id else {})
    return replace(_get("runs", run, "events", answer=Json), headers=headers)


def act(run: str, verb: str, *, if_match: int | None = None, **body: Json) -> Call[Acted]:
    """Steer a run; with `if_match`, only if it has not changed since that `seq`."""
    call = _post("runs", run, "actions", verb, answer=Acted, **body)
    return call if if_match is None else replace(call, headers={"if-match": f'"{if_match}"'})


def signal(run: str, name: str, payload: Json = None) -> Call[Acted]:
    """Send a signal to a run."""
    return _post("runs", run, "signals", name, answer=Acted, payload=payload)


# -- approvals ---------------------------------------------------------------------------------


def list_approvals(
    *, pending: bool = True, run: str = "", limit: int | None = None, cursor: str = ""
) -> Call[ApprovalPage]:
    """List what waits for a person, oldest first."""
    shown = "true" if pending else "false"
    return _get(
        "approvals", answer=ApprovalPage, pending=shown, run=run, limit=limit, cursor=cursor
    )


def get_approval(approval: str) -> Call[Approval]:
    """Look at one approval."""
    return _get("approvals", approval, answer=Approval)


def decide(
    approval: str,
    decision: str,
    *,
    comment: str = "",
    payload: Json = msgspec.UNSET,
    payload_hash: str = "",
) -> Call[Acted]:
    """Decide an approval; the same decision again is harmless."""
    edited = {} if payload is msgspec.UNSET else {"payload": payload}
    call = _post(
        "approvals",
        approval,
        "decision",
        answer=Acted,
        repeatable=True,
        decision=decision,
        comment=comment or None,
        payload_hash=payload_hash or None,
    )
    return replace(call, body=call.body | edited)


# -- workflows ---------------------------------------------------------------------------------


def list_workflows() -> Call[WorkflowPage]:
    """List the active version of every workflow."""
    return _get("workflows", answer=WorkflowPage)


def get_workflow(name: str, *, version: str = "") -> Call[WorkflowShape]:
    """Look at one version, the active one without a name for it."""
    return _get("workflows", name, answer=WorkflowShape, version=version)


def list_versions(name: str) -> Call[WorkflowPage]:
    """List the versions of a workflow, newest first."""
    return _get("workflows", name, "versions", answer=WorkflowPage)


def publish(
    definition: str | Mapping[str, Json], *, activate: bool = True
) -> Call[WorkflowVersion]:
    """Publish a definition; the same content again is the same version."""
    return _post(
        "workflows",
        answer=WorkflowVersion,
        repeatable=True,
        definition=definition,
        activate=activate,
    )


def validate(definition: str | Mapping[str, Json]) -> Call[Validated]:
    """Check a definition; nothing is kept."""
    return _post(
        "definitions", "validate", answer=Validated, repeatable=True, definition=definition
    )


def activate(name: str, version: str) -> Call[WorkflowVersion]:
    """Let new runs take a version."""
    return _post(
        "workflows", name, "activate", answer=WorkflowVersion, repeatable=True, version=version
    )


def diff(name: str, old: str, new: str = "") -> Call[Diff]:
    """Compare two versions of a workflow; the active one with `old` by default."""
    return _get("workflows", name, "diff", answer=Diff, old=old, new=new)


# -- budgets -----------------------------------------------------------------------------------


def list_budgets() -> Call[Budgets]:
    """List the budgets, and where their accounts stand."""
    return _get("budgets", answer=Budgets)
