"""What the peer scripts share: clocks, percentiles, the ledger of W5, one JSON line per result.

Standard library only: these scripts run in the peers' own environments. The fields are those
of `podium.bench.measure.Sample`.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

STEPS_PER_RUN = 5
EFFECT_S = 0.01


def percentile(values, share):
    ordered = sorted(values)
    return ordered[round(share / 100 * (len(ordered) - 1))]


def latency(seconds):
    return {f"p{share}_ms": round(percentile(seconds, share) * 1000, 3) for share in (50, 95, 99)}


def rss_mb():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


class Meter:
    """Wall and processor time since it was made."""

    def __init__(self):
        self.cpu = time.process_time()
        self.wall = time.perf_counter()

    def tell(self, system, workload, what, *, steps, count=None, unit="", seconds=(), facts=None):
        """Print one result: `count` units of work, made of `steps`."""
        wall = time.perf_counter() - self.wall
        cpu = time.process_time() - self.cpu
        tell(
            system=system,
            workload=workload,
            what=what,
            wall_s=round(wall, 4),
            rate=None if count is None else round(count / wall, 1),
            unit=unit,
            latency=latency(seconds) if seconds else None,
            cpu_us_per_step=round(cpu / steps * 1e6, 1),
            rss_mb=rss_mb(),
            facts=facts or {},
        )


def tell(**fields):
    print(json.dumps(fields), flush=True)


class Ledger:
    """One line for each time a body ran; it survives kill -9."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, run, step):
        os.write(self.file, f"{run} {step}\n".encode())


def ledger_facts(path, runs):
    counts = Counter(path.read_text().splitlines())
    repeats = Counter()
    for line, times in counts.items():
        repeats[line.partition(" ")[0]] += times - 1
    return {
        "lost": runs * STEPS_PER_RUN - len(counts),
        "repeated": sum(repeats.values()),
        "repeated_max_per_run": max(repeats.values(), default=0),
    }


@contextmanager
def timed():
    """Give a list that holds the seconds the block took, once it has ended."""
    taken = []
    begun = time.perf_counter()
    yield taken
    taken.append(time.perf_counter() - begun)


def measure_crash(system, script, place, runs):
    """Kill `script first` in the middle of its work, time `script second` to its last result."""
    ledger = place / "ledger"
    command = [sys.executable, script, "W5", str(place), str(runs)]
    first = subprocess.Popen([*command, "first"], stdout=subprocess.DEVNULL)
    end = time.monotonic() + 300
    while not ledger.exists() or ledger.read_bytes().count(b"\n") < runs * STEPS_PER_RUN // 2:
        if time.monotonic() > end or first.poll() is not None:
            raise SystemExit("the first process did not get half way")
        time.sleep(0.002)
    first.kill()
    first.wait()
    with timed() as taken:
        second = subprocess.Popen([*command, "second"], stdout=subprocess.PIPE, text=True)
        while (line := second.stdout.readline()) and line.strip() != "done":
            pass
    second.kill()
    second.communicate()
    if line.strip() != "done":
        raise SystemExit("the second process did not finish the work")
    tell(
        system=system,
        workload="W5",
        what=f"kill -9 with {runs:,} runs in flight",
        wall_s=round(taken[0], 3),
        facts=ledger_facts(ledger, runs),
    )
