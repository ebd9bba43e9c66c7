"""The machine's own speed, measured beside every row: without it, a row says little.

On shared hardware the same disk answers a flush in 0.1 ms or in 4 ms, and a core may run at
half its speed. A result is read against the probe taken a moment before and after it.
"""

import os
import platform
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from podium.bench.measure import percentile

__all__ = ["Machine", "Probe", "describe_machine", "probe"]

BUDGET_S: Final = 0.25
BLOCK: Final = 4096
FILE_BYTES: Final = 1 << 20
LOOP: Final = 300_000


class Probe(msgspec.Struct, kw_only=True, frozen=True):
    """What the machine did in half a second, with nothing of ours in between."""

    fdatasync_per_s: float
    fdatasync_p50_ms: float
    fdatasync_p99_ms: float
    commits_per_s: float
    """One row for each transaction, SQLite write-ahead log, synchronous=FULL: the ceiling of a
    sequential workflow."""
    commit_p50_ms: float
    cpu_loop_ms: float
    """A fixed loop of plain Python; compare it between rows, not between machines."""


class Machine(msgspec.Struct, kw_only=True, frozen=True):
    """What was measured on."""

    cpus: int
    cpu: str
    python: str
    sqlite: str
    system: str
    file_system: str


def probe(folder: Path) -> Probe:
    """Measure disk and processor for about half a second, in `folder`."""
    flushes = _flush_times(folder / "probe.bin")
    commits = _commit_times(folder / "probe.db")
    return Probe(
        fdatasync_per_s=round(len(flushes) / sum(flushes)),
        fdatasync_p50_ms=_ms(percentile(flushes, 50)),
        fdatasync_p99_ms=_ms(percentile(flushes, 99)),
        commits_per_s=round(len(commits) / sum(commits)),
        commit_p50_ms=_ms(percentile(commits, 50)),
        cpu_loop_ms=_ms(min(_loop_s() for _ in range(5))),
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _repeat(action: Callable[[], None]) -> list[float]:
    """Return how long each call took, calling until the budget is spent."""
    times: list[float] = []
    end = time.perf_counter() + BUDGET_S
    while (begun := time.perf_counter()) < end:
        action()
        times.append(time.perf_counter() - begun)
    return times


def _flush_times(path: Path) -> list[float]:
    block = os.urandom(BLOCK)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    flush = getattr(os, "fdatasync", os.fsync)
    position = 0

    def write() -> None:
        nonlocal position
        os.pwrite(handle, block, position)
        position = (position + BLOCK) % FILE_BYTES
        flush(handle)

    try:
        os.write(handle, bytes(FILE_BYTES))
        os.fsync(handle)
        return _repeat(write)
    finally:
        os.close(handle)
        path.unlink()


def _commit_times(path: Path) -> list[float]:
    # The driver types every value as a union with an unknown.
    connection: Any = apsw.Connection(str(path))
    try:
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "off")
        connection.execute("create table probe (id integer primary key, body blob)")
        body = os.urandom(60)

        def commit() -> None:
            connection.execute("insert into probe (body) values (?)", (body,))

        # A log that grows costs twice the flush: let it reach the length at which it is reused.
        for _ in range(1100):
            commit()
        connection.pragma("synchronous", "full")
        return _repeat(commit)
    finally:
        connection.close()
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def _loop_s() -> float:
    begun = time.perf_counter()
    total = 0
    for number in range(LOOP):
        total += number
    return time.perf_counter() - begun


def describe_machine(folder: Path) -> Machine:
    """Return what a reader needs to know of the machine."""
    return Machine(
        cpus=os.cpu_count() or 0,
        cpu=_cpu_name(),
        python=platform.python_version(),
        sqlite=f"{apsw.sqlite_lib_version()} (standard library: {sqlite3.sqlite_version})",
        system=f"{platform.system()} {platform.release()}",
        file_system=_file_system(folder),
    )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _file_system(folder: Path) -> str:
    """Return the kind of file system below `folder`; a tmpfs flushes for free."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    inside = folder.resolve()
    best = ("", "")
    for mount in mounts:
        _, place, kind, *_ = mount.split()
        if inside.is_relative_to(place) and len(place) > len(best[0]):
            best = (place, kind)
    return best[1]
