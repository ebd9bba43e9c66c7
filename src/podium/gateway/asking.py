"""What one asks the gateway, and what one gets."""

from collections.abc import Callable
from typing import Any

import msgspec

from podium.core.charges import Charge
from podium.core.definition import Priority
from podium.ports.models import Message, Reply, ToolSpec

__all__ = ["Answer", "Ask", "Estimate", "Tell", "Tried", "silent"]

Json = Any
Tell = Callable[[str], None]
"""Takes a line about what is being waited for, for a person to read."""


def silent(line: str) -> None:
    """Tell nobody."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a model, in our words; the gateway finds out how to get it answered."""

    model: str
    """The alias of a model, or `provider/model`."""
    messages: tuple[Message, ...]
    max_tokens: int = 4_096
    """Limit of everything the model writes, thinking included; lowered to what the model can."""
    expected_tokens: int = 0
    """What it will probably write; 20 % more is reserved at the rate limits. 0: `max_tokens`."""
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = "auto"
    schema: Json = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    thinking_tokens: int = 0
    key: str = ""
    """Idempotency key, and the first part of the keys of its charges; empty: a new one."""
    attempt: int = 0
    """Which attempt of its step asks: charges of a later attempt are other charges."""
    priority: int = Priority.NORMAL
    agent: str = ""
    """The agent that asks, for the ledger."""
    owner: str = ""
    """Whose turn it is at the rate limits; default: the agent."""
    timeout_s: float = 0.0
    """Longest time for one request; 0: the provider's."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A model that did not answer, and why."""

    model: str
    why: str
    """`FaultKind`, `breaker_open`, or `budget`."""
    detail: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A reply, what it cost, and how it came about."""

    reply: Reply
    model: str
    """The alias of the model that answered."""
    charges: tuple[Charge, ...] = ()
    """One for each request that was or may have been billed, failed ones included."""
    tried: tuple[Tried, ...] = ()
    """Every request and model that failed before, in order."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What one request would take at most."""

    model: str
    prompt_tokens: int
    """About how many; cost and tokens below hold a margin on top."""
    output_tokens_max: int
    cost_nano_max: int | None
    """None: the price is not known."""
    prices: str = ""
    """Version of the price table."""

    @property
    def tokens(self) -> int:
        """Return all tokens, read and written."""
        return self.prompt_tokens + self.output_tokens_max
