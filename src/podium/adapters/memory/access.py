"""Organizations, keys and the audit log of the reference store: dicts and lists."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from podium.core.access import CHAIN_START, AuditEntry, AuditRow, chained
from podium.ports.access import Access, KeyRow, OrganizationRow

__all__ = ["AccessPart", "MemoryAccess"]

R = TypeVar("R")


class MemoryAccess:
    """The tables; every method applies whole or changes nothing."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        self.organizations: dict[str, OrganizationRow] = {}
        self.keys: dict[str, KeyRow] = {}
        self.chains: dict[str, list[AuditRow]] = {}

    def add_organization(self, row: OrganizationRow, entry: AuditEntry) -> bool:
        """Add an organization that is not there yet."""
        if row.slug in self.organizations:
            return False
        self.organizations[row.slug] = row
        self.append([entry])
        return True

    def add_key(self, row: KeyRow, entry: AuditEntry) -> bool:
        """Add a key whose hash is not there yet."""
        if row.hash in {known.hash for known in self.keys.values()}:
            return False
        self._put(row)
        self.append([entry])
        return True

    def rotate_key(
        self, key_id: str, successor: KeyRow, expires_us: int, entry: AuditEntry
    ) -> bool:
        """Add the successor of a key that has none."""
        old = self.keys.get(key_id)
        if old is None or old.revoked_us is not None or old.successor:
            return False
        if not self.add_key(successor, entry):
            return False
        until_us = expires_us if old.expires_us is None else min(old.expires_us, expires_us)
        self._put(replace(old, successor=successor.key_id, expires_us=until_us))
        return True

    def revoke_key(self, key_id: str, at_us: int, entry: AuditEntry) -> bool:
        """End a key."""
        old = self.keys.get(key_id)
        if old is None or old.revoked_us is not None:
            return False
        self._put(replace(old, revoked_us=at_us, revoked_by=entry.by))
        self.append([entry])
        return True

    def _put(self, row: KeyRow) -> None:
        newest = max((known.version for known in self.keys.values()), default=0)
        self.keys[row.key_id] = replace(row, version=newest + 1)

    def touch(self, used: Mapping[str, int]) -> None:
        """Note uses."""
        for key_id, at_us in used.items():
            old = self.keys.get(key_id)
            if old is not None:
                last_us = max(old.last_used_us or at_us, at_us)
                self.keys[key_id] = replace(old, last_used_us=last_us)

    def append(self, entries: Sequence[AuditEntry]) -> list[AuditRow]:
        """Continue the chains."""
        rows: list[AuditRow] = []
        for entry in entries:
            chain = self.chains.setdefault(entry.organization, [])
            previous = chain[-1].hash if chain else CHAIN_START
            chain.append(chained(entry, seq=len(chain) + 1, previous=previous))
            rows.append(chain[-1])
        return rows


class AccessPart(Access, ABC):
    """The methods of `Access` on a shared database in memory."""

    access: MemoryAccess

    @abstractmethod
    async def _perform(self, name: str, work: Callable[[], R]) -> R:
        """Do `work` the way the fault for this call says."""

    @abstractmethod
    async def _read(self, name: str, work: Callable[[], R]) -> R:
        """The same, for a read."""

    async def _change(self, name: str, work: Callable[[], R]) -> R:
        def change() -> R:
            self.access.changed()
            return work()

        return await self._perform(name, change)

    async def add_organization(self, row: OrganizationRow, entry: AuditEntry) -> bool:
        """See `Access.add_organization`."""
        return await self._change(
            "add_organization", lambda: self.access.add_organization(row, entry)
        )

    async def organizations(self) -> Sequence[OrganizationRow]:
        """See `Access.organizations`."""
        rows = self.access.organizations
        return await self._read("organizations", lambda: [rows[slug] for slug in sorted(rows)])

    async def add_key(self, row: KeyRow, entry: AuditEntry) -> bool:
        """See `Access.add_key`."""
        return await self._change("add_key", lambda: self.access.add_key(row, entry))

    async def rotate_key(
        self, key_id: str, successor: KeyRow, *, expires_us: int, entry: AuditEntry
    ) -> bool:
        """See `Access.rotate_key`."""
        access = self.access
        return await self._change(
            "rotate_key", lambda: access.rotate_key(key_id, successor, expires_us, entry)
        )

    async def revoke_key(self, key_id: str, *, at_us: int, entry: AuditEntry) -> bool:
        """See `Access.revoke_key`."""
        return await self._change(
            "revoke_key", lambda: self.access.revoke_key(key_id, at_us, entry)
        )

    async def touch_keys(self, used: Mapping[str, int]) -> None:
        """See `Access.touch_keys`."""
        await self._perform("touch_keys", lambda: self.access.touch(used))

    async def key(self, key_id: str) -> KeyRow | None:
        """See `Access.key`."""
        return await self._read("key", lambda: self.access.keys.get(key_id))

    async def keys(
        self, *, organization: str = "", after: str = "", limit: int = 100
    ) -> Sequence[KeyRow]:
        """See `Access.keys`."""

        def find() -> list[KeyRow]:
            rows = [row for _, row in sorted(self.access.keys.items()) if row.key_id > after]
            return [row for row in rows if organization in {"", row.organization}][:limit]

        return await self._read("keys", find)

    async def keys_changed(self, version: int) -> Sequence[KeyRow]:
        """See `Access.keys_changed`."""

        def find() -> list[KeyRow]:
            rows = [row for row in self.access.keys.values() if row.version > version]
            return sorted(rows, key=lambda row: row.version)

        return await self._read("keys_changed", find)

    async def append_audit(self, entries: Sequence[AuditEntry]) -> Sequence[AuditRow]:
        """See `Access.append_audit`."""
        return await self._change("append_audit", lambda: self.access.append(entries))

    async def audit(
        self, organization: str, *, after: int = 0, limit: int = 100
    ) -> Sequence[AuditRow]:
        """See `Access.audit`."""
        chain = self.access.chains.get(organization, [])
        return await self._read("audit", lambda: [r for r in chain if r.seq > after][:limit])

    async def audit_latest(
        self, organization: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[AuditRow]:
        """See `Access.audit_latest`."""
        chain = self.access.chains.get(organization, [])
        older = [row for row in reversed(chain) if before is None or row.seq < before]
        return await self._read("audit_latest", lambda: older[:limit])

    async def audit_head(self, organization: str) -> tuple[int, str]:
        """See `Access.audit_head`."""
        chain = self.access.chains.get(organization, [])
        head = (chain[-1].seq, chain[-1].hash) if chain else (0, CHAIN_START)
        return await self._read("audit_head", lambda: head)

    async def audited(self) -> Sequence[str]:
        """See `Access.audited`."""
        return await self._read("audited", lambda: sorted(self.access.chains))
