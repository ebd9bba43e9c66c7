"""Organizations, keys and the audit log: a change and its line are one transaction."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from podium.adapters.sqlite import reads
from podium.adapters.sqlite.database import Database, Reader, Values
from podium.adapters.sqlite.parts import Part
from podium.core.access import CHAIN_START, AuditEntry, AuditRow, chained
from podium.ports.access import Access, KeyRow, OrganizationRow

__all__ = ["AccessPart"]

SEQ_MAX: Final = (1 << 63) - 1


def _organization(values: Values) -> OrganizationRow:
    return OrganizationRow(**_named(OrganizationRow, values))


def _key(values: Values) -> KeyRow:
    return KeyRow(**_named(KeyRow, values))


def _audit(values: Values) -> AuditRow:
    return AuditRow(**_named(AuditRow, values))


def _named(kind: type[msgspec.Struct], values: Values) -> dict[str, Any]:
    return dict(zip(kind.__struct_fields__, values, strict=True))


# --- writing ------------------------------------------------------------------------------------


def _append(db: Database, entries: Sequence[AuditEntry]) -> list[AuditRow]:
    """Continue the chains of the entries within a transaction."""
    heads: dict[str, tuple[int, str]] = {}
    rows: list[AuditRow] = []
    for entry in entries:
        seq, previous = heads.get(entry.organization) or _head(db, entry.organization)
        row = chained(entry, seq=seq + 1, previous=previous)
        heads[entry.organization] = (row.seq, row.hash)
        rows.append(row)
    db.write("audit_append", [msgspec.structs.astuple(row) for row in rows])
    db.write("audit_head_put", [(slug, *head) for slug, head in heads.items()])
    return rows


def _head(db: Reader, organization: str) -> tuple[int, str]:
    found = db.one("audit_head", (organization,))
    return (0, CHAIN_START) if found is None else (found[0], found[1])


def _changed(db: Database, name: str, values: Values, entry: AuditEntry) -> bool:
    """Run a guarded statement, and if it changed anything, append its line."""
    if not db.changes(name, values):
        return False
    _append(db, [entry])
    return True


def _add(db: Database, name: str, row: msgspec.Struct, entry: AuditEntry) -> bool:
    with db.transaction():
        return _changed(db, name, msgspec.structs.astuple(row), entry)


def _rotate(
    db: Database, key_id: str, successor: KeyRow, expires_us: int, entry: AuditEntry
) -> bool:
    with db.transaction() as transaction:
        is_done = _changed(
            db, "key_retire", (key_id, successor.key_id, expires_us), entry
        ) and db.changes("key_insert", msgspec.structs.astuple(successor))
        if not is_done:
            transaction.roll_back()
    return bool(is_done)


def _revoke(db: Database, key_id: str, at_us: int, entry: AuditEntry) -> bool:
    with db.transaction():
        return _changed(db, "key_revoke", (key_id, at_us, entry.by), entry)


def _touch(db: Database, used: Mapping[str, int]) -> None:
    with db.transaction():
        db.write("key_touch", list(used.items()))


def _append_alone(db: Database, entries: Sequence[AuditEntry]) -> list[AuditRow]:
    with db.transaction():
        return _append(db, entries)


class AccessPart(Part, Access):
    """The methods of `Access` on a SQLite file."""

    async def add_organization(self, row: OrganizationRow, entry: AuditEntry) -> bool:
        """See `Access.add_organization`."""
        return await self._write(partial(_add, name="organization_insert", row=row, entry=entry))

    async def organizations(self) -> Sequence[OrganizationRow]:
        """See `Access.organizations`."""
        return await self._read(reads.listing, "organizations", (), _organization)

    async def add_key(self, row: KeyRow, entry: AuditEntry) -> bool:
        """See `Access.add_key`."""
        return await self._write(partial(_add, name="key_insert", row=row, entry=entry))

    async def rotate_key(
        self, key_id: str, successor: KeyRow, *, expires_us: int, entry: AuditEntry
    ) -> bool:
        """See `Access.rotate_key`."""
        work = partial(_rotate, key_id=key_id, successor=successor)
        return await self._write(partial(work, expires_us=expires_us, entry=entry))

    async def revoke_key(self, key_id: str, *, at_us: int, entry: AuditEntry) -> bool:
        """See `Access.revoke_key`."""
        return await self._write(partial(_revoke, key_id=key_id, at_us=at_us, entry=entry))

    async def touch_keys(self, used: Mapping[str, int]) -> None:
        """See `Access.touch_keys`."""
        await self._write(partial(_touch, used=used))

    async def key(self, key_id: str) -> KeyRow | None:
        """See `Access.key`."""
        return await self._read(reads.first, "key", (key_id,), _key)

    async def keys(
        self, *, organization: str = "", after: str = "", limit: int = 100
    ) -> Sequence[KeyRow]:
        """See `Access.keys`."""
        return await self._read(reads.listing, "keys", (organization, after, limit), _key)

    async def keys_changed(self, version: int) -> Sequence[KeyRow]:
        """See `Access.keys_changed`."""
        return await self._read(reads.listing, "keys_changed", (version,), _key)

    async def append_audit(self, entries: Sequence[AuditEntry]) -> Sequence[AuditRow]:
        """See `Access.append_audit`."""
        return await self._write(partial(_append_alone, entries=entries))

    async def audit(
        self, organization: str, *, after: int = 0, limit: int = 100
    ) -> Sequence[AuditRow]:
        """See `Access.audit`."""
        return await self._read(reads.listing, "audit", (organization, after, limit), _audit)

    async def audit_latest(
        self, organization: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[AuditRow]:
        """See `Access.audit_latest`."""
        values = (organization, SEQ_MAX if before is None else before, limit)
        return await self._read(reads.listing, "audit_latest", values, _audit)

    async def audit_head(self, organization: str) -> tuple[int, str]:
        """See `Access.audit_head`."""
        return await self._read(_head, organization)

    async def audited(self) -> Sequence[str]:
        """See `Access.audited`."""
        return await self._read(reads.listing, "audited", (), lambda values: str(values[0]))
