"""What every request passes first: an id, limits of size and time, and whom a server trusts.

Refusals here come before routing, keys and bodies: nothing else has been looked at yet.
"""

import asyncio
import re
import uuid
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from podium.errors import AccessError, PodiumError, StoreError
from podium.runtime.correlation import bind_request
from podium.server.problems import answer, refusal

__all__ = ["BODY_BYTES_MAX", "Doorkeeper"]

BODY_BYTES_MAX: Final = 1024 * 1024
BODY_WAIT_S: Final = 30.0
"""How long a caller may take to send a body."""
HEADER_BYTES_MAX: Final = 16 * 1024
HEADERS_MAX: Final = 100
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
ID_RE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Doorkeeper:
    """Stands around the whole application; see the module docstring."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, with its id, or answer why not."""
        headers = dict(scope["headers"])
        name = _request_id(headers)
        scope["state"]["request_id"] = name
        bind_request(name)

        body = _Body(receive, follows=has_body(headers))

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(b"x-request-id", name.encode())]
                # What the caller may still be sending is not waited for.
                if not body.is_whole:
                    ours.append((b"connection", b"close"))
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        try:
            check_headers(scope)
            # Without a store the last answer stands: that the process lives must still be told.
            with suppress(StoreError):
                await scope["litestar_app"].state.authenticator.look()
            check_origin(scope, headers)
        except PodiumError as error:
            await _refuse(error, scope, receive, tell)
            return
        await self._app(scope, body.receive, tell)


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    return given if ID_RE.fullmatch(given) else f"req_{uuid.uuid4().hex}"


async def _refuse(error: PodiumError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == ScopeType.WEBSOCKET:
        await send({"type": "websocket.close", "code": 4000 + error.status, "reason": error.what})
        return
    request: Request[Any, Any, Any] = Request(scope, receive, send)
    response = answer(request, error)
    await response.to_asgi_response(app=None, request=request)(scope, receive, send)


def check_headers(scope: Scope) -> None:
    """Refuse more headers than anybody needs; raises `RequestError` with status 431."""
    headers = list(scope["headers"])
    size = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > HEADERS_MAX or size > HEADER_BYTES_MAX:
        raise refusal(431, f"The request has {len(headers)} headers of {size:,} bytes together.")


def check_origin(scope: Scope, headers: dict[bytes, bytes]) -> None:
    """Refuse what a page of another site makes a browser send; raises `AccessError`.

    While no key is asked for, the name in Host must be one of this machine: a name that a
    stranger points at 127.0.0.1 is how a page on the web would reach a local server.
    """
    host = headers.get(b"host", b"").decode("latin-1").lower()
    if scope["litestar_app"].state.authenticator.is_open and name_of(host) not in LOOPBACK:
        raise AccessError(
            f"The host {host!r} is not a name of this machine.",
            why="Without keys the server only answers to callers on this machine.",
            fix="Use http://127.0.0.1, or make a key: `podium keys create --role admin`.",
            code="PDM-R111",
            code_word="host_not_allowed",
        )
    origin = headers.get(b"origin", b"").decode("latin-1").lower()
    if origin and scope.get("method") not in SAFE_METHODS:  # a socket has no method
        _check_same(origin, host)


def _check_same(origin: str, host: str) -> None:
    if urlsplit(origin).netloc != host:
        raise AccessError(
            f"The page at {origin!r} may not change anything here.",
            why="Requests that change something are taken from pages of this server only.",
            fix="Call from a program, or open the page that this server serves.",
            code="PDM-R111",
            code_word="origin_not_allowed",
        )


def name_of(host: str) -> str:
    """Return the name in a Host header, without its port and its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def has_body(headers: dict[bytes, bytes]) -> bool:
    """Return whether a body follows the headers."""
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


class _Body:
    """The body of one request, which must have come whole in `BODY_WAIT_S`."""

    def __init__(self, receive: Receive, *, follows: bool) -> None:
        self._receive = receive
        self._until = asyncio.get_running_loop().time() + BODY_WAIT_S
        self.is_whole = not follows

    async def receive(self) -> Any:
        """Return the next message; raises `RequestError` with status 408."""
        if self.is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise refusal(408, "The body did not come in time.") from None
        if message["type"] == "http.request":
            self.is_whole = not message.get("more_body", False)
        return message
