"""The way to one provider over HTTP, its errors in our words.

Redirects are not followed (a key would go with them), answers are bounded, and nothing that
leaves this module mentions a key or a header.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

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
LANE_MAX: Final = 25
"""Connections of one client of the library: it looks at all of its connections for each request,
so many small clients carry a thousand requests in a fraction of the time of a large one."""
IDLE_S: Final = 30.0


class Answered:
    """The head of an answer; its body is read in bounds and against the clock."""

    def __init__(self, response: Any, *, timeout_s: float) -> None:
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._timeout_s = timeout_s

    async def chunks(self, most: int) -> AsyncGenerator[bytes]:
        """Yield the body; raises `ProviderFault` MALFORMED once it is longer than `most`.

        Raises `TimeoutError` when the provider is silent for as long as the request may take.
        """
        size = 0
        async with aclosing(self._response.aiter_bytes()) as chunks:
            while True:
                async with asyncio.timeout(self._timeout_s):
                    chunk: bytes | None = await anext(chunks, None)
                if chunk is None:
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

    def __init__(self, base_url: str, *, headers: Mapping[str, str], transport: Any = None) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = dict(headers)
        self._transport = transport
        self._lanes: list[_Lane] = []
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)

    @asynccontextmanager
    async def post(
        self, path: str, body: bytes, *, headers: Mapping[str, str], timeout_s: float
    ) -> AsyncIterator[Answered]:
        """Send one request and give its answer, whatever the status; the body is read inside.

        Errors of the client library come out as they are: `fault_of` translates them.
        """
        async with asyncio.timeout(timeout_s):
            await self._places.acquire()
        try:
            lane = self._lane()
            lane.load += 1
            try:
                async with self._ask(lane.client, path, body, headers, timeout_s) as response:
                    yield Answered(response, timeout_s=timeout_s)
            finally:
                lane.load -= 1
        finally:
            self._places.release()

    @asynccontextmanager
    async def _ask(
        self, client: Any, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> AsyncIterator[Any]:
        waits = _library().Timeout(None, connect=min(CONNECT_S, timeout_s))
        request = client.build_request(
            "POST", self._base_url + path, content=body, headers=headers, timeout=waits
        )
        async with asyncio.timeout(timeout_s):
            response = await client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the connections; safe to repeat."""
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            await lane.client.aclose()

    def fault_of(self, error: Exception) -> ProviderFault | None:
        """Return what an error of the client library or of the clock means; None: not theirs.

        `partial` is set if the provider may have got the request, and may charge for it.
        """
        library = _library()
        if isinstance(error, library.ConnectError | library.ConnectTimeout):
            return ProviderFault(FaultKind.CONNECTION, f"No connection: {_words(error)}")
        if isinstance(error, library.InvalidURL | library.UnsupportedProtocol):
            return ProviderFault(FaultKind.BAD_REQUEST, "The base_url is not an address.")
        if isinstance(error, TimeoutError | library.TimeoutException):
            kind, detail = FaultKind.TIMEOUT, "The provider did not answer in time."
        elif isinstance(error, library.HTTPError | library.StreamError):
            kind, detail = FaultKind.CONNECTION, f"The connection was lost: {type(error).__name__}"
        else:
            return None
        return ProviderFault(kind, detail, partial=Draft().reply())

    def _lane(self) -> "_Lane":
        """Return the first client with a connection to spare, so that the last ones can rest."""
        for lane in self._lanes:
            if lane.load < LANE_MAX:
                return lane
        library = _library()
        client = library.AsyncClient(
            headers=self._headers,
            transport=self._transport,
            verify=_trusted(),
            follow_redirects=False,
            limits=library.Limits(
                max_connections=LANE_MAX,
                max_keepalive_connections=LANE_MAX,
                keepalive_expiry=IDLE_S,
            ),
        )
        self._lanes.append(_Lane(client))
        return self._lanes[-1]


@dataclass(slots=True)
class _Lane:
    """One client of the library, and how many requests of it are under way."""

    client: Any
    load: int = 0


@lru_cache(maxsize=1)
def _trusted() -> Any:
    """Return the certificates that are believed; made once, it takes 50 ms."""
    return _library().create_ssl_context()


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:DETAIL_MAX]


def _library() -> Any:
    try:
        import httpx2  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ModelError(
            "Asking a language model needs an HTTP client that is not installed.",
            fix="pip install 'podium[llm]'",
            code="PDM-M003",
        ) from error
    return httpx2
