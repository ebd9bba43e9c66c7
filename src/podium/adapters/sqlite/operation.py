"""Captured logs, counts of open runs, and taking old runs away; see `ports.operation`."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from podium.adapters.sqlite.database import Database, Reader
from podium.adapters.sqlite.listing import organizations
from podium.core.ids import pack_key
from podium.ports.operation import LogRow, OpenCount

__all__ = [
    "forget_runs",
    "logs",
    "open_counts",
    "prune_logs",
    "runs_past",
    "sweep_forgotten",
    "write_logs",
]

RUNS_PER_SWEEP: Final = 500
"""Forgotten runs whose remains are taken away in one transaction, at most."""


def write_logs(db: Database, lines: Sequence[LogRow]) -> None:
    """Keep lines."""
    with db.transaction():
        db.write("log_insert", [msgspec.structs.astuple(line)[:-1] for line in lines])


def logs(db: Reader, run_no: int, *, step: str, after: int, limit: int) -> list[LogRow]:
    """Return lines of a run."""
    return [
        LogRow(
            number=number,
            **dict(zip(LogRow.__struct_fields__[:-1], values, strict=True)),
        )
        for number, *values in db.all("logs", (run_no, after, step, limit))
    ]


def prune_logs(db: Database, *, before_us: int, limit: int) -> int:
    """Forget old lines."""
    with db.transaction():
        return db.changes("logs_prune", (before_us, limit))


def open_counts(db: Reader, organization: str) -> list[OpenCount]:
    """Count the open runs by organization, workflow and status."""
    with db.snapshot():
        return [
            OpenCount(organization=name, workflow=workflow, status=status, count=count)
            for name in ([organization] if organization else organizations(db))
            for workflow, status, count in db.all("open_counts", (name,))
        ]


def runs_past(db: Reader, before_us: Mapping[int, int], *, limit: int) -> list[int]:
    """Return closed runs that are old enough to be forgotten."""
    found: list[int] = []
    with db.snapshot():
        for organization in organizations(db):
            for status, time_us in before_us.items():
                left = limit - len(found)
                if left <= 0:
                    return found
                rows = db.all("runs_past", (organization, status, time_us, left))
                found += [run_no for (run_no,) in rows]
    return found


def forget_runs(db: Database, run_nos: Sequence[int]) -> list[int]:
    """Take runs out of every list and of every reader's sight."""
    with db.transaction():
        return [run_no for run_no in run_nos if _forget(db, run_no)]


def _forget(db: Database, run_no: int) -> bool:
    if not db.changes("run_delete", (run_no,)):
        return False
    for name in ("run_labels_delete", "run_start_delete", "run_listed_delete", "run_forget"):
        db.changes(name, (run_no,))
    return True


def sweep_forgotten(db: Database, *, limit: int) -> int:
    """Take away what is left of forgotten runs, run by run, up to a number of rows."""
    swept = 0
    with db.transaction():
        for _ in range(RUNS_PER_SWEEP):
            found = db.one("forgotten")
            if found is None or swept >= limit:
                break
            swept += _sweep(db, found[0], limit - swept)
    return swept


def _sweep(db: Database, run_no: int, limit: int) -> int:
    """Take away up to `limit` rows of a run; the small things go with the last of them."""
    bounds = (pack_key(run_no, 0), pack_key(run_no + 1, 0))
    swept = 0
    for name, values in (
        ("forgotten_journal", bounds),
        ("forgotten_steps", bounds),
        ("forgotten_logs", (run_no,)),
    ):
        swept += db.changes(name, (*values, limit - swept))
        if swept >= limit:
            return swept
    for name, values in (
        ("forgotten_approvals", bounds),
        ("forgotten_letters", bounds),
        ("forgotten_snapshot", (run_no,)),
        ("forgotten_mail", (run_no,)),
        ("forgotten_grants", (run_no,)),
        ("forgotten_done", (run_no,)),
    ):
        swept += db.changes(name, values)
    return swept
