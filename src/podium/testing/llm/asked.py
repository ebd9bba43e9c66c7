"""What a client asked, in words no provider owns, and how a provider says no."""

import random
from enum import StrEnum
from typing import Any

import msgspec

from podium.ports.models import Json, Message, Role, Text, ToolCall, ToolResult, ToolSpec

__all__ = ["Asked", "Refusal", "Why"]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request for an answer, as scripts and rules see it."""

    dialect: str
    """openai_chat, openai_responses or anthropic."""
    model: str
    messages: tuple[Message, ...]
    max_tokens: int | None = None
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = "auto"
    """auto, none, required, or the name of a tool."""
    schema: Json = None
    is_streamed: bool = False
    wants_usage: bool = True
    """Chat tells the usage of a stream only where it was asked for."""
    stop: tuple[str, ...] = ()
    body: dict[str, Any]
    """The JSON that came, word for word."""
    no: int = 0
    """Number of the request, from 1."""
    seed: str = ""

    @property
    def text(self) -> str:
        """Return the words of the last message of a user that has words."""
        for message in reversed(self.messages):
            if message.role is Role.USER and (words := words_of(message)):
                return words
        return ""

    @property
    def system(self) -> str:
        """Return the words of all system messages."""
        return "\n".join(words_of(m) for m in self.messages if m.role is Role.SYSTEM)

    @property
    def turn(self) -> int:
        """Return how many answers of the model the conversation already has."""
        return sum(message.role is Role.ASSISTANT for message in self.messages)

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        """Return the results that came after the model's last answer."""
        last = max((i for i, m in enumerate(self.messages) if m.role is Role.ASSISTANT), default=-1)
        parts = [part for message in self.messages[last + 1 :] for part in message.parts]
        return tuple(part for part in parts if isinstance(part, ToolResult))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Return every tool call of the conversation."""
        parts = [part for message in self.messages for part in message.parts]
        return tuple(part for part in parts if isinstance(part, ToolCall))

    def dice(self) -> random.Random:
        """Return chance that depends on the stub's seed and this request, not on its time."""
        return random.Random(self.seed)


def words_of(message: Message) -> str:
    """Return the text of a message."""
    return "\n".join(part.text for part in message.parts if isinstance(part, Text))


class Why(StrEnum):
    """Why a request is refused; each provider has its status and its name for it."""

    INVALID = "invalid"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"
    SERVER = "server"
    OVERLOADED = "overloaded"


class Refusal(Exception):
    """The provider says no; the dialect turns it into its own error body."""

    def __init__(
        self,
        why: Why,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int = 0,
        retry_after_s: float | None = None,
        kind: str = "",
    ) -> None:
        super().__init__(message)
        self.why = why
        self.message = message
        self.param = param
        self.code = code
        self.status = status
        """Overrides the provider's usual status."""
        self.retry_after_s = retry_after_s
        self.kind = kind
        """Overrides the usual error type, where a provider has several for one reason."""
