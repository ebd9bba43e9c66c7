"""What a provider's protocol is to the wire: pure functions between our words and its JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from podium.adapters.models.draft import Draft
from podium.adapters.models.sse import SentEvent
from podium.ports.models import ModelRequest, Piece, Reply

__all__ = ["Dialect", "Reader", "count_of", "dicts_in", "text_of"]

Json = Any


class Reader(Protocol):
    """Reads one stream."""

    draft: Draft
    """What came so far."""
    is_done: bool
    """The protocol's last event was seen: nothing that follows matters."""

    def read(self, event: SentEvent) -> Sequence[Piece]:
        """Return the pieces of one event; raises `ProviderFault` for an error event.

        May raise whatever reading unexpected JSON raises (`KeyError`, `TypeError`, …); the wire
        turns it into `MALFORMED`.
        """


class Dialect(Protocol):
    """One protocol; holds no connection, no key and no state."""

    path: str
    """Where requests go, below the version: `/messages`."""

    def headers(self, key: str) -> Mapping[str, str]:
        """Return what every request carries; `key` is empty for a provider without one."""

    def body(self, request: ModelRequest, *, stream: bool) -> Json:
        """Return the request; raises `ProviderFault` BAD_REQUEST for what it cannot express."""

    def reply(self, answer: Json) -> Reply:
        """Return the whole answer; raises as `Reader.read` does."""

    def reader(self, request: ModelRequest) -> Reader:
        """Return what reads the stream of one answer."""


def text_of(value: Json) -> str:
    """Return a text, or nothing where a provider sent null or something else."""
    return value if isinstance(value, str) else ""


def count_of(value: Json) -> int:
    """Return a count, or 0 where a provider sent null, a negative number or something else."""
    return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else 0


def dicts_in(value: Json) -> list[dict[str, Json]]:
    """Return the objects in a list, or nothing where a provider sent null."""
    return [each for each in value or () if isinstance(each, dict)]
