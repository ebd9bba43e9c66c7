"""The store's time: the wall clock of the machine, kept from going back."""

import time
from collections.abc import Callable

__all__ = ["StoreClock", "boot_clock_us", "wall_clock_us"]


def wall_clock_us() -> int:
    """Return the machine's wall clock; it may jump."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME) // 1000


def boot_clock_us() -> int:
    """Return microseconds since boot, sleep included where the system can tell; never jumps."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1000


class StoreClock:
    """Time that never goes back, over restarts too if `raise_floor` gets the last value kept."""

    def __init__(
        self,
        *,
        wall_us: Callable[[], int] = wall_clock_us,
        boot_us: Callable[[], int] = boot_clock_us,
    ) -> None:
        self._wall_us = wall_us
        self._last_us = 0
        self.boot_us = boot_us

    def now_us(self) -> int:
        """Return the wall clock, or the last time returned if that is later."""
        self._last_us = max(self._last_us, self._wall_us())
        return self._last_us

    def raise_floor(self, last_us: int) -> None:
        """Never return less than `last_us` from now on."""
        self._last_us = max(self._last_us, last_us)
