"""Rate limits as providers keep them: buckets that refill all the time, and a count of requests.

A request takes its prompt and the most it may write out of the bucket of tokens; what it did not
use goes back when it ends.
"""

from typing import Final

import msgspec

__all__ = ["Gate", "LimitReached", "Limits", "Room"]

MINUTE: Final = 60.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one account for one model; None: no limit."""

    rpm: int | None = None
    """Requests per minute."""
    tpm: int | None = None
    """Tokens per minute, read and written."""
    concurrency: int | None = None
    """Requests at the same time."""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """How full a bucket is; times in seconds."""

    limit: int
    left: int
    reset_s: float
    """When it will be full again."""


class LimitReached(Exception):
    """There is no room now; `retry_after_s` is None if there never will be."""

    def __init__(self, what: str, limit: int, asked: int, retry_after_s: float | None) -> None:
        super().__init__(what)
        self.what = what
        """requests, tokens or concurrency."""
        self.limit = limit
        self.asked = asked
        self.retry_after_s = retry_after_s


class Bucket:
    """Holds `limit` at most and refills by `limit` each minute."""

    def __init__(self, what: str, limit: int, now: float) -> None:
        self.what = what
        self.limit = limit
        self._level = float(limit)
        self._at = now

    def check(self, amount: int, now: float) -> None:
        """Raise `LimitReached` unless the amount is there."""
        self._refill(now)
        if amount > self._level:
            wait = (amount - self._level) * MINUTE / self.limit if amount <= self.limit else None
            raise LimitReached(self.what, self.limit, amount, wait)

    def take(self, amount: int) -> None:
        """Take an amount out; a negative one goes back."""
        self._level = min(float(self.limit), self._level - amount)

    def room(self, now: float) -> Room:
        """Tell how full it is."""
        self._refill(now)
        missing = (self.limit - self._level) * MINUTE / self.limit
        return Room(limit=self.limit, left=max(0, int(self._level)), reset_s=missing)

    def _refill(self, now: float) -> None:
        gained = max(0.0, now - self._at) * self.limit / MINUTE
        self._level = min(float(self.limit), self._level + gained)
        self._at = now


class Gate:
    """Lets requests of one account to one model in."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._requests = None if limits.rpm is None else Bucket("requests", limits.rpm, now)
        self._tokens = None if limits.tpm is None else Bucket("tokens", limits.tpm, now)
        self._concurrency = limits.concurrency
        self._in_flight = 0

    def admit(self, tokens: int, now: float) -> None:
        """Let one request in; raises `LimitReached` and takes nothing if there is no room.

        Each call that returns needs one `leave`.
        """
        if self._concurrency is not None and self._in_flight >= self._concurrency:
            raise LimitReached("concurrency", self._concurrency, 1, 1.0)
        wanted = [(self._requests, 1), (self._tokens, tokens)]
        for bucket, amount in wanted:
            if bucket is not None:
                bucket.check(amount, now)
        for bucket, amount in wanted:
            if bucket is not None:
                bucket.take(amount)
        self._in_flight += 1

    def leave(self, unused_tokens: int) -> None:
        """Let a request out and give back what it did not use."""
        self._in_flight -= 1
        if self._tokens is not None:
            self._tokens.take(-unused_tokens)

    def rooms(self, now: float) -> dict[str, Room]:
        """Return the room for requests and tokens, where they have a limit."""
        buckets = (self._requests, self._tokens)
        return {bucket.what: bucket.room(now) for bucket in buckets if bucket is not None}
