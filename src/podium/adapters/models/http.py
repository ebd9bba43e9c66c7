"""The way to one provider over HTTP, its errors in our words.

Redirects are not followed (a key would go with them), answers are bounded, and nothing that
leaves this module mentions a key or a header.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from io import BytesIO
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from podium.adapters.models.draft import Draft
from podium.adapters.models.faults import DETAIL_MAX, malformed
from podium.errors import ModelError
from podium.ports.models import FaultKind, ProviderFault

__all__ = ["ANSWER_MAX", "STREAM_MAX", "Answered", "Http"]

ANSWER_MAX: Final = 16 * 1024 * 1024
"""Bytes of an answer that comes at once."""
STREAM_MAX: Final = 64 * 1024 * 1024
"""Bytes of a stream: each token comes in some hundred bytes of JSON."""
CONNECT_S: Final = 10.0
CONNECTIONS_MAX: Final = 1_000
IDLE_S: Final = 30.0
LARGE: Final = 512 * 1024
HEAD_LINE_MAX: Final = 64 * 1024
"""Bytes of one line of an answer's head; the library's own bound is below what gateways send."""


class Answered:
    """The head of an answer; its body is read in bounds and against the clock."""

    def __init__(self, response: Any, *, timeout_s: float) -> None:
        self.status: int = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._timeout_s = timeout_s

    async def chunks(self, most: int) -> AsyncGenerator[bytes]:
        """Yield the body; raises `ProviderFault` MALFORMED once it is longer than `most`.

        Raises `TimeoutError` when the provider is silent for as long as the request may take.
        """
        size = 0
        while True:
            async with asyncio.timeout(self._timeout_s):
                chunk: bytes = await self._response.content.readany()
            if not chunk:
                return
            size += len(chunk)
            if size > most:
                raise malformed(f"The answer is longer than {most:,} bytes.")
            yield chunk

    async def body(self) -> bytes:
        """Return the whole body."""
        async with aclosing(self.chunks(ANSWER_MAX)) as chunks:
            return b"".join([chunk async for chunk in chunks])


class Http:
    """The connections to one provider; belongs to one event loop."""

    def __init__(self, base_url: str, *, headers: Mapping[str, str]) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"user-agent": "podium", **headers}
        self._session: Any = None
        self._proxy: str | None = None

    @asynccontextmanager
    async def post(
        self, path: str, body: bytes, *, headers: Mapping[str, str], timeout_s: float
    ) -> AsyncIterator[Answered]:
        """Send one request and give its answer, whatever the status; the body is read inside.

        Errors of the client library come out as they are: `fault_of` translates them.
        """
        session = self._opened()
        waits = _library().ClientTimeout(sock_connect=min(CONNECT_S, timeout_s))
        async with asyncio.timeout(timeout_s):
            response = await session.post(
                self._base_url + path,
                # The library frowns at large bodies in one piece; it writes a file bit by bit.
                data=body if len(body) < LARGE else BytesIO(body),
                headers=headers,
                timeout=waits,
                proxy=self._proxy,
                allow_redirects=False,
            )
        try:
            yield Answered(response, timeout_s=timeout_s)
        finally:
            # A connection whose answer was not read to its end is closed, others are kept.
            response.release()

    async def close(self) -> None:
        """Close the connections; safe to repeat."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def fault_of(self, error: Exception) -> ProviderFault | None:
        """Return what an error of the client library or of the clock means; None: not theirs.

        `partial` is set if the provider may have got the request, and may charge for it.
        """
        library = _library()
        if isinstance(error, library.ClientConnectorError | library.ConnectionTimeoutError):
            return ProviderFault(FaultKind.CONNECTION, f"No connection: {_words(error)}")
        if isinstance(error, library.InvalidURL):
            return ProviderFault(FaultKind.BAD_REQUEST, "The base_url is not an address.")
        if isinstance(error, TimeoutError):
            kind, detail = FaultKind.TIMEOUT, "The provider did not answer in time."
        elif isinstance(error, library.ClientError):
            kind, detail = FaultKind.CONNECTION, f"The connection was lost: {type(error).__name__}"
        else:
            return None
        return ProviderFault(kind, detail, partial=Draft().reply())

    def _opened(self) -> Any:
        if self._session is None:
            library = _library()
            self._proxy = _proxy_for(self._base_url)
            self._session = library.ClientSession(
                headers=self._headers,
                connector=library.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=IDLE_S),
                cookie_jar=library.DummyCookieJar(),
                max_line_size=HEAD_LINE_MAX,
                max_field_size=HEAD_LINE_MAX,
            )
        return self._session


def _proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for an address.

    The library would look into `.netrc`, too, and send what it finds there instead of the key.
    """
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:DETAIL_MAX]


def _library() -> Any:
    try:
        import aiohttp  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ModelError(
            "Asking a language model needs an HTTP client that is not installed.",
            fix="pip install 'podium[llm]'",
            code="PDM-M003",
        ) from error
    return aiohttp
