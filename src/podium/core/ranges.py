"""The accepted range of every number in a definition, with an example: one table.

Validation, the JSON Schema and the documentation all read it.
"""

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Final

import msgspec

from podium.core.definition import SECOND_US, TASKS_MAX
from podium.core.durations import duration_text
from podium.errors import Fault

__all__ = ["RANGES", "Range", "Value", "range_faults"]

MILLISECOND_US: Final = 1_000
DAY_US: Final = 86_400 * SECOND_US
YEAR_US: Final = 365 * DAY_US


class Range(msgspec.Struct, frozen=True):
    """An inclusive range and an example to copy."""

    low: int
    high: int
    example: str
    is_duration: bool = False

    def holds(self, value: float) -> bool:
        """Return whether `value` lies in the range."""
        return self.low <= value <= self.high

    def show(self, value: float) -> str:
        """Return `value` as the author would write it."""
        return duration_text(int(value)) if self.is_duration else f"{value:,}"

    def __str__(self) -> str:
        """Return the range as the author would write it."""
        return f"{self.show(self.low)} to {self.show(self.high)}"


def _duration(low: int, high: int, example: str) -> Range:
    return Range(low, high, example, is_duration=True)


RANGES: Final = MappingProxyType(
    {
        "timeout": _duration(MILLISECOND_US, 10 * YEAR_US, 'timeout: "30s"'),
        "deadline": _duration(MILLISECOND_US, 10 * YEAR_US, 'deadline: "2h"'),
        "queue": _duration(MILLISECOND_US, 10 * YEAR_US, "timeouts: {queue: 5m}"),
        "attempt": _duration(MILLISECOND_US, 10 * YEAR_US, "timeouts: {attempt: 30s}"),
        "total": _duration(MILLISECOND_US, 10 * YEAR_US, "timeouts: {total: 10m}"),
        "heartbeat": _duration(10 * MILLISECOND_US, 10 * YEAR_US, "timeouts: {heartbeat: 30s}"),
        "lock": _duration(MILLISECOND_US, 10 * YEAR_US, "timeouts: {lock: 1m}"),
        "max_retries": Range(0, 1_000, "max_retries: 3"),
        "retry_delay": _duration(0, 30 * DAY_US, 'retry_delay: "2s"'),
        "max_delay": _duration(0, 30 * DAY_US, "retry: {max_delay: 5m}"),
        "max_parallel_steps": Range(1, 100_000, "max_parallel_steps: 8"),
        "max_parallel": Range(1, 100_000, "max_parallel: 16"),
        "at_least": Range(1, TASKS_MAX, "join: {at_least: 2}"),
        "expires_in": _duration(MILLISECOND_US, 10 * YEAR_US, "approval: {expires_in: 2d}"),
        "escalate_after": _duration(MILLISECOND_US, 10 * YEAR_US, "approval: {escalate_after: 4h}"),
        "failures": Range(0, 1_000_000, "tolerate: {failures: 2}"),
        "percent": Range(0, 100, "tolerate: {percent: 5}"),
        "max_iterations": Range(1, 100_000, "loop: {max_iterations: 100}"),
        "loop_delay": _duration(0, 30 * DAY_US, 'loop: {delay: "10s"}'),
        "priority": Range(0, 100, "priority: high"),
        "max_turns": Range(1, 1_000, "max_turns: 8"),
        "max_tokens": Range(1, 1_000_000, "max_tokens: 2048"),
        "temperature": Range(0, 2, "temperature: 0.2"),
        "repairs": Range(0, 10, "repairs: 2"),
        "calls": Range(1, 100_000, "calls: 20"),
        "tokens": Range(1, 1_000_000_000, "tokens: 50000"),
        "usd": Range(0, 1_000_000, "usd: 0.05"),
        "result_bytes": Range(256, 1_048_576, "result_bytes: 32768"),
        "max_recoveries": Range(0, 1_000, "max_recoveries: 3"),
    }
)

Value = tuple[str, str, float | None]
"""Range, key as written, value."""


def range_faults(values: Iterable[Value], place: str) -> Iterator[Fault]:
    """Yield a fault for each value outside of its range; `place` is the pointer above the keys."""
    for name, key, value in values:
        limits = RANGES[name]
        if value is None or limits.holds(value):
            continue
        is_none = value == 0 and name.startswith("max_parallel")
        yield Fault(
            code="PDM-D209" if is_none else "PDM-D201",
            message=f"{key.replace('/', '.')} is {limits.show(value)}; it goes from {limits}.",
            why="With 0 nothing could ever run." if is_none else "",
            fix="Leave it out for no limit of its own." if is_none else f"Write {limits.example}",
            pointer=f"{place}/{key}",
        )
