"""What a process answers while its store cannot be used: alive, not ready, come back soon."""

import msgspec
from litestar.enums import ScopeType
from litestar.types import Message, Receive, Scope, Send

from podium.errors import StoreError
from podium.server.health import Liveness, Readiness
from podium.server.problems import MEDIA_TYPE, RETRY_AFTER_S, problem

__all__ = ["unavailable"]

JSON = "application/json"


async def unavailable(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request; an ASGI application without a store behind it."""
    if scope["type"] == ScopeType.WEBSOCKET:
        await send({"type": "websocket.close", "code": 1013, "reason": "store_unavailable"})
        return
    status, kind, body = _answer(scope["path"])
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    if status != 200:
        headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _answer(path: str) -> tuple[int, str, bytes]:
    if path == "/v1/health/live":
        return 200, JSON, msgspec.json.encode(Liveness())
    if path == "/v1/health/ready":
        told = Readiness(ready=False, reason="store_unavailable")
        return 503, JSON, msgspec.json.encode(told)
    error = StoreError(
        "The store cannot be used now.",
        why="The server tries it again every few seconds; nothing acknowledged is lost.",
        fix="Wait, or look at the disk and the log of the server.",
        code="PDM-S001",
    )
    return 503, MEDIA_TYPE, msgspec.json.encode(problem(error))
