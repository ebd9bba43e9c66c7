"""What people read of approvals and dead letters."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from podium.adapters.memory.database import MemoryDatabase
from podium.ports.store import ApprovalRow, DeadLetterRow

__all__ = ["approvals", "dead_letters"]

R = TypeVar("R")


def approvals(
    database: MemoryDatabase,
    *,
    pending: bool,
    run_no: int | None,
    organization: str,
    after: int | None,
) -> list[ApprovalRow]:
    """Return approvals, oldest first."""
    found = [
        row
        for row in database.approvals.values()
        if run_no in {None, row.run_no}
        and organization in {"", row.organization}
        and not (pending and row.status)
    ]
    last = None if after is None else database.approvals.get(after)
    return _after(found, lambda row: (row.created_us, row.approval_no), last, is_given=after)


def dead_letters(
    database: MemoryDatabase, *, status: str, organization: str, after: tuple[int, int] | None
) -> list[DeadLetterRow]:
    """Return parked work, oldest first."""
    found = [
        row
        for row in database.dead_letters.values()
        if status in {"", row.status}
        and organization in {"", database.runs[row.run_no].organization}
    ]
    last = None if after is None else database.dead_letters.get(after)
    return _after(
        found, lambda row: (row.created_us, row.run_no, row.step_no), last, is_given=after
    )


def _after(
    rows: Sequence[R], place: Callable[[R], Any], last: R | None, *, is_given: object
) -> list[R]:
    """Return rows in order, from the one that follows `last` on."""
    ordered = sorted(rows, key=place)
    if is_given is None:
        return ordered
    # A cursor that names nothing has nothing after it.
    return [row for row in ordered if last is not None and place(row) > place(last)]
