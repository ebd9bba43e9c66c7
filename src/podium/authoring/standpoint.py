"""From where an app looks: one organization over the network, all of them at the terminal.

What belongs to another organization does not exist from there.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from podium.core.access import AuditEntry
from podium.errors import NotFoundError, RequestError, did_you_mean
from podium.ports.store import Store
from podium.runtime.auditing import Auditor
from podium.runtime.engine import Engine
from podium.runtime.keyring import KeyRing

__all__ = ["AccessDesk", "Facet", "Standpoint", "check_name", "unknown_organization"]

NAME_MAX: Final = 200


class Standpoint(msgspec.Struct, frozen=True, kw_only=True):
    """From where an app looks, and for whom it acts."""

    home: str
    """The organization of this process; whoever administers it operates the installation."""
    scope: str = ""
    """The only organization that is visible; "" for the local operator, who sees all."""
    by: str = ""
    via: str = ""
    """`http`, `cli` or `server`; "" for a program of its own, which keeps no audit log."""
    key_id: str = ""
    request_id: str = ""

    def sees(self, organization: str) -> bool:
        """Return whether what belongs to an organization exists from here."""
        return self.scope in {"", organization}

    @property
    def operates(self) -> bool:
        """Return whether the installation is operated from here: organizations made and listed."""
        return self.scope in {"", self.home}


class AccessDesk:
    """What all standpoints of one process share: its keys, and its pen for the audit log."""

    def __init__(self, engine: Engine) -> None:
        self.store: Store = engine.store
        self.ring = KeyRing(engine.store, spawn=engine.spawn)
        self.auditor = Auditor(engine.store)


class Facet:
    """A part of an app that looks from a standpoint, such as `app.keys`."""

    def __init__(self, desk: AccessDesk, at: Standpoint) -> None:
        self._desk = desk
        self._store = desk.store
        self._at = at

    def _entry(
        self, action: str, subject: str, organization: str, detail: Mapping[str, Any] | None = None
    ) -> AuditEntry:
        at = self._at
        return AuditEntry(
            organization=organization,
            at_us=self._store.now_us(),
            by=at.by,
            action=action,
            subject=subject,
            via=at.via,
            key_id=at.key_id,
            request_id=at.request_id,
            detail=msgspec.json.encode(detail, order="sorted").decode() if detail else "",
        )


def check_name(name: str, *, of: str) -> None:
    """Raise `RequestError` PDM-R127 for a name that lists and the audit log cannot show."""
    if len(name) > NAME_MAX or not name.isprintable():
        raise RequestError(
            f"This cannot be the name of {of}.",
            why="Names stand in lists and in the audit log.",
            fix=f"Use at most {NAME_MAX} characters that can be printed.",
            code="PDM-R127",
        )


def unknown_organization(slug: str, known: Sequence[str]) -> NotFoundError:
    """Return the error for an organization that does not exist, or that others own."""
    make = f"Make it with `podium orgs create {slug}`."
    return NotFoundError(
        f"The organization {slug!r} does not exist.",
        fix=f"{did_you_mean(slug, known, what='organization')} {make}" if known else make,
        code="PDM-R413",
    )
