"""Limits and rhythms of one node, and what a new run is made of."""

from dataclasses import dataclass, field, replace

import msgspec

from podium.core.budgets import Budget, Limits, OnLimit, Pot
from podium.core.events import AgentsReplaced, Event, RunStarted, StepCarried
from podium.core.plan import Plan
from podium.ports.schedules import ScheduleWrite
from podium.ports.store import RunWrite

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
    schedules: bool = True
    """Whether this node takes the ticks of schedules."""


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
    requesters: tuple[str, ...] = ()
    """Who asked for the run: where `four_eyes` is declared, they cannot approve what it asks."""
    lineage: tuple[str, ...] = ()
    """The names of the workflows above it, the outermost first."""
    stand_ins: dict[str, str] = field(default_factory=dict)
    """Agents that stand in: slug, or path of a step → slug."""
    schedule: ScheduleWrite | None = None
    """The change of the schedule that starts the run: done with it, or neither is."""

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
            self.requesters,
            self.lineage,
        )

    def with_tick(self, write: ScheduleWrite, *, deferred: bool) -> "StartRequest":
        """Return the request as one for the last tick of `write`."""
        return replace(self, schedule=write, deferred=deferred)

    def creation(self, write: RunWrite | None) -> RunWrite | None:
        """Return the write that creates the run with the tick of its schedule, if it has one."""
        if write is None or self.schedule is None:
            return write
        *others, last = self.schedule.ticks
        ticks = (*others, msgspec.structs.replace(last, run_no=write.run_no))
        change = msgspec.structs.replace(self.schedule, ticks=ticks)
        return msgspec.structs.replace(write, schedule=change)

    def known(self) -> list[Event]:
        """Return what is known of the run besides its start, as the events that follow it."""
        by = self.requesters[0] if self.requesters else ""
        events: list[Event] = [StepCarried(*pair) for pair in self.carried.items()]
        if self.stand_ins:
            events.append(AgentsReplaced(self.stand_ins, by))
        return events
