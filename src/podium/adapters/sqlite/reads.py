"""Reads: functions of a reading connection, run on a reader thread."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from podium.adapters.sqlite import rows
from podium.adapters.sqlite.database import Reader, Values
from podium.core.ids import EVENTS_MAX, pack_key
from podium.ports.store import (
    ApprovalRow,
    DeadLetterRow,
    DefinitionRow,
    JournalRecord,
    MessageRow,
    RunRecord,
    StepRow,
)

__all__ = [
    "approvals",
    "dead_letters",
    "definition",
    "events",
    "first",
    "listing",
    "load",
    "mail",
    "next_wake_us",
    "steps",
]

R = TypeVar("R")
KEY_MAX: Final = (1 << 63) - 1
PREFIX_MIN: Final = 6


def first(db: Reader, name: str, values: Values, make: Callable[[Values], R]) -> R | None:
    """Return the first row of a query, made into a struct."""
    found = db.one(name, values)
    return None if found is None else make(found)


def listing(db: Reader, name: str, values: Values, make: Callable[[Values], R]) -> list[R]:
    """Return all rows of a query, made into structs."""
    return [make(row) for row in db.all(name, values)]


def load(db: Reader, run_nos: Sequence[int]) -> list[RunRecord]:
    """Return the records of the runs that exist, all from one snapshot of the store."""
    with db.snapshot():
        found = [_record(db, run_no) for run_no in run_nos]
        return [record for record in found if record is not None]


def _record(db: Reader, run_no: int) -> RunRecord | None:
    row = first(db, "run", (run_no,), rows.run)
    if row is None:
        return None
    body, seq = db.one("snapshot", (run_no,)) or (None, 0)
    tail = _journal(db, run_no, first_seq=seq + 1, limit=-1)
    return RunRecord(row=row, snapshot=body, snapshot_seq=seq, tail=tail)


def _journal(db: Reader, run_no: int, *, first_seq: int, limit: int) -> list[JournalRecord]:
    bounds = (pack_key(run_no, first_seq), pack_key(run_no + 1, 0))
    return listing(db, "journal", (*bounds, limit), rows.journal_record)


def events(db: Reader, run_no: int, *, after: int, limit: int) -> list[JournalRecord]:
    """Return the records that hold events after a sequence number."""
    start = after + 1
    bounds = (pack_key(run_no, 0), pack_key(run_no, min(start, EVENTS_MAX)))
    before = db.one("journal_record_of", bounds)
    if before is not None:
        first_seq = before[0] & EVENTS_MAX
        # The record may begin before the cursor and still hold the next event.
        start = first_seq if first_seq + before[1] > start else start
    return _journal(db, run_no, first_seq=start, limit=limit)


def steps(db: Reader, run_no: int, *, after: int, limit: int) -> list[StepRow]:
    """Return the steps of a run after a step number."""
    last = pack_key(run_no, after) if after >= 0 else pack_key(run_no, 0) - 1
    return listing(db, "steps", (last, pack_key(run_no + 1, 0), limit), rows.step)


def approvals(
    db: Reader,
    *,
    pending: bool,
    run_no: int | None,
    organization: str,
    limit: int,
    after: int | None,
) -> list[ApprovalRow]:
    """Return approvals, oldest first."""
    if pending and run_no is None and organization:
        ours = (after, limit, organization)
        return listing(db, "approvals_pending_of", ours, rows.approval)
    if pending and run_no is None:
        return listing(db, "approvals_pending", (after, limit), rows.approval)
    bounds = (0, KEY_MAX) if run_no is None else (pack_key(run_no, 0), pack_key(run_no + 1, 0))
    values = (*bounds, pending, organization, after, limit)
    return listing(db, "approvals", values, rows.approval)


def dead_letters(
    db: Reader, *, status: str, organization: str, limit: int, after: tuple[int, int] | None
) -> list[DeadLetterRow]:
    """Return parked work, oldest first."""
    name = "dead_letters_parked" if status == "parked" else "dead_letters"
    key = None if after is None else pack_key(*after)
    return listing(db, name, (status, organization, key, limit), rows.dead_letter)


def mail(db: Reader, run_nos: Sequence[int]) -> list[MessageRow]:
    """Return the mail of these runs, oldest first."""
    with db.snapshot():
        found = [row for run_no in set(run_nos) for row in db.all("mail", (run_no,))]
        return [rows.message(row[1:]) for row in sorted(found, key=lambda row: row[0])]


def next_wake_us(db: Reader) -> int | None:
    """Return the earliest wake time of homeless open runs."""
    with db.snapshot():
        earliest = [db.one("next_wake", urgency) for urgency in db.all("priorities_due")]
        return min((time[0] for time in earliest if time is not None), default=None)


def definition(db: Reader, organization: str, name: str, version: str) -> DefinitionRow | None:
    """Return a version by label, number or hash prefix, in this order."""
    if not version:
        return first(db, "definition_active", (organization, name), rows.definition)
    versions = listing(db, "definitions_of", (organization, name), rows.definition)
    wanted = version.lower()
    for matches in (
        [row for row in versions if row.label == version],
        [row for row in versions if str(row.number) == version],
        [row for row in versions if len(wanted) >= PREFIX_MIN and row.def_hash.startswith(wanted)],
    ):
        if matches:
            return matches[0]
    return None
