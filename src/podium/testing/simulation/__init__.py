"""Deterministic simulation of the real engine: virtual time, a faulty store, dying processes.

report = simulate(seed=42)
assert not report.violations, report.trace()
"""

from podium.testing.simulation.simulation import (
    SEEDS_PER_WORKLOAD,
    Report,
    simulate,
    without_faults,
)

__all__ = ["SEEDS_PER_WORKLOAD", "Report", "simulate", "without_faults"]
