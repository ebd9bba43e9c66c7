"""The one `ModelWire` over HTTP; what differs between providers is its dialect."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Final
from urllib.parse import quote

import msgspec

from podium.adapters.models.dialect import Dialect, Reader
from podium.adapters.models.draft import Draft
from podium.adapters.models.faults import malformed, refusal
from podium.adapters.models.headers import limit_state, request_id
from podium.adapters.models.http import STREAM_MAX, Answered, Http
from podium.adapters.models.sse import Events, EventTooLong, SentEvent
from podium.ports.models import FaultKind, ModelRequest, Piece, ProviderFault, Reply

__all__ = ["HttpWire"]

HIDDEN: Final = "***"
_PLAIN: Final = "!#$&'()*+,/:;=?@[]^`{|}"
# What reading an answer raises that is not what its protocol says.
_UNREADABLE: Final = (
    msgspec.MsgspecError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


class HttpWire:
    """See `ModelWire`. `key` is never part of an error, also if the provider repeats it."""

    def __init__(self, dialect: Dialect, http: Http, *, path: str, key: str = "") -> None:
        self._dialect = dialect
        self._http = http
        self._key = key
        self._path = path

    async def send(self, request: ModelRequest) -> Reply:
        """See `ModelWire.send`."""
        fault: ProviderFault | None
        try:
            return await self._send(request)
        except Exception as error:
            fault = self._translated(error)
            if fault is None:
                raise
        # Outside of `except`: the library's error holds the request, and with it the key.
        raise fault

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Piece]:
        """See `ModelWire.stream`."""
        reader = self._dialect.reader(request)
        fault: ProviderFault | None
        try:
            async with aclosing(self._stream(request, reader)) as pieces:
                async for piece in pieces:
                    yield piece
        except Exception as error:
            fault = self._translated(error)
            if fault is None:
                raise
        else:
            return
        if reader.draft.finish is None:
            raise _cut(fault, reader.draft)
        yield reader.draft.reply()  # only the goodbye was lost

    async def close(self) -> None:
        """See `ModelWire.close`."""
        await self._http.close()

    async def _send(self, request: ModelRequest) -> Reply:
        async with asyncio.timeout(request.timeout_s):
            async with self._post(request, stream=False) as answered:
                return await self._whole(answered)

    async def _stream(self, request: ModelRequest, reader: Reader) -> AsyncGenerator[Piece]:
        async with self._post(request, stream=True) as answered:
            if answered.status != 200:
                raise refusal(answered.status, answered.headers, await self._body(answered))
            if "json" in answered.headers.get("content-type", ""):
                yield await self._whole(answered)  # the server does not stream
                return
            reader.draft.request_id = request_id(answered.headers)
            reader.draft.limits = limit_state(answered.headers)
            async with aclosing(self._events(answered)) as events:
                async for event in events:
                    for piece in _read(reader, event):
                        yield piece
                    if reader.is_done:
                        break
            if reader.draft.finish is None:
                raise ProviderFault(FaultKind.STREAM_CUT, "The stream ended before the answer did.")
            yield reader.draft.reply()

    def _post(
        self, request: ModelRequest, *, stream: bool
    ) -> AbstractAsyncContextManager[Answered]:
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if request.idempotency_key:
            # It names a step, and so perhaps an item in any language.
            headers["idempotency-key"] = quote(request.idempotency_key, safe=_PLAIN)
        body = msgspec.json.encode(self._dialect.body(request, stream=stream))
        return self._http.post(self._path, body, headers=headers, timeout_s=request.timeout_s)

    async def _whole(self, answered: Answered) -> Reply:
        body = await self._body(answered)
        if answered.status != 200:
            raise refusal(answered.status, answered.headers, body)
        try:
            reply = self._dialect.reply(msgspec.json.decode(body))
        except _UNREADABLE as error:
            fault = malformed(f"The answer is not what its protocol says ({error!r}).")
            fault.partial = Draft().reply()  # it may well be charged
            raise fault from None
        limits, name = limit_state(answered.headers), request_id(answered.headers)
        return msgspec.structs.replace(reply, limits=limits, request_id=name)

    async def _body(self, answered: Answered) -> bytes:
        body = await answered.body()
        return body.replace(self._key.encode(), HIDDEN.encode()) if self._key else body

    async def _events(self, answered: Answered) -> AsyncGenerator[SentEvent]:
        events = Events()
        async with aclosing(answered.chunks(STREAM_MAX)) as chunks:
            async for chunk in chunks:
                for event in events.feed(chunk):
                    yield self._without_key(event)

    def _without_key(self, event: SentEvent) -> SentEvent:
        if not self._key or self._key not in event.data:
            return event
        return event._replace(data=event.data.replace(self._key, HIDDEN))

    def _translated(self, error: Exception) -> ProviderFault | None:
        if isinstance(error, EventTooLong):
            return malformed("An event of the stream is too long.")
        return error if isinstance(error, ProviderFault) else self._http.fault_of(error)


def _read(reader: Reader, event: SentEvent) -> Sequence[Piece]:
    try:
        return reader.read(event)
    except _UNREADABLE as error:
        raise malformed(f"An event is not what its protocol says ({error!r}).") from None


def _cut(fault: ProviderFault, draft: Draft) -> ProviderFault:
    """Return the fault of a stream, with what came of it before and may be charged."""
    if draft.is_empty:
        if fault.kind in {FaultKind.STREAM_CUT, FaultKind.MALFORMED}:
            fault.partial = draft.reply()
        return fault
    return ProviderFault(
        fault.kind if fault.kind is FaultKind.MALFORMED else FaultKind.STREAM_CUT,
        fault.detail,
        status=fault.status,
        limits=fault.limits,
        partial=draft.reply(),
        request_id=draft.request_id or fault.request_id,
    )
