"""Writes the audit log; what many callers do at once becomes one transaction.

Whoever awaits `append` knows that the line is durable. A caller who gives up waiting takes no
line back, and holds nobody else up.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from podium.core.access import AuditEntry, AuditRow
from podium.errors import PodiumError
from podium.ports.access import Access

__all__ = ["Auditor"]

LINES_MAX: Final = 500
"""Lines of one transaction."""

Ticket = tuple[AuditEntry, "asyncio.Future[AuditRow]"]


class Auditor:
    """See the module docstring. Belongs to one event loop."""

    def __init__(self, store: Access) -> None:
        self._store = store
        self._waiting: list[Ticket] = []
        self._writing = asyncio.Lock()

    async def append(self, entry: AuditEntry) -> AuditRow:
        """Append a line and return it once it is durable."""
        answer: asyncio.Future[AuditRow] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, answer))
        try:
            async with self._writing:
                # While somebody else wrote, they may have taken this line along.
                while not answer.done() and self._waiting:
                    batch, self._waiting = self._waiting[:LINES_MAX], self._waiting[LINES_MAX:]
                    await asyncio.shield(self._write(batch))
            return await answer
        finally:
            answer.cancel()

    async def _write(self, batch: Sequence[Ticket]) -> None:
        try:
            rows = await self._store.append_audit([entry for entry, _ in batch])
        except PodiumError as error:
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), row in zip(batch, rows, strict=True):
            if not answer.done():
                answer.set_result(row)
