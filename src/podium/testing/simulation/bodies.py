"""What the tasks and the durable functions of a simulation do."""

import asyncio
import zlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from podium.authoring import durable
from podium.authoring.decorators import DurableTask
from podium.core.definition import RetryPolicy, Task, Timeouts
from podium.errors import TaskError
from podium.runtime.attempts import attempt_context
from podium.runtime.failures import NonRetryable
from podium.testing.history import Observation
from podium.testing.simulation.processes import current_process
from podium.testing.simulation.world import World

__all__ = ["CODE_TARGET", "RETRY", "WORK_TARGET", "Bodies"]

WORK_TARGET: Final = "simulated:work"
CODE_TARGET: Final = "simulated:program"
RETRY: Final = RetryPolicy(max_retries=3, delay_initial_us=100_000)
HANG_LIMIT_US: Final = 700_000
Json = Any


class Bodies:
    """The functions behind the targets, bound to one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.targets: dict[str, Callable[..., Any]] = {
            WORK_TARGET: self.work,
            CODE_TARGET: self.program,
        }

    async def work(self, label: str, spec: Json = None, take: Json = None) -> Json:
        """Have an effect, take some time, and return a function of the arguments.

        `spec` may make it fail for good, fail or hang in its first attempts, fail in its first
        generations, or kill its process.
        """
        context, spec = attempt_context(), spec or {}
        process = current_process()
        assert context is not None
        self._world.executed(context, process.name)
        if context.attempt <= spec.get("kills", 0):
            self._world.crash_of(process, 0.01)
        await asyncio.sleep(spec.get("takes", 0.0))
        if context.attempt <= spec.get("hangs", 0):
            await asyncio.sleep(1e6)
        generation = context.generation
        if spec.get("fails") or generation <= spec.get("fails_until", 0):
            raise NonRetryable(f"{label} always fails")
        if context.attempt <= spec.get("flaky", 0):
            raise ValueError(f"{label} fails at first")
        number = zlib.crc32(msgspec.msgpack.encode([label, take]))
        return {"n": number, "list": [f"k{at}" for at in range(number % 5)]}

    # -- durable functions ---------------------------------------------------------------------

    async def program(self, ops: Json, key: str = "", lives: int = 0) -> Json:
        """Run a program given as data; what it gets from its steps is written down."""
        history = self._world.history
        history.lives += 1
        results = await _Interpreter(self, key, history.lives).block(ops, "")
        if lives:
            durable.continue_as_new({"ops": ops, "key": "", "lives": lives - 1})
        return results

    def observe(self, key: str, life: int, label: str, value: Json) -> None:
        """Write down what a durable function got."""
        if not key:
            return
        database = self._world.database
        run_no = database.keys.get(("default", key))
        seq = 0 if run_no is None else database.runs[run_no].last_seq
        seen = Observation(key=key, life=life, seq=seq, label=label, value=value)
        self._world.history.observations.append(seen)


class _Interpreter:
    """One life of one durable function."""

    def __init__(self, bodies: Bodies, key: str, life: int) -> None:
        self._bodies = bodies
        self._key = key
        self._life = life

    async def block(self, ops: Json, branch: str) -> list[Json]:
        """Do `ops` in order and return what each gave; None where every life may see another."""
        results = []
        for at, op in enumerate(ops):
            label = f"{branch}/{at}"
            result = await self._one(op, label)
            self._bodies.observe(self._key, self._life, label, result)
            results.append(None if op["do"] in _UNSTABLE else result)
        return results

    def _one(self, op: Json, label: str) -> Coroutine[Any, Any, Json]:
        run: Callable[[Json, str], Coroutine[Any, Any, Json]] = getattr(self, "_" + op["do"])
        return run(op, label)

    def _task(self, op: Json) -> DurableTask[..., Any]:
        spec = op.get("spec") or {}
        return DurableTask(self._bodies.work, _code_task(op["name"], spec))

    async def _work(self, op: Json, label: str) -> Json:
        try:
            return await self._task(op)(op["name"], op.get("spec"), op.get("take"))
        except TaskError as error:
            if not op.get("caught"):
                raise
            return {"failed": error.kind}

    async def _map(self, op: Json, label: str) -> Json:
        task = self._task(op)
        items = [f"{op['name']}{at}" for at in range(op["count"])]
        return await durable.map_items(task, items, max_parallel=op.get("parallel"))

    async def _gather(self, op: Json, label: str) -> Json:
        branches = [self.block(ops, f"{label}.{at}") for at, ops in enumerate(op["branches"])]
        return await durable.gather(*branches)

    async def _sleep(self, op: Json, label: str) -> Json:
        await durable.sleep(op["seconds"])

    async def _now(self, op: Json, label: str) -> Json:
        return (await durable.now()).isoformat()

    async def _signal(self, op: Json, label: str) -> Json:
        return (await durable.wait_signal(op["name"]))["value"]

    async def _approval(self, op: Json, label: str) -> Json:
        decision = await durable.approval(op["name"], payload={"label": label})
        return decision.approved

    async def _child(self, op: Json, label: str) -> Json:
        return await durable.child(op["workflow"], op.get("input"))


_UNSTABLE: Final = frozenset({"now"})
"""Operations whose results differ from run to run."""


def _code_task(name: str, spec: Json) -> Task:
    hangs = spec.get("hangs")
    timeouts = Timeouts(attempt_us=HANG_LIMIT_US) if hangs else Timeouts()
    return Task(
        name=name,
        uses=f"python:{WORK_TARGET}",
        retry=RETRY,
        timeouts=timeouts,
        max_recoveries=20,
    )
