"""Lists of runs: newest first, by filters, in a time that does not grow with history.

Every filter but the label leads straight into one of two indexes, which hold the runs of one
organization and status (and workflow) in the order of lists. A list reads the head of each such
stream and merges them. A label that few runs have leads by itself; one that many have is met
soon enough on the way through the streams.
"""

from collections.abc import Iterator, Mapping, Sequence
from heapq import nlargest
from typing import Any, Final

import msgspec

from podium.adapters.sqlite import rows
from podium.adapters.sqlite.database import Reader
from podium.core.states import RunStatus
from podium.ports.store import RunFilter, RunRow

__all__ = ["organizations", "runs"]

RARE_LABEL: Final = 5_000
"""Runs of a label that may be looked at one by one."""
LATEST: Final = ((1 << 63) - 1, (1 << 63) - 1)

Place = tuple[int, int]
"""When a run was created, and its number: the order of lists."""


def runs(db: Reader, where: RunFilter, *, limit: int, before: int | None) -> list[RunRow]:
    """Return runs newest first; see `Store.runs`."""
    with db.snapshot():
        if where.parent_run is not None:
            return [rows.run(row) for row in db.all("children", _children(where, limit, before))]
        found = [db.one("run", (run_no,)) for _, run_no in _places(db, where, limit, before)]
    return [rows.run(row) for row in found if row is not None]


def _children(where: RunFilter, limit: int, before: int | None) -> dict[str, Any]:
    return {
        **_conditions(where),
        "before": before,
        "created_after": where.created_after_us,
        "created_before": where.created_before_us,
        "parent": where.parent_run,
        "limit": limit,
    }


def _conditions(where: RunFilter) -> dict[str, Any]:
    label, label_value = where.label or (None, None)
    return {
        "statuses": msgspec.json.encode(where.statuses).decode() if where.statuses else None,
        "workflow": where.workflow or None,
        "organization": where.organization or None,
        "label": label,
        "label_value": label_value,
    }


def _places(db: Reader, where: RunFilter, limit: int, before: int | None) -> Sequence[Place]:
    before_us, before_no = _start(db, where, before)
    values = {
        **_conditions(where),
        "after": -1 if where.created_after_us is None else where.created_after_us,
        "before_us": before_us,
        "before": before_no,
        "limit": limit,
    }
    if where.label is not None and _is_rare(db, *where.label):
        return [(us, run_no) for us, run_no in db.all("listed_by_label", values)]
    return nlargest(limit, _heads(db, where, values))


def _start(db: Reader, where: RunFilter, before: int | None) -> Place:
    """Return the place that every run of the list comes after."""
    latest = LATEST
    if where.created_before_us is not None:
        latest = (where.created_before_us, 0)
    if before is not None:
        # A run that retention took away meanwhile is stood in for by the next older one.
        found = db.one("listed_place", (before,))
        place = (0, 0) if found is None else (found[0], found[1] + (found[1] < before))
        latest = min(latest, place)
    return latest


def _is_rare(db: Reader, name: str, value: str) -> bool:
    [(count,)] = db.all("label_weight", (name, value, RARE_LABEL + 1))
    return bool(count <= RARE_LABEL)


def _heads(db: Reader, where: RunFilter, values: Mapping[str, Any]) -> Iterator[Place]:
    """Yield the newest runs of each organization and status that the filter leaves."""
    name = "listed_by_workflow" if where.workflow else "listed_by_status"
    wanted = [where.organization] if where.organization else organizations(db)
    for organization in wanted:
        for status in where.statuses or RunStatus:
            chosen = {**values, "organization": organization, "status": int(status)}
            yield from ((us, run_no) for us, run_no in db.all(name, chosen))


def organizations(db: Reader) -> list[str]:
    """Return the organizations that have runs."""
    return [name for (name,) in db.all("organizations_listed")]
