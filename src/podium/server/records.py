"""Rows and views of the engine as the shapes of the service."""

from collections.abc import Callable
from typing import Any, Final

from podium.core import budgets
from podium.core.charges import NANO
from podium.core.cloudevents import rfc3339
from podium.core.ids import approval_id, run_id, step_id
from podium.core.payload import ErrorRecord
from podium.core.states import RunStatus, allowed_verbs
from podium.ports.ledger import AccountRow, LedgerRow
from podium.ports.store import ApprovalRow, ApprovalStatus, DeadLetterRow, DefinitionRow, RunRow
from podium.runtime.explain import Explanation, StepExplanation
from podium.runtime.views import RunView, StepView
from podium.server.holdings import (
    Account,
    Amounts,
    BudgetRule,
    DeadLetter,
    WorkflowVersion,
)
from podium.server.shapes import (
    Approval,
    ErrorShape,
    LedgerLine,
    Reason,
    Run,
    RunStatusShape,
    RunSummary,
    Step,
    StepCounts,
    StepReason,
)

__all__ = [
    "account_shape",
    "approval_shape",
    "dead_letter_shape",
    "error_shape",
    "ledger_line",
    "public_labels",
    "reason_shape",
    "rule_shape",
    "run_shape",
    "run_status",
    "run_summary",
    "step_shape",
    "version_shape",
    "when",
]

CAUSES_MAX: Final = 5
OURS: Final = "podium."
"""Labels that begin so are how a run finds its code again; nobody else's business."""


def when(at_us: int | None) -> str | None:
    """Return a time as text, or None for a time that has not come."""
    return rfc3339(at_us) if at_us else None


def public_labels(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels that people gave."""
    return {name: value for name, value in labels.items() if not name.startswith(OURS)}


def error_shape(error: ErrorRecord | None) -> ErrorShape | None:
    """Return why something failed; the traceback stays in the store and in the CLI."""
    if error is None:
        return None
    return ErrorShape(
        code=error.code,
        title=error.kind,
        detail=error.message,
        why=error.why,
        fix=error.fix,
        step=error.step,
        causes=[found for each in error.causes[:CAUSES_MAX] if (found := error_shape(each))],
    )


def run_summary(row: RunRow, *, cost_nano: int = 0) -> RunSummary:
    """Return a run as lists give it."""
    return RunSummary(**_head(row), cost_usd=cost_nano / NANO)


def run_status(row: RunRow) -> RunStatusShape:
    """Return where a run stands, from its row alone."""
    return RunStatusShape(
        run_id=run_id(row.run_no),
        status=RunStatus(row.status).label,
        reason=row.reason,
        generation=row.generation,
        seq=row.last_seq,
        updated_at=rfc3339(row.updated_us),
        steps=_counts(row),
        allowed=list(allowed_verbs(RunStatus(row.status))),
    )


def reason_shape(told: Explanation) -> Reason:
    """Return why a run is where it is."""
    return Reason(
        run_id=told.run_id,
        status=told.status,
        code=told.code,
        sentence=told.sentence,
        step=told.step,
        since_at=when(told.since_us),
        expected_at=when(told.expected_us),
        fix=told.fix,
        blocker=told.blocker,
        holder=told.holder,
        steps=[_step_reason(each) for each in told.steps],
    )


def _step_reason(told: StepExplanation) -> StepReason:
    return StepReason(
        step=told.step,
        step_record_id=told.step_record_id,
        status=told.status,
        code=told.code,
        sentence=told.sentence,
        since_at=when(told.since_us),
        expected_at=when(told.expected_us),
        fix=told.fix,
        blocker=told.blocker,
        holder=told.holder,
    )


def run_shape(row: RunRow, view: RunView, *, now_us: int) -> Run:
    """Return everything about a run but its steps."""
    known = _head(row)
    # The view is folded from the journal: it is never older than the row.
    known |= {"status": view.status, "reason": view.reason, "generation": view.generation}
    known |= {"started_at": when(view.started_us), "ended_at": when(view.ended_us)}
    return Run(
        **known,
        priority=view.priority,
        input=view.input,
        output=view.output,
        error=error_shape(view.error),
        duration_ms=((view.ended_us or now_us) - view.created_us) // 1000,
        seq=view.seq,
        allowed=view.allowed,
        cost_usd=view.cost_nano / NANO,
        tokens=view.tokens,
        model_calls=view.calls,
        is_cost_estimated=view.is_estimated,
    )


def step_shape(step: StepView) -> Step:
    """Return one step."""
    begun, ended = step.started_us, step.ended_us
    return Step(
        step_record_id=step.step_record_id,
        path=step.path,
        kind=step.kind,
        status=step.status,
        reason=step.reason,
        attempts=step.attempts,
        recoveries=step.recoveries,
        started_at=when(begun),
        ended_at=when(ended),
        wake_at=when(step.wake_us),
        duration_ms=(ended - begun) // 1000 if ended and begun else None,
        items=step.items,
        items_done=step.items_done,
        items_failed=step.items_failed,
        child_run_id=step.child_run_id,
        cost_usd=step.cost_nano / NANO,
        error=error_shape(step.error),
        output=step.output,
    )


def approval_shape(row: ApprovalRow, *, decode: Callable[[bytes], Any]) -> Approval:
    """Return an approval with what it shows."""
    return Approval(
        approval_id=approval_id(row.approval_no),
        run_id=run_id(row.run_no),
        step_record_id=step_id(row.run_no, row.step_no),
        path=row.path,
        status=ApprovalStatus(row.status).label,
        conversation_id=row.conversation_id,
        organization=row.organization,
        prompt=row.prompt,
        payload=decode(row.payload),
        payload_hash=row.payload_hash,
        created_at=rfc3339(row.created_us),
        expires_at=when(row.expires_us),
        decided_at=when(row.decided_us),
        decided_by=row.decided_by,
        comment=row.comment,
        requested_by=row.requested_by,
        escalated_at=when(row.escalated_us),
        escalated_to=row.escalated_to,
        edited=None if row.edited is None else decode(row.edited),
        rework=row.rework,
    )


def dead_letter_shape(row: DeadLetterRow) -> DeadLetter:
    """Return one piece of parked work."""
    return DeadLetter(
        run_id=run_id(row.run_no),
        step_record_id=step_id(row.run_no, row.step_no),
        path=row.path,
        reason=row.reason,
        status=row.status,
        created_at=rfc3339(row.created_us),
    )


def version_shape(row: DefinitionRow) -> WorkflowVersion:
    """Return one published version."""
    return WorkflowVersion(
        name=row.name,
        number=row.number,
        label=row.label,
        version=row.def_hash,
        active=row.active,
        created_at=when(row.created_us),
    )


def amounts_shape(amounts: budgets.Amounts | budgets.Limits) -> Amounts:
    """Return amounts in the units of people."""
    cost, time_us = amounts.cost_nano, amounts.time_us
    return Amounts(
        usd=None if cost is None else cost / NANO,
        tokens=amounts.tokens,
        calls=amounts.calls,
        time_s=None if time_us is None else time_us / 1e6,
    )


def rule_shape(rule: budgets.Budget) -> BudgetRule:
    """Return a rule."""
    return BudgetRule(
        name=rule.name,
        scope=rule.scope,
        key=rule.key,
        per=rule.per,
        limits=amounts_shape(rule.limits),
        on_limit=rule.on_limit,
    )


def account_shape(row: AccountRow) -> Account:
    """Return where an account stands."""
    return Account(
        account=row.account,
        limits=amounts_shape(row.limits),
        granted=amounts_shape(row.extra),
        spent=amounts_shape(row.spent),
        held=amounts_shape(row.held),
        in_doubt=amounts_shape(row.in_doubt),
    )


def ledger_line(row: LedgerRow) -> LedgerLine:
    """Return one billed request."""
    return LedgerLine(
        run_id=run_id(row.run_no),
        step_record_id=step_id(row.run_no, row.step_no),
        attempt=row.attempt,
        provider=row.provider,
        model=row.model,
        agent=row.agent,
        input=row.input,
        cached=row.cached,
        cache_write=row.cache_write,
        output=row.output,
        thinking=row.thinking,
        cost_usd=row.cost_nano / NANO,
        is_estimated=row.is_estimated,
        prices=row.prices,
        at=rfc3339(row.at_us),
    )


def _head(row: RunRow) -> dict[str, Any]:
    return {
        "run_id": run_id(row.run_no),
        "workflow": row.workflow,
        "version": row.def_hash[:12],
        "status": RunStatus(row.status).label,
        "reason": row.reason,
        "generation": row.generation,
        "organization": row.organization,
        "labels": public_labels(row.labels),
        "idempotency_key": row.idempotency_key,
        "created_at": rfc3339(row.created_us),
        "started_at": when(row.started_us),
        "ended_at": when(row.ended_us),
        "steps": _counts(row),
        "parent_run_id": run_id(row.parent_run) if row.parent_run else None,
        "forked_from": run_id(row.forked_from) if row.forked_from else None,
    }


def _counts(row: RunRow) -> StepCounts:
    return StepCounts(open=row.steps_open, done=row.steps_done, failed=row.steps_failed)
