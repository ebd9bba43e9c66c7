"""The protocol on the wire, with bounds that the server library leaves open.

It reads the head of a request as long as it lasts: bytes without end would fill the memory,
and a caller that says nothing more would hold its connection for ever.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["BoundedHttp"]

HEAD_BYTES_MAX: Final = 64 * 1024
"""Beyond what any sound head needs; those that are merely too large get an answer of their own."""
HEAD_WAIT_S: Final = 30.0
"""How long a caller may take from connecting, or from its first byte, to the end of the head."""


class BoundedHttp(HttpToolsProtocol):
    """HTTP/1.1 whose heads end, in size and in time."""

    _head_bytes = 0
    _is_in_head = True
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._calm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; those of a head that does not end are refused."""
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self.send_400_response("The head of the request does not end.")

    def on_message_begin(self) -> None:
        """See the parser's contract: a head begins."""
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        self._wait()

    def on_headers_complete(self) -> None:
        """See the parser's contract: the head is whole."""
        self._is_in_head = False
        self._calm()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._calm()
        self._patience = self.loop.call_later(HEAD_WAIT_S, self._cut)

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()

    def _cut(self) -> None:
        transport: Any = self.transport
        if not transport.is_closing():
            transport.close()
