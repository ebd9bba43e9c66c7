"""One simulation: a seeded workload on one to three processes, through a time of troubles."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from random import Random
from typing import Any, Final

import msgspec

from podium.core.ids import run_id
from podium.core.plan import Plan
from podium.core.states import RunStatus
from podium.core.turn import CONTINUED
from podium.errors import PodiumError
from podium.testing.history import check_history
from podium.testing.loop import DeadlockError
from podium.testing.simulation.bodies import Bodies
from podium.testing.simulation.clients import Clerk, Client
from podium.testing.simulation.processes import (
    OPTIONS,
    Process,
    ProcessGone,
    SimulationLoop,
)
from podium.testing.simulation.residents import compare_residents
from podium.testing.simulation.workloads import Case, Workload, random_workload
from podium.testing.simulation.world import World

__all__ = ["CALM", "SEEDS_PER_WORKLOAD", "Report", "simulate", "without_faults"]

TROUBLES_S: Final = 12.0
PATIENCE_S: Final = 400.0
"""Virtual time after the troubles in which every run must have ended."""
SEEDS_PER_WORKLOAD: Final = 5

Ending = tuple[str, Any]


class Report(msgspec.Struct, kw_only=True):
    """What became of one seed."""

    seed: int
    violations: list[str]
    endings: dict[str, Ending]
    """Status and output by case, for the cases nobody interfered with."""
    faults: int
    effects: int
    ticks: int
    seconds: float
    """Virtual time it took."""
    write_trace: Callable[[], list[str]]

    def trace(self) -> list[str]:
        """Return everything that happened, one line each: the same for the same seed."""
        return self.write_trace()


CALM: Final[dict[int, Report]] = {}
"""The reports of workloads without faults, by number; they serve several seeds each."""


def simulate(seed: int) -> Report:
    """Run the simulation of `seed` and return what it found.

    Every fifth seed has a workload of its own; the endings of its runs are compared with those
    of a run without faults.
    """
    number = seed // SEEDS_PER_WORKLOAD
    calm = without_faults(number)
    if calm.violations:
        return calm
    report = _run(seed, random_workload(number), is_calm=False)
    for key, ending in report.endings.items():
        wanted = calm.endings[key]
        if not _agree(ending, wanted):
            report.violations.append(f"{key} ended as {ending}; without faults as {wanted}")
    return report


def without_faults(number: int) -> Report:
    """Return what became of a workload when nothing but its own tasks failed."""
    if number not in CALM:
        report = _run(number, random_workload(number), is_calm=True)
        if not report.violations:
            # Its world is large, and its trace is of no interest.
            report.write_trace = list
        CALM[number] = report
    return CALM[number]


def _agree(one: Ending, other: Ending) -> bool:
    """Compare two endings; what a failure cut off depends on the moment it came."""
    cut_off = any(
        word in str(ending) for word in ("cancelled", "failed") for ending in (one, other)
    )
    return one == other or (one[0] == other[0] and cut_off)


def _run(seed: int, workload: Workload, *, is_calm: bool) -> Report:
    with asyncio.Runner(loop_factory=SimulationLoop) as runner:
        loop: Any = runner.get_loop()
        simulation = Simulation(seed, workload, loop=loop, is_calm=is_calm)
        try:
            return runner.run(simulation.run())
        except DeadlockError as error:
            simulation.world.violated(str(error))
            return simulation.report()
        finally:
            simulation.close()


class Simulation:
    """See the module docstring."""

    def __init__(
        self, seed: int, workload: Workload, *, loop: SimulationLoop, is_calm: bool
    ) -> None:
        self.world = World(seed, loop)
        self.world.is_calm = is_calm
        self.world.crash_of = self._crash_soon
        self._loop = loop
        self._dice = self.world.dice("troubles")
        self._workload = workload
        self._bodies = Bodies(self.world)
        self._slots: list[Process | None] = [None] * (1 + seed % 3 if not is_calm else 1)
        self._lives = 0
        self._faults = 0
        self._is_over = False
        self._clients = [Client(self, case, is_quiet=is_calm) for case in workload.cases]
        self._clerk = Clerk(self)
        loop.set_exception_handler(self._loop_failed)

    def _loop_failed(self, loop: Any, context: dict[str, Any]) -> None:
        if not self._is_over:
            self.world.violated(f"{context.get('message')}: {context.get('exception')!r}")

    # -- processes -----------------------------------------------------------------------------

    async def anyone(self, dice: Random) -> Process:
        """See `Town.anyone`."""
        while True:
            living = [process for process in self._slots if process and not process.is_dead]
            if living:
                return dice.choice(living)
            await asyncio.sleep(0.1)

    def _start(self, slot: int) -> None:
        self._lives += 1
        process = Process(self.world, f"n{slot}.{self._lives}", remember=self._bodies.targets)
        self._slots[slot] = process
        process.start()

    def _crash_soon(self, process: Process, lag: float) -> None:
        def crash() -> None:
            if not process.is_dead:
                process.crash(is_noticed=True)

        self._loop.call_later(lag, crash, context=Context())

    async def _keep_alive(self) -> None:
        """Start what is dead again, after a while."""
        while True:
            await asyncio.sleep(0.3)
            for slot, process in enumerate(self._slots):
                is_empty = process is None or process.is_dead
                if is_empty and (self.world.is_calm or self._dice.random() < 0.3):
                    self._start(slot)

    # -- troubles ------------------------------------------------------------------------------

    async def _trouble(self) -> None:
        end = self._loop.time() + TROUBLES_S
        while True:
            await asyncio.sleep(self._dice.expovariate(1.0))
            if self._loop.time() > end:
                return
            self._faults += 1
            self._dice.choice(_TROUBLES)(self)

    def _victim(self) -> Process | None:
        living = [p for p in self._slots if p is not None and p.runs]
        return self._dice.choice(living) if living else None

    def _crash(self) -> None:
        process = self._victim()
        if process is not None:
            process.crash(is_noticed=self._dice.random() < 0.7)

    def _pause(self) -> None:
        process = self._victim()
        if process is not None:
            process.pause()
            self._loop.call_later(
                self._dice.choice([0.5, 3.0, 9.0]) * self._dice.random(),
                process.resume,
                context=Context(),
            )

    def _stop(self) -> None:
        process = self._victim()
        if process is not None:
            self.world.note("stop", process.name)
            process.engine.stop()

    def _jump(self) -> None:
        jump_us = self._dice.choice([100_000, 3_000_000, 20_000_000])
        self.world.note("jump", jump_us)
        self.world.skipped_us += jump_us

    def _take_away(self) -> None:
        """Take a run from a living node, as a store that failed over takes all."""
        database = self.world.database
        resident = [row for row in database.runs.values() if row.home is not None]
        if resident:
            database.set_free(self._dice.choice(resident))

    def _look(self) -> None:
        for process in self._slots:
            if process is not None and process.runs:
                self.world.history.violations.extend(compare_residents(process))

    # -- the course of events ------------------------------------------------------------------

    async def run(self) -> Report:
        """Live through it all and return the report."""
        for slot in range(len(self._slots)):
            self._start(slot)
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(self._keep_alive(), name="keep alive")]
            await self._publish()
            background += [
                group.create_task(self._clerk.live(), name="clerk"),
            ]
            clients = [group.create_task(c.live(), name=c.case.key) for c in self._clients]
            if not self.world.is_calm:
                await self._trouble()
                self._heal()
            background.append(group.create_task(self._clerk.finish(), name="finisher"))
            await self._settle(clients)
            for task in (*background, *clients):
                task.cancel()
        self._look()
        self._count_places()
        return self.report()

    def _count_places(self) -> None:
        """Check that every place for an attempt is free again."""
        for process in self._slots:
            if process is not None and not process.is_dead and not process.engine.residents:
                free = process.engine.free_places
                if free != OPTIONS.capacity:
                    self.world.violated(f"{process.name} has {free} places, nothing runs there")

    def close(self) -> None:
        """Let the remains of every process be cleaned up."""
        self._is_over = True
        for process in self.world.processes:
            process.bury()
        self._loop.end()

    async def _publish(self) -> None:
        """Publish the workflows that others start by name."""
        missing = list(self._workload.published)
        while missing:
            process = await self.anyone(self._dice)
            try:
                await process.call(lambda p: p.engine.registry.publish(missing[-1]))
                missing.pop()
            except (ProcessGone, TimeoutError, PodiumError):
                await asyncio.sleep(0.1)

    def _heal(self) -> None:
        self.world.note("healed")
        self.world.is_calm = True
        for process in self._slots:
            if process is not None:
                process.resume()

    async def _settle(self, clients: list["asyncio.Task[None]"]) -> None:
        """Wait until everything has ended that can, and the rest has been evicted."""
        end = self._loop.time() + PATIENCE_S
        quiet = 0
        while quiet < 3:
            await asyncio.sleep(1.0)
            settled = all(c.done() for c in clients) and not self._unsettled()
            quiet = quiet + 1 if settled else 0
            if self._loop.time() > end:
                pending = [c.get_name() for c in clients if not c.done()]
                self.world.violated(f"never settled: {self._unsettled()} clients {pending}")
                return

    def _unsettled(self) -> list[str]:
        database = self.world.database
        patient = {case.key for case in self._workload.cases if case.waits_for_ever}
        found = []
        for row in database.runs.values():
            status = RunStatus(row.status)
            waits = row.idempotency_key in patient and status is RunStatus.WAITING
            retries = status is RunStatus.FAILED and row.generation == 1 and not row.parent_run
            if row.home is not None or retries or (status.is_open and not waits):
                found.append(f"{run_id(row.run_no)} {status.label} {row.reason} home={row.home}")
        return found

    # -- the end -------------------------------------------------------------------------------

    def report(self) -> Report:
        """Return what was found."""
        world = self.world
        plans = self._plans()
        violations = check_history(world.history, world.database, plans)
        return Report(
            seed=world.seed,
            violations=violations,
            endings=self._endings(plans),
            faults=self._faults,
            effects=len(world.history.executions),
            ticks=len(world.history.applied),
            seconds=self._loop.time(),
            write_trace=world.trace,
        )

    def _plans(self) -> dict[str, Plan]:
        registry = self._any_registry()
        workflows = [*self._workload.published, *(c.workflow for c in self._workload.cases)]
        return {plan.def_hash: plan for plan in map(registry.compile, workflows)}

    def _any_registry(self) -> Any:
        return self.world.processes[0].engine.registry

    def _endings(self, plans: dict[str, Plan]) -> dict[str, Ending]:
        return {
            client.case.key: self._ending(client.case)
            for client in self._clients
            if not client.is_disturbed and not client.case.waits_for_ever
        }

    def _ending(self, case: Case) -> Ending:
        database = self.world.database
        row = database.run_of_key("default", case.key)
        while row is not None and row.reason == CONTINUED:
            row = database.run_of_key("default", f"continue:{run_id(row.run_no)}")
        if row is None:
            return ("missing", None)
        output = None if row.output is None else msgspec.msgpack.decode(row.output)
        return (RunStatus(row.status).label, output)


_TROUBLES: Final[tuple[Callable[[Simulation], None], ...]] = (
    Simulation._crash,
    Simulation._crash,
    Simulation._crash,
    Simulation._pause,
    Simulation._pause,
    Simulation._pause,
    Simulation._stop,
    Simulation._jump,
    Simulation._jump,
    Simulation._take_away,
    Simulation._look,
)
