"""What organizations, keys and the audit log need from a store; a part of the `Store` port.

A change and its line in the audit log are one transaction: neither is ever there alone. Keys
are never deleted, so that one that was revoked can be told from one that never was.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from podium.core.access import AuditEntry, AuditRow

__all__ = ["Access", "KeyRow", "OrganizationRow"]


class OrganizationRow(msgspec.Struct, frozen=True, kw_only=True):
    """Whom runs, keys and audit logs belong to."""

    slug: str
    title: str = ""
    created_us: int = 0


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key, without its secret."""

    key_id: str
    organization: str
    role: str
    """`core.access.Role`."""
    name: str
    hash: str
    hint: str
    created_us: int
    created_by: str = ""
    expires_us: int | None = None
    last_used_us: int | None = None
    revoked_us: int | None = None
    revoked_by: str = ""
    successor: str = ""
    """The id of the key it was rotated to."""
    version: int = 0
    """Grows over all keys with each change but `last_used_us`; given by the store."""


class Access(Protocol):
    """See the module docstring."""

    async def add_organization(self, row: OrganizationRow, entry: AuditEntry) -> bool:
        """Add an organization; return False, and change nothing, if the slug is known."""

    async def organizations(self) -> Sequence[OrganizationRow]:
        """Return all organizations by slug."""

    async def add_key(self, row: KeyRow, entry: AuditEntry) -> bool:
        """Add a key; return False, and change nothing, if its hash is known."""

    async def rotate_key(
        self, key_id: str, successor: KeyRow, *, expires_us: int, entry: AuditEntry
    ) -> bool:
        """Add `successor` and let the old key live until `expires_us` at the latest.

        Return False, and change nothing, if the key is unknown, revoked or was rotated before.
        """

    async def revoke_key(self, key_id: str, *, at_us: int, entry: AuditEntry) -> bool:
        """End a key for good; return False, and change nothing, if it is unknown or revoked."""

    async def touch_keys(self, used: Mapping[str, int]) -> None:
        """Note when keys were last used, by their ids; a time before the known one is ignored."""

    async def key(self, key_id: str) -> KeyRow | None:
        """Return one key."""

    async def keys(
        self, *, organization: str = "", after: str = "", limit: int = 100
    ) -> Sequence[KeyRow]:
        """Return keys by id, those after `after`; of one organization, or of all."""

    async def keys_changed(self, version: int) -> Sequence[KeyRow]:
        """Return keys whose version is above `version`, in its order."""

    async def append_audit(self, entries: Sequence[AuditEntry]) -> Sequence[AuditRow]:
        """Append to the chains of the entries' organizations, in order; durable on return."""

    async def audit(
        self, organization: str, *, after: int = 0, limit: int = 100
    ) -> Sequence[AuditRow]:
        """Return the rows of a chain with `seq > after`, oldest first."""

    async def audit_latest(
        self, organization: str, *, before: int | None = None, limit: int = 100
    ) -> Sequence[AuditRow]:
        """Return the rows of a chain with `seq < before`, newest first."""

    async def audit_head(self, organization: str) -> tuple[int, str]:
        """Return sequence and hash that the end of a chain should have, kept beside it."""

    async def audited(self) -> Sequence[str]:
        """Return the organizations that have an audit log."""
