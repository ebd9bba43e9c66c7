"""What `podium approvals` does: list, show and decide."""

from typing import Any

import msgspec

from podium.authoring.client import App
from podium.cli.asking import shown
from podium.cli.desk import open_desk
from podium.cli.output import ago, cut, emit, emit_json, note, table
from podium.cli.session import Session, person
from podium.cli.verbs import json_option
from podium.core.cloudevents import rfc3339
from podium.core.ids import approval_id, parse_approval_id, run_id
from podium.errors import NotFoundError
from podium.ports.store import ApprovalRow, ApprovalStatus, OutcomeRow

__all__ = ["decide", "list_all", "show_one"]


async def list_all(session: Session, *, pending: bool, limit: int) -> int:
    """List approvals."""
    async with session.reading() as app:
        rows = await app.engine.store.approvals(pending=pending, limit=limit)
        if session.as_json:
            decode = app.engine.payloads.decode
            items = [approval_document(row, decode(row.payload)) for row in rows]
            emit_json({"items": items, "next_cursor": None})
            return 0
        now_us = app.engine.store.now_us()
    if not rows:
        note("Nothing waits for a person." if pending else "There are no approvals.")
        return 0
    emit(
        table(
            ("approval", "run", "step", "status", "asked", "prompt"),
            [
                (
                    approval_id(row.approval_no),
                    run_id(row.run_no),
                    row.path,
                    ApprovalStatus(row.status).label,
                    ago(row.created_us, now_us),
                    cut(row.prompt, 60),
                )
                for row in rows
            ],
        )
    )
    return 0


def approval_document(row: ApprovalRow, payload: Any) -> dict[str, Any]:
    """Return an approval as programs read it."""
    return {
        "approval_id": approval_id(row.approval_no),
        "run_id": run_id(row.run_no),
        "step": row.path,
        "status": ApprovalStatus(row.status).label,
        "prompt": row.prompt,
        "payload": payload,
        "payload_hash": row.payload_hash,
        "created_at": rfc3339(row.created_us),
        "expires_at": rfc3339(row.expires_us) if row.expires_us else None,
        "decided_at": rfc3339(row.decided_us) if row.decided_us else None,
        "decided_by": row.decided_by,
        "comment": row.comment,
    }


async def show_one(session: Session, approval: str) -> int:
    """Show one approval with its payload."""
    async with session.reading() as app:
        row = await _row(app, approval)
        payload = app.engine.payloads.decode(row.payload)
    if session.as_json:
        emit_json(approval_document(row, payload))
        return 0
    note(f"{approval}  {run_id(row.run_no)}  {row.path}  {ApprovalStatus(row.status).label}")
    if row.prompt:
        note(row.prompt)
    if row.decided_us:
        note(f"by {row.decided_by or 'nobody known'}{f': {row.comment}' if row.comment else ''}")
    emit(shown(payload))
    return 0


async def _row(app: App, approval: str) -> ApprovalRow:
    row = await app.engine.store.approval(parse_approval_id(approval))
    if row is None:
        raise NotFoundError(
            f"The approval {approval!r} does not exist.",
            fix="List what waits with `podium approvals list`.",
            code="PDM-R407",
        )
    return row


async def decide(
    session: Session,
    approval: str,
    decision: str,
    *,
    payload: str | None = None,
    comment: str = "",
    by: str | None = None,
) -> int:
    """Decide an approval and say what continues the run."""
    edited = msgspec.UNSET if payload is None else json_option("--payload", payload)

    async def hand_in(app: App) -> OutcomeRow:
        return await app.decide(
            approval, decision, by=by or person(), comment=comment, payload=edited
        )

    async with open_desk(session) as desk:
        row = await _row(desk.reader, approval)
        run = await desk.row(run_id(row.run_no))
        outcome = await desk.tell(run, hand_in)
        word = {"approve": "approved", "reject": "rejected"}[decision]
        if session.as_json:
            document = {"approval_id": approval, "run_id": run_id(row.run_no), "decision": decision}
            emit_json({**document, "applied": outcome is not None})
            return 0
        note(f"{approval} is {word} (step {row.path!r} of {run_id(row.run_no)}).")
        await desk.advise(run)
    return 0
