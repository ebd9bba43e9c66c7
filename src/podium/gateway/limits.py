"""Rate limits of models: requests, tokens and places reserved together, before anything is sent.

A call that does not fit waits in a bounded queue and is told when its turn comes, instead of
being sent to be refused. The queue is strict: nobody overtakes its head, so small calls never
starve a big one. Who is the head:

- A call of priority 75 is overtaken by calls of priority 0 for 75 seconds and no longer.
- Among the calls of one priority each owner (an agent, a run) advances by the share of a minute
  it asks for: a thousand calls of one owner do not delay the first call of another.

Each model has one timer, for its head; waiting costs nothing else. The bookkeeping is in
windows.py. Limits shared by several nodes need only `Limits.share`, kept up to date by whoever
divides them.
"""

import asyncio
import math
from bisect import insort
from collections.abc import Callable, Mapping
from itertools import count
from typing import Final

import msgspec

from podium.errors import ModelError
from podium.gateway.windows import WINDOW_S, Entry, Window
from podium.ports.models import FaultKind, LimitState

__all__ = ["Lease", "Limiter", "Limits"]

QUEUE_MAX: Final = 1000
TIMER_MIN_S: Final = 0.01
"""Timers may fire a little early; looking again at once would turn the loop hot."""
TELL_EVERY_S: Final = 5.0
"""How often waiting times are worked out anew, at most."""
DURATION_WEIGHT: Final = 0.2
"""Weight of the last call in the mean duration of calls."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one model of one provider allows; None: no limit is known."""

    rpm: int | None = None
    """Requests per minute."""
    tpm: int | None = None
    """Tokens per minute, read and written together."""
    concurrency: int | None = None
    """Requests at once."""
    share: float = 1.0
    """The part of `rpm` and `tpm` that is this process's."""

    def tightened(self, other: "Limits") -> "Limits":
        """Return the lower limit of each kind."""
        return Limits(
            rpm=_lower(self.rpm, other.rpm),
            tpm=_lower(self.tpm, other.tpm),
            concurrency=_lower(self.concurrency, other.concurrency),
            share=min(self.share, other.share),
        )


def _lower(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)


class Lease:
    """Room for one call: end it with `settle` or `release`; the first of them counts."""

    __slots__ = ("_gate", "_requests", "_tokens", "granted_at", "waited_s")

    def __init__(
        self,
        gate: "_Gate",
        tokens: tuple[Entry, float],
        requests: tuple[Entry, float],
        granted_at: float,
        waited_s: float,
    ) -> None:
        self._gate: _Gate | None = gate
        self._tokens = tokens
        self._requests = requests
        self.granted_at = granted_at
        self.waited_s = waited_s

    def settle(self, tokens_used: int) -> None:
        """Say what the call really used, all classes of tokens together."""
        if self._gate is not None:
            entry, reserved = self._tokens
            entry.amount += tokens_used - reserved
            self._end()

    def release(self) -> None:
        """Give everything back: the call was never sent."""
        if self._gate is not None:
            for entry, reserved in (self._tokens, self._requests):
                entry.amount -= reserved
            self._end()

    def _end(self) -> None:
        gate, self._gate = self._gate, None
        assert gate is not None
        gate.leave(self)


class Limiter:
    """The rate limits of every model, by model key; belongs to one event loop.

    `clock` gives seconds, by default the loop's own time.
    """

    def __init__(
        self,
        limits: Mapping[str, Limits] | None = None,
        *,
        queue_max: int = QUEUE_MAX,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._limits = dict(limits or {})
        self._queue_max = queue_max
        self._clock = clock
        self._gates: dict[str, _Gate] = {}

    async def acquire(
        self,
        model_key: str,
        *,
        tokens: int,
        requests: int = 1,
        priority: int = 50,
        owner: str = "",
        tell: Callable[[str], None] | None = None,
    ) -> Lease:
        """Reserve room for one call of at most `tokens`, waiting for it if need be.

        `priority` is 0 (critical) to 75 (low). `tell` hears how long the wait is about to be,
        and again when that changes. Raises `ModelError`: PDM-M010 if the queue is full,
        PDM-M011 if the call is larger than a minute's limit and so would wait for ever.
        """
        return await self._gate(model_key).enter(
            _Waiter(tokens, requests, priority, owner, tell), self._queue_max
        )

    def learn(self, model_key: str, state: LimitState) -> None:
        """Correct the books by what a provider said in its headers."""
        self._gate(model_key).learn(state)

    def pause(self, model_key: str, seconds: float) -> None:
        """Let no call of this model start for so long: the provider said `retry-after`."""
        self._gate(model_key).pause(seconds)

    def waiting(self, model_key: str) -> int:
        """Return how many calls wait for this model."""
        gate = self._gates.get(model_key)
        return 0 if gate is None else len(gate.queue)

    def _gate(self, model_key: str) -> "_Gate":
        gate = self._gates.get(model_key)
        if gate is None:
            clock = self._clock or asyncio.get_running_loop().time
            limits = self._limits.get(model_key, Limits())
            gate = self._gates[model_key] = _Gate(model_key, limits, clock)
        return gate


class _Waiter:
    """A call in the queue."""

    __slots__ = ("due_at", "future", "owner", "priority", "rank", "requests", "since", "tell",
                 "tokens")  # fmt: skip

    def __init__(
        self,
        tokens: int,
        requests: int,
        priority: int,
        owner: str,
        tell: Callable[[str], None] | None,
    ) -> None:
        self.tokens = tokens
        self.requests = requests
        self.priority = priority
        self.owner = owner
        self.tell = tell
        self.since = 0.0
        self.rank = (0.0, 0)
        self.due_at = -math.inf
        self.future: asyncio.Future[Lease]


class _Gate:
    """The limits of one model, and who waits for them."""

    def __init__(self, key: str, limits: Limits, clock: Callable[[], float]) -> None:
        self._key = key
        self._clock = clock
        self._tokens = Window(None if limits.tpm is None else limits.tpm * limits.share)
        self._requests = Window(None if limits.rpm is None else limits.rpm * limits.share)
        self._places = math.inf if limits.concurrency is None else limits.concurrency
        self._busy = 0
        self._mean_s = 0.0
        self._paused_until = -math.inf
        self.queue: list[_Waiter] = []
        self._numbers = count()
        self._turns: dict[tuple[str, int], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = -math.inf

    # -- in and out ----------------------------------------------------------------------------

    async def enter(self, waiter: _Waiter, queue_max: int) -> Lease:
        now = waiter.since = self._clock()
        self._refuse_too_large(waiter)
        if not self.queue and self._wait_s(waiter, now) <= 0:
            return self._grant(waiter, now)
        if len(self.queue) >= queue_max:
            raise self._full(now)
        waiter.rank = (self._rank(waiter, now), next(self._numbers))
        waiter.future = asyncio.get_running_loop().create_future()
        insort(self.queue, waiter, key=_rank_of)
        self._advance()
        self._tell_one(waiter)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            self._forget(waiter)
            raise

    def leave(self, lease: Lease) -> None:
        self._busy -= 1
        took_s = self._clock() - lease.granted_at
        weight = DURATION_WEIGHT if self._mean_s else 1.0
        self._mean_s += (took_s - self._mean_s) * weight
        self._advance()

    def learn(self, state: LimitState) -> None:
        now = self._clock()
        self._tokens.learn(
            limit=state.tokens_limit,
            left=state.tokens_left,
            reset_s=state.tokens_reset_s,
            now=now,
        )
        self._requests.learn(
            limit=state.requests_limit,
            left=state.requests_left,
            reset_s=state.requests_reset_s,
            now=now,
        )
        if state.retry_after_s is not None:
            self.pause(state.retry_after_s)
        else:
            self._advance()

    def pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._clock() + seconds)
        self._told_at = -math.inf
        self._advance()

    # -- the queue -----------------------------------------------------------------------------

    def _advance(self) -> None:
        """Let in whoever fits, from the head on; set the timer for the first who does not."""
        now = self._clock()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self.queue:
            head = self.queue[0]
            try:
                self._refuse_too_large(head)
            except ModelError as error:
                self.queue.pop(0).future.set_exception(error)
                continue
            wait_s = self._wait_s(head, now)
            if wait_s > 0:
                self._wake_in(wait_s)
                self._tell_all(now)
                return
            self.queue.pop(0).future.set_result(self._grant(head, now))
        self._turns.clear()

    def _wait_s(self, waiter: _Waiter, now: float) -> float:
        """Return when this call fits; infinite: once another one ends."""
        if self._busy >= self._places:
            return math.inf
        return max(
            self._paused_until - now,
            self._tokens.wait_s(waiter.tokens, now),
            self._requests.wait_s(waiter.requests, now),
        )

    def _grant(self, waiter: _Waiter, now: float) -> Lease:
        self._busy += 1
        return Lease(
            self,
            (self._tokens.book(waiter.tokens, now), waiter.tokens),
            (self._requests.book(waiter.requests, now), waiter.requests),
            now,
            now - waiter.since,
        )

    def _wake_in(self, wait_s: float) -> None:
        if wait_s < math.inf:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(wait_s, TIMER_MIN_S), self._advance)

    def _forget(self, waiter: _Waiter) -> None:
        """Remove a call whose caller went away, also if it was let in at the same moment."""
        if waiter in self.queue:
            self.queue.remove(waiter)
            self._advance()
        elif not waiter.future.cancelled() and waiter.future.exception() is None:
            waiter.future.result().release()

    def _rank(self, waiter: _Waiter, now: float) -> float:
        if not waiter.owner:
            return now + waiter.priority
        line = (waiter.owner, waiter.priority)
        turn = max(now, self._turns.get(line, now))
        self._turns[line] = turn + self._minutes(waiter) * WINDOW_S
        return turn + waiter.priority

    def _minutes(self, waiter: _Waiter) -> float:
        """Return the share of a minute's limits that a call asks for."""
        asked = ((waiter.tokens, self._tokens.limit), (waiter.requests, self._requests.limit))
        return max(amount / limit if limit else 0.0 for amount, limit in asked)

    # -- what is told --------------------------------------------------------------------------

    def _tell_one(self, waiter: _Waiter) -> None:
        if waiter.tell is None or waiter.future.done() or waiter.due_at > -math.inf:
            return
        ahead = self.queue[: self.queue.index(waiter)]
        tokens = sum(each.tokens for each in ahead)
        requests = sum(each.requests for each in ahead)
        self._tell(waiter, tokens, requests, len(ahead), self._clock())

    def _tell_all(self, now: float) -> None:
        if now - self._told_at < TELL_EVERY_S:
            return
        self._told_at = now
        tokens = requests = 0
        for place, waiter in enumerate(self.queue):
            if waiter.tell is not None:
                self._tell(waiter, tokens, requests, place, now)
            tokens += waiter.tokens
            requests += waiter.requests

    def _tell(self, waiter: _Waiter, tokens: int, requests: int, place: int, now: float) -> None:
        """Tell one caller how long it will wait, unless that is what it was told before."""
        limits_s = max(
            self._paused_until - now,
            self._tokens.eta_s(tokens + waiter.tokens, now),
            self._requests.eta_s(requests + waiter.requests, now),
        )
        surplus = self._busy + place + 1 - self._places
        places_s = self._mean_s * math.ceil(surplus / self._places) if surplus > 0 else 0.0
        wait_s = max(limits_s, places_s, 1.0)
        if abs(now + wait_s - waiter.due_at) <= max(1.0, wait_s * 0.2):
            return
        waiter.due_at = now + wait_s
        why = "Rate limit reached." if limits_s >= places_s else "All places are in use."
        assert waiter.tell is not None
        waiter.tell(f"{why} Retrying in {math.ceil(wait_s)} s …")

    # -- refusals ------------------------------------------------------------------------------

    def _refuse_too_large(self, waiter: _Waiter) -> None:
        for amount, window, unit in (
            (waiter.tokens, self._tokens, "tokens"),
            (waiter.requests, self._requests, "requests"),
        ):
            if not window.fits_ever(amount):
                raise ModelError(
                    f"A call of {self._key} needs {amount:,} {unit}; a minute allows "
                    f"{window.limit:,.0f}.",
                    why="It would wait for ever.",
                    fix="Send less, lower max_tokens, or use a model with a higher limit.",
                    code="PDM-M011",
                    kind=FaultKind.RATE_LIMITED,
                )

    def _full(self, now: float) -> ModelError:
        tokens = sum(waiter.tokens for waiter in self.queue)
        requests = sum(waiter.requests for waiter in self.queue)
        wait_s = max(self._tokens.eta_s(tokens, now), self._requests.eta_s(requests, now))
        return ModelError(
            f"{len(self.queue):,} calls already wait for {self._key}.",
            why=f"They need about {math.ceil(wait_s):,} s at its rate limit.",
            fix="Start less at once, raise `llm.queue`, or spread the work over more models.",
            code="PDM-M010",
            kind=FaultKind.RATE_LIMITED,
            is_transient=True,
        )


def _rank_of(waiter: _Waiter) -> tuple[float, int]:
    return waiter.rank
