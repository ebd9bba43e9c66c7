"""Verbs on runs: one by its id, or many by a filter, with a rehearsal first."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from podium.authoring.client import App, RunHandle
from podium.authoring.json_text import read_json
from podium.cli.desk import Desk, open_desk
from podium.cli.output import emit, emit_json, note
from podium.cli.running import pairs
from podium.cli.session import Session, person
from podium.core.ids import run_id
from podium.core.states import RunStatus
from podium.errors import PodiumError, RequestError, did_you_mean
from podium.ports.store import RunFilter, RunRow

__all__ = ["Choice", "Verb", "json_option", "run_filter", "steer", "steer_many"]

Verb = Callable[[RunHandle, str], Awaitable[RunStatus]]
BULK_MAX: Final = 10_000


@dataclass(slots=True, frozen=True, kw_only=True)
class Choice:
    """Which runs a verb is for: one, or all that a filter finds."""

    run: str | None = None
    statuses: Sequence[str] = ()
    workflow: str = ""
    label: str | None = None
    dry_run: bool = False


def json_option(name: str, text: str) -> Any:
    """Return the value of an option that takes JSON; raises `RequestError`."""
    tree = read_json(text)
    if tree.faults:
        raise RequestError(
            f"{name} is not JSON: {tree.faults[0].message}",
            fix=f"Quote it for the shell, for example: {name} '{{\"amount\": 5}}'",
            code="PDM-R066",
        )
    return tree.value


def run_filter(choice: Choice, *, organization: str = "") -> RunFilter:
    """Return the filter of a choice; raises `RequestError` for an unknown status."""
    known = {status.label: status for status in RunStatus}
    known |= {"success": RunStatus.COMPLETED, "succeeded": RunStatus.COMPLETED}
    for name in choice.statuses:
        if name not in known:
            raise RequestError(
                f"{name!r} is not a status of a run.",
                fix=did_you_mean(name, [status.label for status in RunStatus], what="status"),
                code="PDM-R067",
            )
    label = next(iter(pairs([choice.label]).items())) if choice.label else None
    return RunFilter(
        statuses=tuple(known[name] for name in choice.statuses),
        workflow=choice.workflow,
        organization=organization,
        label=label,
    )


async def steer(session: Session, run: str, verb: Verb, *, by: str | None = None, told: str) -> int:
    """Apply a verb to one run and say what became of it."""
    async with open_desk(session) as desk:
        row = await desk.row(run)
        status = await _apply(desk, row, verb, by or person())
        if session.as_json:
            emit_json(_document(row, status))
        elif status is None:
            note(f"{run_id(row.run_no)}: recorded; it is applied when a process takes the run.")
        else:
            note(f"{run_id(row.run_no)} {told}; it is {status.label}.")
        if not session.as_json:
            await desk.advise(row)
    return 0


async def _apply(desk: Desk, row: RunRow, verb: Verb, who: str) -> RunStatus | None:
    async def hand_in(app: App) -> RunStatus:
        return await verb(app.run(run_id(row.run_no)), who)

    return await desk.tell(row, hand_in)


def _document(row: RunRow, status: RunStatus | None) -> dict[str, Any]:
    now = RunStatus(row.status) if status is None else status
    return {"run_id": run_id(row.run_no), "status": now.label, "applied": status is not None}


async def steer_many(
    session: Session, choice: Choice, verb: Verb, *, name: str, by: str | None, told: str
) -> int:
    """Apply a verb to the chosen runs; one that refuses does not stop the others."""
    if choice.run is not None:
        if choice.statuses or choice.workflow or choice.label:
            raise _both(name)
        if not choice.dry_run:
            return await steer(session, choice.run, verb, by=by, told=told)
    elif not (choice.statuses or choice.workflow or choice.label):
        raise RequestError(
            f"`podium runs {name}` needs a run, or a filter.",
            fix=f"podium runs {name} RUN, or for example: podium runs {name} --status running",
            code="PDM-R068",
        )
    async with open_desk(session) as desk:
        rows = await _chosen(session, desk, choice)
        if choice.dry_run:
            return _rehearse(session, rows, name)
        return await _each(session, desk, rows, verb, by or person())


def _both(name: str) -> RequestError:
    return RequestError(
        "A run and a filter are given; only one of them can choose.",
        fix=f"podium runs {name} RUN, or podium runs {name} --status …",
        code="PDM-R068",
    )


async def _chosen(session: Session, desk: Desk, choice: Choice) -> Sequence[RunRow]:
    if choice.run is not None:
        return [await desk.row(choice.run)]
    return await desk.reader.engine.store.runs(run_filter(choice), limit=BULK_MAX)


def _rehearse(session: Session, rows: Sequence[RunRow], name: str) -> int:
    if session.as_json:
        emit_json({"dry_run": True, "runs": [run_id(row.run_no) for row in rows]})
        return 0
    for row in rows:
        emit(f"{run_id(row.run_no)}  {row.workflow}  {RunStatus(row.status).label}")
    many = f"{len(rows)} run{'s' if len(rows) != 1 else ''}"
    note(f"Would {name} {many}; nothing was changed.")
    return 0


async def _each(session: Session, desk: Desk, rows: Sequence[RunRow], verb: Verb, who: str) -> int:
    done: list[dict[str, Any]] = []
    refused: list[PodiumError] = []
    for row in rows:
        try:
            status = await _apply(desk, row, verb, who)
        except PodiumError as error:
            refused.append(error)
            done.append({"run_id": run_id(row.run_no), "error": error.what, "applied": False})
        else:
            done.append(_document(row, status))
    if session.as_json:
        emit_json({"runs": done, "refused": len(refused)})
    else:
        for entry in done:
            emit(f"{entry['run_id']}  {entry.get('status') or entry['error']}")
        note(f"{len(done) - len(refused)} done, {len(refused)} refused.")
    return refused[0].exit_code if refused else 0
