"""The circuit breakers of all models of all providers, in this process."""

from collections.abc import Callable

from podium.core import breaker as rules
from podium.core.breaker import Breaker, BreakerPolicy, Ticket
from podium.core.definition import SECOND_US
from podium.ports.models import FaultKind

__all__ = ["Health"]

# The provider is there and well; what it said is about us.
_WELL = frozenset(
    {
        FaultKind.AUTH,
        FaultKind.BAD_REQUEST,
        FaultKind.CONTENT_POLICY,
        FaultKind.CONTEXT_WINDOW,
        FaultKind.NOT_FOUND,
        FaultKind.QUOTA,
    }
)


class Health:
    """Keeps one breaker for each key; what a breaker does is `core.breaker`."""

    def __init__(self, policy: BreakerPolicy, *, clock_us: Callable[[], int]) -> None:
        self._policy = policy
        self._clock_us = clock_us
        self._breakers: dict[str, Breaker] = {}

    def breakers(self) -> dict[str, Breaker]:
        """Return every breaker that was ever asked for, by its key."""
        return dict(self._breakers)

    def opens_in_s(self, key: str) -> float:
        """Return how long until a call may pass; 0 if one may now."""
        breaker = self._breakers.get(key)
        if breaker is None:
            return 0.0
        now_us = self._clock_us()
        return rules.opens_in_us(breaker, self._policy, now_us=now_us) / SECOND_US

    def admit(self, key: str) -> Ticket | None:
        """Let one call pass, or None; its ticket comes back through `report`."""
        breaker = self._breakers.get(key, Breaker())
        breaker, ticket = rules.admit(breaker, self._policy, now_us=self._clock_us())
        self._breakers[key] = breaker
        return ticket

    def succeeded(self, key: str, ticket: Ticket) -> None:
        """Take note that a call was answered."""
        breaker = self._breakers[key]
        self._breakers[key] = rules.succeeded(breaker, ticket, now_us=self._clock_us())

    def failed(self, key: str, ticket: Ticket, kind: FaultKind) -> None:
        """Take note of a fault. A rate limit says nothing about health: limits deal with it."""
        if kind is FaultKind.RATE_LIMITED:
            self.forgotten(key, ticket)
        elif kind in _WELL:
            self.succeeded(key, ticket)
        else:
            now_us = self._clock_us()
            breaker = self._breakers[key]
            self._breakers[key] = rules.failed(breaker, ticket, self._policy, now_us=now_us)

    def forgotten(self, key: str, ticket: Ticket) -> None:
        """Take note that nobody waited for the outcome."""
        self._breakers[key] = rules.forgotten(self._breakers[key], ticket)
