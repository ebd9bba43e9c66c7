"""The text that the steps of a run write while they go on, such as the words of an agent."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.openapi.datastructures import ResponseSpec

from podium.authoring.client import App, RunHandle
from podium.authoring.streaming import text_of
from podium.core.states import RunStatus
from podium.server.access import Permission
from podium.server.dependencies import CallersApp
from podium.server.parameters import RunId
from podium.server.streams import HEARTBEAT, HEARTBEAT_S, RETRY, sse

__all__ = ["ROUTES"]

STREAM: Final = ResponseSpec(
    data_container=str,
    media_type="text/event-stream",
    description="Server-sent events named `text`, then `complete`, `error` or `closing`.",
    generate_examples=False,
)


@get(
    "/v1/runs/{run:str}/text",
    opt={"needs": Permission.READ},
    summary="Follow what the steps of a run write",
    responses={200: STREAM},
)
async def run_text(*, run: RunId, app: CallersApp) -> Response[Any]:
    """Stream the text that steps of a run and of its child runs write while they go on.

    Nothing of it is kept. Whoever connects late, or again, first gets what the steps that go on
    wrote so far, from `offset` 0: put each text at its offset, and nothing is missing or twice.
    A higher `attempt` begins anew. What counts in the end is the result of the step.
    """
    handle = app.run(run)
    await handle.row()
    return sse(text_frames(app, handle), app=app)


async def text_frames(
    app: App, handle: RunHandle, *, heartbeat_s: float = HEARTBEAT_S
) -> AsyncGenerator[bytes]:
    """Yield the stream; it ends when the run does, or when this process is about to leave."""
    yield RETRY + b"\n"
    async with aclosing(text_of(app.engine, handle.run_no, idle_s=heartbeat_s)) as chunks:
        async for chunk in chunks:
            if chunk is None:
                yield HEARTBEAT
            else:
                yield b"event: text\ndata: " + msgspec.json.encode(chunk) + b"\n\n"
    yield await _end(handle)


async def _end(handle: RunHandle) -> bytes:
    status = await handle.status()
    done = "complete" if status is RunStatus.COMPLETED else "error"
    kind = "closing" if status.is_open else done
    data = msgspec.json.encode({"run_id": handle.id, "status": status.label})
    return f"event: {kind}\ndata: ".encode() + data + b"\n\n"


ROUTES: Final[tuple[Any, ...]] = (run_text,)
