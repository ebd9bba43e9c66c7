"""Samples: what one workload did once, and how it is taken from clocks and counters."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from podium.authoring.client import App

__all__ = ["Latency", "Meter", "Sample", "latency", "percentile", "rss_mb"]


class Latency(msgspec.Struct, kw_only=True, frozen=True):
    """Percentiles in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


class Sample(msgspec.Struct, kw_only=True):
    """One workload, once. What a system cannot say of itself stays None."""

    system: str
    workload: str
    what: str
    """The workload in words, with its size."""
    wall_s: float
    rate: float | None = None
    unit: str = ""
    latency: Latency | None = None
    cpu_us_per_step: float | None = None
    """Processor time of the whole process, its writer thread included."""
    flushes_per_step: float | None = None
    rows: int | None = None
    reads: int | None = None
    rss_mb: float | None = None
    facts: dict[str, float] = {}
    """What only this workload has to tell, by name."""
    share_of_commit_rate: float | None = None
    """The rate against the machine's own one-row commits around it."""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` percent of `values` lie."""
    ordered = sorted(values)
    return ordered[round(share / 100 * (len(ordered) - 1))]


def latency(seconds: Sequence[float]) -> Latency:
    """Return the percentiles of durations given in seconds."""
    p50, p95, p99 = (round(percentile(seconds, share) * 1000, 3) for share in (50, 95, 99))
    return Latency(p50_ms=p50, p95_ms=p95, p99_ms=p99)


def rss_mb(process: int | str = "self") -> float:
    """Return the memory of a process that is in RAM, in MiB."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


@dataclass(slots=True)
class Meter:
    """Clocks and counters, read when it is made and when it is asked for a sample."""

    app: App
    wall: float = 0.0
    cpu: float = 0.0
    flushes: int = 0
    rows: int = 0
    reads: int = 0

    def __post_init__(self) -> None:
        """Start counting."""
        stats = self.app.engine.store.stats
        self.flushes, self.rows, self.reads = stats.flushes, stats.rows, stats.reads
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def sample(
        self,
        workload: str,
        what: str,
        *,
        steps: int,
        count: int,
        unit: str,
        seconds: Sequence[float] = (),
    ) -> Sample:
        """Return what happened since the start: `count` units of work, made of `steps`."""
        wall = time.perf_counter() - self.wall
        cpu = time.process_time() - self.cpu
        stats = self.app.engine.store.stats
        return Sample(
            system="podium",
            workload=workload,
            what=what,
            wall_s=round(wall, 4),
            rate=round(count / wall, 1),
            unit=unit,
            latency=latency(seconds) if seconds else None,
            cpu_us_per_step=round(cpu / steps * 1e6, 1),
            flushes_per_step=round((stats.flushes - self.flushes) / steps, 4),
            rows=stats.rows - self.rows,
            reads=stats.reads - self.reads,
            rss_mb=rss_mb(),
        )
