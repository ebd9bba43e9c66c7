"""What `podium schedules` prints and changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from podium.authoring.client import App
from podium.authoring.inputs import parse_cli_inputs
from podium.authoring.project import PROJECT_FILE, read_project_file
from podium.authoring.schedule_views import Preview, ScheduleView, TickView
from podium.cli.background import live_engines, start_background
from podium.cli.loading import FOLDER_LABEL, TEXT_SUFFIXES, load
from podium.cli.output import cut, emit, emit_json, note, table
from podium.cli.running import pairs
from podium.cli.session import Session
from podium.core.ids import run_id
from podium.core.schedules import Overlap
from podium.core.states import RunStatus
from podium.errors import RequestError

__all__ = [
    "Wishes",
    "apply_file",
    "backfill_one",
    "create_one",
    "list_all",
    "pause_one",
    "preview_one",
    "remove_one",
    "resume_one",
    "show_one",
    "trigger_one",
    "update_one",
]

NEXT_SHOWN: Final = 5
PAGE: Final = 1000


@dataclass(slots=True, frozen=True, kw_only=True)
class Wishes:
    """What was given on the command line; what was not is empty."""

    name: str = ""
    workflow: str = ""
    file: Path | None = None
    cron: Sequence[str] = ()
    every: Sequence[str] = ()
    at: Sequence[str] = ()
    except_: Sequence[str] = ()
    timezone: str | None = None
    on_gap: str | None = None
    on_fold: str | None = None
    start: str | None = None
    end: str | None = None
    jitter: str | None = None
    overlap: str | None = None
    catch_up: str | None = None
    runs_max: int | None = None
    priority: int | None = None
    version: str | None = None
    note: str | None = None
    inputs: Sequence[str] = ()
    labels: Sequence[str] = field(default_factory=tuple)
    paused: bool = False

    def document(self) -> dict[str, Any]:
        """Return the document of the file with the options above it."""
        found: dict[str, Any] = {}
        if self.file is not None:
            found = read_project_file(self.file, is_needed=True)
        plain = {
            key: getattr(self, key)
            for key in ("timezone", "on_gap", "on_fold", "start", "end", "jitter", "overlap",
                        "catch_up", "runs_max", "priority", "version", "note", "workflow", "name")
        }  # fmt: skip
        lists = {"cron": self.cron, "every": self.every, "at": self.at, "except": self.except_}
        found |= {key: value for key, value in plain.items() if value not in (None, "")}
        found |= {key: list(values) for key, values in lists.items() if values}
        if self.inputs:
            found["input"] = {**(found.get("input") or {}), **parse_cli_inputs(self.inputs)}
        if self.labels:
            found["labels"] = {**(found.get("labels") or {}), **pairs(self.labels)}
        if self.paused:
            found["paused"] = True
        return found


async def _published(session: Session, app: App, document: dict[str, Any]) -> dict[str, Any]:
    """Publish the workflow of a document if it is a file or code; return the document by name."""
    target = document.get("workflow")
    if not isinstance(target, str):
        return document
    if ":" not in target and Path(target).suffix.lower() not in TEXT_SUFFIXES | {".py"}:
        return document
    loaded = load(target, session.settings)
    if loaded.definition is None:
        return document
    row = await app.workflows.publish(loaded.definition)
    note(f"{row.name} version {row.number} ({row.def_hash[:12]}) is active.")
    given: Mapping[str, str] = document.get("labels") or {}
    labels = {FOLDER_LABEL: str(loaded.folder), **given}
    return {**document, "workflow": row.name, "labels": labels}


# --- looking ------------------------------------------------------------------------------------


async def list_all(session: Session, *, limit: int) -> int:
    """List schedules."""
    found: list[ScheduleView] = []
    async with session.reading() as app:
        while len(found) < limit:
            size = min(PAGE, limit - len(found))
            after = found[-1].schedule_id if found else ""
            page = await app.schedules.list(after=after, limit=size)
            found += page
            if len(page) < size:
                break
    if session.as_json:
        emit_json({"items": found, "next_cursor": None})
    elif not found:
        note('There are no schedules. Make one: podium schedules create NAME WORKFLOW --cron "…"')
    else:
        heads = ("name", "workflow", "when", "zone", "state", "next", "runs", "")
        emit(table(heads, [_line(view) for view in found]))
    return 0


def _line(view: ScheduleView) -> tuple[Any, ...]:
    told = f"failing: {view.error}" if view.failures else view.comment
    return (
        view.name,
        view.spec["workflow"],
        cut(_when(view.spec), 30),
        view.spec["timezone"],
        view.status,
        _short(view.next_local) if view.status == "active" else "",
        view.starts,
        cut(told, 60),
    )


def _when(spec: Mapping[str, Any]) -> str:
    rules = [*spec.get("cron", ()), *(f"every {each}" for each in spec.get("every", ()))]
    rules += [f"at {each}" for each in spec.get("at", ())]
    rules += [" ".join(f"{k}={v}" for k, v in each.items()) for each in spec.get("calendar", ())]
    return "; ".join(rules)


def _short(time: str | None) -> str:
    """Return a local time to the second, with its offset."""
    if time is None:
        return ""
    head, tail = time[:19].replace("T", " "), time[19:]
    return head + tail[tail.rfind("+") if "+" in tail else tail.rfind("-") :]


async def show_one(session: Session, schedule: str, *, ticks: int) -> int:
    """Show a schedule, its next ticks and its last ones."""
    async with session.reading() as app:
        view = await app.schedules.get(schedule)
        past = await app.schedules.ticks(schedule, limit=ticks) if ticks else ()
        coming = await app.schedules.preview(schedule, count=NEXT_SHOWN)
        engines = await live_engines(app)
    if session.as_json:
        emit_json({**msgspec.structs.asdict(view), "ticks": past, "preview": coming})
        return 0
    emit(f"{view.name} {view.schedule_id}: {view.status}")
    for name, value in _facts(view, coming):
        emit(f"  {name:<10}{value}")
    if view.status == "active":
        emit("")
        emit(_coming(coming))
    if past:
        emit("")
        heads = ("tick", "outcome", "kind", "run", "")
        emit(table(heads, [_past(tick) for tick in past]))
    if view.status == "active" and not engines:
        note("No process takes ticks of this store now. Start one: podium serve")
    return 0


def _facts(view: ScheduleView, coming: Preview) -> list[tuple[str, str]]:
    spec = view.spec
    facts = [
        ("workflow", " ".join(filter(None, (spec["workflow"], spec.get("version", ""))))),
        ("when", _when(spec)),
        ("meaning", "; ".join(coming.meaning)),
        ("zone", _zone(coming)),
        ("overlap", f"{spec['overlap']}, catch-up {spec['catch_up']}"),
        ("runs", f"{view.starts} started, {len(view.open_runs)} open {' '.join(view.open_runs)}"),
        ("held", view.held_at or ""),
        ("note", spec.get("note", "")),
        ("comment", view.comment),
        ("error", f"{view.error} ({view.failures} in a row)" if view.failures else ""),
    ]
    return [(name, value.strip()) for name, value in facts if value.strip()]


def _zone(preview: Preview) -> str:
    if preview.zones_agree:
        return preview.timezone
    return f"{preview.timezone} (this machine shows {preview.system_timezone})"


def _past(tick: TickView) -> tuple[Any, ...]:
    run = tick.run_id or ""
    return (_short(tick.local_time), tick.outcome, tick.kind, run, cut(tick.detail, 70))


async def preview_one(
    session: Session, line_or_name: str, *, count: int, given: Mapping[str, Any]
) -> int:
    """Show the next ticks of a cron line, of options, or of a schedule."""
    wishes = Wishes(**given)
    document = wishes.document()
    is_line = " " in line_or_name.strip() or line_or_name.startswith("@")
    if is_line:
        document["cron"] = [line_or_name]
    elif line_or_name and document:
        raise RequestError(
            f"The schedule {line_or_name!r} has its times; others cannot be added to a preview.",
            fix="Leave out the options, or the name.",
            code="PDM-R180",
        )
    async with session.reading() as app:
        shown = await app.schedules.preview(document if not line_or_name or is_line
                                            else line_or_name, count=count)  # fmt: skip
    if session.as_json:
        emit_json(shown)
        return 0
    for text in shown.meaning:
        emit(text)
    emit(f"zone {_zone(shown)}")
    emit(_coming(shown))
    return 0


def _coming(preview: Preview) -> str:
    if preview.zones_agree:
        rows = [(_short(each.local_time), each.note) for each in preview.ticks]
        return table(("next", ""), rows)
    return table(
        ("next", f"in {preview.system_timezone}", ""),
        [(_short(t.local_time), _short(t.system_time), t.note) for t in preview.ticks],
    )


# --- changing -----------------------------------------------------------------------------------


async def create_one(session: Session, wishes: Wishes) -> int:
    """Create a schedule."""
    async with session.reading() as app:
        document = await _published(session, app, wishes.document())
        view = await app.schedules.create(document)
        return await _tell(session, app, view, "is created")


async def update_one(session: Session, wishes: Wishes) -> int:
    """Change what was given of a schedule."""
    async with session.reading() as app:
        known = await app.schedules.get(wishes.name)
        given = wishes.document()
        # New times take the place of the old ones: nobody means both.
        times = {"cron", "every", "at", "calendar"}
        kept = {k: v for k, v in known.spec.items() if not (times & set(given) and k in times)}
        document = await _published(session, app, {**kept, **given, "name": known.name})
        view = await app.schedules.update(wishes.name, document, revision=known.revision)
        return await _tell(session, app, view, "is changed")


async def pause_one(session: Session, schedule: str, *, comment: str) -> int:
    """Pause a schedule."""
    async with session.reading() as app:
        view = await app.schedules.pause(schedule, comment=comment)
        return await _tell(session, app, view, "is paused")


async def resume_one(session: Session, schedule: str) -> int:
    """Resume a schedule."""
    async with session.reading() as app:
        view = await app.schedules.resume(schedule)
        return await _tell(session, app, view, "goes on")


async def remove_one(session: Session, schedule: str) -> int:
    """Delete a schedule."""
    async with session.reading() as app:
        view = await app.schedules.remove(schedule)
    if session.as_json:
        emit_json({"schedule_id": view.schedule_id, "name": view.name, "deleted": True})
    else:
        note(f"{view.name} is deleted; its runs stay.")
    return 0


async def _tell(session: Session, app: App, view: ScheduleView, what: str) -> int:
    if session.as_json:
        emit_json(view)
    else:
        coming = f"; next {_short(view.next_local)}" if view.status == "active" else ""
        note(f"{view.name} {view.schedule_id} {what}{coming}.")
    if view.status == "active" and not await live_engines(app):
        note("No process takes ticks of this store now. Start one: podium serve")
    return 0


async def apply_file(session: Session, file: Path, *, prune: bool, dry_run: bool) -> int:
    """Make schedules as a file declares them."""
    content = read_project_file(file, is_needed=file.name != PROJECT_FILE)
    declared = content.get("schedules")
    if not isinstance(declared, Mapping):
        raise RequestError(
            f"{str(file)!r} declares no schedules.",
            why="They stand under `schedules:`, by name.",
            fix='For example schedules: {nightly: {workflow: report, cron: "30 2 * * *"}}',
            code="PDM-R182",
        )
    async with session.reading() as app:
        changes = await app.schedules.apply(
            cast("Mapping[str, Any]", declared), prune=prune, dry_run=dry_run
        )
    if session.as_json:
        emit_json({"dry_run": dry_run, "changes": changes})
    else:
        for name, change in changes.items():
            emit(f"{change:<10}{name}")
    return 0


# --- starting -----------------------------------------------------------------------------------


async def trigger_one(session: Session, schedule: str, *, overlap: str | None, key: str) -> int:
    """Start a run now."""
    async with session.starting() as app:
        row = await app.schedules.trigger(
            schedule, overlap=Overlap(overlap) if overlap else None, idempotency_key=key
        )
        engines = await live_engines(app)
    if not engines:
        _continue_here(session)
    if session.as_json:
        status = "held" if row is None else RunStatus(row.status).label
        emit_json({"run_id": None if row is None else run_id(row.run_no), "status": status})
    elif row is None:
        note("The run starts when the open one has ended.")
    else:
        emit(run_id(row.run_no))
        note(f"Look at it: podium runs show {run_id(row.run_no)}")
    return 0


async def backfill_one(
    session: Session, schedule: str, *, start: str, end: str, dry_run: bool
) -> int:
    """Start what past ticks did not."""
    async with session.starting() as app:
        before = await app.schedules.backfill(schedule, start=start, end=end, dry_run=True)
        found = before
        if not dry_run:
            found = await app.schedules.backfill(schedule, start=start, end=end)
        engines = await live_engines(app)
    missing = sum(tick.run_id is None for tick in before)
    if missing and not dry_run and not engines:
        _continue_here(session)
    if session.as_json:
        emit_json({"dry_run": dry_run, "items": found})
        return 0
    if found:
        emit(table(("tick", "outcome", "kind", "run", ""), [_past(tick) for tick in found]))
    verb = "would be started" if dry_run else "are started"
    note(f"{len(found)} ticks; {missing} runs {verb}.")
    return 0


def _continue_here(session: Session) -> None:
    """Let a process in the background drive what nobody else would."""
    # Imported here: it brings the store.
    from podium.app import sqlite_path  # noqa: PLC0415

    url = session.settings.database_url
    pid, log = start_background(url, sqlite_path(url).parent)
    note(f"Process {pid} runs it in the background and writes to {log}.")
