"""Calling a language model, in words no provider owns: the seam between gateway and wires.

A wire (`ModelWire`) speaks one provider's protocol. It sends exactly one request per call, never
retries, and either returns a `Reply` or raises a `ProviderFault`; everything else (limits,
budgets, retries, fallbacks) is the gateway's.
"""

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Any, Protocol

import msgspec

__all__ = [
    "FaultKind",
    "Finish",
    "Image",
    "LimitState",
    "Message",
    "ModelRequest",
    "ModelWire",
    "Part",
    "Piece",
    "ProviderFault",
    "Reply",
    "Role",
    "Text",
    "TextPiece",
    "Thinking",
    "ThinkingPiece",
    "ToolCall",
    "ToolCallPiece",
    "ToolResult",
    "ToolSpec",
    "Usage",
]

Json = Any


class Role(StrEnum):
    """Who speaks. Results of tools are parts of a `user` message, as their providers differ."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Text(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    """Words."""

    text: str


class Image(msgspec.Struct, frozen=True, kw_only=True, tag="image"):
    """A picture, as base64 `data` of `media_type` or by `url`; exactly one of the two."""

    media_type: str = ""
    data: str = ""
    url: str = ""


class Thinking(msgspec.Struct, frozen=True, kw_only=True, tag="thinking"):
    """Reasoning that a model showed; `signature` must be sent back unchanged."""

    text: str = ""
    signature: str = ""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call"):
    """A model asks for a tool. `arguments` is what it sent: unchecked, never trusted."""

    id: str
    name: str
    arguments: Json = None
    raw: str = ""
    """The text of the arguments when it was not JSON; `arguments` is None then."""


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag="tool_result"):
    """What a tool answered to the call `call_id`."""

    call_id: str
    content: str
    is_error: bool = False


Part = Text | Image | Thinking | ToolCall | ToolResult


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...]


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as a model sees it; `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: Json


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One call of one model of one provider."""

    model: str
    """The provider's own name of the model."""
    messages: tuple[Message, ...]
    max_tokens: int
    """Limit of everything the model writes, thinking included."""
    temperature: float | None = None
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = "auto"
    """auto, none, required, or the name of a tool."""
    schema: Json = None
    """JSON Schema the answer must follow; None: free text."""
    stop: tuple[str, ...] = ()
    thinking_tokens: int = 0
    """How much the model may think, where it can; 0: the provider's default."""
    idempotency_key: str = ""
    timeout_s: float = 120.0


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one call in classes that never overlap: their sum is what was used.

    Providers count differently (some report cached tokens inside the input, thinking inside the
    output); wires take the overlap out.
    """

    input: int = 0
    """Read at the full price."""
    cached: int = 0
    """Read from the provider's prompt cache."""
    cache_write: int = 0
    """Written into it."""
    output: int = 0
    """Written as answer or tool call."""
    thinking: int = 0
    """Written as reasoning."""

    @property
    def total(self) -> int:
        """Return all tokens."""
        return self.input + self.cached + self.cache_write + self.output + self.thinking

    def __add__(self, other: "Usage") -> "Usage":
        """Return the usage of both."""
        return Usage(
            input=self.input + other.input,
            cached=self.cached + other.cached,
            cache_write=self.cache_write + other.cache_write,
            output=self.output + other.output,
            thinking=self.thinking + other.thinking,
        )


class LimitState(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider said about its limits; None: it did not say. Times in seconds from now."""

    requests_limit: int | None = None
    requests_left: int | None = None
    requests_reset_s: float | None = None
    tokens_limit: int | None = None
    tokens_left: int | None = None
    tokens_reset_s: float | None = None
    retry_after_s: float | None = None


class Finish(StrEnum):
    """Why a model stopped."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    INCOMPLETE = "incomplete"
    """The stream broke off: what is there is not the whole answer."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer, or, with `Finish.INCOMPLETE`, what arrived of one."""

    message: Message
    finish: Finish
    usage: Usage
    is_estimated: bool = False
    """The provider did not report usage (a stream broke off): `usage` is our estimate."""
    model: str = ""
    """The model as the provider names it in its answer."""
    request_id: str = ""
    limits: LimitState = LimitState()


class TextPiece(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    """Some more text."""

    text: str


class ThinkingPiece(msgspec.Struct, frozen=True, kw_only=True, tag="thinking"):
    """Some more reasoning."""

    text: str


class ToolCallPiece(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call"):
    """Some more of the arguments of the tool call at `index`; the first piece names it."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


Piece = TextPiece | ThinkingPiece | ToolCallPiece | Reply
"""A stream is any number of pieces and then one `Reply`, or a `ProviderFault`."""


class FaultKind(StrEnum):
    """What went wrong at a provider."""

    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER = "server"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    STREAM_CUT = "stream_cut"
    """The stream broke off after it had begun: `partial` holds what came."""
    MALFORMED = "malformed"
    """The answer is not what the protocol says."""
    AUTH = "auth"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    CONTEXT_WINDOW = "context_window"
    CONTENT_POLICY = "content_policy"
    QUOTA = "quota"
    """The account has no money left; waiting does not help."""

    @property
    def is_transient(self) -> bool:
        """Return whether the same request may succeed later."""
        return self in _TRANSIENT


_TRANSIENT = frozenset(
    {
        FaultKind.RATE_LIMITED,
        FaultKind.OVERLOADED,
        FaultKind.SERVER,
        FaultKind.TIMEOUT,
        FaultKind.CONNECTION,
        FaultKind.STREAM_CUT,
        FaultKind.MALFORMED,
    }
)


class ProviderFault(Exception):
    """A call failed. Carries no secret: neither headers nor keys, and a bounded `detail`."""

    def __init__(
        self,
        kind: FaultKind,
        detail: str = "",
        *,
        status: int = 0,
        limits: LimitState | None = None,
        partial: Reply | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(f"{kind}: {detail}" if detail else str(kind))
        self.kind = kind
        self.detail = detail
        self.status = status
        """The HTTP status, or 0 if there was no answer."""
        self.limits = limits or LimitState()
        self.partial = partial
        """What arrived before the fault, with the usage to charge for it."""
        self.request_id = request_id


class ModelWire(Protocol):
    """One provider's protocol; safe to share between tasks of one event loop."""

    async def send(self, request: ModelRequest) -> Reply:
        """Send one request and return the whole answer; raises `ProviderFault`."""

    def stream(self, request: ModelRequest) -> AsyncIterator[Piece]:
        """Send one request and yield the answer as it comes, the `Reply` last.

        Raises `ProviderFault`; once pieces were yielded that is `STREAM_CUT` or `MALFORMED`
        with `partial`. Closing the iterator early closes the connection.
        """

    async def close(self) -> None:
        """Give connections back; safe to repeat."""
