"""A circuit breaker as values: who may call something that keeps failing, and who must wait.

    closed ── failures in a row reach the threshold ──> open
    open ── the timeout is over ──> half-open: as many probes as the policy allows
    half-open ── a probe succeeds ──> closed          half-open ── a probe fails ──> open

Nothing here reads a clock or calls anything: the caller passes `now_us`, keeps the returned
breaker, and reports what came of each `Ticket`.
"""

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from podium.core.definition import SECOND_US

__all__ = [
    "Breaker",
    "BreakerPolicy",
    "BreakerState",
    "Ticket",
    "admit",
    "failed",
    "forgotten",
    "opens_in_us",
    "succeeded",
]


class BreakerState(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens, for how long, and how many calls try whether it may close."""

    failure_threshold: int = 5
    """Failures in a row that open it."""
    timeout_us: int = 60 * SECOND_US
    """How long it stays open; also how long a probe may stay without a result."""
    probes: int = 1
    """Calls that may be under way at once while it is half-open."""


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one breaker; plain data that may be stored and read back."""

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    """In a row, while closed."""
    since_us: int = 0
    """When it opened, or became half-open."""
    probes_out: int = 0
    era: int = 0
    """Grows with each change of state: results of an earlier era say nothing about this one."""


class Ticket(msgspec.Struct, frozen=True):
    """Permission for one call; goes back with its result."""

    era: int


def admit(breaker: Breaker, policy: BreakerPolicy, *, now_us: int) -> tuple[Breaker, Ticket | None]:
    """Return the breaker after one call asked to pass, and its ticket, or None if it must not."""
    if breaker.state is BreakerState.CLOSED:
        return breaker, Ticket(breaker.era)
    if now_us - breaker.since_us >= policy.timeout_us:
        # From open, or from half-open whose probes were lost with whoever made them.
        breaker = _entered(breaker, BreakerState.HALF_OPEN, now_us)
    if breaker.state is BreakerState.OPEN or breaker.probes_out >= policy.probes:
        return breaker, None
    return replace(breaker, probes_out=breaker.probes_out + 1), Ticket(breaker.era)


def succeeded(breaker: Breaker, ticket: Ticket, *, now_us: int) -> Breaker:
    """Return the breaker after the call of `ticket` succeeded."""
    if ticket.era != breaker.era:
        return breaker
    if breaker.state is BreakerState.HALF_OPEN:
        return _entered(breaker, BreakerState.CLOSED, now_us)
    return replace(breaker, failures=0) if breaker.failures else breaker


def failed(breaker: Breaker, ticket: Ticket, policy: BreakerPolicy, *, now_us: int) -> Breaker:
    """Return the breaker after the call of `ticket` failed."""
    if ticket.era != breaker.era:
        return breaker
    failures = breaker.failures + 1
    if breaker.state is BreakerState.HALF_OPEN or failures >= policy.failure_threshold:
        return _entered(breaker, BreakerState.OPEN, now_us)
    return replace(breaker, failures=failures)


def forgotten(breaker: Breaker, ticket: Ticket) -> Breaker:
    """Return the breaker after the call of `ticket` ended without saying anything about health."""
    if ticket.era != breaker.era or breaker.state is not BreakerState.HALF_OPEN:
        return breaker
    return replace(breaker, probes_out=breaker.probes_out - 1)


def opens_in_us(breaker: Breaker, policy: BreakerPolicy, *, now_us: int) -> int:
    """Return how long until a call may pass; 0 if one may now."""
    if breaker.state is BreakerState.CLOSED:
        return 0
    if breaker.state is BreakerState.HALF_OPEN and breaker.probes_out < policy.probes:
        return 0
    return max(0, breaker.since_us + policy.timeout_us - now_us)


def _entered(breaker: Breaker, state: BreakerState, now_us: int) -> Breaker:
    return Breaker(state=state, since_us=now_us, era=breaker.era + 1)
