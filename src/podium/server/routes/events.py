"""Events: of one run as a stream, a page or a socket; of all runs as a feed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, WebSocket, get, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, HeaderParameter, QueryParameter

from podium.authoring.client import App
from podium.authoring.following import followed
from podium.core.cloudevents import CloudEvent
from podium.core.ids import parse_run_id
from podium.errors import PodiumError
from podium.runtime.feeds import FeedFollower, parse_cursor
from podium.runtime.followers import Follower
from podium.server.access import Permission
from podium.server.dependencies import CallersApp
from podium.server.parameters import Limit, RunId
from podium.server.problems import problem, request_id_of
from podium.server.streams import (
    HEARTBEAT_S,
    End,
    cursor_of,
    feed_frames,
    is_of,
    run_frames,
    sse,
    wants_json,
)

__all__ = ["ROUTES"]

READ: Final = {"needs": Permission.READ}

LastEventId = Annotated[
    str,
    HeaderParameter(
        name="Last-Event-ID", max_length=64, description="The id of the last event you received."
    ),
]
After = Annotated[
    str,
    QueryParameter(max_length=64, description="The same, for those who cannot set headers."),
]
NORMAL: Final = 1000
RESTARTING: Final = 1012
KEY_ENDED: Final = 4401


class EventPage(msgspec.Struct, kw_only=True):
    """Events of a run, in order."""

    items: list[CloudEvent]
    next_cursor: str | None
    """There is more now: `?after=` this. None: this was all so far."""
    cursor: str
    """Where to go on later, in any case."""
    has_ended: bool
    """Whether the run has ended and this page holds its last event."""


class FeedItem(msgspec.Struct, kw_only=True):
    """An event of the feed, and its place there."""

    cursor: str
    event: CloudEvent


class FeedPage(msgspec.Struct, kw_only=True):
    """Events of all runs, in the order in which they were committed."""

    items: list[FeedItem]
    next_cursor: str | None
    cursor: str


# A stream and a page under one path: the description names both.
STREAM: Final = ResponseSpec(
    data_container=str,
    media_type="text/event-stream",
    description="Server-sent events; with `Accept: application/json` a page.",
    generate_examples=False,
)


@get(
    "/v1/runs/{run:str}/events",
    opt=READ,
    summary="Follow or read the events of a run",
    responses={200: STREAM},
)
async def run_events(
    *,
    run: RunId,
    request: Request[Any, Any, Any],
    app: CallersApp,
    last_event_id: LastEventId = "",
    after: After = "",
    limit: Limit = 500,
) -> Response[Any]:
    """Stream the events of a run after a cursor until it ends, or return a page of them.

    Each event comes once and in order. After a lost connection go on with the id of the last
    event: none is missed and none comes twice, also if the server was killed meanwhile.
    """
    cursor = cursor_of(run, last_event_id=last_event_id, after=after)
    if wants_json(request.headers.get("accept", "")):
        return Response(await _page(app, run, cursor, limit), media_type="application/json")
    # Refusals must come before the answer begins.
    async with followed(app, run, after=cursor):
        return sse(_run_stream(app, run, cursor), app=app)


async def _run_stream(app: App, run: str, cursor: int) -> AsyncGenerator[bytes]:
    async with followed(app, run, after=cursor) as follower:
        async for frames in run_frames(parse_run_id(run), follower):
            yield frames


async def _page(app: App, run: str, cursor: int, limit: int) -> EventPage:
    events: list[CloudEvent] = []
    async with followed(app, run, after=cursor) as follower:
        while len(events) <= limit and (notices := await follower.next(0)):
            events += [notice.event for notice in notices]
        is_all = len(events) <= limit
        page = events[:limit]
        at = str(page[-1].sequence if page else cursor)
        return EventPage(
            items=page,
            next_cursor=None if is_all else at,
            cursor=at,
            has_ended=is_all and follower.has_ended,
        )


@websocket("/v1/runs/{run:str}/ws", opt=READ)
async def run_socket(socket: WebSocket[Any, Any, Any], run: RunId) -> None:
    """Send the events of a run, one message each; the cursor is that of the other ways."""
    caller = socket.state.caller
    app: App = socket.app.state.podium.on_behalf_of(
        caller.organization, by=caller.name, key_id=caller.key_id
    )
    await socket.accept()
    try:
        given = socket.query_params.get("after", "")
        cursor = cursor_of(run, last_event_id=socket.headers.get("last-event-id", ""), after=given)
        async with followed(app, run, after=cursor) as follower:
            await _send_all(socket, app, parse_run_id(run), follower)
    except PodiumError as error:
        told = problem(error, request_id=request_id_of(socket.scope))
        await socket.send_text(msgspec.json.encode({**_fields(told), "type": "problem"}).decode())
        await socket.close(code=4000 + told.status, reason=told.code)


def _fields(told: msgspec.Struct) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(told)
    return fields


async def _send_all(
    socket: WebSocket[Any, Any, Any], app: App, run_no: int, follower: Follower
) -> None:
    """Send until the run ends, this process leaves, or the other side does."""
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(_send(socket, app, run_no, follower))
        listening = group.create_task(_listen(socket))
        await asyncio.wait([sending, listening], return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        listening.cancel()


async def _send(
    socket: WebSocket[Any, Any, Any], app: App, run_no: int, follower: Follower
) -> None:
    # The other side may leave at any time; the engine's own errors are not of this kind.
    with suppress(WebSocketDisconnect, OSError):
        await _tell(socket, app, run_no, follower)


async def _tell(
    socket: WebSocket[Any, Any, Any], app: App, run_no: int, follower: Follower
) -> None:
    while not (follower.has_ended or follower.is_closing):
        notices = await follower.next(HEARTBEAT_S)
        if not await app.keys.is_admitted():
            await socket.close(code=KEY_ENDED, reason="The key was revoked or has expired.")
            return
        for notice in notices:
            await socket.send_text(notice.text)
        if not notices and not (follower.has_ended or follower.is_closing):
            beat = {"type": "heartbeat", "sequence": follower.cursor}
            await socket.send_text(msgspec.json.encode(beat).decode())
    end = End.of(run_no, follower)
    await socket.send_text(end.text())
    await socket.close(code=RESTARTING if end.kind == "closing" else NORMAL, reason=end.kind)


async def _listen(socket: WebSocket[Any, Any, Any]) -> None:
    """Read and drop what the other side says, until it leaves."""
    try:
        while True:
            await socket.receive_data(mode="text")
    except WebSocketDisconnect:
        return


@get(
    "/v1/events",
    opt=READ,
    summary="Follow or read the events of all runs",
    responses={200: STREAM},
)
async def all_events(
    *,
    request: Request[Any, Any, Any],
    app: CallersApp,
    last_event_id: LastEventId = "",
    after: After = "",
    types: FromQuery[str] = "",
    limit: Limit = 500,
) -> Response[Any]:
    """Stream the events of all runs of the organization in the order of their commits.

    Without a cursor it begins now, and a page is empty but for the cursor. `types` narrows it:
    `run,approval`, or `run.completed`.
    """
    wanted = [part.strip().removeprefix("orchestration.") for part in types.split(",") if part]
    given = last_event_id.strip() or after.strip()
    follower = await app.engine.audience.feeds.follow(
        after=parse_cursor(given) if given else None, organization=app.scope
    )
    if wants_json(request.headers.get("accept", "")):
        return Response(await _feed_page(follower, wanted, limit), media_type="application/json")
    return sse(feed_frames(follower, wanted), app=app)


async def _feed_page(follower: FeedFollower, wanted: list[str], limit: int) -> FeedPage:
    items: list[FeedItem] = []
    at = str(follower.cursor)
    while told := await follower.next(0):
        for each in told:
            if is_of(wanted, each.notice.event.type):
                if len(items) == limit:
                    return FeedPage(items=items, next_cursor=at, cursor=at)
                items.append(FeedItem(cursor=str(each.cursor), event=each.notice.event))
            at = str(each.cursor)
    return FeedPage(items=items, next_cursor=None, cursor=str(follower.cursor))


ROUTES: Final[tuple[Any, ...]] = (run_events, run_socket, all_events)
