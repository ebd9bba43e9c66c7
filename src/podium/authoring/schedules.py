"""`app.schedules`: create, look at, pause, trigger and backfill schedules."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any, Final

from msgspec.structs import replace

from podium.authoring.inputs import fit_input
from podium.authoring.schedule_text import NamedSchedule, read_schedule, read_timetable
from podium.authoring.schedule_views import (
    Preview,
    SchedulerHealth,
    ScheduleView,
    TickView,
    preview_of,
    tick_view,
    view_of,
)
from podium.authoring.standing import Standing
from podium.core.ids import parse_schedule_id, schedule_id
from podium.core.schedules import (
    Move,
    Overlap,
    Schedule,
    ScheduleState,
    ScheduleStatus,
    TickKind,
    decide_now,
    paused,
    resumed,
    settle,
)
from podium.core.template import compile_template
from podium.core.timetable import instants, parse_moment
from podium.errors import ConflictError, NotFoundError, RequestError, did_you_mean
from podium.ports.schedules import ScheduleRow, ScheduleWrite
from podium.ports.store import RunRow
from podium.runtime.refused import Overtaken
from podium.runtime.scheduler import tick_key, tick_scope
from podium.runtime.zones import zone_of

__all__ = ["BACKFILL_MAX", "Schedules"]

DECLARED_MAX: Final = 10_000
BACKFILL_MAX: Final = 1000
"""Ticks that one backfill may start."""
TRIES: Final = 20
"""How often a change is decided anew because the schedule moved meanwhile."""
KNOWN_MAX: Final = 100
COMMENT_CHARS_MAX: Final = 1000

Change = Callable[[ScheduleRow, int], Move]


class Schedules:
    """See the module docstring. A schedule is named by its name or its id.

    What belongs to another organization does not exist here.
    """

    def __init__(self, app: Standing) -> None:
        self._app = app
        self._engine = app.engine
        self._store = app.engine.store

    # -- looking -------------------------------------------------------------------------------

    async def list(self, *, after: str = "", limit: int = 100) -> Sequence[ScheduleView]:
        """Return schedules in the order of their creation, those after the id `after`."""
        rows = await self._store.schedules(
            organization=self._app.scope,
            after=parse_schedule_id(after) if after else 0,
            limit=limit,
        )
        return [view_of(row) for row in rows]

    async def get(self, schedule: str) -> ScheduleView:
        """Return one schedule; raises `NotFoundError`."""
        row = await self._row(schedule)
        return view_of(row, open_runs=await self._store.schedule_runs(row.schedule_no))

    async def ticks(
        self, schedule: str, *, before_us: int | None = None, limit: int = 20
    ) -> Sequence[TickView]:
        """Return what became of the last ticks, newest first; at most 200 are remembered."""
        row = await self._row(schedule)
        found = await self._store.schedule_ticks(row.schedule_no, before_us=before_us, limit=limit)
        zone = zone_of(row.schedule.timetable.timezone)
        return [tick_view(tick, zone) for tick in found]

    async def preview(
        self, document: Any, *, count: int = 10, after_us: int | None = None
    ) -> Preview:
        """Return the next ticks of a document, or of a schedule by its name or id.

        Nothing is created; raises `DefinitionError` with every fault of the document.
        """
        now_us = self._store.now_us()
        start_us = now_us if after_us is None else after_us
        if isinstance(document, str):
            table = (await self._row(document)).schedule.timetable
            zone = zone_of(table.timezone)
        else:
            table, zone = read_timetable(document, now_us=start_us)
        return preview_of(table, zone, after_us=start_us, count=count)

    async def health(self) -> SchedulerHealth:
        """Return whether ticks are being taken, on this node and on the store."""
        scheduler = self._engine.scheduler
        now_us = self._store.now_us()
        counts = await self._store.schedule_counts(now_us, organization=self._app.scope)
        return SchedulerHealth.of(
            counts,
            now_us=now_us,
            looked_us=scheduler.looked_us,
            runs_here=scheduler.is_running,
            next_us=await self._store.next_schedule_us(),
        )

    # -- changing ------------------------------------------------------------------------------

    async def create(self, document: Any, *, name: str = "", by: str = "") -> ScheduleView:
        """Create a schedule from a document; its first tick lies in the future.

        Raises `DefinitionError` (all faults at once), `NotFoundError` for an unknown workflow,
        and `ConflictError` PDM-C060 for a name that is taken.
        """
        found = await self._read(document, name=name)
        now_us = self._store.now_us()
        status = ScheduleStatus.PAUSED if found.is_paused else ScheduleStatus.ACTIVE
        new = ScheduleRow(
            schedule_no=0,
            organization=self._app.organization,
            name=found.name,
            schedule=found.schedule,
            state=ScheduleState(status=status, cursor_us=now_us),
            created_us=now_us,
            updated_us=now_us,
            changed_by=by or self._app.by,
        )
        state = settle(new.schedule, new.state, found.zone, key=new.key)
        row = await self._store.add_schedule(replace(new, state=state))
        if row is None:
            raise _taken(found.name)
        await self._record("create", row)
        self._engine.scheduler.stir()
        return view_of(row)

    async def update(
        self, schedule: str, document: Any, *, revision: int = 0, by: str = ""
    ) -> ScheduleView:
        """Put another document in the place of a schedule's; it counts from now.

        With a `revision`, only if the schedule still is at it (`ConflictError` PDM-C061).
        """
        known = await self._row(schedule)
        found = await self._read(document, name=known.name)
        if found.name != known.name:
            raise RequestError(
                f"The schedule {known.name!r} cannot be renamed to {found.name!r}.",
                why="People and their scripts know it by its name.",
                fix="Create another one and delete this one.",
                code="PDM-R180",
            )
        if revision and revision != known.state.revision:
            raise Overtaken(known.name)

        def change(row: ScheduleRow, now_us: int) -> Move:
            was_paused = row.state.status is ScheduleStatus.PAUSED or found.is_paused
            move = paused(row.state, now_us=now_us)
            if was_paused:
                state = replace(move.state, cursor_us=max(now_us, move.state.cursor_us))
                return replace(move, state=settle(found.schedule, state, found.zone, key=row.key))
            again = resumed(found.schedule, move.state, found.zone, key=row.key, now_us=now_us)
            return replace(again, ticks=move.ticks)

        await self._change(schedule, change, by=by, verb="update", schedule_now=found.schedule)
        return await self.get(schedule)

    async def pause(self, schedule: str, *, comment: str = "", by: str = "") -> ScheduleView:
        """Start nothing more until `resume`; what runs goes on. Once it returns, it holds."""

        def change(row: ScheduleRow, now_us: int) -> Move:
            _check_open(row, "pause")
            return paused(row.state, now_us=now_us)

        await self._change(schedule, change, by=by, verb="pause", comment=_checked(comment))
        return await self.get(schedule)

    async def resume(self, schedule: str, *, by: str = "") -> ScheduleView:
        """Go on from now: what fell due during the pause is not made up for."""

        def change(row: ScheduleRow, now_us: int) -> Move:
            _check_open(row, "resume")
            if row.state.status is ScheduleStatus.ACTIVE:
                return Move(state=row.state)
            zone = zone_of(row.schedule.timetable.timezone)
            return resumed(row.schedule, row.state, zone, key=row.key, now_us=now_us)

        await self._change(schedule, change, by=by, verb="resume", comment="")
        return await self.get(schedule)

    async def apply(
        self, declared: Mapping[str, Any], *, prune: bool = False, dry_run: bool = False
    ) -> Mapping[str, str]:
        """Make schedules as declared by name, and say for each what was done.

        `created`, `updated`, `unchanged`; with `prune`, those that are not declared are
        `deleted`. All documents are read before anything changes. Pauses stay as they are.
        """
        known = {view.name: view for view in await self.list(limit=DECLARED_MAX)}
        changes: dict[str, str] = {}
        for name, document in declared.items():
            found = await self._read(document, name=name, created=known.get(name))
            changes[name] = "created"
            if name in known:
                row = await self._row(name)
                changes[name] = "unchanged" if row.schedule == found.schedule else "updated"
        if prune:
            changes |= {name: "deleted" for name in known if name not in declared}
        for name, change in () if dry_run else changes.items():
            if change == "created":
                await self.create(declared[name], name=name)
            elif change == "updated":
                await self.update(name, declared[name])
            elif change == "deleted":
                await self.remove(name)
        return changes

    async def remove(self, schedule: str) -> ScheduleView:
        """Forget a schedule and its ticks and return what it was; its runs stay as they are."""
        row = await self._row(schedule)
        if not await self._store.remove_schedule(row.schedule_no):
            raise await self._unknown(schedule)
        await self._record("delete", row)
        return view_of(row)

    # -- starting ------------------------------------------------------------------------------

    async def trigger(
        self,
        schedule: str,
        *,
        overlap: Overlap | None = None,
        idempotency_key: str = "",
        by: str = "",
    ) -> RunRow | None:
        """Start a run of the schedule now, paused or not; its own ticks stay as they are.

        The schedule's overlap policy holds unless another is given: returns None if the run
        waits for an open one to end, and raises `ConflictError` PDM-C062 if the policy is to
        skip. The same `idempotency_key` again returns the run that it started.
        """
        for _ in range(TRIES):
            row = await self._row(schedule)
            key = f"schedule:{schedule_id(row.schedule_no)}:key:{idempotency_key}"
            if idempotency_key:
                known = await self._store.run_by_key(row.organization, key)
                if known is not None:
                    return known
            try:
                started = await self._trigger(row, overlap, key if idempotency_key else "")
            except Overtaken:
                continue
            await self._record("trigger", row)
            self._engine.scheduler.stir()
            return started
        raise Overtaken(schedule)

    async def _trigger(self, row: ScheduleRow, overlap: Overlap | None, key: str) -> RunRow | None:
        open_runs = await self._store.schedule_runs(row.schedule_no)
        chosen = overlap or row.schedule.overlap
        tick_us = await self._moment_for(row)
        move = decide_now(chosen, row.schedule, row.state, now_us=tick_us, open_runs=len(open_runs))
        if move is None:
            raise _overlaps(row, len(open_runs))
        return await self._engine.scheduler.carry_out(
            row,
            move,
            zone_of(row.schedule.timetable.timezone),
            kind=TickKind.MANUAL,
            overlap=chosen,
            deferred=self._is_desk,
            run_key=key,
        )

    async def _moment_for(self, row: ScheduleRow) -> int:
        """Return a tick for now: never one of the timetable's, which are whole seconds."""
        tick_us = self._store.now_us()
        while (
            tick_us % 1_000_000 == 0
            or tick_us == row.state.held_us
            or await self._store.schedule_tick(row.schedule_no, tick_us) is not None
        ):
            tick_us += 1
        return tick_us

    async def backfill(
        self, schedule: str, *, start: str, end: str, dry_run: bool = False, by: str = ""
    ) -> Sequence[TickView]:
        """Start a run for each past tick from `start` to `end` that has none; return all of them.

        The moments are ISO 8601, local to the schedule's zone unless they have an offset. All
        runs may be open at once, whatever the overlap policy; repeating it starts nothing
        twice. Raises `RequestError` PDM-R181 for a range in the future or of too many ticks.
        """
        row = await self._row(schedule)
        zone = zone_of(row.schedule.timetable.timezone)
        due = self._range(row, zone, start, end)
        found = [await self._backfill(schedule, tick_us, zone, dry_run) for tick_us in due]
        if not dry_run:
            await self._record("backfill", row, start=start, end=end, ticks=len(due))
        return found

    def _range(self, row: ScheduleRow, zone: tzinfo, start: str, end: str) -> Sequence[int]:
        table = row.schedule.timetable
        bounds = [parse_moment(text, zone, gap=None, fold=None) for text in (start, end)]
        first_us, last_us = bounds
        if first_us is None or last_us is None or last_us > self._store.now_us():
            raise _no_range(f"{start!r} to {end!r} is no range of the past.")
        due: list[int] = []
        for tick_us in instants(table, zone, after_us=first_us - 1):
            if tick_us > last_us:
                break
            due.append(tick_us)
            if len(due) > BACKFILL_MAX:
                raise _no_range(f"There are more than {BACKFILL_MAX:,} ticks in it.")
        return due

    async def _backfill(
        self,
        schedule: str,
        tick_us: int,
        zone: tzinfo,
        dry_run: bool,  # noqa: FBT001
    ) -> TickView:
        for _ in range(TRIES):
            row = await self._row(schedule)
            tick = await self._store.schedule_tick(row.schedule_no, tick_us)
            key = tick_key(row.schedule_no, tick_us)
            known = await self._store.run_by_key(row.organization, key)
            if known is not None or dry_run:
                run_no = 0 if known is None else known.run_no
                return tick_view(tick, zone, tick_us=tick_us, run_no=run_no)
            move = Move(state=row.state, start_us=tick_us)
            try:
                started = await self._engine.scheduler.carry_out(
                    row, move, zone, kind=TickKind.BACKFILL, deferred=self._is_desk
                )
            except Overtaken:
                continue
            assert started is not None
            tick = await self._store.schedule_tick(row.schedule_no, tick_us)
            return tick_view(tick, zone, tick_us=tick_us, run_no=started.run_no)
        raise Overtaken(schedule)

    @property
    def _is_desk(self) -> bool:
        """Return whether this process runs nothing: what it starts is for others to run."""
        return self._engine.options.capacity == 0

    # -- how -----------------------------------------------------------------------------------

    async def _read(
        self, document: Any, *, name: str, created: ScheduleView | None = None
    ) -> NamedSchedule:
        """Return a document as a schedule whose workflow, version and input are fine today.

        One that was `created` before may be past its last tick by now.
        """
        now_us = self._store.now_us()
        since_us = now_us if created is None else us_of(created.created_at)
        found = read_schedule(document, now_us=since_us, name=name)
        schedule = found.schedule
        plan = await self._engine.registry.named(
            schedule.workflow, schedule.version, organization=self._app.organization
        )
        template = compile_template(schedule.input, self._engine.registry.expressions)
        sample = tick_scope(1, found.name, now_us, found.zone)
        fit_input(plan.workflow, template.render({"schedule": sample}))
        return found

    async def _row(self, schedule: str) -> ScheduleRow:
        if schedule.startswith("sch_"):
            row = await self._store.schedule(parse_schedule_id(schedule))
        else:
            row = await self._store.schedule_named(self._app.organization, schedule)
        if row is None or not self._app.standpoint.sees(row.organization):
            raise await self._unknown(schedule)
        return row

    async def _unknown(self, schedule: str) -> NotFoundError:
        rows = await self._store.schedules(organization=self._app.scope, limit=KNOWN_MAX)
        return NotFoundError(
            f"The schedule {schedule!r} does not exist.",
            fix=did_you_mean(schedule, [row.name for row in rows], what="schedule"),
            code="PDM-R430",
        )

    async def _change(
        self,
        schedule: str,
        change: Change,
        *,
        by: str,
        verb: str,
        comment: str | None = None,
        schedule_now: Schedule | None = None,
    ) -> None:
        """Decide on a change and write it, anew as long as the schedule moves meanwhile."""
        for _ in range(TRIES):
            row = await self._row(schedule)
            now_us = self._store.now_us()
            move = change(row, now_us)
            changed = replace(
                row,
                state=move.state,
                schedule=schedule_now or row.schedule,
                updated_us=now_us,
                changed_by=by or self._app.by,
                comment=row.comment if comment is None else comment,
            )
            write = ScheduleWrite(row=changed, revision=row.state.revision, ticks=tuple(move.ticks))
            if await self._store.change_schedule(write):
                await self._record(verb, row)
                self._engine.scheduler.stir()
                return
        raise Overtaken(schedule)

    async def _record(self, verb: str, row: ScheduleRow, **detail: Any) -> None:
        facts = {"name": row.name, **{key: value for key, value in detail.items() if value}}
        await self._app.audit.record(
            f"schedule.{verb}",
            schedule_id(row.schedule_no),
            organization=row.organization,
            detail=facts,
        )


def _check_open(row: ScheduleRow, verb: str) -> None:
    if row.state.status is ScheduleStatus.ENDED:
        raise ConflictError(
            f"Cannot {verb} the schedule {row.name!r}: it has ended.",
            why="Its bounds, its moments or its number of runs are used up.",
            fix="Change it with `podium schedules update`, or delete it and create another.",
            code="PDM-C063",
            state="ended",
            allowed=("update", "trigger", "delete"),
        )


def us_of(time: str) -> int:
    """Return the instant of a time as views show it."""
    found = parse_moment(time, UTC, gap=None, fold=None)
    assert found is not None
    return found


def _checked(comment: str) -> str:
    if len(comment) > COMMENT_CHARS_MAX or "\0" in comment or not _is_utf8(comment):
        raise RequestError(
            f"The comment is no text of at most {COMMENT_CHARS_MAX} characters.",
            fix="Say in a sentence why the schedule is paused.",
            code="PDM-R180",
        )
    return comment


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _taken(name: str) -> ConflictError:
    return ConflictError(
        f"There is a schedule {name!r} already.",
        why="A name belongs to one schedule of an organization.",
        fix="Take another name, or change that one with `podium schedules update`.",
        code="PDM-C060",
        code_word="schedule_exists",
    )


def _overlaps(row: ScheduleRow, count: int) -> ConflictError:
    many = "a run" if count == 1 else f"{count} runs"
    return ConflictError(
        f"The schedule {row.name!r} has {many} open, so its policy starts no other.",
        why=f"Its overlap policy is {row.schedule.overlap}.",
        fix="Wait for the run to end, or ask with --overlap allow.",
        code="PDM-C062",
        code_word="schedule_overlap",
    )


def _no_range(what: str) -> RequestError:
    return RequestError(
        what,
        why=f"A backfill starts runs for at most {BACKFILL_MAX:,} ticks that are past.",
        fix="For example --from 2026-11-01T00:00 --to 2026-11-07T00:00",
        code="PDM-R181",
    )
