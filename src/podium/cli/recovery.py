"""Drives every unfinished run of a store until all of them rest.

A run rests when it is closed, or when nothing but a person, a signal, or a time that is not
yet come can move it.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from podium.authoring.client import App
from podium.cli.follow import INTERRUPTED
from podium.cli.interrupts import Interrupts
from podium.cli.loading import use_folders_of
from podium.cli.output import emit_json, note
from podium.cli.session import Session
from podium.core.ids import run_id
from podium.core.states import RunStatus
from podium.ports.store import RunFilter, RunRow

__all__ = ["open_runs", "recover_all", "rests"]

OPEN: Final = tuple(status for status in RunStatus if status.is_open)
LOOK_EVERY_S: Final = 0.1
PAGE: Final = 1000
TOLD_MAX: Final = 20
SOON_US: Final = 1_000_000
"""A date so near that it is waited for."""
EVICTION_LOOKS: Final = 50
RESTING_REASONS: Final = frozenset({"checkpoint", "signal", "in_doubt", "budget", "timer", "child"})
"""`child`: the child run is among the unfinished runs and speaks for itself."""


async def recover_all(session: Session) -> int:
    """Continue everything that can be continued; return the exit code."""
    work = _Recovery()
    code = 0
    before: dict[int, int] = {}
    while code == 0:
        async with session.reading() as app:
            rows = await open_runs(app)
            work.meet(rows)
            rows = await _movable(app, rows)
        # A pass that moved nothing will not do better the next time.
        if not rows or before == (before := {row.run_no: row.last_seq for row in rows}):
            break
        use_folders_of(rows)
        async with session.driving(alone=False) as app:
            code = await work.drive(app)
    async with session.reading() as app:
        rows = [await app.run(name).row() for name in work.met]
    return _report(session, rows, code)


async def open_runs(app: App) -> list[RunRow]:
    """Return all runs that have not ended."""
    found: list[RunRow] = []
    before: int | None = None
    while True:
        page = await app.engine.store.runs(RunFilter(statuses=OPEN), limit=PAGE, before=before)
        found += page
        if len(page) < PAGE:
            return found
        before = page[-1].run_no


async def _movable(app: App, rows: list[RunRow]) -> list[RunRow]:
    """Return the runs that an engine would have something to do for now."""
    due_us = app.engine.store.now_us() + SOON_US
    mail = await app.engine.store.mail([row.run_no for row in rows])
    written = {message.run_no for message in mail}
    return [row for row in rows if row.run_no in written or not rests(row, due_us)]


def rests(row: RunRow, due_us: int) -> bool:
    """Return whether nothing but a person, a signal or a time after `due_us` moves the run."""
    status = RunStatus(row.status)
    if row.wake_us is not None and row.wake_us <= due_us and status.is_open:
        return False
    if status is RunStatus.PAUSED or not status.is_open:
        return True
    return status is RunStatus.WAITING and row.reason in RESTING_REASONS


class _Recovery:
    """What one `podium recover` has met and told."""

    def __init__(self) -> None:
        self.met: dict[str, None] = {}
        self._told = 0

    def meet(self, rows: Iterable[RunRow]) -> None:
        """Note runs seen for the first time, and say so."""
        for row in rows:
            name = run_id(row.run_no)
            if name in self.met:
                continue
            self.met[name] = None
            self._told += 1
            if self._told <= TOLD_MAX:
                note(f"  {name}  {row.workflow}  {_position(row)}")
            elif self._told == TOLD_MAX + 1:
                note("  … and more")

    async def drive(self, app: App) -> int:
        """Run the engine until everything rests; return 130 if somebody interrupted."""
        news = asyncio.Event()
        interrupts = Interrupts()
        interrupts.told = news.set
        with interrupts.caught():
            quiet = 0
            # Twice in a row: between a step's end and the next one's start a run looks idle.
            # Then until those that wait have left memory, with the date of their next move.
            while quiet < 2 or (app.engine.residents and quiet < EVICTION_LOOKS):
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await news.wait()
                if interrupts.count:
                    return INTERRUPTED
                if app.engine.failure is not None:
                    raise app.engine.failure
                rows = await open_runs(app)
                self.meet(rows)
                quiet = quiet + 1 if await self._all_rest(app, rows) else 0
        return 0

    async def _all_rest(self, app: App, rows: list[RunRow]) -> bool:
        due_us = app.engine.store.now_us() + SOON_US
        return all(rests(row, due_us) or _is_elsewhere(app, row) for row in rows)


def _is_elsewhere(app: App, row: RunRow) -> bool:
    """Return whether another living process drives this run."""
    node = app.engine.node
    return row.home is not None and node is not None and row.home != node.node_id


def _position(row: RunRow) -> str:
    status = RunStatus(row.status).label
    done = f", {row.steps_done} steps done" if row.steps_done else ""
    return f"was {status}{done}"


def _report(session: Session, rows: list[RunRow], code: int) -> int:
    counts: dict[str, int] = {}
    for row in rows:
        label = RunStatus(row.status).label
        counts[label] = counts.get(label, 0) + 1
    if session.as_json:
        emit_json({"runs": [_document(row) for row in rows], "counts": counts})
    else:
        listed = ", ".join(f"{count} {label}" for label, count in counts.items())
        many = f"{len(rows)} unfinished run{'s' if len(rows) != 1 else ''}"
        note(f"{many}: {listed}." if rows else "Nothing to recover.")
    if code:
        return code
    failed = [RunStatus.FAILED, RunStatus.ABORTED, RunStatus.CANCELLED]
    return 1 if any(RunStatus(row.status) in failed for row in rows) else 0


def _document(row: RunRow) -> dict[str, Any]:
    return {
        "run_id": run_id(row.run_no),
        "workflow": row.workflow,
        "status": RunStatus(row.status).label,
        "reason": row.reason,
    }
