"""Schedules: what is started when, what became of it, and what a person does about it."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from podium.authoring.schedule_views import Preview, ScheduleView, TickView
from podium.core.ids import parse_schedule_id, run_id
from podium.core.schedules import Overlap
from podium.core.states import RunStatus
from podium.server.access import Permission
from podium.server.dependencies import CallersApp
from podium.server.parameters import Cursor, IfMatch, Limit, moment_us, place_of, seen

__all__ = ["ROUTES"]

READ: Final = {"needs": Permission.READ}
OPERATE: Final = {"needs": Permission.OPERATE}
AUTHOR: Final = {"needs": Permission.AUTHOR}

Schedule = FromPath[str]
Count = Annotated[int, QueryParameter(ge=1, le=1000, description="How many ticks.")]

Document = Annotated[
    dict[str, Any],
    msgspec.Meta(
        description="A schedule as `podium schedules create` takes it: every key is described "
        "in the guide to schedules. All faults of it are told at once.",
        examples=[
            {
                "name": "nightly",
                "workflow": "report",
                "cron": "30 2 * * *",
                "timezone": "Europe/Berlin",
                "overlap": "skip",
                "input": {"day": "${{ schedule.date }}"},
            }
        ],
    ),
]


class SchedulePage(msgspec.Struct, kw_only=True):
    """Schedules in the order of their creation."""

    items: Sequence[ScheduleView]
    next_cursor: str | None


class TickPage(msgspec.Struct, kw_only=True):
    """Ticks that have an outcome, newest first; the last 200 are remembered."""

    items: Sequence[TickView]
    next_cursor: str | None


class Pause(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why it is paused."""

    comment: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class Trigger(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How to start a run now."""

    overlap: Overlap | None = None
    """In place of the schedule's policy, this once."""
    idempotency_key: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """The same key again is the same run."""


class Triggered(msgspec.Struct, kw_only=True):
    """The run that was started, or that the start waits for an open one to end."""

    run_id: str | None
    status: str
    """The status of the run; `held` while it waits for open ones to end."""


class Backfill(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which ticks of the past to make up for."""

    start: Annotated[str, msgspec.Meta(max_length=64, examples=["2026-11-01T00:00"])]
    """ISO 8601, local to the schedule's zone unless it has an offset."""
    end: Annotated[str, msgspec.Meta(max_length=64, examples=["2026-11-07T00:00"])]
    dry_run: bool = False


class Backfilled(msgspec.Struct, kw_only=True):
    """The ticks of the range, each with its run."""

    items: Sequence[TickView]


@get("/v1/schedules", opt=READ, summary="List schedules")
async def list_schedules(app: CallersApp, limit: Limit = 100, cursor: Cursor = "") -> SchedulePage:
    """List the schedules of the organization."""
    if cursor:
        place_of(cursor, parse_schedule_id)
    items = await app.schedules.list(after=cursor, limit=limit)
    more = items[-1].schedule_id if len(items) == limit else None
    return SchedulePage(items=items, next_cursor=more)


@post("/v1/schedules", opt=AUTHOR, status_code=201, summary="Create a schedule")
async def create_schedule(app: CallersApp, data: JSONBody[Document]) -> ScheduleView:
    """Create a schedule; its first tick lies in the future."""
    return await app.schedules.create(data)


@post("/v1/schedules/preview", opt=READ, status_code=200, summary="Preview a timetable")
async def preview_document(app: CallersApp, data: JSONBody[Document], count: Count = 10) -> Preview:
    """Return the next ticks of a document that need not be complete; nothing is created."""
    return await app.schedules.preview(data, count=count)


@get("/v1/schedules/{schedule:str}", opt=READ, summary="Get a schedule")
async def get_schedule(app: CallersApp, schedule: Schedule) -> ScheduleView:
    """Return a schedule by its name or its id."""
    return await app.schedules.get(schedule)


@put("/v1/schedules/{schedule:str}", opt=AUTHOR, summary="Change a schedule")
async def update_schedule(
    app: CallersApp, schedule: Schedule, data: JSONBody[Document], if_match: IfMatch = ""
) -> ScheduleView:
    """Put another document in its place; it counts from now. If-Match takes its `revision`."""
    return await app.schedules.update(schedule, data, revision=seen(if_match))


@delete("/v1/schedules/{schedule:str}", opt=AUTHOR, summary="Delete a schedule")
async def delete_schedule(app: CallersApp, schedule: Schedule) -> None:
    """Forget a schedule and what became of its ticks; its runs stay."""
    await app.schedules.remove(schedule)


@get("/v1/schedules/{schedule:str}/ticks", opt=READ, summary="List ticks")
async def list_ticks(
    app: CallersApp, schedule: Schedule, limit: Limit = 50, cursor: Cursor = ""
) -> TickPage:
    """List what became of the ticks of a schedule, newest first."""
    before_us = moment_us("cursor", cursor)
    items = await app.schedules.ticks(schedule, before_us=before_us, limit=limit)
    return TickPage(items=items, next_cursor=items[-1].time if len(items) == limit else None)


@get("/v1/schedules/{schedule:str}/preview", opt=READ, summary="Preview a schedule")
async def preview_schedule(app: CallersApp, schedule: Schedule, count: Count = 10) -> Preview:
    """Return the next ticks of a schedule."""
    return await app.schedules.preview(schedule, count=count)


@post(
    "/v1/schedules/{schedule:str}/pause",
    opt=OPERATE,
    status_code=200,
    summary="Pause a schedule",
)
async def pause_schedule(
    app: CallersApp, schedule: Schedule, data: JSONBody[Pause | None] = None
) -> ScheduleView:
    """Start nothing more until it is resumed; runs that are open go on."""
    return await app.schedules.pause(schedule, comment=data.comment if data else "")


@post(
    "/v1/schedules/{schedule:str}/resume",
    opt=OPERATE,
    status_code=200,
    summary="Resume a schedule",
)
async def resume_schedule(app: CallersApp, schedule: Schedule) -> ScheduleView:
    """Go on from now; what fell due during the pause is not made up for."""
    return await app.schedules.resume(schedule)


@post(
    "/v1/schedules/{schedule:str}/trigger",
    opt=OPERATE,
    status_code=202,
    summary="Start a run of a schedule now",
)
async def trigger_schedule(
    app: CallersApp, schedule: Schedule, data: JSONBody[Trigger | None] = None
) -> Triggered:
    """Start a run now, paused or not; the ticks of the schedule stay as they are."""
    data = data or Trigger()
    row = await app.schedules.trigger(
        schedule, overlap=data.overlap, idempotency_key=data.idempotency_key
    )
    if row is None:
        return Triggered(run_id=None, status="held")
    return Triggered(run_id=run_id(row.run_no), status=RunStatus(row.status).label)


@post(
    "/v1/schedules/{schedule:str}/backfill",
    opt=OPERATE,
    status_code=202,
    summary="Make up for past ticks",
)
async def backfill_schedule(
    app: CallersApp, schedule: Schedule, data: JSONBody[Backfill]
) -> Backfilled:
    """Start a run for each past tick of a range that has none; repeating it is harmless."""
    items = await app.schedules.backfill(
        schedule, start=data.start, end=data.end, dry_run=data.dry_run
    )
    return Backfilled(items=items)


ROUTES: Final[tuple[Any, ...]] = (
    list_schedules,
    create_schedule,
    preview_document,
    get_schedule,
    update_schedule,
    delete_schedule,
    list_ticks,
    preview_schedule,
    pause_schedule,
    resume_schedule,
    trigger_schedule,
    backfill_schedule,
)
