"""Time for the stub: real, or moved by a test."""

import asyncio
import time
from heapq import heappop, heappush
from threading import Condition
from typing import Final, Protocol

__all__ = ["ManualClock", "RealClock", "StubClock"]

NOON: Final = 1_763_726_400.0
"""When a manual clock starts, in seconds since 1970."""


class StubClock(Protocol):
    """What the stub's limits and delays go by."""

    def now(self) -> float:
        """Return seconds since 1970; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class RealClock:
    """The clock of the loop the stub runs on: real time, or virtual time on a virtual loop."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def now(self) -> float:
        """See `StubClock.now`."""
        moment = asyncio.get_running_loop().time()
        if self._offset is None:
            self._offset = time.clock_gettime(time.CLOCK_REALTIME) - moment
        return self._offset + moment

    async def sleep(self, seconds: float) -> None:
        """See `StubClock.sleep`."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until `advance` moves it, from any thread."""

    def __init__(self) -> None:
        self._now = NOON
        self._sleepers: list[tuple[float, int, asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._count = 0
        self._changed = Condition()

    def now(self) -> float:
        """See `StubClock.now`."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """See `StubClock.sleep`: ends when the clock was advanced far enough."""
        if seconds <= 0:
            return
        woken = asyncio.Event()
        with self._changed:
            self._count += 1
            sleeper = (self._now + seconds, self._count, asyncio.get_running_loop(), woken)
            heappush(self._sleepers, sleeper)
            self._changed.notify_all()
        await woken.wait()

    def advance(self, seconds: float) -> None:
        """Move the clock and wake who has slept long enough."""
        with self._changed:
            self._now += seconds
            while self._sleepers and self._sleepers[0][0] <= self._now:
                _, _, loop, woken = heappop(self._sleepers)
                if not loop.is_closed():
                    loop.call_soon_threadsafe(woken.set)

    @property
    def sleepers(self) -> int:
        """Return how many wait for this clock now."""
        return len(self._sleepers)

    def wait_for_sleepers(self, count: int = 1, *, timeout_s: float = 30.0) -> None:
        """Block this thread until so many wait for the clock; raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.sleepers >= count, timeout_s):
                raise TimeoutError(f"{self.sleepers} wait for this clock, not {count}")
