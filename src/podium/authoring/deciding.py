"""How a person's decision on an approval reaches its run: once, and on exactly what was shown."""

import hashlib
from typing import Any, Final

import msgspec

from podium.authoring.standing import Standing
from podium.core.ids import approval_id, parse_approval_id, unpack_key
from podium.core.messages import Decide
from podium.errors import ConflictError, NotFoundError, RequestError, did_you_mean
from podium.ports.store import ApprovalRow, ApprovalStatus, OutcomeRow

__all__ = ["decide", "find_approval", "unknown_approval"]

DECISIONS: Final = ("approve", "reject", "edit", "rework")


async def find_approval(app: Standing, approval: str) -> ApprovalRow:
    """Return one approval; raises `NotFoundError`."""
    row = await app.engine.store.approval(parse_approval_id(approval))
    if row is None or not app.standpoint.sees(row.organization):
        raise unknown_approval(approval)
    return row


async def decide(
    app: Standing,
    row: ApprovalRow,
    decision: str,
    *,
    by: str,
    comment: str,
    payload: Any,
    payload_hash: str,
    rework: bool,
    seen_seq: int,
) -> OutcomeRow:
    """See `App.decide`."""
    edited = None if payload is msgspec.UNSET else app.engine.payloads.encode(payload)
    chosen = _chosen(decision, is_edited=edited is not None, rework=rework)
    if row.status != ApprovalStatus.PENDING:
        return await _repeat(app, row, chosen, edited)
    run_no, step_no = unpack_key(row.approval_no)
    mail = Decide(
        by=by,
        seen_seq=seen_seq,
        step_no=step_no,
        decision=chosen,
        payload_hash=payload_hash or row.payload_hash,
        comment=comment,
        payload=edited,
    )
    try:
        return await app.engine.tell(run_no, mail, message_id=_message_id(row, mail))
    except ConflictError as error:
        # Somebody was quicker: no conflict, if they said the same.
        now = await app.engine.store.approval(row.approval_no)
        if error.code_word != "already_decided" or now is None:
            raise
        return await _repeat(app, now, chosen, edited)


def _chosen(decision: str, *, is_edited: bool, rework: bool) -> str:
    if decision not in DECISIONS:
        raise RequestError(
            f"{decision!r} is not a decision.",
            fix=did_you_mean(decision, DECISIONS, what="decision"),
            code="PDM-R196",
        )
    if is_edited and decision in {"reject", "rework"}:
        raise RequestError(
            "What is rejected cannot be edited as well.",
            fix="Approve with the payload, or reject with a comment.",
            code="PDM-R196",
        )
    if decision == "edit" and not is_edited:
        raise RequestError(
            "An edit needs the payload to approve instead.",
            fix='Send it as "payload", or decide "approve".',
            code="PDM-R196",
        )
    if rework and decision == "approve":
        raise RequestError(
            "What is approved is not done again.",
            fix='Decide "rework", or leave out "rework".',
            code="PDM-R196",
        )
    return "edit" if is_edited else "rework" if rework else decision


def _message_id(row: ApprovalRow, mail: Decide) -> str:
    """Return an id under which the same person's same decision is one message."""
    what = hashlib.sha256(msgspec.msgpack.encode(mail)).hexdigest()[:32]
    return f"decide.{row.approval_no}.{row.generation}.{row.created_us}.{what}"


_TAKEN: Final = {
    ApprovalStatus.APPROVED: "approve",
    ApprovalStatus.REJECTED: "reject",
    ApprovalStatus.EDITED: "edit",
}


async def _repeat(
    app: Standing, row: ApprovalRow, decision: str, edited: bytes | None
) -> OutcomeRow:
    """Return where the run stands if `decision` was taken; raises what was decided instead."""
    name = approval_id(row.approval_no)
    run = await app.engine.store.run(row.run_no)
    if run is None:
        raise unknown_approval(name)
    status = ApprovalStatus(row.status)
    taken = "rework" if row.rework else _TAKEN.get(status)
    if taken != decision or row.edited != edited:
        raise _over(name, status) if taken is None else _already_decided(name, taken, row)
    return OutcomeRow(
        message_id="", run_no=row.run_no, applied=True, status=run.status, seq=run.last_seq
    )


def _over(name: str, status: ApprovalStatus) -> ConflictError:
    is_late = status is ApprovalStatus.EXPIRED
    return ConflictError(
        f"The approval {name} {'has expired' if is_late else 'was withdrawn'}.",
        why="Nobody answered in time." if is_late else "The run went on or ended without it.",
        fix="`podium runs retry RUN` asks again, if the run failed of it.",
        code="PDM-C021",
        code_word="approval_expired",
        state=status.label,
    )


def _already_decided(name: str, taken: str, row: ApprovalRow) -> ConflictError:
    return ConflictError(
        f"The approval {name} was already decided: {taken}"
        + (f" by {row.decided_by}." if row.decided_by else "."),
        why="A decision stands; the run has gone on with it.",
        fix="Rerun the run if the decision was wrong: `podium runs rerun RUN`.",
        code="PDM-C020",
        code_word="already_decided",
        state=ApprovalStatus(row.status).label,
    )


def unknown_approval(approval: str) -> NotFoundError:
    """Return the error for an approval that is not in the store."""
    return NotFoundError(
        f"The approval {approval!r} does not exist.",
        fix="List what waits with `podium approvals list`.",
        code="PDM-R407",
    )
