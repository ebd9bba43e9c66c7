"""One request from its reservations to its charge: whatever happens, everything is given back.

A payment holds an amount of the purse, room at the rate limits, and a ticket of the breaker. It
ends exactly once, and what was or may have been billed becomes a `Charge`.
"""

import math

import msgspec

from podium.core.breaker import Ticket
from podium.core.charges import Charge
from podium.gateway.health import Health
from podium.gateway.limits import Lease, Limiter
from podium.gateway.purse import Hold
from podium.gateway.quotes import Prices, Quote
from podium.gateway.tokens import TokenCounter, estimate
from podium.ports.models import (
    FaultKind,
    LimitState,
    Piece,
    ProviderFault,
    Reply,
    TextPiece,
    ThinkingPiece,
    ToolCallPiece,
    Usage,
)

__all__ = ["Books", "Payment"]


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody who wants to know what a request took."""

    counter: TokenCounter
    prices: Prices
    limiter: Limiter
    health: Health


class Payment:
    """The reservations of one request that is being sent."""

    def __init__(
        self, books: Books, quote: Quote, *, key: str, agent: str, hold: Hold, lease: Lease,
        ticket: Ticket, breaker: str,
    ) -> None:  # fmt: skip
        self._books = books
        self._quote = quote
        self._key = key
        self._agent = agent
        self._hold = hold
        self._lease = lease
        self._ticket = ticket
        self._breaker = breaker
        self._seen: list[str] = []
        self._is_open = True
        self.charge: Charge | None = None
        """Set once the request ended, if it was or may have been billed."""

    def saw(self, piece: Piece) -> None:
        """Note a piece, for when nobody tells how much was written."""
        match piece:
            case TextPiece(text=text) | ThinkingPiece(text=text) | ToolCallPiece(arguments=text):
                self._seen.append(text)
            case Reply():
                pass

    def settle(self, reply: Reply) -> Reply:
        """End with an answer; return it with its usage filled in where nobody reported it."""
        usage = self._filled(reply)
        self._book(usage, is_estimated=reply.is_estimated)
        self._books.health.succeeded(self._breaker, self._ticket)
        self._learn(reply.limits)
        if not reply.is_estimated:
            self._books.counter.learn(
                self._quote.request.model,
                estimated=self._quote.prompt_tokens,
                actual=usage.input + usage.cached + usage.cache_write,
            )
        return msgspec.structs.replace(reply, usage=usage)

    def fail(self, fault: ProviderFault) -> None:
        """End with a fault: charged if something came or the provider may have worked."""
        if fault.partial is not None:
            self._book(self._filled(fault.partial), is_estimated=fault.partial.is_estimated)
        else:
            was_sent = fault.kind is not FaultKind.CONNECTION
            self._give_back(was_sent=was_sent)
        self._books.health.failed(self._breaker, self._ticket, fault.kind)
        self._learn(fault.limits)

    def withdraw(self) -> None:
        """End without having sent anything."""
        self._give_back(was_sent=False)
        self._books.health.forgotten(self._breaker, self._ticket)

    def abandon(self) -> None:
        """End because nobody waits any more: what the provider did by now is charged.

        Does nothing after another end.
        """
        if self._is_open:
            written = math.ceil(estimate("".join(self._seen)))
            usage = Usage(input=self._quote.prompt_tokens, output=written)
            self._book(usage, is_estimated=True)
            self._books.health.forgotten(self._breaker, self._ticket)

    def _give_back(self, *, was_sent: bool) -> None:
        self._is_open = False
        self._hold.release()
        if was_sent:
            self._lease.settle(0)  # it counts as a request at the provider
        else:
            self._lease.release()

    def _filled(self, reply: Reply) -> Usage:
        usage = reply.usage
        if reply.is_estimated and not usage.input + usage.cached + usage.cache_write:
            return msgspec.structs.replace(usage, input=self._quote.prompt_tokens)
        return usage

    def _book(self, usage: Usage, *, is_estimated: bool) -> None:
        self._is_open = False
        quote = self._quote
        cost, version = self._books.prices.cost_nano(quote.provider.name, quote.model.name, usage)
        self.charge = Charge(
            key=self._key,
            provider=quote.provider.name,
            model=quote.model.name,
            agent=self._agent,
            input=usage.input,
            cached=usage.cached,
            cache_write=usage.cache_write,
            output=usage.output,
            thinking=usage.thinking,
            cost_nano=cost or 0,  # `prices` says where nobody knows
            is_estimated=is_estimated,
            prices=version,
        )
        self._hold.settle(self.charge)
        self._lease.settle(usage.total)

    def _learn(self, limits: LimitState) -> None:
        if limits != LimitState():
            self._books.limiter.learn(self._quote.model.key, limits)
