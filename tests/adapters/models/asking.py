"""Short ways to write requests, and wires to a server whose answers a test writes."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any

import msgspec
from aiohttp import web

from podium.adapters.models import open_wire
from podium.gateway.catalog import Provider
from podium.ports.models import (
    Message,
    ModelRequest,
    ModelWire,
    Part,
    Piece,
    ProviderFault,
    Reply,
    Role,
    Text,
)
from podium.settings import Secret

KEY = "sk-canary-5f2e"
KINDS = ("openai", "openai_responses", "anthropic")
MODELS = {
    "openai": "gpt-4o-mini",
    "openai_responses": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5",
}


def user(*parts: Part | str) -> Message:
    return message(Role.USER, *parts)


def assistant(*parts: Part | str) -> Message:
    return message(Role.ASSISTANT, *parts)


def system(*parts: Part | str) -> Message:
    return message(Role.SYSTEM, *parts)


def message(role: Role, *parts: Part | str) -> Message:
    whole = (Text(text=part) if isinstance(part, str) else part for part in parts)
    return Message(role=role, parts=tuple(whole))


def request(*messages: Message, **changes: Any) -> ModelRequest:
    said = messages or (user("Why?"),)
    return ModelRequest(**({"model": "m", "messages": said, "max_tokens": 100} | changes))


@dataclass(frozen=True)
class Received:
    """A request as the server got it."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class LostError(Exception):
    """Raised by an answer or its body: the connection is gone."""


@dataclass(frozen=True)
class Said:
    """What the server answers."""

    status: int = 200
    content: bytes | AsyncIterator[bytes] = b""
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Received], Said]


class AnsweringServer:
    """A real server in a thread; each wire has a path of its own, and a function behind it."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.port = 0
        self._names = count()
        self._is_up = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self._is_up.wait(10)

    def address(self, answer: Answer) -> str:
        name = f"w{next(self._names)}"
        self.answers[name] = answer
        return f"http://127.0.0.1:{self.port}/{name}"

    async def _serve(self) -> None:
        runner = web.ServerRunner(web.Server(self._handle))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._is_up.set()
        await asyncio.Event().wait()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        _, name, path = request.path.split("/", 2)
        response = web.StreamResponse()
        try:
            received = Received("/" + path, dict(request.headers), await request.read())
            said = self.answers[name](received)
            response = web.StreamResponse(status=said.status, headers=dict(said.headers))
            if said.json is not None:
                response.content_type = "application/json"
            await response.prepare(request)
            async for chunk in chunks_of(said):
                await response.write(chunk)
            await response.write_eof()
        except (LostError, ConnectionError):
            assert request.transport is not None
            request.transport.abort()
        return response


async def chunks_of(said: Said) -> AsyncIterator[bytes]:
    if said.json is not None:
        yield msgspec.json.encode(said.json)
    elif isinstance(said.content, bytes):
        if said.content:
            yield said.content
    else:
        async for chunk in said.content:
            yield chunk


@cache
def server() -> AnsweringServer:
    return AnsweringServer()


def wire(kind: str, answer: Answer, *, ending: str = "/v1") -> ModelWire:
    """Return a wire whose requests `answer` answers."""
    return wire_to(kind, server().address(answer) + ending)


def wire_to(kind: str, base_url: str) -> ModelWire:
    provider = Provider(name="p", kind=kind, base_url=base_url, api_key=Secret(KEY))
    return open_wire(provider, environment={})


def sent_body(kind: str, asked: ModelRequest, *, stream: bool = False) -> Any:
    """Return what a wire sends for a request."""
    seen: list[Any] = []

    def answer(received: Received) -> Said:
        seen.append(msgspec.json.decode(received.body))
        return Said(500)

    try:
        ask(wire(kind, answer), asked, stream=stream)
    except ProviderFault:
        return seen[0]
    raise AssertionError


def ask(
    there: ModelWire, asked: ModelRequest | None = None, *, stream: bool = False
) -> list[Piece]:
    """Return all that a wire yields; a plain request yields its reply only."""

    async def run() -> list[Piece]:
        try:
            if not stream:
                return [await there.send(asked or request())]
            return [piece async for piece in there.stream(asked or request())]
        finally:
            await there.close()

    return asyncio.run(run())


def reply_of(pieces: list[Piece]) -> Reply:
    last = pieces[-1]
    assert isinstance(last, Reply)
    return last


def fault_of(
    there: ModelWire, asked: ModelRequest | None = None, *, stream: bool = False
) -> ProviderFault:
    try:
        ask(there, asked, stream=stream)
    except ProviderFault as fault:
        return fault
    raise AssertionError("The wire did not fail.")


def events(*data: Any) -> bytes:
    """Return server-sent events."""
    encode = msgspec.json.encode
    texts = [each if isinstance(each, str) else encode(each).decode() for each in data]
    return "".join(f"data: {text}\n\n" for text in texts).encode()
