"""The desk of a conformance test: one view of a store with a node, and short ways to use it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec.structs import replace

from podium.core.states import RunStatus, StepKind, StepStatus
from podium.ports.store import (
    ApprovalRow,
    ApprovalStatus,
    Batch,
    Committed,
    MessageRow,
    NodeRow,
    OutcomeRow,
    RefusalKind,
    RunRow,
    RunWrite,
    StepRow,
    Store,
)

__all__ = [
    "SECOND_US",
    "Behaviour",
    "Behaviours",
    "Desk",
    "Harness",
    "World",
    "approval",
    "kinds",
    "message",
    "numbers",
    "outcome",
    "step",
]

SECOND_US: Final = 1_000_000
LEASE_US: Final = 30 * SECOND_US


class Harness(Protocol):
    """What a store's author provides: views of one store, and power over its surroundings."""

    async def open(self) -> Store:
        """Return another opened view of the same store, as a process of its own would have."""

    async def crash(self, store: Store) -> None:
        """End the process behind a view: nothing of it happens any more."""

    def advance(self, seconds: float) -> None:
        """Move the machine's clock; it may go back. Leases are not renewed meanwhile."""

    async def close(self) -> None:
        """Close every view and remove the store."""


class Behaviour(msgspec.Struct, frozen=True):
    """One sentence a store must make true."""

    function: Callable[["World"], Awaitable[None]]

    def __str__(self) -> str:
        return self.function.__name__

    async def check(self, harness: Harness) -> None:
        """Run the behaviour against a fresh store; raises `AssertionError` if it is missing."""
        world = World(harness)
        try:
            await self.function(world)
        finally:
            await harness.close()


class Behaviours(list[Behaviour]):
    """The behaviours of a module; an instance is the decorator that adds to it."""

    def __call__(
        self, function: Callable[["World"], Awaitable[None]]
    ) -> Callable[["World"], Awaitable[None]]:
        """Add a behaviour."""
        self.append(Behaviour(function))
        return function


class World:
    """The surroundings of one behaviour."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness

    async def desk(self, *, role: str = "all") -> "Desk":
        """Open a view and register a node on it."""
        store = await self.harness.open()
        node = await store.register_node(boot_id=f"boot-{role}", role=role, lease_us=LEASE_US)
        return Desk(store, node)

    async def two_desks(self) -> tuple["Desk", "Desk"]:
        """Open two views with a node each."""
        return await self.desk(role="first"), await self.desk(role="second")

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self.harness.advance(seconds)


class Desk:
    """A view of a store with a node, and the moves that behaviours are told in."""

    def __init__(self, store: Store, node: NodeRow) -> None:
        self.store = store
        self.node = node

    async def submit(self, *writes: RunWrite, epoch: int = 0) -> Committed:
        """Commit one batch of this node."""
        batch = Batch(node_id=self.node.node_id, node_epoch=epoch or self.node.epoch, writes=writes)
        answer: asyncio.Future[Committed | BaseException] = (
            asyncio.get_running_loop().create_future()
        )
        self.store.submit(batch, answer.set_result)
        committed = await answer
        if isinstance(committed, BaseException):
            raise committed
        return committed

    async def commit(self, *writes: RunWrite) -> None:
        """Commit one batch that nothing refuses."""
        committed = await self.submit(*writes)
        assert not committed.refused, committed

    async def creation(self, **fields: Any) -> RunWrite:
        """Return the write that creates a new run at home here."""
        run_no = fields.pop("run_no", 0) or await self.store.reserve_run_numbers(1)
        write = {name: fields.pop(name) for name in tuple(fields) if name in WRITE_FIELDS}
        now_us = self.store.now_us()
        facts: dict[str, Any] = {
            "run_no": run_no,
            "slot": 7,
            "organization": "acme",
            "workflow": "invoice",
            "def_hash": "0123456789abcdef",
            "status": RunStatus.RUNNING,
            "home": self.node.node_id,
            "created_us": now_us,
        }
        row = RunRow(**(facts | fields))
        changes: dict[str, Any] = {"home_epoch": 1, "updated_us": now_us, "body": b"created"}
        changes |= {"old_seq": 0, "new_seq": 1, "create": True, "row": row}
        return RunWrite(run_no=run_no, **(changes | write))

    async def start(self, **fields: Any) -> int:
        """Create a run at home here and return its number."""
        write = await self.creation(**fields)
        await self.commit(write)
        return write.run_no

    async def rest(self, **fields: Any) -> int:
        """Create a run without a home and return its number."""
        return await self.start(release=True, **fields)

    async def move(self, run_no: int, **changes: Any) -> RunWrite:
        """Return a write that advances a run by one event from where it stands."""
        row = await self.row(run_no)
        fields: dict[str, Any] = {
            "home_epoch": row.home_epoch,
            "old_seq": row.last_seq,
            "new_seq": row.last_seq + 1,
            "updated_us": self.store.now_us(),
            "body": b"event",
        }
        return RunWrite(run_no=run_no, **(fields | changes))

    async def advance(self, run_no: int, **changes: Any) -> None:
        """Advance a run by one event."""
        await self.commit(await self.move(run_no, **changes))

    async def row(self, run_no: int) -> RunRow:
        """Return the row of a run that exists."""
        row = await self.store.run(run_no)
        assert row is not None
        return row

    async def changed_row(self, run_no: int, **changes: Any) -> RunRow:
        """Return the row of a run with some fields changed."""
        return replace(await self.row(run_no), **changes)

    async def end(self, run_no: int, **changes: Any) -> None:
        """Complete a run and give up its home."""
        row = await self.changed_row(
            run_no, status=RunStatus.COMPLETED, ended_us=self.store.now_us(), output=b"42"
        )
        await self.advance(run_no, row=row, release=True, **changes)

    async def journal(self, run_no: int) -> list[tuple[int, int, bytes]]:
        """Return the journal of a run as (first sequence, events, body)."""
        records = await self.store.events(run_no)
        return [(record.first_seq, record.count, record.body) for record in records]


WRITE_FIELDS: Final = frozenset(RunWrite.__struct_fields__) - {"run_no", "format", "row"}


def kinds(committed: Committed) -> dict[int, RefusalKind]:
    """Return why each refused run was refused."""
    return {refusal.run_no: RefusalKind(refusal.kind) for refusal in committed.refused}


def step(run_no: int, step_no: int, **fields: Any) -> StepRow:
    """Return a completed step."""
    facts: dict[str, Any] = {
        "path": f"fetch[{step_no}]",
        "task": "fetch",
        "kind": StepKind.TASK,
        "status": StepStatus.COMPLETED,
        "attempts": 1,
        "started_us": 5,
        "ended_us": 9,
    }
    return StepRow(run_no=run_no, step_no=step_no, **(facts | fields))


def approval(run_no: int, step_no: int, **fields: Any) -> ApprovalRow:
    """Return a pending approval."""
    facts: dict[str, Any] = {
        "organization": "acme",
        "conversation_id": "c-1",
        "path": "publish",
        "prompt": "Publish?",
        "payload": b"{}",
        "payload_hash": "44136fa3",
        "status": ApprovalStatus.PENDING,
        "created_us": 3,
    }
    number = run_no << 24 | step_no
    return ApprovalRow(approval_no=number, run_no=run_no, step_no=step_no, **(facts | fields))


def message(run_no: int, name: str, **fields: Any) -> MessageRow:
    """Return a message."""
    facts: dict[str, Any] = {"body": name.encode(), "sent_us": 1}
    return MessageRow(message_id=name, run_no=run_no, **(facts | fields))


def outcome(run_no: int, name: str, **fields: Any) -> OutcomeRow:
    """Return the outcome of a message that was applied."""
    facts: dict[str, Any] = {"applied": True, "status": RunStatus.RUNNING, "seq": 2}
    return OutcomeRow(message_id=name, run_no=run_no, **(facts | fields))


def numbers(rows: Sequence[RunRow]) -> list[int]:
    """Return the numbers of runs."""
    return [row.run_no for row in rows]
