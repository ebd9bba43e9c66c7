"""`app.audit`: what was changed, by whom, in a chain that shows every later edit."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from podium.authoring.standpoint import Facet, unknown_organization
from podium.core.access import CHAIN_START, AuditRow, ChainCheck, ChainFault, check_chain
from podium.errors import RequestError

__all__ = ["Audit", "ChainReport"]

R = TypeVar("R")
PAGE: Final = 1000


class ChainReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `verify` found in the audit log of one organization."""

    organization: str
    rows: int
    """How many rows are whole, from the first one on."""
    head: str
    """`seq:hash` of the last whole row. Keep it elsewhere: it proves later that none is gone."""
    fault: ChainFault | None = None
    at: int = 0
    """The `seq` of the first row that is not whole."""


class Audit(Facet):
    """The audit log: what was changed, by whom, in a chain that shows every later edit."""

    async def record(
        self,
        action: str,
        subject: str,
        *,
        organization: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a line and return once it is durable; does nothing for a program's own app."""
        if self._at.via:
            owner = organization or self._at.scope or self._at.home
            await self._desk.auditor.append(self._entry(action, subject, owner, detail))

    async def seen(
        self, deed: Awaitable[R], action: str, subject: str, *, organization: str = ""
    ) -> R:
        """Await what posts a message to a run, and write its line.

        Also when the caller stops waiting: what is in the inbox of a run will be done.
        """
        try:
            result = await deed
        except asyncio.CancelledError:
            await self.record(action, subject, organization=organization)
            raise
        await self.record(action, subject, organization=organization)
        return result

    async def list(
        self, *, organization: str = "", before: int | None = None, limit: int = 100
    ) -> Sequence[AuditRow]:
        """Return rows of one organization's log, newest first, those with `seq < before`."""
        owner = self._readable(organization)
        return await self._store.audit_latest(owner, before=before, limit=limit)

    async def organizations(self) -> Sequence[str]:
        """Return the visible organizations that have a log."""
        return [slug for slug in await self._store.audited() if self._at.sees(slug)]

    async def verify(self, *, organization: str = "", head: str = "") -> ChainReport:
        """Recompute a chain from its first row; also against a `head` that was kept elsewhere.

        Finds a row that was changed, taken out, moved or added, and rows taken off the end. Who
        can write the whole store could write a chain anew; only a head kept elsewhere shows that.
        """
        owner = self._readable(organization)
        # The store's own head first: rows that are appended meanwhile do no harm.
        expected = dict([await self._store.audit_head(owner), _parse_head(head)])
        at, found = ChainCheck(), {0: CHAIN_START}
        while at.fault is None:
            rows = await self._store.audit(owner, after=at.seq, limit=PAGE)
            if not rows:
                break
            found |= {row.seq: row.hash for row in rows if row.seq in expected}
            at = check_chain(rows, so_far=at)
        fault, seq = at.fault, at.seq + 1
        if fault is None and at.seq < max(expected):
            fault = ChainFault.CUT
        elif fault is None and found != expected | {0: CHAIN_START}:
            fault = ChainFault.CHANGED
            seq = min(each for each, digits in expected.items() if found[each] != digits)
        return ChainReport(
            organization=owner,
            rows=at.seq,
            head=f"{at.seq}:{at.hash}",
            fault=fault,
            at=seq if fault else 0,
        )

    def _readable(self, organization: str) -> str:
        owner = organization or self._at.scope or self._at.home
        if not self._at.sees(owner):
            raise unknown_organization(owner, ())
        return owner


def _parse_head(text: str) -> tuple[int, str]:
    if not text:
        return 0, CHAIN_START
    seq, colon, digits = text.partition(":")
    if not (colon and seq.isascii() and seq.isdecimal() and len(digits) == len(CHAIN_START)):
        raise RequestError(
            f"{text!r} is not the head of an audit log.",
            fix="It is a number, a colon and 64 digits, as `podium audit verify` prints it.",
            code="PDM-R129",
        )
    return int(seq), digits
