"""A small HTTP/1.1 server on the loopback address: what the stub needs, and nothing else.

It keeps connections alive, streams in chunks, and can break off in the middle. No TLS, no
compression, no chunked requests.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from http import HTTPStatus
from threading import Thread
from typing import Any, Final

import msgspec

__all__ = ["Answerer", "Cut", "HttpServer", "Request", "Response", "ServerThread"]

HEAD_BYTES_MAX: Final = 64 * 1024
BODY_BYTES_MAX: Final = 32 * 1024 * 1024
PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


class Cut(Exception):
    """Break the connection off here."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request; the names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """One response; a body that is not bytes is streamed as it comes, and closed at the end."""

    status: int
    headers: Mapping[str, str]
    body: bytes | AsyncGenerator[bytes, None] = b""


Answerer = Callable[[Request], Awaitable[Response]]


class BadRequest(Exception):
    """What came is not HTTP as this server speaks it."""


class HttpServer:
    """Serves `answer` on a port of 127.0.0.1 that the system chose, on the running loop."""

    def __init__(
        self, answer: Answerer, *, at_stop: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._answer = answer
        self._at_stop = at_stop
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[Any]] = set()
        self._failure: Exception | None = None

    async def start(self) -> int:
        """Listen, and return the port."""
        self._server = await asyncio.start_server(
            self._talk, "127.0.0.1", 0, limit=HEAD_BYTES_MAX, backlog=2048
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Stop listening and break off every connection; safe to repeat.

        Raises what went wrong inside `answer`: the client saw no more than a lost connection.
        """
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        if self._at_stop is not None:
            await self._at_stop()
        if self._failure is not None:
            raise self._failure

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (Cut, ConnectionError):
            writer.transport.abort()
        except asyncio.CancelledError:
            # The server stops. Ending normally keeps asyncio from reporting a lost connection.
            writer.transport.abort()
        except Exception as error:  # noqa: BLE001 - raised by stop(), where a test can see it
            self._failure = error
            writer.transport.abort()
        finally:
            self._talks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection stays open."""
        try:
            request = await read_request(reader)
        except asyncio.IncompleteReadError:
            return False
        except (BadRequest, ValueError, asyncio.LimitOverrunError) as error:
            refused = Response(status=400, headers={}, body=str(error).encode())
            writer.write(head_of(refused, 0) + b"\r\n")
            return False
        response = await self._answer(request)
        if isinstance(response.body, bytes):
            writer.write(head_of(response, len(response.body)) + b"\r\n" + response.body)
            await writer.drain()
        else:
            await send_stream(reader, writer, response, response.body)
        return request.headers.get("connection", "").lower() != "close"


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read one request; raises IncompleteReadError where the client has gone."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    try:
        method, target, _ = first.split(" ")
    except ValueError:
        raise BadRequest(f"not a request line: {first!r}") from None
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise BadRequest("send a content-length")
    length = int(headers.get("content-length", 0))
    if not 0 <= length <= BODY_BYTES_MAX:
        raise BadRequest("the body is too large")
    body = await reader.readexactly(length) if length else b""
    return Request(method=method, path=target.partition("?")[0], headers=headers, body=body)


def head_of(response: Response, length: int | None) -> bytes:
    """Return the status line and the headers."""
    lines = [f"HTTP/1.1 {response.status} {reason(response.status)}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines.append("transfer-encoding: chunked" if length is None else f"content-length: {length}")
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def reason(status: int) -> str:
    """Return the words of a status; providers use some that no standard knows."""
    return PHRASES.get(status, "Unknown")


async def send_stream(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    response: Response,
    body: AsyncGenerator[bytes, None],
) -> None:
    """Send chunks as they come; a body whose client has gone is cancelled where it waits."""
    try:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(until_gone(reader))
            await send_chunks(writer, response, body)
            watch.cancel()
    except* (Cut, ConnectionError):
        # Both end the connection; a group is nobody's business above.
        raise Cut from None


async def send_chunks(
    writer: asyncio.StreamWriter, response: Response, body: AsyncGenerator[bytes, None]
) -> None:
    """Send a body in chunks, and close it whatever happens."""
    try:
        writer.write(head_of(response, None) + b"\r\n")
        async for chunk in body:
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    finally:
        await body.aclose()


async def until_gone(reader: asyncio.StreamReader) -> None:
    """Wait until the client hangs up: nobody sends anything else while an answer comes."""
    await reader.read(1)
    raise ConnectionResetError


class ServerThread:
    """An `HttpServer` on a loop in a thread of its own, for tests that are not async."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._runner = asyncio.Runner()
        self._stopping: asyncio.Event | None = None
        self._thread: Thread | None = None
        self._failure: Exception | None = None

    def start(self) -> int:
        """Listen, and return the port."""
        port = self._runner.run(self._server.start())
        self._stopping = asyncio.Event()
        self._thread = Thread(target=self._serve, name="podium-model-stub", daemon=True)
        self._thread.start()
        return port

    def stop(self) -> None:
        """Stop and wait for the thread; safe to repeat. Raises what `HttpServer.stop` does."""
        if self._thread is None or self._stopping is None:
            return
        self._runner.get_loop().call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None
        self._runner.close()
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        try:
            self._runner.run(self._until_stopped())
        except Exception as error:  # noqa: BLE001 - raised by stop(), in the thread of the test
            self._failure = error

    async def _until_stopped(self) -> None:
        assert self._stopping is not None
        await self._stopping.wait()
        await self._server.stop()
