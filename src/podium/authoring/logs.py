"""`app.logs`: what the attempts of a run printed and logged, page by page or as it comes."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import msgspec

from podium.authoring.standing import Standing
from podium.core.cloudevents import rfc3339
from podium.core.ids import parse_run_id, run_id
from podium.core.states import RunStatus
from podium.ports.operation import LogRow

__all__ = ["LogLine", "Logs"]

LOOK_EVERY_S: Final = 0.2
SETTLES_S: Final = 0.5
"""How long after the end of a run its last lines may still be on their way."""
PAGE: Final = 1000


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line that an attempt printed or logged."""

    run_id: str
    step: str
    """Path of the step."""
    attempt: int
    time: str
    level: str
    """debug, info, warn or error; stdout or stderr for what was printed."""
    source: str
    """Name of the logger; empty for what was printed."""
    text: str
    number: int
    """The cursor: ask for what came after it."""


class Logs:
    """See the module docstring. Another organization's run is unknown here, as everywhere."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    async def of(
        self, run: str, *, step: str = "", after: int = 0, limit: int = PAGE
    ) -> Sequence[LogLine]:
        """Return lines of a run, or of one of its steps, that came after the line `after`.

        Raises `NotFoundError` for an unknown run.
        """
        row = await self._standing.visible(parse_run_id(run))
        store = self._standing.engine.store
        found = await store.logs(row.run_no, step=step, after=after, limit=limit)
        return [_line(row) for row in found]

    async def follow(
        self, run: str, *, step: str = "", after: int = 0
    ) -> AsyncGenerator[Sequence[LogLine]]:
        """Yield what came since the last look, perhaps nothing, until the run has ended.

        Works for runs of other processes, too: the store is asked a few times a second.
        """
        is_last = False
        while True:
            lines = await self.of(run, step=step, after=after)
            after = lines[-1].number if lines else after
            yield lines
            if len(lines) == PAGE:
                continue
            if is_last:
                return
            row = await self._standing.visible(parse_run_id(run))
            is_last = not RunStatus(row.status).is_open
            await asyncio.sleep(SETTLES_S if is_last else LOOK_EVERY_S)


def _line(row: LogRow) -> LogLine:
    return LogLine(
        run_id=run_id(row.run_no),
        step=row.step,
        attempt=row.attempt,
        time=rfc3339(row.at_us),
        level=row.level,
        source=row.source,
        text=row.text,
        number=row.number,
    )
