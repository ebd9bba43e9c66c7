"""What `podium dead-letters` does."""

from podium.authoring.client import App
from podium.cli.desk import open_desk
from podium.cli.output import ago, emit, emit_json, note, table
from podium.cli.session import Session, person
from podium.core.cloudevents import rfc3339
from podium.core.ids import parse_step_id, run_id, step_id
from podium.ports.store import OutcomeRow

__all__ = ["list_all", "settle"]


async def list_all(session: Session, *, status: str, limit: int) -> int:
    """List parked steps."""
    async with session.reading() as app:
        rows = await app.dead_letters.list(status=status, limit=limit)
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
        note("Nothing is parked." if status == "parked" else "There is nothing to list.")
        return 0
    lines = [
        (
            step_id(row.run_no, row.step_no),
            run_id(row.run_no),
            row.path,
            row.reason,
            row.status,
            ago(row.created_us, now_us),
        )
        for row in rows
    ]
    emit(table(("letter", "run", "step", "reason", "status", "parked"), lines))
    note("Once the cause is gone: podium dead-letters replay LETTER, then podium recover")
    return 0


async def settle(session: Session, letter: str, verb: str, *, by: str | None) -> int:
    """Replay or discard one letter."""
    run_no, _ = parse_step_id(letter)
    who = by or person()

    async def hand_in(app: App) -> OutcomeRow:
        letters = app.dead_letters
        work = letters.replay if verb == "replay" else letters.discard
        return await work(letter, by=who)

    async with open_desk(session) as desk:
        row = await desk.row(run_id(run_no))
        outcome = await desk.tell(row, hand_in)
        if session.as_json:
            document = {"step_record_id": letter, "run_id": run_id(run_no), "verb": verb}
            emit_json({**document, "applied": outcome is not None})
            return 0
        note(f"{letter} was {'replayed' if verb == 'replay' else 'discarded'}.")
        await desk.advise(row)
    return 0
