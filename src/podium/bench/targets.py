"""What each workload has to reach, so that a table can say whether it does."""

from collections.abc import Callable
from typing import Final

from podium.bench.measure import Sample

__all__ = ["RATIOS", "TARGETS", "Target", "verdicts"]

Target = tuple[str, str, Callable[[Sample], float | None], float]
"""What is looked at, `>=` or `<=`, how it is read from a sample, and the limit."""


def _rate(sample: Sample) -> float | None:
    return sample.rate


def _fact(name: str) -> Callable[[Sample], float | None]:
    return lambda sample: sample.facts.get(name)


def _p50(sample: Sample) -> float | None:
    return None if sample.latency is None else sample.latency.p50_ms


def _p99(sample: Sample) -> float | None:
    return None if sample.latency is None else sample.latency.p99_ms


AGENTS: Final[tuple[Target, ...]] = (
    ("over ideal %", "<=", _fact("over_ideal_percent"), 10),
    ("RSS MB", "<=", _fact("rss_peak_mb"), 400),
    ("errors", "<=", _fact("errors"), 0),
)

TARGETS: Final[dict[str, tuple[Target, ...]]] = {
    "W1": (
        ("steps/s", ">=", _rate, 2500),
        ("share of commit rate", ">=", lambda sample: sample.share_of_commit_rate, 0.4),
        ("p99 ms", "<=", _p99, 1.0),
        ("CPU µs/step", "<=", lambda sample: sample.cpu_us_per_step, 250),
    ),
    "W2": (
        ("runs/s", ">=", _rate, 2000),
        ("p99 ms", "<=", _p99, 300),
        ("CPU µs/step", "<=", lambda sample: sample.cpu_us_per_step, 100),
        ("flushes/step", "<=", lambda sample: sample.flushes_per_step, 0.05),
    ),
    "W3": (("milliseconds", "<=", _fact("milliseconds"), 100),),
    "W3 large": (("RSS growth MB", "<=", _fact("rss_growth_mb"), 100),),
    "W4": (
        ("KB/run", "<=", _fact("kb_per_run"), 1.5),
        ("idle CPU %", "<=", _fact("idle_cpu_percent"), 1.0),
        ("wake p50 ms", "<=", _p50, 5.0),
    ),
    "W5": (
        ("seconds", "<=", lambda sample: sample.wall_s, 1.5),
        ("lost", "<=", _fact("lost"), 0),
        ("repeats/run", "<=", _fact("repeated_max_per_run"), 1),
    ),
    "W6": (("p50 ms", "<=", _p50, 1.0), ("p99 ms", "<=", _p99, 5.0)),
    "G1": (("overhead p99 ms", "<=", _fact("overhead_p99_ms"), 5.0),),
    "A1": AGENTS,
    "A1 spread": AGENTS,
    "A2": (
        ("overspend $", "<=", _fact("overspend_usd"), 0),
        ("used %", ">=", _fact("used_percent"), 95),
        ("not in the ledger $", "<=", _fact("not_in_the_ledger_usd"), 0),
    ),
    "H1": (
        ("starts/s", ">=", _rate, 300),
        ("idle RSS MB", "<=", _fact("rss_idle_mb"), 150),
    ),
    "H2": (
        ("p99 ms", "<=", _p99, 100),
        ("lost", "<=", _fact("lost"), 0),
        ("twice", "<=", _fact("twice"), 0),
    ),
    "L1": (("p99 ms", "<=", _p99, 50),),
    "start": (
        ("cold run ms", "<=", _fact("cold_run_ms"), 500),
        ("import ms", "<=", _fact("import_podium_ms"), 150),
        ("help ms", "<=", _fact("help_ms"), 250),
        ("idle RSS MB", "<=", _fact("idle_rss_mb"), 80),
        ("install MB", "<=", _fact("install_mb"), 115),
        ("distributions", "<=", _fact("distributions"), 30),
    ),
}

RATIOS: Final[dict[tuple[str, str], float]] = {
    ("G1", "litellm sdk"): 5,
    ("G1", "litellm router"): 5,
}
"""How many times the rate of a peer podium has to reach, where it has to."""


def verdicts(sample: Sample) -> list[tuple[str, float, str, float, bool]]:
    """Return name, value, comparison, limit and whether it holds, for each target of a sample."""
    found: list[tuple[str, float, str, float, bool]] = []
    for name, comparison, read, limit in TARGETS.get(sample.workload, ()):
        value = read(sample)
        if value is not None and sample.system == "podium":
            holds = value >= limit if comparison == ">=" else value <= limit
            found.append((name, value, comparison, limit, holds))
    return found
