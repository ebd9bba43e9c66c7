"""The real engine in thousands of seeded catastrophes; a failing seed is a bug report.

`PODIUM_SIM_SEEDS` sets how many seeds run (1000), `PODIUM_SIM_SEED` replays a single one.
"""

import gc
import os
import subprocess
import sys

import pytest

from podium.testing.simulation import Report, simulate
from podium.testing.simulation.world import World

SEEDS = int(os.environ.get("PODIUM_SIM_SEEDS", "1000"))
REPLAYED = os.environ.get("PODIUM_SIM_SEED")
CHUNK = 50

DIGEST = """
import hashlib, sys
from podium.testing.simulation import simulate
for seed in map(int, sys.argv[1:]):
    print(seed, hashlib.sha256("\\n".join(simulate(seed).trace()).encode()).hexdigest())
"""


def complaint(report: Report) -> str:
    broken = "\n".join(report.violations)
    again = f"make sim SEED={report.seed}"
    trace = "\n".join(report.trace()) if REPLAYED else "(the replay prints the trace)"
    return f"seed {report.seed} broke promises:\n{broken}\nreplay it with: {again}\n{trace}"


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_promise_is_kept_whatever_fails(first: int) -> None:
    for seed in range(first, min(first + CHUNK, SEEDS)):
        report = simulate(seed)
        assert not report.violations, complaint(report)


def test_the_seed_asked_for() -> None:
    report = simulate(int(REPLAYED or 0))
    assert not report.violations, complaint(report)


def test_a_seed_replays_bit_for_bit_in_another_process() -> None:
    seeds = ["3", "17", "101", "256"]
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST, *seeds],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().splitlines()) == len(seeds)


def test_a_seed_replays_bit_for_bit_in_the_same_process() -> None:
    assert simulate(42).trace() == simulate(42).trace()


def test_the_time_of_troubles_is_one() -> None:
    reports = [simulate(seed) for seed in range(0, 60, 3)]
    traces = [line.split(maxsplit=2)[1] for report in reports for line in report.trace()]
    assert {"crash", "pause", "resume", "stop", "jump", "refused", "fault"} <= set(traces)
    assert sum(report.effects for report in reports) > 200


def test_nothing_of_a_world_remains_after_it() -> None:
    def worlds() -> set[int]:
        gc.collect()
        return {id(each) for each in gc.get_objects() if isinstance(each, World)}

    before = worlds()
    for seed in range(20, 25):
        simulate(seed)
    assert worlds() <= before
