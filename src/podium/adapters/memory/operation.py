"""Captured logs, counts of open runs, and taking old runs away, over plain dicts."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from msgspec.structs import replace

from podium.adapters.memory.database import MemoryDatabase, is_open
from podium.ports.operation import LogRow, OpenCount
from podium.ports.store import RunRow

__all__ = ["MemoryOperation"]

R = TypeVar("R")


class _View(Protocol):
    """What the view of a node offers: its database, and a way to do things under faults."""

    database: MemoryDatabase

    def _perform(self, name: str, work: Callable[[], R]) -> Awaitable[R]: ...

    def _read(self, name: str, work: Callable[[], R]) -> Awaitable[R]: ...


class MemoryOperation:
    """The methods of `Operation`, for a view of a `MemoryDatabase`."""

    async def write_logs(self: _View, lines: Sequence[LogRow]) -> None:
        """See `Operation.write_logs`."""

        def write() -> None:
            kept = self.database.logs
            for line in lines:
                self.database.check(line)
            for line in lines:
                kept.append(replace(line, number=kept[-1].number + 1 if kept else 1))
            self.database.version += 1

        await self._perform("write_logs", write)

    async def logs(
        self: _View, run_no: int, *, step: str = "", after: int = 0, limit: int = 1000
    ) -> Sequence[LogRow]:
        """See `Operation.logs`."""

        def find() -> list[LogRow]:
            ours = (line for line in self.database.logs if line.run_no == run_no)
            return [x for x in ours if x.number > after and step in {"", x.step}][:limit]

        return await self._read("logs", find)

    async def prune_logs(self: _View, *, before_us: int, limit: int) -> int:
        """See `Operation.prune_logs`."""

        def prune() -> int:
            kept = self.database.logs
            old = sorted((x for x in kept if x.at_us < before_us), key=lambda x: x.at_us)[:limit]
            gone = {line.number for line in old}
            kept[:] = [line for line in kept if line.number not in gone]
            return len(gone)

        return await self._perform("prune_logs", prune)

    async def open_counts(self: _View, organization: str = "") -> Sequence[OpenCount]:
        """See `Operation.open_counts`."""

        def count() -> list[OpenCount]:
            rows = [row for row in self.database.runs.values() if is_open(row)]
            found = Counter((row.organization, row.workflow, row.status) for row in rows)
            return [
                OpenCount(organization=name, workflow=workflow, status=status, count=number)
                for (name, workflow, status), number in sorted(found.items())
                if organization in {"", name}
            ]

        return await self._read("open_counts", count)

    async def runs_past(self: _View, before_us: Mapping[int, int], *, limit: int) -> Sequence[int]:
        """See `Operation.runs_past`."""
        runs = self.database.runs

        def is_past(row: RunRow) -> bool:
            time_us = before_us.get(row.status)
            parent = runs.get(row.parent_run or 0)
            return (
                time_us is not None
                and row.created_us < time_us
                and (row.ended_us or time_us) < time_us
                and row.home is None
                and (parent is None or not is_open(parent))
            )

        def find() -> list[int]:
            past = sorted(filter(is_past, runs.values()), key=lambda x: (x.created_us, x.run_no))
            return [row.run_no for row in past][:limit]

        return await self._read("runs_past", find)

    async def forget_runs(self: _View, run_nos: Sequence[int]) -> Sequence[int]:
        """See `Operation.forget_runs`."""
        return await self._perform("forget_runs", lambda: self.database.forget(run_nos))

    async def sweep_forgotten(self: _View, *, limit: int) -> int:
        """See `Operation.sweep_forgotten`; here, what belonged to a run went with it."""
        return await self._perform("sweep_forgotten", lambda: 0)
