"""What `podium runs list`, `show`, `explain` and `events` print; nothing here changes a run."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from podium.authoring.client import App
from podium.cli.output import ago, cut, duration, emit, emit_json, moment, note, styled, table
from podium.cli.report import cost_text, error_lines, error_view, step_document
from podium.cli.session import Session
from podium.cli.verbs import Choice, run_filter
from podium.core.budgets import dollars
from podium.core.charges import NANO
from podium.core.cloudevents import CloudEvent, Translator, rfc3339
from podium.core.ids import parse_run_id, run_id
from podium.core.states import RunStatus
from podium.ports.store import RunRow
from podium.runtime.explain import explain_run
from podium.runtime.views import RunView, StepView, view_run

__all__ = ["explain_one", "list_all", "print_events", "run_row_document", "show_one"]

PAGE: Final = 500
LOOK_EVERY_S: Final = 0.2
HIDDEN_LABELS: Final = "podium."


async def list_all(session: Session, choice: Choice, *, limit: int, cursor: str | None) -> int:
    """List runs, newest first."""
    before = None if cursor is None else parse_run_id(cursor)
    where = run_filter(choice)
    async with session.reading() as app:
        rows = await app.engine.store.runs(where, limit=limit, before=before)
        now_us = app.engine.store.now_us()
        costs = await _costs(app, rows)
    more = run_id(rows[-1].run_no) if len(rows) == limit else None
    if session.as_json:
        items = [run_row_document(row, costs.get(row.run_no, 0)) for row in rows]
        emit_json({"items": items, "next_cursor": more})
        return 0
    if not rows:
        note(f"No such runs in {session.settings.database_url}.")
        return 0
    heads = ["run", "workflow", "status", "done", "started", "took", ""]
    lines = _lines(rows, now_us)
    if costs:
        heads.insert(6, "cost")
        for row, line in zip(rows, lines, strict=True):
            line.insert(6, dollars(costs[row.run_no]) if row.run_no in costs else "")
    emit(table(heads, lines))
    if more is not None:
        note(f"More: podium runs list --cursor {more}")
    return 0


async def _costs(app: App, rows: Sequence[RunRow]) -> dict[int, int]:
    """Return what runs have cost, child runs included; nothing for those that called no model."""
    found = await app.engine.store.spending([row.run_no for row in rows])
    return {run_no: spent.cost_nano for run_no, spent in found.items()}


def _lines(rows: Any, now_us: int) -> list[list[str]]:
    return [
        [
            run_id(row.run_no),
            row.workflow,
            RunStatus(row.status).label,
            _done(row),
            ago(row.created_us, now_us),
            duration((row.ended_us or now_us) - row.created_us),
            row.reason,
        ]
        for row in rows
    ]


def _done(row: RunRow) -> str:
    """Return how many steps are done; rows count them when the run changes its status."""
    if RunStatus(row.status) is RunStatus.RUNNING:
        return ""
    failed = f" ({row.steps_failed} failed)" if row.steps_failed else ""
    return f"{row.steps_done}{failed}"


def run_row_document(row: RunRow, cost_nano: int = 0) -> dict[str, Any]:
    """Return a run as lists give it to programs."""
    return {
        "run_id": run_id(row.run_no),
        "workflow": row.workflow,
        "version": row.def_hash[:12],
        "status": RunStatus(row.status).label,
        "reason": row.reason,
        "generation": row.generation,
        "labels": _labels(row.labels),
        "idempotency_key": row.idempotency_key,
        "created_at": rfc3339(row.created_us),
        "started_at": rfc3339(row.started_us) if row.started_us else None,
        "ended_at": rfc3339(row.ended_us) if row.ended_us else None,
        "steps_done": row.steps_done,
        "steps_failed": row.steps_failed,
        "steps_open": row.steps_open,
        "cost_usd": cost_nano / NANO,
        "parent_run_id": run_id(row.parent_run) if row.parent_run else None,
        "forked_from": run_id(row.forked_from) if row.forked_from else None,
    }


def _labels(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels a person gave; ours are how a run finds its code again."""
    return {name: value for name, value in labels.items() if not name.startswith(HIDDEN_LABELS)}


async def show_one(session: Session, run: str, *, limit: int) -> int:
    """Show one run with its steps."""
    async with session.reading() as app:
        view = await view_run(app.engine, parse_run_id(run))
        now_us = app.engine.store.now_us()
        why = await explain_run(app.engine, parse_run_id(run))
    if session.as_json:
        emit_json(_document(view))
        return 0
    emit(_head(view, now_us))
    if view.error is not None:
        emit(error_lines(view.error))
    elif view.status != RunStatus.COMPLETED.label:
        emit(why.sentence + (f"\n{why.fix}" if why.fix else ""))
    shown = _telling(view.steps, limit)
    if shown:
        emit("")
        emit(table(("step", "status", "tries", "took", ""), [_row(step, now_us) for step in shown]))
    if len(shown) < len(view.steps):
        note(f"… {len(view.steps) - len(shown)} more steps: --steps N, or --json")
    return 0


def _document(view: RunView) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(view)
    document["error"] = None if view.error is None else error_view(view.error)
    document["cost_usd"] = document.pop("cost_nano") / NANO
    document["labels"] = _labels(view.labels)
    outputs = {step.path: step.output for step in view.steps if step.output is not None}
    steps: list[dict[str, Any]] = []
    for step in view.steps:
        entry = step_document(step)
        if step.path in outputs:
            entry["output"] = outputs[step.path]
        steps.append(entry)
    document["steps"] = steps
    return document


def _head(view: RunView, now_us: int) -> str:
    took = duration((view.ended_us or now_us) - view.created_us)
    reason = f" ({view.reason})" if view.reason else ""
    lines = [
        f"{styled(view.run_id, 'bold')}  {view.workflow} {view.version}  {view.status}{reason}",
        f"started {moment(view.created_us)}, took {took}",
    ]
    if view.input:
        text = msgspec.json.encode(view.input, enc_hook=str).decode()
        lines.append(f"input   {cut(text, 100)}")
    if view.output is not None:
        text = msgspec.json.encode(view.output, enc_hook=str).decode()
        lines.append(f"output  {cut(text, 100)}")
    if view.calls:
        lines.append(f"cost    {cost_text(view)}")
    for word, other in (("parent", view.parent_run_id), ("fork of", view.forked_from)):
        if other:
            lines.append(f"{word:7} {other}")
    return "\n".join(lines)


def _telling(steps: list[StepView], limit: int) -> list[StepView]:
    """Return at most `limit` steps; of too many, those that are not simply done come first."""
    if len(steps) <= limit:
        return steps
    order = sorted(range(len(steps)), key=lambda at: (steps[at].status == "completed", at))
    return [steps[at] for at in sorted(order[:limit])]


def _row(step: StepView, now_us: int) -> tuple[str, ...]:
    end = step.ended_us or (now_us if step.status == "running" else None)
    took = duration(end - step.started_us) if end and step.started_us else ""
    parts: list[str] = []
    if step.items is not None and step.kind == "map":
        parts.append(f"{(step.items_done or 0) + (step.items_failed or 0)}/{step.items} items")
        if step.items_failed:
            parts.append(f"{step.items_failed} failed")
    if step.cost_nano:
        parts.append(dollars(step.cost_nano))
    if step.child_run_id:
        parts.append(step.child_run_id)
    if step.error is not None:
        parts.append(cut(step.error.message, 70))
    elif step.reason:
        parts.append(step.reason)
    return step.path, step.status, str(step.attempts or ""), took, ", ".join(parts)


async def explain_one(session: Session, run: str) -> int:
    """Say why a run is where it is."""
    async with session.reading() as app:
        found = await explain_run(app.engine, parse_run_id(run))
    if session.as_json:
        emit_json(found)
        return 0
    emit(f"{found.run_id} is {found.status}. {found.sentence}")
    if found.fix:
        emit(found.fix)
    return 0


async def print_events(session: Session, run: str, *, after: int, follow: bool) -> int:
    """Print the journal of a run, as lines of text or of JSON."""
    run_no = parse_run_id(run)
    async with session.reading() as app:
        row = await app.run(run).row()
        plan = await app.engine.registry.plan(row.def_hash)
        translator = Translator(run_no, is_code=plan.is_code)
        while True:
            await _print_new(app, translator, run_no, after, as_json=session.as_json)
            if not follow or not translator.state.status.is_open:
                return 0
            await asyncio.sleep(LOOK_EVERY_S)


async def _print_new(
    app: App, translator: Translator, run_no: int, after: int, *, as_json: bool
) -> None:
    while True:
        page = await app.engine.store.events(run_no, after=translator.seq, limit=PAGE)
        for record in page:
            for event in translator.take_body(record.first_seq, record.body):
                if event.sequence > after:
                    print(_json(event) if as_json else event_line(event))
        sys.stdout.flush()
        if len(page) < PAGE:
            return


def _json(event: CloudEvent) -> str:
    return msgspec.json.encode(event).decode()


def event_line(event: CloudEvent) -> str:
    """Return an event as one line for a person."""
    data = dict(event.data)
    error = data.pop("error", None)
    for known in ("step_record_id", "status", "kind"):
        data.pop(known, None)
    parts = [f"{name}={value}" for name, value in data.items()]
    if error is not None:
        parts.append(cut(f"{error['kind']}: {error['message']}", 80))
    kind = event.type.removeprefix("orchestration.")
    # Whoever looks at the events of one run need not read its id in each of them.
    subject = "" if kind.startswith("run.") else event.subject
    line = f"{event.sequence:>5}  {event.time[11:23]}  {kind:<24} {subject}"
    return f"{line}  {' '.join(parts)}".rstrip()
