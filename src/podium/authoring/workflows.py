"""Published definitions: versions are immutable, and `active` is a pointer to one of them."""

import difflib
from collections.abc import Sequence
from typing import Final

import msgspec

from podium.authoring.auditing import Audit
from podium.core.definition import Workflow
from podium.errors import NotFoundError, did_you_mean
from podium.ports.store import DefinitionRow
from podium.runtime.engine import Engine

__all__ = ["Workflows", "definition_of", "diff_lines"]

LISTED_MAX: Final = 10

_WORKFLOW: Final = msgspec.json.Decoder(Workflow)


def definition_of(row: DefinitionRow) -> Workflow:
    """Return the definition that a row keeps."""
    return _WORKFLOW.decode(row.body)


class Workflows:
    """What one organization has published; what others have does not exist for it."""

    def __init__(self, engine: Engine, organization: str, audit: Audit) -> None:
        self._engine = engine
        self._organization = organization
        self._audit = audit

    async def list(self) -> Sequence[DefinitionRow]:
        """Return the active version of every workflow."""
        return await self._engine.store.definitions(self._organization)

    async def versions(self, name: str) -> Sequence[DefinitionRow]:
        """Return all versions of a workflow, newest first; raises `NotFoundError`."""
        rows = await self._engine.store.definitions(self._organization, name)
        if not rows:
            raise await self._unknown(name, "")
        return rows

    async def get(self, name: str, version: str = "") -> DefinitionRow:
        """Return a version by number, label or hash, the active one by default."""
        row = await self._engine.store.definition(self._organization, name, version)
        if row is None:
            raise await self._unknown(name, version)
        return row

    async def publish(self, workflow: Workflow, *, activate: bool = True) -> DefinitionRow:
        """Record a version and let new runs take it if `activate`.

        The same content again is the same version: only the pointer may move.
        """
        plan = self._engine.registry.compile(workflow)
        row = DefinitionRow(
            name=workflow.name,
            organization=self._organization,
            def_hash=plan.def_hash,
            label=workflow.label,
            body=workflow.canonical(),
            created_us=self._engine.store.now_us(),
        )
        await self._engine.store.publish(row, activate=activate)
        facts = {"version": plan.def_hash[:12], "active": activate}
        await self._audit.record("workflow.publish", workflow.name, detail=facts)
        return await self.get(workflow.name, plan.def_hash)

    async def activate(self, name: str, version: str) -> DefinitionRow:
        """Let new runs take `version`, such as an older one; runs under way keep theirs."""
        row = await self.get(name, version)
        await self._engine.store.publish(row, activate=True)
        facts = {"version": row.def_hash[:12], "number": row.number}
        await self._audit.record("workflow.activate", name, detail=facts)
        return await self.get(name, row.def_hash)

    async def deactivate(self, name: str) -> None:
        """Take a workflow out of use: nothing new is started of it until a version is active.

        Runs under way go on, and `activate` or `publish` brings it back. Raises `NotFoundError`.
        """
        await self.versions(name)
        await self._engine.registry.deactivate(name, organization=self._organization)
        await self._audit.record("workflow.deactivate", name)

    async def diff(self, name: str, old: str, new: str = "") -> Sequence[str]:
        """Return what differs between two versions, as lines of a unified diff; none if equal."""
        first, second = await self.get(name, old), await self.get(name, new)
        titles = (f"{name} {first.number}", f"{name} {second.number}")
        return diff_lines(first.body, second.body, *titles)

    async def _unknown(self, name: str, version: str) -> NotFoundError:
        store = self._engine.store
        versions = await store.definitions(self._organization, name)
        if not versions:
            known = [row.name for row in await store.definitions(self._organization)]
            return NotFoundError(
                f"The workflow {name!r} is not published in this store.",
                fix=did_you_mean(name, known, what="workflow"),
                code="PDM-R406",
            )
        listed = [f"{each.number} ({each.label or each.def_hash[:12]})" for each in versions]
        return NotFoundError(
            f"The workflow {name!r} has no version {version!r}.",
            fix=f"Known: {', '.join(listed[:LISTED_MAX])}.",
            code="PDM-R406",
        )


def diff_lines(old: bytes, new: bytes, old_title: str, new_title: str) -> Sequence[str]:
    """Return what differs between two canonical forms; none if they are equal."""
    lines = difflib.unified_diff(_pretty(old), _pretty(new), old_title, new_title, lineterm="")
    return list(lines)


def _pretty(body: bytes) -> list[str]:
    return msgspec.json.format(body, indent=2).decode().splitlines()
