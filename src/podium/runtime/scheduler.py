"""The scheduler of one node: takes ticks that are due and starts their runs.

Every node looks; whoever commits first has taken the tick, for the run and the tick's outcome
are one transaction, guarded by the schedule's revision. Nothing is kept in memory that a crash
could lose: the next look, here or elsewhere, finds the store as it is.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any, Final, Protocol

from msgspec.structs import replace

from podium.core.budget_values import limits_of
from podium.core.cloudevents import rfc3339
from podium.core.definition import Workflow
from podium.core.ids import run_id, schedule_id
from podium.core.messages import Abort, Cancel, Mail
from podium.core.schedules import (
    Move,
    Overlap,
    Tick,
    TickKind,
    TickOutcome,
    decide_tick,
    failed_start,
)
from podium.core.template import compile_template
from podium.core.timetable import local_time
from podium.errors import PodiumError, StoreError
from podium.ports.schedules import ScheduleRow, ScheduleWrite
from podium.ports.store import RunRow, Store
from podium.runtime.options import StartRequest
from podium.runtime.payloads import Payloads
from podium.runtime.refused import UNSTORABLE, Overtaken
from podium.runtime.registry import Registry
from podium.runtime.zones import zone_of

__all__ = ["Office", "Scheduler", "tick_key", "tick_scope"]

log = logging.getLogger("podium.scheduler")

LOOK_EVERY_S: Final = 1.0
"""How often to look for schedules that other processes made or changed."""
HELD_EVERY_S: Final = 0.25
"""How often to look whether the runs that ticks wait for have ended."""
STOP_EVERY_S: Final = 5.0
"""How often to ask once more for the end of runs that have to make room."""
BROKEN_AGAIN_US: Final = 60_000_000
"""How long a schedule that cannot be decided is left alone."""
SCHEDULES_PER_LOOK: Final = 100
ERROR_CHARS_MAX: Final = 500


class Office(Protocol):
    """What the scheduler asks of its engine."""

    async def start(self, request: StartRequest) -> RunRow:
        """See `Engine.start`."""

    async def send(self, run_no: int, mail: Mail, message_id: str) -> None:
        """See `Engine.send`."""


class Scheduler:
    """See the module docstring. `fit` returns an input as the workflow declares it, or raises."""

    def __init__(
        self,
        *,
        office: Office,
        store: Store,
        registry: Registry,
        payloads: Payloads,
        look_every_us: int = 0,
    ) -> None:
        self.fit: Callable[[Workflow, Any], Any] = lambda workflow, value: value
        self.looked_us: int | None = None
        """When this node last looked for ticks; None: it never did."""
        self._office = office
        self._store = store
        self._registry = registry
        self._payloads = payloads
        # Where the engine looks around more rarely, as in tests of months, so does this.
        self._look_every_s = max(LOOK_EVERY_S, look_every_us / 1e6)
        self._stirred = asyncio.Event()
        self._is_closed = False
        self._stopped_us: int | None = None
        self.is_running = False
        """Whether this node takes ticks."""

    # -- the loop ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Take what is due, for ever."""
        self.is_running = True
        try:
            while not self._is_closed:
                self._stirred.clear()
                looked_us = self._store.now_us()
                if not await self.look():
                    await self._rest(looked_us)
        finally:
            self.is_running = False

    def stir(self) -> None:
        """Look now: a schedule was made or changed here."""
        self._stirred.set()

    def close(self) -> None:
        """Take no more ticks: this node is leaving, and others will."""
        self._is_closed = True
        self._stirred.set()

    async def look(self) -> bool:
        """Take one tick of each schedule that has one; return whether anything changed."""
        now_us = self._store.now_us()
        rows = await self._store.due_schedules(now_us, limit=SCHEDULES_PER_LOOK)
        moved = False
        try:
            async with asyncio.TaskGroup() as group:
                # Together: the starts of one look are one commit.
                tasks = [group.create_task(self._take(row)) for row in rows]
            moved = any(task.result() for task in tasks)
        except* StoreError as errors:
            # The engine's guard knows single errors only.
            raise _first(errors) from None
        await self._stop_again(now_us)
        self.looked_us = self._store.now_us()
        return moved

    async def _rest(self, looked_us: int) -> None:
        """Wait until something may be due, or somebody says so.

        What was due at the last look and is so still cannot be helped: it is not waited for.
        """
        rest_s = self._look_every_s
        next_us = await self._store.next_schedule_us(after_us=looked_us)
        if next_us is not None:
            rest_s = min(rest_s, max(0.001, (next_us - self._store.now_us()) / 1e6))
        if await self._store.holding_schedules(limit=1):
            rest_s = min(rest_s, HELD_EVERY_S)
        try:
            async with asyncio.timeout(rest_s):
                await self._stirred.wait()
        except TimeoutError:
            return

    # -- one schedule --------------------------------------------------------------------------

    async def _take(self, row: ScheduleRow) -> bool:
        """Take a tick of one schedule; return whether anything changed, here or elsewhere."""
        try:
            return await self._advance(row)
        except StoreError:
            raise
        # One schedule that cannot be decided, whatever the reason, must not stop the others.
        except Exception as error:  # noqa: BLE001
            await self._note_broken(row, error)
            return False

    async def _note_broken(self, row: ScheduleRow, error: Exception) -> None:
        """Say once what keeps a schedule from being decided, and try again in a while.

        Left at the head of those that are due, it would take the place of others.
        """
        told, now_us = _storable(str(error) or type(error).__name__), self._store.now_us()
        is_new, is_due = told != row.error, (row.state.next_us or 0) <= now_us
        if is_new:
            log.error("schedule.broken", exc_info=error, extra={"schedule": row.name})
        if is_new or is_due:
            later = replace(row.state, next_us=now_us + BROKEN_AGAIN_US)
            noted = replace(row, state=later, failures=row.failures + 1, error=told)
            await self._store.change_schedule(ScheduleWrite(row=noted, revision=row.state.revision))

    async def _advance(self, row: ScheduleRow) -> bool:
        zone = zone_of(row.schedule.timetable.timezone)
        move = decide_tick(
            row.schedule,
            row.state,
            zone,
            key=row.key,
            now_us=self._store.now_us(),
            open_runs=len(await self._store.schedule_runs(row.schedule_no)),
        )
        if move is None:
            return False
        await self.carry_out(row, move, zone)
        return True

    async def carry_out(
        self,
        row: ScheduleRow,
        move: Move,
        zone: tzinfo,
        *,
        kind: TickKind = TickKind.TIMED,
        overlap: Overlap | None = None,
        deferred: bool = False,
        run_key: str = "",
    ) -> RunRow | None:
        """Write a move, with the run it starts; returns the run.

        Raises `Overtaken` if the schedule is no longer as it was decided on and `kind` says
        that somebody asked; a timed tick was taken by another node, which is as good.
        """
        if move.start_us is not None:
            key = run_key or tick_key(row.schedule_no, move.start_us, kind)
            return await self._start(row, move, zone, kind=kind, deferred=deferred, key=key)
        write = _write(row, move, move.ticks, self._store.now_us())
        if not await self._store.change_schedule(write):
            if kind is TickKind.TIMED:
                return None
            raise Overtaken(row.name)
        if move.stops_others:
            await self._stop_others(
                row, move.state.held_us or 0, chosen=overlap or row.schedule.overlap
            )
        return None

    async def _start(
        self,
        row: ScheduleRow,
        move: Move,
        zone: tzinfo,
        *,
        kind: TickKind,
        deferred: bool,
        key: str,
    ) -> RunRow | None:
        assert move.start_us is not None
        now_us = self._store.now_us()
        try:
            request = await self._request(row, move.start_us, zone, key=key)
            tick = Tick(tick_us=move.start_us, outcome=TickOutcome.STARTED, kind=kind, at_us=now_us)
            write = _write(row, move, (*move.ticks, tick), now_us)
            started = await self._office.start(request.with_tick(write, deferred=deferred))
            await self._note_known_run(write, started)
        except Overtaken:
            if kind is TickKind.TIMED:
                return None
            raise
        except PodiumError as error:
            # Data that cannot be stored is the fault of this schedule, not of the store.
            is_ours = isinstance(error, StoreError) and error.code != UNSTORABLE
            if is_ours or kind is not TickKind.TIMED:
                raise
            await self._note_failure(row, move, zone, error)
            return None
        log.info("schedule.started", extra={"schedule": row.name, "run": run_id(started.run_no)})
        return started

    async def _note_known_run(self, write: ScheduleWrite, started: RunRow) -> None:
        """Record the run of a tick whose key was taken: the start found it and changed nothing."""
        now = await self._store.schedule(write.row.schedule_no)
        if now is not None and now.state.revision == write.revision:
            *others, last = write.ticks
            ticks = (*others, replace(last, run_no=started.run_no))
            await self._store.change_schedule(replace(write, ticks=ticks))

    async def _note_failure(
        self, row: ScheduleRow, move: Move, zone: tzinfo, error: PodiumError
    ) -> None:
        told = _storable(f"{error.code} {error.what} {error.why}")
        failed = failed_start(
            row.schedule,
            row.state,
            move,
            zone,
            key=row.key,
            now_us=self._store.now_us(),
            detail=told,
        )
        log.warning("schedule.failed", extra={"schedule": row.name, "error": told})
        write = _write(row, failed, failed.ticks, self._store.now_us())
        noted = replace(write.row, failures=row.failures + 1, error=told)
        await self._store.change_schedule(replace(write, row=noted))

    async def _request(
        self, row: ScheduleRow, tick_us: int, zone: tzinfo, *, key: str
    ) -> StartRequest:
        """Return the request for the run of a tick."""
        schedule = row.schedule
        plan = await self._registry.named(
            schedule.workflow, schedule.version, organization=row.organization
        )
        scope = tick_scope(row.schedule_no, row.name, tick_us, zone)
        template = compile_template(schedule.input, self._registry.expressions)
        value = self.fit(plan.workflow, template.render({"schedule": scope}))
        labels = {"schedule": row.name, "schedule_time": scope["time"], **schedule.labels}
        return StartRequest(
            plan=plan,
            input=self._payloads.encode(value),
            organization=row.organization,
            idempotency_key=key,
            # The tick is the request: a version published since does not make it another one.
            request_hash=hashlib.sha256(key.encode()).hexdigest(),
            priority=schedule.priority,
            labels=labels,
            budget=None if schedule.budget is None else limits_of(schedule.budget),
        )

    # -- making room ---------------------------------------------------------------------------

    async def _stop_others(self, row: ScheduleRow, tick_us: int, *, chosen: Overlap) -> None:
        """Ask the open runs of a schedule to end; asking twice is asking once."""
        by = f"schedule {row.name}"
        for run_no in await self._store.schedule_runs(row.schedule_no):
            mail: Mail = Cancel(by=by, reason="overlap")
            if chosen is Overlap.TERMINATE_OTHER:
                mail = Abort(by=by, reason="overlap")
            name = f"{schedule_id(row.schedule_no)}.{tick_us}.{run_no}.{chosen}"
            await self._office.send(run_no, mail, name)

    async def _stop_again(self, now_us: int) -> None:
        """Ask anew where whoever held the tick may have died before it asked."""
        if self._stopped_us is not None and now_us < self._stopped_us + STOP_EVERY_S * 1e6:
            return
        self._stopped_us = now_us
        for row in await self._store.holding_schedules(limit=SCHEDULES_PER_LOOK):
            if row.schedule.overlap.stops_others and row.state.held_us is not None:
                await self._stop_others(row, row.state.held_us, chosen=row.schedule.overlap)


def tick_key(schedule_no: int, tick_us: int, kind: TickKind = TickKind.TIMED) -> str:
    """Return the idempotency key of a tick's run; a backfilled tick is the tick itself."""
    word = "now" if kind is TickKind.MANUAL else "at"
    return f"schedule:{schedule_id(schedule_no)}:{word}:{rfc3339(tick_us)}"


def tick_scope(schedule_no: int, name: str, tick_us: int, zone: tzinfo) -> dict[str, str]:
    """Return what `${{ schedule.… }}` stands for in the input of a tick's run."""
    local = local_time(tick_us, zone)
    return {
        "id": schedule_id(schedule_no),
        "name": name,
        "time": rfc3339(tick_us),
        "local_time": local.isoformat(),
        "date": local.date().isoformat(),
    }


def _write(row: ScheduleRow, move: Move, ticks: Sequence[Tick], now_us: int) -> ScheduleWrite:
    started = any(tick.outcome is TickOutcome.STARTED for tick in ticks)
    changed = replace(row, state=move.state, updated_us=now_us)
    if started:
        changed = replace(changed, failures=0, error="")
    return ScheduleWrite(row=changed, revision=row.state.revision, ticks=tuple(ticks))


def _storable(text: str) -> str:
    """Return text that a store takes: no NUL, no half of a character, not too long."""
    clean = text.encode("utf-8", "replace").decode().replace("\0", "")
    return clean[:ERROR_CHARS_MAX].strip()


def _first(errors: BaseExceptionGroup[StoreError]) -> StoreError:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, StoreError)
    return error
