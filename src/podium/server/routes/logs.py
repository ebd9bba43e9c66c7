"""What the attempts of a run printed and logged, as a page or as it comes."""

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter

from podium.authoring.client import App
from podium.authoring.logs import LogLine
from podium.server.access import Permission
from podium.server.dependencies import CallersApp, TheHealth
from podium.server.health import Health
from podium.server.parameters import Limit, RunId
from podium.server.streams import HEARTBEAT, HEARTBEAT_S, RETRY, sse

__all__ = ["ROUTES"]

READ: Final = {"needs": Permission.READ}
STREAM: Final = ResponseSpec(
    data_container=str,
    media_type="text/event-stream",
    description="A page; with `Accept: text/event-stream` lines as they come.",
    generate_examples=False,
)


class LogPage(msgspec.Struct, kw_only=True):
    """Lines of a run, in the order in which they were kept."""

    items: Sequence[LogLine]
    next_cursor: str | None
    """There may be more: `?after=` this."""


@get(
    "/v1/runs/{run:str}/logs",
    opt=READ,
    summary="What the attempts of a run wrote",
    responses={200: STREAM},
)
async def run_logs(
    *,
    run: RunId,
    request: Request[Any, Any, Any],
    app: CallersApp,
    health: TheHealth,
    step: Annotated[str, QueryParameter(max_length=1000, description="Path of a step.")] = "",
    after: Annotated[int, QueryParameter(ge=0, le=1 << 62, description="`number` seen last.")] = 0,
    last_event_id: Annotated[int, HeaderParameter(name="Last-Event-ID", ge=0, le=1 << 62)] = 0,
    limit: Limit = 500,
) -> Response[Any]:
    """Return a page of what a run's attempts printed and logged, or stream it until its end.

    Lines are kept a moment after they were written. They are bounded for each attempt, cleared
    of known secrets, and forgotten by retention before their run is.
    """
    lines = await app.logs.of(run, step=step, after=after or last_event_id, limit=limit)
    if "text/event-stream" in request.headers.get("accept", ""):
        frames = _stream(app, health, run, step=step, after=after or last_event_id)
        return sse(frames, app=app)
    more = str(lines[-1].number) if len(lines) == limit else None
    return Response(LogPage(items=lines, next_cursor=more), media_type="application/json")


async def _stream(
    app: App, health: Health, run: str, *, step: str, after: int
) -> AsyncGenerator[bytes]:
    """Yield one frame for each line; the last one says that the run, or this process, is done."""
    yield RETRY + b"\n"
    silent_s, looked = 0.0, app.engine.store.now_us()
    async for lines in app.logs.follow(run, step=step, after=after):
        if lines:
            yield b"".join(map(_frame, lines))
            silent_s = 0.0
        now_us = app.engine.store.now_us()
        silent_s, looked = silent_s + (now_us - looked) / 1e6, now_us
        if silent_s >= HEARTBEAT_S:
            yield HEARTBEAT
            silent_s = 0.0
        if health.is_draining:
            yield b"event: closing\ndata: {}\n\n"
            return
    yield b"event: complete\ndata: {}\n\n"


def _frame(line: LogLine) -> bytes:
    return f"id: {line.number}\nevent: log\ndata: ".encode() + msgspec.json.encode(line) + b"\n\n"


ROUTES: Final[tuple[Any, ...]] = (run_logs,)
