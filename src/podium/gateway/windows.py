"""What was used of a rate limit in the last minute: pure bookkeeping, `now` is passed in.

Why a sliding window and not a token bucket: providers enforce either of the two, or a counter
that is reset each minute, and do not say which. What never exceeds the limit in any 60 seconds
passes all three; a bucket that allows a burst exceeds a window by that burst. It costs nothing:
a caller that was idle may still use a whole minute's limit at once.

Use is booked when it is reserved, in slots of half a second, and leaves a minute after the end
of its slot: at most 121 slots, whatever the load.
"""

import math
from collections import deque
from typing import Final

__all__ = ["TARGET", "WINDOW_S", "Entry", "Window"]

WINDOW_S: Final = 60.0
SLOT_S: Final = 0.5
ROUNDING: Final = 1e-6
TARGET: Final = 0.95
"""Share of a limit that is used; the rest covers clocks and networks that are not exact."""


class Entry:
    """What was used in one slot; a reservation keeps it to correct the amount later."""

    __slots__ = ("amount", "leaves_at")

    def __init__(self, leaves_at: float) -> None:
        self.leaves_at = leaves_at
        self.amount = 0.0


class Window:
    """One limit: units per minute. Without a limit everything fits."""

    def __init__(self, limit: float | None) -> None:
        self._declared = limit
        self._told: float | None = None
        self._own: deque[Entry] = deque()
        self._foreign = Entry(0.0)

    @property
    def limit(self) -> float | None:
        """Return the limit in force: what was declared or what the provider told, the lower."""
        known = [limit for limit in (self._declared, self._told) if limit is not None]
        return min(known, default=None)

    @property
    def target(self) -> float | None:
        """Return how much of the limit is used at most in any minute."""
        limit = self.limit
        return None if limit is None else limit * TARGET

    def fits_ever(self, amount: float) -> bool:
        """Return whether `amount` is within the limit of a whole minute."""
        limit = self.limit
        return limit is None or amount <= limit

    def used(self, now: float) -> float:
        """Return what was used in the last minute, by us and by others."""
        foreign = self._foreign.amount if self._foreign.leaves_at > now else 0.0
        return self._used_by_us(now) + foreign

    def wait_s(self, amount: float, now: float) -> float:
        """Return the seconds until `amount` fits: 0 if it does now.

        What fits the limit but not the target fits an empty window. Assumes `fits_ever`.
        """
        target = self.target
        if target is None:
            return 0.0
        excess = self.used(now) + amount - max(target, amount)
        if excess <= ROUNDING:
            return 0.0
        for entry in sorted([*self._own, self._foreign], key=lambda each: each.leaves_at):
            if entry.leaves_at > now:
                excess -= entry.amount
            if excess <= ROUNDING:
                return entry.leaves_at - now
        return WINDOW_S

    def eta_s(self, amount: float, now: float) -> float:
        """Return about when `amount` is through, however many minutes' worth it is."""
        target = self.target
        if target is None:
            return 0.0
        minutes = max(0, math.ceil(amount / target) - 1)
        return minutes * WINDOW_S + self.wait_s(amount - minutes * target, now)

    def book(self, amount: float, now: float) -> Entry:
        """Note `amount` as used now; the caller may change `Entry.amount` by what it got wrong."""
        leaves_at = (now // SLOT_S + 1) * SLOT_S + WINDOW_S
        if not self._own or self._own[-1].leaves_at < leaves_at:
            self._own.append(Entry(leaves_at))
        entry = self._own[-1]
        entry.amount += amount
        return entry

    def learn(
        self, *, limit: int | None, left: int | None, reset_s: float | None, now: float
    ) -> None:
        """Believe the provider where it says less than we do.

        Others may use the same account, and providers count in their own way: if less is left
        than our books say, somebody used the difference, until the provider's reset.
        """
        if limit is not None:
            self._told = limit
        target = self.target
        if left is not None and target is not None:
            until_s = WINDOW_S if reset_s is None else min(max(reset_s, 0.0), WINDOW_S)
            self._foreign = Entry(now + until_s)
            self._foreign.amount = max(0.0, target - self._used_by_us(now) - left)

    def _used_by_us(self, now: float) -> float:
        own = self._own
        while own and own[0].leaves_at <= now:
            own.popleft()
        return sum(entry.amount for entry in own)
