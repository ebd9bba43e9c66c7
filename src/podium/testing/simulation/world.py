"""The world of one simulation: one loop, one clock, one database, and all that was seen."""

import zlib
from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from podium.adapters.expressions.cel import CelExpressions
from podium.adapters.memory import Fault, MemoryDatabase
from podium.core.events import unpack
from podium.ports.store import Batch, Committed, MessageRow, NodeRow, NodeState, RunRow, RunWrite
from podium.runtime.attempts import AttemptContext
from podium.testing.blobs import MemoryBlobs
from podium.testing.history import Applied, Execution, History
from podium.testing.loop import VirtualLoop

__all__ = ["START_US", "RecordedDatabase", "World"]

START_US: Final = 1_700_000_000_000_000
NO_FAULT: Final = Fault()
_EXPRESSIONS: Final = CelExpressions()


class World:
    """What all nodes of a simulation share, and what the checker reads afterwards."""

    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.seed = seed
        self.loop = loop
        self._fate = self.dice("fate")
        self.processes: list[Any] = []
        """All that ever lived, in order."""
        self.skipped_us = 0
        """How far the wall clock jumped ahead of the loop's."""
        self.trace_entries: list[tuple[Any, ...]] = []
        self.history = History()
        self.database = RecordedDatabase(self)
        self.blobs = MemoryBlobs()
        self.expressions = _EXPRESSIONS
        self.is_calm = False
        """Whether the time of troubles is over."""
        self.crash_of: Callable[[Any, float], None] = lambda node, lag: None

    def dice(self, purpose: str) -> Random:
        """Return the random numbers of one purpose; no purpose disturbs another."""
        return Random(f"{self.seed}/{purpose}")

    def now_us(self) -> int:
        """Return the wall clock."""
        return START_US + self.skipped_us + round(self.loop.time() * 1e6)

    def note(self, *what: Any) -> None:
        """Add a line to the trace."""
        self.trace_entries.append((self.loop.time(), *what))

    def trace(self) -> list[str]:
        """Return everything that happened, one line each, the same for the same seed."""
        return [_line(entry) for entry in self.trace_entries]

    def executed(self, context: AttemptContext, node: str) -> None:
        """Note that the body of an attempt runs: the effect of its step happens now."""
        execution = Execution(
            at=self.loop.time(),
            node=node,
            run_id=context.run_id,
            step=context.step,
            attempt=context.attempt,
            key=context.idempotency_key,
            token=context.fencing_token,
            commits=len(self.history.applied),
        )
        self.history.executions.append(execution)
        self.note("effect", node, context.idempotency_key, context.attempt)

    def committed(self, node_id: int, *, is_last: bool) -> None:
        """Sometimes let a process die right after it committed, before it acts on it."""
        if self._fate.random() < (0.05 if is_last else 0.01):
            for process in self.processes:
                if process.runs and process.node_id == node_id:
                    self.crash_of(process, 0.002 * self._fate.random())

    def violated(self, what: str) -> None:
        """Note something that must never happen."""
        self.history.violations.append(what)
        self.note("violation", what)


class RecordedDatabase(MemoryDatabase):
    """The shared store, which writes down what it did."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._epochs: dict[int, int] = {}
        """The last epoch under which each run came home."""

    def commit(self, batch: Batch) -> Committed:
        """See `MemoryDatabase.commit`."""
        answer = super().commit(batch)
        for refusal in answer.refused:
            self._world.note("refused", batch.node_id, refusal.run_no, refusal.kind.name)
        return answer

    def _write_run(self, write: RunWrite, node_id: int) -> None:
        world = self._world
        before = self.runs.get(write.run_no)
        if before and (before.home, before.home_epoch) != (node_id, write.home_epoch):
            world.violated(f"node {node_id} wrote run {write.run_no}, which is not at home there")
        super()._write_run(write, node_id)
        row = self.runs[write.run_no]
        applied = Applied(
            at=world.loop.time(),
            run_no=write.run_no,
            node_id=node_id,
            home_epoch=write.home_epoch,
            old_seq=write.old_seq,
            new_seq=write.new_seq,
            status=row.status,
            body=write.body,
        )
        world.history.applied.append(applied)
        world.note("tick", write, node_id)
        if not world.is_calm:
            world.committed(node_id, is_last=write.release)

    def post(self, messages: Any) -> list[str]:
        """See `MemoryDatabase.post`."""
        posted = super().post(messages)
        for message in messages:
            self._world.note("post", message)
        return posted

    def take(self, run_no: int, node: NodeRow) -> bool:
        """See `MemoryDatabase.take`."""
        taken = super().take(run_no, node)
        if taken:
            epoch = self.runs[run_no].home_epoch
            self._world.note("home", run_no, node.node_id, epoch)
            if epoch <= self._epochs.get(run_no, 0):
                self._world.violated(f"run {run_no} came home twice under epoch {epoch}")
            self._epochs[run_no] = epoch
        return taken

    def set_free(self, row: RunRow) -> None:
        """Take a run from its home without asking."""
        freed = replace(row, home=None, home_epoch=row.home_epoch + 1, wake_us=self._world.now_us())
        self._put_run(freed)
        self.version += 1
        self._world.note("set free", row.run_no, row.home)

    def abandon(self, node: NodeRow, *, state: NodeState, recoveries: int, now_us: int) -> int:
        """See `MemoryDatabase.abandon`."""
        count = super().abandon(node, state=state, recoveries=recoveries, now_us=now_us)
        self._world.note("abandoned", node.node_id, state.name, count)
        return count


def _line(entry: tuple[Any, ...]) -> str:
    at, kind, *rest = entry
    return f"{at:.6f} {kind} " + " ".join(_text(part) for part in rest)


def _text(part: Any) -> str:
    if isinstance(part, RunWrite):
        events = unpack(part.body)[1] if part.body else []
        kinds = " ".join(_event_text(event) for event in events)
        mail = f" mail={list(part.consumed)}" if part.consumed else ""
        left = " leaves" if part.release else ""
        seqs = f"{part.old_seq}..{part.new_seq}"
        # The checksum stands for all that is not shown, so that no difference goes unseen.
        check = zlib.crc32(msgspec.msgpack.encode(part))
        return f"run={part.run_no} epoch={part.home_epoch} {seqs}{left}{mail} [{kinds}] {check:08x}"
    if isinstance(part, MessageRow):
        return f"{part.message_id} to={part.run_no} {zlib.crc32(part.body):08x}"
    return str(part)


def _event_text(event: Any) -> str:
    values = [_value_text(value) for value in msgspec.structs.astuple(event)]
    return f"{type(event).__name__}({','.join(values)})"


def _value_text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"<{len(value)}:{zlib.crc32(value):08x}>"
    return str(value)
