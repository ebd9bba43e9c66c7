"""What `podium dead-letters` prints."""

from podium.cli.output import ago, emit, emit_json, note, table
from podium.cli.session import Session
from podium.core.cloudevents import rfc3339
from podium.core.ids import run_id, step_id

__all__ = ["list_all"]


async def list_all(session: Session, *, limit: int) -> int:
    """List parked steps."""
    async with session.reading() as app:
        rows = await app.engine.store.dead_letters(limit=limit)
        now_us = app.engine.store.now_us()
    if session.as_json:
        items = [
            {
                "run_id": run_id(row.run_no),
                "step_record_id": step_id(row.run_no, row.step_no),
                "step": row.path,
                "reason": row.reason,
                "status": row.status,
                "created_at": rfc3339(row.created_us),
            }
            for row in rows
        ]
        emit_json({"items": items, "next_cursor": None})
        return 0
    if not rows:
        note("Nothing is parked.")
        return 0
    lines = [
        (run_id(row.run_no), row.path, row.reason, row.status, ago(row.created_us, now_us))
        for row in rows
    ]
    emit(table(("run", "step", "reason", "status", "parked"), lines))
    note("Once the cause is gone: podium runs retry RUN, then podium recover")
    return 0
