"""What `podium approvals` does: list, show and decide."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from podium.authoring.client import App
from podium.authoring.deciding import find_approval
from podium.cli.asking import shown
from podium.cli.desk import open_desk
from podium.cli.output import ago, cut, emit, emit_json, note, table
from podium.cli.session import Session, person
from podium.cli.verbs import json_option
from podium.core.changes import Change, changes
from podium.core.cloudevents import rfc3339
from podium.core.ids import approval_id, run_id
from podium.ports.store import ApprovalRow, ApprovalStatus, OutcomeRow

__all__ = ["decide", "list_all", "show_one"]


async def list_all(session: Session, *, pending: bool, limit: int) -> int:
    """List approvals."""
    async with session.reading() as app:
        rows = await app.engine.store.approvals(pending=pending, limit=limit)
        if session.as_json:
            decode = app.engine.payloads.decode
            items = [approval_document(row, decode) for row in rows]
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
                    standing(row),
                    ago(row.created_us, now_us),
                    cut(row.prompt, 60),
                )
                for row in rows
            ],
        )
    )
    return 0


def standing(row: ApprovalRow) -> str:
    """Return the status of an approval as people see it: an escalated one waits all the same."""
    status = ApprovalStatus(row.status)
    is_escalated = status is ApprovalStatus.PENDING and row.escalated_us is not None
    return "escalated" if is_escalated else status.label


def _edit(row: ApprovalRow, decode: Callable[[bytes], Any]) -> list[Change]:
    """Return what an edit changed."""
    if row.edited is None:
        return []
    return changes(decode(row.payload), decode(row.edited))


def approval_document(row: ApprovalRow, decode: Callable[[bytes], Any]) -> dict[str, Any]:
    """Return an approval as programs read it."""
    return {
        "approval_id": approval_id(row.approval_no),
        "run_id": run_id(row.run_no),
        "step": row.path,
        "status": standing(row),
        "prompt": row.prompt,
        "payload": decode(row.payload),
        "payload_hash": row.payload_hash,
        "created_at": rfc3339(row.created_us),
        "expires_at": rfc3339(row.expires_us) if row.expires_us else None,
        "decided_at": rfc3339(row.decided_us) if row.decided_us else None,
        "decided_by": row.decided_by,
        "comment": row.comment,
        "requested_by": row.requested_by,
        "four_eyes": row.four_eyes,
        "escalated_at": rfc3339(row.escalated_us) if row.escalated_us else None,
        "escalated_to": row.escalated_to,
        "rework": row.rework,
        "edited": None if row.edited is None else decode(row.edited),
        "changes": _edit(row, decode),
    }


async def show_one(session: Session, approval: str) -> int:
    """Show one approval with its payload."""
    async with session.reading() as app:
        row = await find_approval(app, approval)
        decode = app.engine.payloads.decode
        document, payload, edit = (
            approval_document(row, decode),
            decode(row.payload),
            _edit(row, decode),
        )
    if session.as_json:
        emit_json(document)
        return 0
    note(f"{approval}  {run_id(row.run_no)}  {row.path}  {standing(row)}")
    for line in _about(row):
        note(line)
    emit(shown(payload))
    for change in edit:
        emit(f"{change.op} {change.path or '/'}: {shown(change.old)} → {shown(change.new)}")
    return 0


def _about(row: ApprovalRow) -> Iterator[str]:
    if row.prompt:
        yield row.prompt
    if row.requested_by:
        alone = " (who cannot approve it)" if row.four_eyes else ""
        yield f"asked for by {row.requested_by}{alone}"
    if row.escalated_us is not None:
        yield f"escalated to {row.escalated_to or 'nobody in particular'}"
    if row.decided_us:
        comment = f": {row.comment}" if row.comment else ""
        again = " (to be done again)" if row.rework else ""
        yield f"by {row.decided_by or 'nobody known'}{again}{comment}"


async def decide(
    session: Session,
    approval: str,
    decision: str,
    *,
    payload: str | None = None,
    payload_hash: str = "",
    comment: str = "",
    by: str | None = None,
) -> int:
    """Decide an approval and say what continues the run."""
    edited = msgspec.UNSET if payload is None else json_option("--payload", payload)

    async def hand_in(app: App) -> OutcomeRow:
        return await app.decide(
            approval,
            decision,
            by=by or person(),
            comment=comment,
            payload=edited,
            payload_hash=payload_hash,
        )

    async with open_desk(session) as desk:
        row = await find_approval(desk.reader, approval)
        run = await desk.row(run_id(row.run_no))
        outcome = await desk.tell(run, hand_in)
        word = _WORDS[decision]
        if session.as_json:
            document = {"approval_id": approval, "run_id": run_id(row.run_no), "decision": decision}
            emit_json({**document, "applied": outcome is not None})
            return 0
        note(f"{approval} is {word} (step {row.path!r} of {run_id(row.run_no)}).")
        await desk.advise(run)
    return 0


_WORDS: Final = {
    "approve": "approved",
    "reject": "rejected",
    "rework": "sent back to be done again",
}
