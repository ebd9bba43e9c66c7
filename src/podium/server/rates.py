"""How many requests a key may make: a rate, with room for a burst, in each process."""

from collections.abc import Callable
from typing import Final

from podium.errors import AccessError

__all__ = ["BURST_S", "RateLimited", "Rates"]

BURST_S: Final = 2.0
"""A key that was idle may use this many seconds of its rate at once."""


class RateLimited(AccessError):
    """A key makes more requests than it may; `headers` say when to come back."""

    def __init__(self, rate: float, wait_s: float) -> None:
        # Whole seconds, upwards: who comes back on time gets in.
        after = str(int(wait_s) + 1)
        super().__init__(
            f"This key makes more than {rate:g} requests a second.",
            why="Each key has a rate, so that one caller does not slow all others down.",
            fix=f"Come back in {after} s; the setting `requests_per_second` is the rate.",
            code="PDM-R114",
            code_word="rate_limited",
            status=429,
        )
        self.headers = {"Retry-After": after}


class Rates:
    """One number for each key: the time at which all it has asked for is worked off."""

    def __init__(self, rate: float, *, clock: Callable[[], float]) -> None:
        self._rate = rate
        # However slow the rate: one request at a time must pass.
        self._burst_s = max(BURST_S, 1 / rate) if rate > 0 else 0.0
        self._clock = clock
        self._paid_until: dict[str, float] = {}

    def take(self, key_id: str) -> None:
        """Count one request of a key; raises `RateLimited`, and then counts nothing."""
        if self._rate <= 0:
            return
        now = self._clock()
        until = max(self._paid_until.get(key_id, now), now) + 1 / self._rate
        wait_s = until - now - self._burst_s
        if wait_s > 0:
            raise RateLimited(self._rate, wait_s)
        self._paid_until[key_id] = until
