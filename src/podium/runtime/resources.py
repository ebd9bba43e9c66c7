"""The memory of the machine, or of the container this runs in: how full it is, and a warning."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["MEMORY_WARN", "memory_used", "watch_memory"]

log = logging.getLogger("podium.scheduler")

MEMORY_WARN: Final = 0.85
CALM_AGAIN: Final = 0.8
LOOK_EVERY_S: Final = 30.0
GROUP: Final = Path("/sys/fs/cgroup")
MACHINE: Final = Path("/proc/meminfo")


def memory_used(group: Path = GROUP, machine: Path = MACHINE) -> tuple[int, int]:
    """Return bytes in use and bytes there are; (0, 0) where the system does not say.

    A limit of the container counts before the memory of the machine.
    """
    try:
        limit = (group / "memory.max").read_text("utf-8").strip()
        if limit != "max":
            return int((group / "memory.current").read_text("utf-8")), int(limit)
    except (OSError, ValueError):
        pass
    try:
        lines = machine.read_text("utf-8").splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        return sizes["MemTotal"] - sizes["MemAvailable"], sizes["MemTotal"]
    except (OSError, ValueError, KeyError, IndexError):
        return 0, 0


async def watch_memory(
    used: Callable[[], tuple[int, int]] = memory_used, *, every_s: float = LOOK_EVERY_S
) -> None:
    """Warn once whenever memory becomes scarce, for ever."""
    is_calm = True
    while True:
        in_use, limit = used()
        share = in_use / limit if limit else 0.0
        if is_calm and share >= MEMORY_WARN:
            log.warning("High memory usage detected: %.0f%%", share * 100)
            is_calm = False
        elif share < CALM_AGAIN:
            is_calm = True
        await asyncio.sleep(every_s)
