"""The seam between the stub and the protocols it speaks."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import msgspec

from podium.ports.models import Finish, ToolCall, Usage
from podium.testing.llm.asked import Asked, Refusal
from podium.testing.llm.limits import Room
from podium.testing.llm.models import StubModel

__all__ = ["Chunk", "Dialect", "Outcome", "Source"]

Source = tuple[str, int]
"""What a chunk carries: thinking, text, name or arguments; and of which tool call."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the model produced: everything a dialect needs to say it."""

    request_id: str
    at: float
    """Seconds since 1970."""
    thinking: str = ""
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    """With `raw`: the arguments as text."""
    finish: Finish = Finish.STOP
    stop: str = ""
    """The stop sequence it ended at."""
    usage: Usage = Usage()

    @property
    def created(self) -> int:
        """Return when, in whole seconds."""
        return int(self.at)

    @property
    def number(self) -> str:
        """Return what makes ids of this answer unique."""
        return self.request_id.removeprefix("req_")


class Chunk(msgspec.Struct, frozen=True):
    """One event of a stream, and what of the answer it carries."""

    data: bytes
    source: Source = ("", 0)
    text: str = ""


class Dialect(Protocol):
    """One protocol for asking models."""

    name: str

    def account_of(self, headers: Mapping[str, str], accounts: Mapping[str, str]) -> str:
        """Return whose API key came (`accounts` has names by key); raises `Refusal`."""

    def read(self, body: dict[str, Any], model: StubModel) -> Asked:
        """Understand a request; raises `Refusal` for what the provider does not accept."""

    def whole(self, asked: Asked, outcome: Outcome) -> dict[str, Any]:
        """Return the answer as one value."""

    def events(self, asked: Asked, outcome: Outcome) -> Iterator[Chunk]:
        """Return the answer as a stream."""

    def error(self, refusal: Refusal, request_id: str) -> tuple[int, dict[str, Any]]:
        """Return status and body of an error."""

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """Return an error in the middle of a stream."""

    def headers(self, request_id: str, rooms: Mapping[str, Room], now: float) -> dict[str, str]:
        """Return the headers of every answer: its id, and how much of the limits is left."""

    def too_long(self, tokens: int, asked: Asked, window: int) -> Refusal:
        """Return how the provider refuses a prompt that does not fit."""
