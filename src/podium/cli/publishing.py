"""What `podium workflows` does: versions are immutable, `active` is a pointer."""

from pathlib import Path
from typing import Any

import msgspec

from podium.authoring.workflows import definition_of, diff_lines
from podium.cli.drawing import plan_lines
from podium.cli.loading import load, load_definition, missing_definition
from podium.cli.output import ago, emit, emit_json, note, table
from podium.cli.session import Session
from podium.core.cloudevents import rfc3339
from podium.core.outline import plan_document
from podium.ports.store import DefinitionRow

__all__ = ["compare", "list_all", "publish_one", "roll_back", "show_one", "take_out"]


async def list_all(session: Session, name: str) -> int:
    """List active versions, or all of one workflow."""
    async with session.reading() as app:
        rows = await app.workflows.versions(name) if name else await app.workflows.list()
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


async def show_one(session: Session, name: str, version: str) -> int:
    """Show a version: its plan, and its definition for programs."""
    async with session.reading() as app:
        row = await app.workflows.get(name, version)
    workflow = definition_of(row)
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
        row = await app.workflows.publish(workflow, activate=activate)
    if session.as_json:
        emit_json(_document(row))
        return 0
    state = "active" if row.active else "recorded, not active"
    note(f"{row.name} version {row.number} ({row.def_hash[:12]}) is {state}.")
    return 0


async def compare(session: Session, name: str, old: str, new: str, path: Path | None) -> int:
    """Print the differences of two versions as a unified diff of their canonical form."""
    async with session.reading() as app:
        if path is None:
            lines = await app.workflows.diff(name, old, new)
        else:
            first = await app.workflows.get(name, old)
            body = load_definition(path, session.settings)[0].canonical()
            lines = diff_lines(first.body, body, f"{name} {first.number}", str(path))
    if session.as_json:
        emit_json({"name": name, "equal": not lines, "diff": lines})
        return 0
    emit("\n".join(lines)) if lines else note("They are equal.")
    return 0


async def roll_back(session: Session, name: str, version: str) -> int:
    """Point the name at an older version."""
    async with session.reading() as app:
        row = await app.workflows.activate(name, version)
    if session.as_json:
        emit_json(_document(row))
        return 0
    note(f"New runs of {name} take version {row.number} ({row.def_hash[:12]}).")
    return 0


async def take_out(session: Session, name: str) -> int:
    """Take a workflow out of use."""
    async with session.reading() as app:
        await app.workflows.deactivate(name)
    if session.as_json:
        emit_json({"name": name, "active": False})
        return 0
    note(f"Nothing new is started of {name}. Back: podium workflows rollback {name} VERSION")
    return 0
