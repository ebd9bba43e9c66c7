"""W5: kill -9 with hundreds of runs in flight, then count what was lost and what was repeated.

A ledger file has one line for each time a step's body really ran. It is written by the bodies
themselves and survives the kill, so the engine cannot flatter itself.
"""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

from podium.app import connect
from podium.bench.bodies import NOTES, STEPS_PER_RUN, five_effects
from podium.bench.measure import Sample
from podium.bench.workloads import Sizes
from podium.core.states import RunStatus
from podium.ports.store import RunFilter

__all__ = ["ledger_facts", "main", "measure_crash"]

PATIENCE_S: Final = 120.0
DONE: Final = "all runs are done"
PROGRAM: Final = "import sys; from podium.bench.crash import main; main(sys.argv[1:])"


async def measure_crash(folder: Path, sizes: Sizes) -> Sample:
    """Kill a process in the middle of its work; measure the next one up to its last result."""
    place = folder / "w5"
    place.mkdir(parents=True)
    return await asyncio.to_thread(_measure, place, sizes.in_flight)


def _measure(place: Path, runs: int) -> Sample:
    first = _process(place, "first", runs)
    try:
        _wait_for_lines(place / "ledger", runs * STEPS_PER_RUN // 2)
    finally:
        first.kill()
        first.wait()
    begun = time.perf_counter()
    second = _process(place, "second", runs)
    answer = second.stdout.readline() if second.stdout is not None else ""
    wall = time.perf_counter() - begun
    second.communicate(timeout=PATIENCE_S)
    if answer.strip() != DONE:
        raise RuntimeError(f"the process after the crash said {answer!r}")
    return Sample(
        system="podium",
        workload="W5",
        what=f"kill -9 with {runs:,} runs in flight",
        wall_s=round(wall, 3),
        facts=ledger_facts(place / "ledger", runs=runs, steps=STEPS_PER_RUN),
    )


def _process(place: Path, role: str, runs: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, str(place), role, str(runs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours


def _wait_for_lines(ledger: Path, count: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if ledger.exists() and ledger.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.002)
    raise TimeoutError(f"{ledger} did not reach {count} lines in {PATIENCE_S:g} s")


def ledger_facts(ledger: Path, *, runs: int, steps: int) -> dict[str, float]:
    """Return how many steps never ran, ran more than once, and the worst run's repeats."""
    counts = Counter(ledger.read_text(encoding="utf-8").splitlines())
    repeats: Counter[str] = Counter()
    for line, times in counts.items():
        repeats[line.partition(" ")[0]] += times - 1
    return {
        "lost": runs * steps - len(counts),
        "repeated": sum(repeats.values()),
        "repeated_max_per_run": max(repeats.values(), default=0),
    }


async def work(place: Path, runs: int) -> None:
    """Be the process that is killed."""
    async with connect(f"sqlite:///{place}/podium.db") as app:
        starts = (app.start(five_effects, input=number) for number in range(runs))
        handles = await asyncio.gather(*starts)
        NOTES.gate.set()
        await asyncio.gather(*(handle.wait() for handle in handles))


async def finish(place: Path, runs: int) -> None:
    """Be the process after it: take every run over and finish it."""
    NOTES.gate.set()
    async with connect(f"sqlite:///{place}/podium.db") as app:
        await app.recover()
        rows = await app.engine.store.runs(RunFilter(), limit=runs)
        ends = await asyncio.gather(*(app.engine.ended(row.run_no) for row in rows))
        good = sum(row.status == RunStatus.COMPLETED for row in ends)
        print(DONE if good == runs else f"{good} of {runs} runs completed", flush=True)


def main(arguments: list[str]) -> None:
    """Play a role: folder, `first` or `second`, number of runs."""
    place, role, runs = Path(arguments[0]), arguments[1], int(arguments[2])
    NOTES.ledger = place / "ledger"
    asyncio.run(work(place, runs) if role == "first" else finish(place, runs))
