"""Simulated processes: each a real engine with a store view of its own, on one shared loop.

Every callback belongs to the process in whose context it was scheduled. The loop drops the
callbacks of a crashed process and parks those of a stopped one, so a crash leaves no `finally`
behind and a stopped process notices nothing until it goes on.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from random import Random
from typing import Any, Final, TypeVar

from podium.adapters.memory import Fault, FaultKind, MemoryStore
from podium.authoring.client import App
from podium.errors import PodiumError, StoreError
from podium.ports.store import Batch
from podium.runtime.engine import Engine
from podium.runtime.options import EngineOptions
from podium.runtime.payloads import Payloads
from podium.runtime.registry import Registry
from podium.testing.loop import DeadlockError, VirtualLoop
from podium.testing.simulation.world import World

__all__ = ["OPTIONS", "Process", "ProcessGone", "SimulationLoop", "current_process"]

T = TypeVar("T")

OPTIONS: Final = EngineOptions(
    capacity=2,
    evict_after_us=300_000,
    watch_every_us=300_000,
    sweep_every_us=700_000,
    lease_us=4_000_000,
    run_block=4,
    # No workload has schedules; tests/runtime/test_schedule_histories.py has nothing else.
    schedules=False,
)

TURNS_MAX: Final = 400_000
KEPT_MAX: Final = 300
"""Tasks to remember before those that ended are forgotten."""

_PROCESS: ContextVar["Process | None"] = ContextVar("podium_simulated_process", default=None)


def current_process() -> "Process":
    """Return the simulated process the caller runs in."""
    process = _PROCESS.get()
    if process is None:
        raise RuntimeError("called outside of a simulated process")
    return process


class ProcessGone(Exception):
    """The process that was asked crashed or ended: what became of the call is unknown."""


class SimulationLoop(VirtualLoop):
    """A virtual loop that knows whose callback it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0
        self.kept: list[asyncio.Task[Any]] = []
        """Tasks of crashed processes: nothing may clean them up before the checks are done."""

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        """See `VirtualLoop.create_task`."""
        task = super().create_task(coro, **options)
        self.kept.append(task)
        if len(self.kept) > KEPT_MAX:
            self.kept = [each for each in self.kept if not each.done()]
        return task

    def end(self) -> None:
        """Cancel all that still waits, and whatever that brings about."""
        self._timers.clear()
        for _ in range(10):
            pending = [task for task in self.kept if not task.done()]
            for task in pending:
                task.cancel()
            self.drain()
            if not pending:
                return

    def _run_handle(self, handle: Any) -> None:
        self.turns += 1
        if self.turns > TURNS_MAX:
            raise DeadlockError(f"No time passes any more at {self.time():g} s.")
        process = handle._context.get(_PROCESS)
        if process is None or process.runs:
            handle._run()
        else:
            process.parked.append(handle)


class SimulatedStore(MemoryStore):
    """A view that sometimes misses a hint, until it is asked again."""

    def __init__(self, *args: Any, misses: Callable[[], bool], **options: Any) -> None:
        super().__init__(*args, **options)
        self._misses = misses
        self._missed = False

    def changed(self) -> bool:
        """See `Store.changed`; a hint may be late, never lost for good."""
        seen = super().changed() or self._missed
        self._missed = seen and self._misses()
        return seen and not self._missed


class Process:
    """One life of a node, from its start to its crash."""

    def __init__(self, world: World, name: str, *, remember: dict[str, Any]) -> None:
        self.world = world
        world.processes.append(self)
        self.name = name
        self.runs = True
        self.is_dead = False
        self.parked: list[Any] = []
        self._dice = world.dice(f"process {name}")
        self._calls: dict[asyncio.Future[Any], None] = {}
        self.arranged: dict[str, Fault] = {}
        """Faults of the next call of a method of the store, by its name."""
        self.store = SimulatedStore(
            world.database,
            clock=world.now_us,
            faults=self._fault,
            misses=lambda: not world.is_calm and self._dice.random() < 0.2,
        )
        self.engine = self._engine(remember)
        self.app = App(self.engine)
        self.main: asyncio.Task[None] | None = None

    def _engine(self, remember: dict[str, Any]) -> Engine:
        payloads = Payloads(self.world.blobs)
        registry = Registry(
            store=self.store, payloads=payloads, expressions=self.world.expressions, tools={}
        )
        for entrypoint, function in remember.items():
            registry.remember(entrypoint, function)
        return Engine(
            store=self.store,
            payloads=payloads,
            registry=registry,
            dice=Random(f"{self.world.seed}/engine {self.name}").random,
            boot_id=self.name,
            options=OPTIONS,
        )

    def _fault(self, call: str, batch: Batch | None) -> Fault:
        """Return how a call to the store goes: mostly well, sometimes late, lost or refused."""
        if call in self.arranged:
            return self.arranged.pop(call)
        dice = self._dice.random()
        if self.world.is_calm:
            return Fault(delay_s=0.001) if batch is not None else Fault()
        if batch is None:
            kind = FaultKind.AFTER if dice < 0.0006 else FaultKind.NEVER
            kind = FaultKind.BEFORE if 0.0006 < dice < 0.0012 else kind
            return Fault(kind=kind, delay_s=0.08 * self._dice.random() if dice > 0.97 else 0.0)
        delay = 0.001 if dice < 0.8 else 0.4 * self._dice.random()
        answer = 0.4 * self._dice.random() if 0.7 < dice < 0.85 else 0.0
        kind = FaultKind.NEVER
        if dice > 0.92:
            kind = FaultKind.BEFORE if dice > 0.96 else FaultKind.AFTER
            self.world.note("fault", self.name, kind.name)
        return Fault(kind=kind, delay_s=delay, answer_s=answer)

    @property
    def node_id(self) -> int:
        """Return the number of the node the process is now, or 0."""
        return 0 if self.engine.node is None else self.engine.node.node_id

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine."""
        self.world.note("start", self.name)
        self.main = self._spawn(self.engine.run(), f"engine {self.name}")
        self.main.add_done_callback(self._ended)

    def _spawn(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        context = copy_context()
        context.run(_PROCESS.set, self)
        return self.world.loop.create_task(work, name=name, context=context)

    def _ended(self, main: "asyncio.Task[None]") -> None:
        if self.is_dead:
            return
        error = None if main.cancelled() else main.exception()
        # An engine whose store fails while it registers or leaves may end with that error.
        if error is not None and not isinstance(error, StoreError):
            self.world.violated(f"the engine of {self.name} died: {error!r}")
        self.world.note("ended", self.name, self.engine.failure and self.engine.failure.code)
        self._vanish()

    def crash(self, *, is_noticed: bool) -> None:
        """End at once. Unless `is_noticed`, only the lease tells others."""
        self.world.note("crash", self.name, is_noticed)
        if is_noticed:
            self.store.kill()
        self._vanish()

    def _vanish(self) -> None:
        self.is_dead = True
        self.runs = False
        for future in list(self._calls):
            if not future.done():
                future.set_exception(ProcessGone(self.name))

    def pause(self) -> None:
        """Stop as a stopped process does: nothing happens until `resume`."""
        self.world.note("pause", self.name)
        self.runs = False

    def resume(self) -> None:
        """Go on where it stopped; what fell due meanwhile happens now."""
        if self.is_dead or self.runs:
            return
        self.world.note("resume", self.name)
        self.bury()

    def bury(self) -> None:
        """Let whatever was parked happen: after a stop, or once nobody looks any more."""
        self.runs = True
        self.world.loop.ready(self.parked)
        self.parked.clear()

    # -- calls from outside --------------------------------------------------------------------

    async def call(self, work: Callable[["Process"], Coroutine[Any, Any, T]]) -> T:
        """Do `work` inside the process and return its result.

        Raises `ProcessGone` if the process ends before it answers, `TimeoutError` if it is
        stopped for long; what became of the call is unknown then.
        """
        if self.is_dead:
            raise ProcessGone(self.name)
        answer: asyncio.Future[T] = self.world.loop.create_future()
        self._calls[answer] = None

        def report(task: "asyncio.Task[T]") -> None:
            if task.cancelled():
                return
            # Looked at even if nobody waits any more: a refusal may come after the patience.
            error = task.exception()
            if answer.done():
                return
            if error is None:
                answer.set_result(task.result())
                return
            if not isinstance(error, PodiumError):
                self.world.violated(f"a call failed: {error!r}")
            answer.set_exception(error)

        self._spawn(work(self), f"call {self.name}").add_done_callback(report)
        try:
            async with asyncio.timeout(8.0):
                return await answer
        finally:
            self._calls.pop(answer, None)
