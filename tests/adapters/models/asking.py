"""Short ways to write requests, and wires whose network is a function of the test."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import msgspec

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


def wire(kind: str, answer: Callable[[httpx2.Request], Any], **changes: Any) -> ModelWire:
    """Return a wire whose requests `answer` answers; it may be async."""
    facts = {"name": "p", "kind": kind, "base_url": "http://model.test/v1"} | changes
    provider = Provider(api_key=Secret(KEY), **facts)
    return open_wire(provider, environment={}, transport=httpx2.MockTransport(answer))


def sent_body(kind: str, asked: ModelRequest, *, stream: bool = False) -> Any:
    """Return what a wire sends for a request."""
    seen: list[Any] = []

    def answer(received: httpx2.Request) -> httpx2.Response:
        seen.append(msgspec.json.decode(received.content))
        return httpx2.Response(500)

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
