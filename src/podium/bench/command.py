"""The command behind `podium bench`: which workloads, how often, and where."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from podium import __version__
from podium.app import tune_process
from podium.bench.agents import measure_agents, measure_spread_agents
from podium.bench.caps import measure_cap
from podium.bench.crash import measure_crash
from podium.bench.gateway import measure_gateway
from podium.bench.lists import measure_lists
from podium.bench.machine import Probe, describe_machine, probe
from podium.bench.measure import Sample
from podium.bench.peers import Peer, prepare
from podium.bench.report import Report, as_json, as_text
from podium.bench.service import measure_service
from podium.bench.startup import measure_startup
from podium.bench.streams import measure_followers
from podium.bench.waiting import measure_waiting
from podium.bench.workloads import (
    Measured,
    Sizes,
    measure_concurrent,
    measure_fan_out,
    measure_large_fan_out,
    measure_sequence,
    measure_start_latency,
)
from podium.errors import RequestError, did_you_mean

__all__ = ["main"]

WORKLOADS: Final[dict[str, Measured]] = {
    "W1": measure_sequence,
    "W2": measure_concurrent,
    "W3": measure_fan_out,
    "W4": measure_waiting,
    "W5": measure_crash,
    "W6": measure_start_latency,
    "G1": measure_gateway,
    "A1": measure_agents,
    "A2": measure_cap,
    "H1": measure_service,
    "H2": measure_followers,
    "L1": measure_lists,
}
START: Final = "start"
QUICK: Final = Sizes(
    steps=200, runs=100, items=500, many_items=5_000, waiting=500, wakes=20, in_flight=50,
    starts=20, requests=50, calls=100, agents=20, turn_ms=100, payers=20, followers=20,
    paced=5, finished=20_000,
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench with these arguments; print a table, or JSON, and return the exit code."""
    chosen = _parser().parse_args(argv)
    # As every podium command that runs an engine does.
    tune_process()
    names = _chosen(chosen.workloads)
    sizes = QUICK if chosen.quick else Sizes()
    if chosen.waiting:
        sizes = msgspec.structs.replace(sizes, waiting=chosen.waiting)
    peers = [prepare(name) for name in chosen.peers.split(",") if name]
    if chosen.dir is not None:
        chosen.dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=chosen.dir, prefix="podium-bench-") as folder:
        bench = _Bench(Path(folder), sizes, chosen.rounds, peers)
        report = bench.run(names)
    print(as_json(report) if chosen.json else as_text(report))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="podium bench",
        description="Measure this machine and this version with the workloads of "
        "docs/reference/benchmarks.md. Everything is on: retries, validation, events, limits.",
    )
    add = parser.add_argument
    add("workloads", nargs="*", help="W1 … W6, G1, A1, A2, H1, H2, start, or all (default)")
    add("--rounds", type=int, default=3, help="how often each workload runs (default: 3)")
    add("--json", action="store_true", help="print one JSON document")
    add("--peers", default="", help="also measure dbos,langgraph,litellm (from a checkout)")
    add("--dir", type=Path, help="folder for the stores: choose the disk that matters to you")
    add("--waiting", type=int, default=0, help="how many runs wait in W4 (default: 10000)")
    add("--quick", action="store_true", help="small sizes, to see that it works")
    return parser


def _chosen(names: Sequence[str]) -> list[str]:
    known = [*WORKLOADS, START]
    wanted = [name for name in names if name != "all"]
    for name in wanted:
        if name not in known:
            raise RequestError(
                f"There is no workload {name!r}.", fix=did_you_mean(name, known), code="PDM-R070"
            )
    return known if "all" in names or not wanted else wanted


class _Bench:
    """One bench run: rounds over workloads, a probe between any two measurements."""

    def __init__(self, folder: Path, sizes: Sizes, rounds: int, peers: Sequence[Peer]) -> None:
        self._folder = folder
        self._sizes = sizes
        self._rounds = max(rounds, 1)
        self._peers = peers
        self._probe = probe(folder)
        self._report = Report(
            version=__version__, machine=describe_machine(folder), rounds=self._rounds
        )

    def run(self, names: Sequence[str]) -> Report:
        """Run everything; systems take turns within a round, so that they share its weather."""
        for number in range(self._rounds):
            for name in names:
                self._round(name, number)
        return self._report

    def _round(self, name: str, number: int) -> None:
        if name == START:
            self._note(measure_startup(self._folder))
            return
        self._measure(name, WORKLOADS[name])
        if name == "W3" and number == 0:
            self._measure("W3 large", measure_large_fan_out)
        if name == "A1":
            self._measure("A1 spread", measure_spread_agents)
        for peer in self._peers:
            print(f"{name} {peer.name} …", file=sys.stderr)
            for sample in peer.measure(name, self._folder, msgspec.to_builtins(self._sizes)):
                self._note(sample)

    def _measure(self, name: str, measured: Measured) -> None:
        print(f"{name} …", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=self._folder) as place:
            self._note(asyncio.run(measured(Path(place), self._sizes)))

    def _note(self, sample: Sample) -> None:
        """Keep a sample with the machine's speed around it."""
        before, self._probe = self._probe, probe(self._folder)
        row = self._report.row(sample.workload, sample.system)
        if sample.workload == "W1" and sample.rate is not None:
            sample.share_of_commit_rate = round(sample.rate / _commits(before, self._probe), 3)
        row.rounds.append(sample)
        row.probes.append(self._probe)


def _commits(before: Probe, after: Probe) -> float:
    return (before.commits_per_s + after.commits_per_s) / 2
