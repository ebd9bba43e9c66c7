"""Apply one batch of run writes in one transaction: all of it at once, or run by run.

The fast way writes the whole batch with one statement per table and counts the rows that passed
the guards. Only if that count is short, or the data is refused, the batch is rolled back and
written again with a savepoint per run, so that the others go through.
"""

from collections.abc import Sequence

import msgspec

from podium.adapters.sqlite import feed, rows
from podium.adapters.sqlite.database import Database, Values
from podium.adapters.sqlite.failures import DATA_ERRORS
from podium.adapters.sqlite.ledger import grant_now, write_receipts
from podium.adapters.sqlite.schedules import is_overtaken, write_schedule
from podium.core.ids import pack_key
from podium.ports.store import (
    Batch,
    Committed,
    Refusal,
    RefusalKind,
    RunRow,
    RunWrite,
)

__all__ = ["commit_batch"]


def commit_batch(db: Database, batch: Batch) -> Committed:
    """Commit `batch` and return what was refused; raises `apsw.Error` if the store failed."""
    with db.transaction() as transaction:
        if _written_whole(db, batch):
            return Committed()
        transaction.roll_back()
    return _commit_one_by_one(db, batch)


def _written_whole(db: Database, batch: Batch) -> bool:
    try:
        return _write(db, batch, batch.writes)
    except DATA_ERRORS:
        return False


def _write(db: Database, batch: Batch, writes: Sequence[RunWrite]) -> bool:
    """Write these runs' parts; return False as soon as a guard refused one of them."""
    if _write_runs(db, batch, writes) != len(writes):
        return False
    scheduled = [w.schedule for w in writes if w.schedule is not None]
    if not all(write_schedule(db, change) for change in scheduled):
        return False
    _write_events(db, writes)
    _write_children(db, writes)
    return True


def _write_runs(db: Database, batch: Batch, writes: Sequence[RunWrite]) -> int:
    """Write the run rows under both guards and return how many passed."""
    fence = (batch.node_id, batch.node_epoch)
    plain = [rows.guard_params(w, *fence) for w in writes if w.row is None]
    before = db.total_changes()
    db.write("tick_run", plain)
    if len(plain) == len(writes):
        passed = db.total_changes() - before
    else:
        changed = [(w, w.row) for w in writes if w.row is not None]
        db.write(
            "tick_run_row", [rows.run_params(w, r, *fence) for w, r in changed if not w.create]
        )
        created = [(w, r) for w, r in changed if w.create]
        db.write("tick_create", [rows.create_params(w, r, *fence) for w, r in created])
        passed = db.total_changes() - before
        if created and passed == len(writes):
            _write_starts(db, [row for _, row in created])
        db.write("tick_listed_status", [(w.run_no, r.status) for w, r in changed if not w.create])
    db.write("tick_release", [(w.run_no,) for w in writes if w.release])
    return passed


def _write_starts(db: Database, created: Sequence[RunRow]) -> None:
    db.write("tick_start", [rows.start_params(row) for row in created])
    db.write("tick_label", [label for row in created for label in rows.label_params(row)])
    db.write("tick_listed", [rows.listed_params(row) for row in created])


def _write_events(db: Database, writes: Sequence[RunWrite]) -> None:
    records = [rows.journal_params(w) for w in writes if w.body]
    db.write("tick_journal", records)
    if records:
        db.write("tick_feed", [(feed.pack([record[0] for record in records]),)])
    db.write("tick_step", [rows.step_params(step) for w in writes for step in w.steps])


def _write_children(db: Database, writes: Sequence[RunWrite]) -> None:
    """Write what only some ticks bring; each list is mostly empty."""
    values = msgspec.structs.astuple
    db.write("tick_approval", [values(row) for w in writes for row in w.approvals])
    db.write("tick_decision", [values(row) for w in writes for row in w.decisions])
    db.write("tick_escalation", [values(row) for w in writes for row in w.escalations])
    db.write("tick_dead_letter", [values(row) for w in writes for row in w.dead_letters])
    db.write("tick_consume", [(name, w.run_no) for w in writes for name in w.consumed])
    db.write("tick_outcome", [values(row) for w in writes for row in w.outcomes])
    db.write("post", [values(row) for w in writes for row in w.posts])
    snapshots = [(w.run_no, w.new_seq, w.snapshot) for w in writes if w.snapshot is not None]
    db.write("tick_snapshot", snapshots)
    write_receipts(db, [receipt for w in writes for receipt in w.receipts])
    for granted in [row for w in writes for row in w.grants]:
        grant_now(db, granted)


def _commit_one_by_one(db: Database, batch: Batch) -> Committed:
    """Write each run under a savepoint of its own."""
    with db.transaction() as transaction:
        if not db.has("node_is_up", (batch.node_id, batch.node_epoch)):
            transaction.roll_back()
            refused = [Refusal(run_no=w.run_no, kind=RefusalKind.NODE) for w in batch.writes]
        else:
            answers = [_write_one(db, batch, write) for write in batch.writes]
            refused = [answer for answer in answers if answer is not None]
    return Committed(refused=refused)


def _write_one(db: Database, batch: Batch, write: RunWrite) -> Refusal | None:
    """Write one run or leave no trace of it."""
    db.execute("savepoint one")
    refusal = None
    try:
        passed = _write(db, batch, [write])
    except DATA_ERRORS as error:
        passed = False
        refusal = Refusal(run_no=write.run_no, kind=RefusalKind.DATA, detail=str(error))
    if not passed:
        db.execute("rollback to one")
        refusal = _explain(db, batch, write, refusal)
    db.execute("release one")
    return refusal


def _explain(
    db: Database, batch: Batch, write: RunWrite, bad_data: Refusal | None
) -> Refusal | None:
    """Return why a write did not pass, or None if it had passed before."""
    if _was_applied(db, batch, write):
        return None
    if bad_data is None:
        overtaken = write.schedule is not None and is_overtaken(db, write.schedule)
        kind = RefusalKind.OVERTAKEN if overtaken else RefusalKind.HOME
        return Refusal(run_no=write.run_no, kind=kind)
    # The unique index refused the key like any other bad value: ask whose it is.
    owner = _owner_of_key(db, write)
    if owner is None:
        return bad_data
    run_no, request_hash = owner
    return Refusal(
        run_no=write.run_no,
        kind=RefusalKind.DUPLICATE,
        existing=run_no,
        existing_hash=request_hash,
    )


def _owner_of_key(db: Database, write: RunWrite) -> Values | None:
    row = write.row
    if not write.create or row is None or row.idempotency_key is None:
        return None
    return db.one("key_owner", (row.organization, row.idempotency_key))


def _was_applied(db: Database, batch: Batch, write: RunWrite) -> bool:
    key = pack_key(write.run_no, write.old_seq + 1) if write.body else None
    events = write.new_seq - write.old_seq
    fence = (batch.node_id, write.home_epoch, write.release)
    return db.has("write_was_applied", (write.run_no, write.new_seq, *fence, key, events))
