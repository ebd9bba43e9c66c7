"""What `podium workflows` does: versions are immutable, `active` is a pointer."""

import difflib
from pathlib import Path
from typing import Any, Final

import msgspec

from podium.authoring.client import App
from podium.cli.drawing import plan_document, plan_lines
from podium.cli.loading import load, load_definition, missing_definition
from podium.cli.output import ago, emit, emit_json, note, table
from podium.cli.session import Session
from podium.core.cloudevents import rfc3339
from podium.core.definition import Workflow
from podium.errors import NotFoundError, did_you_mean
from podium.ports.store import DefinitionRow

__all__ = ["compare", "list_all", "publish_one", "roll_back", "show_one"]

_WORKFLOW: Final = msgspec.json.Decoder(Workflow)


async def list_all(session: Session, name: str) -> int:
    """List active versions, or all of one workflow."""
    async with session.reading() as app:
        rows = await app.engine.store.definitions(name)
        if name and not rows:
            raise await _unknown(app, name, "")
        now_us = app.engine.store.now_us()
    if session.as_json:
        emit_json({"items": [_document(row) for row in rows], "next_cursor": None})
        return 0
    if not rows:
        note("No workflow is published in this store.")
        return 0
    lines = [
        (row.name, row.number, row.label, row.def_hash[:12], "active" if row.active else "",
         ago(row.created_us or None, now_us))
        for row in rows
    ]  # fmt: skip
    emit(table(("workflow", "version", "label", "hash", "", "published"), lines))
    return 0


def _document(row: DefinitionRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "number": row.number,
        "label": row.label,
        "version": row.def_hash,
        "active": row.active,
        "created_at": rfc3339(row.created_us) if row.created_us else None,
    }


async def _find(app: App, name: str, version: str) -> DefinitionRow:
    row = await app.engine.store.definition(name, version)
    if row is None:
        raise await _unknown(app, name, version)
    return row


async def _unknown(app: App, name: str, version: str) -> NotFoundError:
    versions = await app.engine.store.definitions(name)
    if not versions:
        known = [row.name for row in await app.engine.store.definitions()]
        what = f"The workflow {name!r} is not published in this store."
        return NotFoundError(what, fix=did_you_mean(name, known, what="workflow"), code="PDM-R406")
    listed = [f"{row.number} ({row.label or row.def_hash[:12]})" for row in versions[:10]]
    return NotFoundError(
        f"The workflow {name!r} has no version {version!r}.",
        fix=f"Known: {', '.join(listed)}.",
        code="PDM-R406",
    )


async def show_one(session: Session, name: str, version: str) -> int:
    """Show a version: its plan, and its definition for programs."""
    async with session.reading() as app:
        row = await _find(app, name, version)
    workflow = _WORKFLOW.decode(row.body)
    if session.as_json:
        definition = msgspec.json.decode(row.body)
        emit_json({**_document(row), "definition": definition, "plan": plan_document(workflow)})
        return 0
    state = "active" if row.active else "not active"
    note(f"{row.name} version {row.number} {row.label} {row.def_hash[:12]} ({state})")
    emit("\n".join(plan_lines(workflow)))
    return 0


async def publish_one(session: Session, target: str, *, activate: bool) -> int:
    """Publish a definition; the same content again changes nothing but the pointer."""
    workflow = load(target, session.settings).definition
    if workflow is None:
        raise missing_definition(target)
    async with session.reading() as app:
        await app.engine.registry.publish(workflow, activate=activate)
        row = await _find(app, workflow.name, workflow.content_hash)
    if session.as_json:
        emit_json(_document(row))
        return 0
    state = "active" if row.active else "recorded, not active"
    note(f"{row.name} version {row.number} ({row.def_hash[:12]}) is {state}.")
    return 0


async def compare(session: Session, name: str, old: str, new: str, path: Path | None) -> int:
    """Print the differences of two versions as a unified diff of their canonical form."""
    async with session.reading() as app:
        first = await _find(app, name, old)
        if path is not None:
            second = load_definition(path, session.settings)[0].canonical()
            label = str(path)
        else:
            row = await _find(app, name, new)
            second, label = row.body, f"{name} {row.number}"
    before, after = _pretty(first.body), _pretty(second)
    lines = list(difflib.unified_diff(before, after, f"{name} {first.number}", label, lineterm=""))
    if session.as_json:
        emit_json({"name": name, "equal": not lines, "diff": lines})
        return 0
    emit("\n".join(lines)) if lines else note("They are equal.")
    return 0


def _pretty(body: bytes) -> list[str]:
    return msgspec.json.format(body, indent=2).decode().splitlines()


async def roll_back(session: Session, name: str, version: str) -> int:
    """Point the name at an older version."""
    async with session.reading() as app:
        row = await _find(app, name, version)
        await app.engine.store.publish(row, activate=True)
        row = await _find(app, name, row.def_hash)
    if session.as_json:
        emit_json(_document(row))
        return 0
    note(f"New runs of {name} take version {row.number} ({row.def_hash[:12]}).")
    return 0
