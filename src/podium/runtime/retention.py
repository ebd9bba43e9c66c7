"""Forgets old runs and old logs by policy, a few at a time, so that nobody waits for it.

A run is archived, if there is an archive, and then taken out of the store in one short
transaction; what belonged to it is taken away afterwards, piece by piece. A crash anywhere in
between leaves a run that is archived twice, or rests that the next pass takes away.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from podium.core.ids import EVENTS_MAX
from podium.core.states import RunStatus
from podium.errors import PodiumError
from podium.ports.operation import LogRow
from podium.ports.store import RunRecord, Store

__all__ = ["Archived", "Policy", "Pruned", "Retention"]

log = logging.getLogger("podium.retention")

RUNS_PER_BATCH: Final = 100
ROWS_PER_BATCH: Final = 2_000
PAUSE_S: Final = 0.01
"""Between two transactions: whoever wants to write gets a turn."""
EVERY_S: Final = 3600.0
FIRST_AFTER_S: Final = 60.0
LOGS_MAX: Final = 100_000
ARCHIVE_BYTES: Final = 8 * 1024 * 1024
"""Journals that are held in memory before they are written, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long things are kept, in microseconds; what is not named is kept for ever."""

    runs_us: Mapping[RunStatus, int] = field(default_factory=dict)
    """By closed status, counted from the end of the run."""
    logs_us: int | None = None

    def __bool__(self) -> bool:
        """Return whether there is anything to forget, ever."""
        return bool(self.runs_us) or self.logs_us is not None

    def before_us(self, now_us: int) -> dict[int, int]:
        """Return, by status, the time before which a run must have ended to be forgotten."""
        return {int(status): now_us - age_us for status, age_us in self.runs_us.items()}


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it goes into an archive: its row, its journal from the first event on, its log."""

    record: RunRecord
    logs: Sequence[LogRow]


class Pruned(msgspec.Struct, kw_only=True):
    """What a pass has taken away, or would."""

    runs: int = 0
    rows: int = 0
    """Journal records, steps and other rows of these and earlier runs."""
    lines: int = 0
    """Lines of logs that were older than their own limit."""


Archive = Callable[[Sequence[Archived]], Awaitable[None]]


class Retention:
    """See the module docstring. `archive` returns once what it was given is safe."""

    def __init__(self, store: Store, policy: Policy, archive: Archive | None = None) -> None:
        self._store = store
        self._policy = policy
        self._archive = archive

    async def run(self) -> None:
        """Make a pass every hour, for ever; a pass that fails is tried again the next time."""
        await asyncio.sleep(FIRST_AFTER_S)
        while True:
            try:
                told = await self.prune()
            except (PodiumError, OSError) as error:
                log.warning("pass.failed", extra={"error": str(error).splitlines()[0]})
            else:
                if told.runs or told.lines:
                    log.info("pass.done", extra=msgspec.structs.asdict(told))
            await asyncio.sleep(EVERY_S)

    async def due(self, *, limit: int = 1_000_000) -> Sequence[int]:
        """Return the runs that a pass would forget now, oldest first."""
        before_us = self._policy.before_us(self._store.now_us())
        return await self._store.runs_past(before_us, limit=limit) if before_us else ()

    async def prune(self) -> Pruned:
        """Forget everything that is old enough; return how much that was."""
        told = Pruned()
        while numbers := await self.due(limit=RUNS_PER_BATCH):
            await self._keep(numbers)
            gone = await self._store.forget_runs(numbers)
            told.runs += len(gone)
            told.rows += await self._sweep()
            if not gone:
                # Each was taken by somebody else, or is held again: not for this pass.
                break
        told.rows += await self._sweep()
        told.lines = await self._forget_lines()
        return told

    async def _keep(self, numbers: Sequence[int]) -> None:
        if self._archive is None:
            return
        batch: list[Archived] = []
        size = 0
        for run_no in numbers:
            for record in await self._store.load([run_no]):
                run = await self._whole(record)
                batch.append(run)
                size += sum(len(each.body) for each in run.record.tail)
            # Many small runs share one write; a huge one has its own.
            if size >= ARCHIVE_BYTES:
                await self._archive(batch)
                batch, size = [], 0
        if batch:
            await self._archive(batch)

    async def _whole(self, record: RunRecord) -> Archived:
        run_no = record.row.run_no
        # From the first event on: a snapshot can only be read by the version that made it.
        tail = await self._store.events(run_no, limit=EVENTS_MAX)
        whole = msgspec.structs.replace(record, snapshot=None, snapshot_seq=0, tail=tail)
        return Archived(record=whole, logs=await self._store.logs(run_no, limit=LOGS_MAX))

    async def _sweep(self) -> int:
        swept = 0
        while count := await self._store.sweep_forgotten(limit=ROWS_PER_BATCH):
            swept += count
            await asyncio.sleep(PAUSE_S)
        return swept

    async def _forget_lines(self) -> int:
        if self._policy.logs_us is None:
            return 0
        before_us = self._store.now_us() - self._policy.logs_us
        gone = 0
        while count := await self._store.prune_logs(before_us=before_us, limit=ROWS_PER_BATCH):
            gone += count
            await asyncio.sleep(PAUSE_S)
        return gone
