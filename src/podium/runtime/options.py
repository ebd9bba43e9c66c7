"""Limits and rhythms of one node, and what a new run is made of."""

from dataclasses import dataclass, field

from podium.core.budgets import Budget, Limits, OnLimit, Pot
from podium.core.events import RunStarted
from podium.core.plan import Plan

__all__ = ["EngineOptions", "StartRequest"]


@dataclass(slots=True, frozen=True)
class EngineOptions:
    """Limits and rhythms of one node; durations in microseconds."""

    capacity: int = 1000
    """Attempts that may run at once."""
    rows_per_tick: int = 2000
    evict_after_us: int = 1_000_000
    """How long a run only waits before it gives up its memory and its home."""
    resting_max: int = 256
    """Runs that only wait and may stay in memory all the same, to be quick if mail comes soon."""
    watch_every_us: int = 50_000
    """How often to look for what other processes wrote."""
    sweep_every_us: int = 1_000_000
    """How often to look for dead nodes and unclaimed runs."""
    lease_us: int = 30_000_000
    adopt_limit: int = 500
    resend_max: int = 5
    run_block: int = 1024
    child_depth_max: int = 8
    role: str = "all"
    budgets: tuple[Budget, ...] = ()
    """The rules of the settings; those set on the store come on top."""


@dataclass(slots=True, frozen=True, kw_only=True)
class StartRequest:
    """Everything a new run is made of."""

    plan: Plan
    input: bytes
    organization: str = "default"
    idempotency_key: str | None = None
    request_hash: str = ""
    priority: int = 50
    labels: dict[str, str] = field(default_factory=dict)
    parent_run: int = 0
    parent_step: int = 0
    depth: int = 0
    forked_from: int = 0
    deferred: bool = False
    """Leave the run homeless: any engine on this store may take it."""
    carried: dict[str, bytes] = field(default_factory=dict)
    """Results taken over from another run, by step path."""
    pots: tuple[Pot, ...] = ()
    """The budgets of the run that asks for this one: it spends from them, too."""
    budget: Limits | None = None
    """What this run and its children may spend."""
    on_limit: OnLimit = OnLimit.DENY

    def started(self, pots: tuple[Pot, ...]) -> RunStarted:
        """Return the first event of the run, which spends from `pots`."""
        return RunStarted(
            self.plan.workflow.name,
            self.plan.def_hash,
            self.input,
            self.organization,
            self.priority,
            self.parent_run,
            self.parent_step,
            0,
            self.depth,
            self.forked_from,
            1,
            self.labels,
            pots,
        )
