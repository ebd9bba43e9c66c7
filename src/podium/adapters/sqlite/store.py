"""The embedded store: the port's methods over one writer thread and a few readers.

Every write is a job of the writer (see writer.py); every read runs on a reader thread, so that
a long list never blocks the event loop. Nothing here decides; see the port for what each means.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from queue import LifoQueue
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from podium.adapters.sqlite import commands, ledger, listing, operation, reads, rows
from podium.adapters.sqlite.access import AccessPart
from podium.adapters.sqlite.clock import StoreClock
from podium.adapters.sqlite.commands import Understood
from podium.adapters.sqlite.database import (
    Database,
    Reader,
    make_durable,
    open_reader,
    open_writer,
    patience,
)
from podium.adapters.sqlite.failures import translated
from podium.adapters.sqlite.feed import FeedPart
from podium.adapters.sqlite.files import (
    grow_log,
    opening_lock,
    prepare_file,
    refuse_network_file_system,
)
from podium.adapters.sqlite.migrations import migrate
from podium.adapters.sqlite.nodes import NodeLock, forget, is_proven_dead, machine_boot_id
from podium.adapters.sqlite.schedules import SchedulesPart
from podium.adapters.sqlite.ticks import commit_batch
from podium.adapters.sqlite.writer import Held, Writer
from podium.core.budgets import Budget
from podium.core.ids import pack_key
from podium.core.receipts import Receipt
from podium.errors import StoreError
from podium.ports.ledger import (
    AccountRow,
    Change,
    GrantRow,
    HoldAnswer,
    HoldRequest,
    LedgerRow,
    Spending,
)
from podium.ports.operation import LogRow, OpenCount
from podium.ports.store import (
    ApprovalRow,
    Batch,
    Committed,
    DeadLetterRow,
    DefinitionRow,
    JournalRecord,
    MessageRow,
    NodeRow,
    NodeState,
    OutcomeRow,
    RunFilter,
    RunRecord,
    RunRow,
    StepRow,
    Store,
    StoreStats,
)

__all__ = ["SqliteStore"]

R = TypeVar("R")
P = ParamSpec("P")
READERS: Final = 2
BUSY_WAIT_S: Final = 30.0


class SqliteStore(AccessPart, FeedPart, SchedulesPart, Store):
    """A store in one SQLite file on a local disk, for one or several processes."""

    def __init__(
        self,
        path: Path | str,
        *,
        clock: StoreClock | None = None,
        understood: Understood | None = None,
        busy_wait_s: float = BUSY_WAIT_S,
    ) -> None:
        self.path: Final = Path(os.path.realpath(path))
        self.stats = StoreStats()
        self.uid = ""
        self._clock = clock or StoreClock()
        self._understood = understood or Understood()
        self._busy_wait_s = busy_wait_s
        self._writer: Writer | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._readers: LifoQueue[Reader] = LifoQueue()

    def now_us(self) -> int:
        """See `Store.now_us`."""
        return self._clock.now_us()

    async def open(self) -> None:
        """See `Store.open`."""
        if self._writer is None:
            database = await asyncio.to_thread(self._connect)
            self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="podium-reader")
            self._writer = Writer(database, self._connect, self.path, self._clock)

    def _connect(self) -> Database:
        """Return the writer's connection to a store that is there and up to date."""
        refuse_network_file_system(self.path)
        prepare_file(self.path)
        with opening_lock(self.path), translated(self.path), ExitStack() as undo:
            connection = open_writer(self.path, self.stats, wait_s=self._busy_wait_s)
            undo.callback(connection.close)
            migrate(connection, self.path)
            make_durable(connection)
            grow_log(self.path)
            busy = patience(self.stats, wait_s=self._busy_wait_s)
            database = Database(connection, self.stats, busy=busy)
            for (last_us,) in database.all("clock_floor"):
                self._clock.raise_floor(last_us)
            ((self.uid,),) = database.all("uid")
            undo.pop_all()
        return database

    async def close(self) -> None:
        """See `Store.close`."""
        writer, self._writer = self._writer, None
        pool, self._pool = self._pool, None
        if writer is None or pool is None:
            return
        # A process that only read has no time to keep, and must not wait for a stuck writer.
        if self.stats.commits:
            writer.submit(self._save_clock, lambda _: None)
        await asyncio.to_thread(pool.shutdown)
        # Before the writer: the last connection to close copies the log into the file.
        while not self._readers.empty():
            self._readers.get().close()
        await asyncio.to_thread(writer.stop)

    def _save_clock(self, db: Database) -> None:
        with db.transaction():
            commands.save_clock(db, self._clock.now_us())

    async def _write(self, work: Callable[[Database], R]) -> R:
        """Run `work` on the writer thread and return its result."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._live_writer().submit(work, partial(_settle, answer))
        return await answer

    def _live_writer(self) -> Writer:
        if self._writer is None:
            raise StoreError(
                f"The store {str(self.path)!r} is not open.",
                why="It was closed, or `open` was never called.",
                fix="Call `open` first.",
            )
        return self._writer

    async def _read(
        self,
        work: Callable[Concatenate[Reader, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run `work` with a reading connection on a reader thread and return its result."""
        self._live_writer()
        call = partial(self._with_reader, work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def _with_reader(
        self,
        work: Callable[Concatenate[Reader, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        with translated(self.path):
            if self._readers.empty():
                connection = open_reader(self.path, self.stats, wait_s=self._busy_wait_s)
            else:
                connection = self._readers.get()
            self.stats.reads += 1
            try:
                return work(connection, *args, **kwargs)
            finally:
                self._readers.put(connection)

    # -- nodes ---------------------------------------------------------------------------------

    async def register_node(self, *, boot_id: str, role: str, lease_us: int) -> NodeRow:
        """See `Store.register_node`."""
        register = partial(self._register, self._live_writer(), lease_us=lease_us)
        return await self._write(partial(register, boot_id=boot_id, role=role))

    def _register(
        self, writer: Writer, db: Database, *, boot_id: str, role: str, lease_us: int
    ) -> NodeRow:
        with ExitStack() as undo:
            with db.transaction():
                node = commands.insert_node(
                    db, self._clock, boot_id=boot_id, role=role, lease_us=lease_us
                )
                # Before the commit: whoever sees the row must find the lock held.
                lock = NodeLock(self.path, node.node_id)
                undo.callback(lock.release)
            undo.pop_all()
        writer.hold(Held(node, lock, lease_us))
        return node

    async def release_node(self, node: NodeRow) -> None:
        """See `Store.release_node`."""
        await self._write(partial(self._release, self._live_writer(), node=node))

    def _release(self, writer: Writer, db: Database, *, node: NodeRow) -> None:
        commands.abandon_node(db, self._clock, node, state=NodeState.GONE, recoveries=0)
        writer.let_go(node.node_id)

    async def dead_nodes(self, node: NodeRow) -> Sequence[NodeRow]:
        """See `Store.dead_nodes`."""
        return await self._read(self._dead_nodes, node)

    def _dead_nodes(self, db: Reader, node: NodeRow) -> list[NodeRow]:
        machine, boot_us = machine_boot_id(), self._clock.boot_us()
        dead: list[NodeRow] = []
        for *row, their_machine, until_boot_us in db.all("nodes_up"):
            other = rows.node(tuple(row))
            if other.node_id == node.node_id:
                continue
            is_expired = their_machine == machine and until_boot_us < boot_us
            if is_expired or is_proven_dead(self.path, other.node_id):
                dead.append(other)
        return dead

    async def declare_dead(self, dead: NodeRow) -> int:
        """See `Store.declare_dead`."""
        return await self._write(partial(self._declare_dead, dead=dead))

    def _declare_dead(self, db: Database, *, dead: NodeRow) -> int:
        freed = commands.abandon_node(db, self._clock, dead, state=NodeState.DEAD, recoveries=1)
        forget(self.path, dead.node_id)
        return freed

    async def nodes(self) -> Sequence[NodeRow]:
        """See `Store.nodes`."""
        return await self._read(reads.listing, "nodes_up", (), rows.node)

    # -- runs ----------------------------------------------------------------------------------

    async def reserve_run_numbers(self, count: int) -> int:
        """See `Store.reserve_run_numbers`."""
        return await self._write(partial(commands.reserve_run_numbers, count=count))

    def submit(self, batch: Batch, done: Callable[[Committed | BaseException], None]) -> None:
        """See `Store.submit`."""
        writer = self._live_writer()
        work = partial(commit_batch, batch=batch)
        # A lone write gains nothing from waiting for company on another thread.
        if len(batch.writes) > 1 or not writer.commit_here(work, done):
            writer.submit(work, done)

    async def adopt(
        self, node: NodeRow, *, limit: int, run_nos: Sequence[int] = ()
    ) -> Sequence[int]:
        """See `Store.adopt`."""
        work = partial(commands.adopt, clock=self._clock, node=node, understood=self._understood)
        return await self._write(partial(work, limit=limit, run_nos=run_nos))

    async def load(self, run_nos: Sequence[int]) -> Sequence[RunRecord]:
        """See `Store.load`."""
        return await self._read(reads.load, run_nos)

    async def next_wake_us(self) -> int | None:
        """See `Store.next_wake_us`."""
        return await self._read(reads.next_wake_us)

    async def post(self, messages: Sequence[MessageRow]) -> Sequence[str]:
        """See `Store.post`."""
        return await self._write(partial(commands.post, messages=messages))

    async def unread(self, node: NodeRow, *, limit: int) -> Sequence[MessageRow]:
        """See `Store.unread`."""
        return await self._read(reads.listing, "unread", (node.node_id, limit), rows.message)

    async def mail(self, run_nos: Sequence[int]) -> Sequence[MessageRow]:
        """See `Store.mail`."""
        return await self._read(reads.mail, run_nos)

    async def outcome(self, message_id: str) -> OutcomeRow | None:
        """See `Store.outcome`."""
        return await self._read(reads.first, "outcome", (message_id,), rows.outcome)

    def changed(self) -> bool:
        """See `Store.changed`."""
        with translated(self.path):
            return self._live_writer().peek()

    # -- reads for people ----------------------------------------------------------------------

    async def run(self, run_no: int) -> RunRow | None:
        """See `Store.run`."""
        return await self._read(reads.first, "run", (run_no,), rows.run)

    async def run_by_key(self, organization: str, key: str) -> RunRow | None:
        """See `Store.run_by_key`."""
        return await self._read(reads.first, "run_by_key", (organization, key), rows.run)

    async def runs(
        self, where: RunFilter, *, limit: int, before: int | None = None
    ) -> Sequence[RunRow]:
        """See `Store.runs`."""
        return await self._read(listing.runs, where, limit=limit, before=before)

    async def events(
        self, run_no: int, *, after: int = 0, limit: int = 1000
    ) -> Sequence[JournalRecord]:
        """See `Store.events`."""
        return await self._read(reads.events, run_no, after=after, limit=limit)

    async def steps(self, run_no: int, *, after: int = -1, limit: int = 1000) -> Sequence[StepRow]:
        """See `Store.steps`."""
        return await self._read(reads.steps, run_no, after=after, limit=limit)

    async def approvals(
        self,
        *,
        pending: bool = True,
        run_no: int | None = None,
        organization: str = "",
        limit: int = 100,
        after: int | None = None,
    ) -> Sequence[ApprovalRow]:
        """See `Store.approvals`."""
        return await self._read(
            reads.approvals,
            pending=pending,
            run_no=run_no,
            organization=organization,
            limit=limit,
            after=after,
        )

    async def approval(self, approval_no: int) -> ApprovalRow | None:
        """See `Store.approval`."""
        return await self._read(reads.first, "approval", (approval_no,), rows.approval)

    async def dead_letters(
        self,
        *,
        status: str = "parked",
        organization: str = "",
        limit: int = 100,
        after: tuple[int, int] | None = None,
    ) -> Sequence[DeadLetterRow]:
        """See `Store.dead_letters`."""
        return await self._read(
            reads.dead_letters, status=status, organization=organization, limit=limit, after=after
        )

    async def dead_letter(self, run_no: int, step_no: int) -> DeadLetterRow | None:
        """See `Store.dead_letter`."""
        key = (pack_key(run_no, step_no),)
        return await self._read(reads.first, "dead_letter", key, rows.dead_letter)

    # -- budgets and the ledger ----------------------------------------------------------------

    async def reserve(
        self, node_id: int, epoch: int, wanted: Sequence[HoldRequest], changes: Sequence[Change]
    ) -> Sequence[HoldAnswer]:
        """See `Ledger.reserve`."""
        work = partial(ledger.reserve, clock=self._clock, node_id=node_id, epoch=epoch)
        return await self._write(partial(work, wanted=wanted, changes=changes))

    async def book(self, receipts: Sequence[Receipt]) -> None:
        """See `Ledger.book`."""
        await self._write(partial(ledger.book, receipts=receipts))

    async def grant(self, row: GrantRow) -> None:
        """See `Ledger.grant`."""
        await self._write(partial(ledger.grant, row=row))

    async def accounts(self, *, prefix: str = "", limit: int = 100) -> Sequence[AccountRow]:
        """See `Ledger.accounts`."""
        return await self._read(ledger.accounts, prefix=prefix, limit=limit)

    async def ledger(self, run_no: int, *, limit: int = 1000) -> Sequence[LedgerRow]:
        """See `Ledger.ledger`."""
        return await self._read(ledger.ledger, run_no, limit=limit)

    async def spending(self, run_nos: Sequence[int]) -> Mapping[int, Spending]:
        """See `Ledger.spending`."""
        return await self._read(ledger.spending, run_nos)

    async def put_budget(self, budget: Budget, *, remove: bool = False) -> None:
        """See `Ledger.put_budget`."""
        await self._write(partial(ledger.put_budget, budget=budget, remove=remove))

    async def budgets(self) -> Sequence[Budget]:
        """See `Ledger.budgets`."""
        return await self._read(ledger.budgets)

    # -- operation -----------------------------------------------------------------------------

    async def write_logs(self, lines: Sequence[LogRow]) -> None:
        """See `Operation.write_logs`."""
        await self._write(partial(operation.write_logs, lines=lines))

    async def logs(
        self, run_no: int, *, step: str = "", after: int = 0, limit: int = 1000
    ) -> Sequence[LogRow]:
        """See `Operation.logs`."""
        return await self._read(operation.logs, run_no, step=step, after=after, limit=limit)

    async def prune_logs(self, *, before_us: int, limit: int) -> int:
        """See `Operation.prune_logs`."""
        return await self._write(partial(operation.prune_logs, before_us=before_us, limit=limit))

    async def open_counts(self, organization: str = "") -> Sequence[OpenCount]:
        """See `Operation.open_counts`."""
        return await self._read(operation.open_counts, organization)

    async def runs_past(self, before_us: Mapping[int, int], *, limit: int) -> Sequence[int]:
        """See `Operation.runs_past`."""
        return await self._read(operation.runs_past, before_us, limit=limit)

    async def forget_runs(self, run_nos: Sequence[int]) -> Sequence[int]:
        """See `Operation.forget_runs`."""
        return await self._write(partial(operation.forget_runs, run_nos=run_nos))

    async def sweep_forgotten(self, *, limit: int) -> int:
        """See `Operation.sweep_forgotten`."""
        return await self._write(partial(operation.sweep_forgotten, limit=limit))

    # -- definitions ---------------------------------------------------------------------------

    async def publish(self, row: DefinitionRow, *, activate: bool = True) -> DefinitionRow:
        """See `Store.publish`."""
        return await self._write(partial(commands.publish, row=row, activate=activate))

    async def deactivate(self, organization: str, name: str) -> bool:
        """See `Store.deactivate`."""
        work = partial(commands.deactivate, organization=organization, name=name)
        return await self._write(work)

    async def definition(
        self, organization: str, name: str, version: str = ""
    ) -> DefinitionRow | None:
        """See `Store.definition`."""
        return await self._read(reads.definition, organization, name, version)

    async def definition_by_hash(self, def_hash: str) -> DefinitionRow | None:
        """See `Store.definition_by_hash`."""
        return await self._read(reads.first, "definition_by_hash", (def_hash,), rows.definition)

    async def definitions(self, organization: str, name: str = "") -> Sequence[DefinitionRow]:
        """See `Store.definitions`."""
        query, values = ("definitions_of", (name,)) if name else ("definitions_active", ())
        return await self._read(reads.listing, query, (organization, *values), rows.definition)


def _settle(answer: asyncio.Future[Any], result: Any) -> None:
    if answer.cancelled():
        return
    if isinstance(result, BaseException):
        answer.set_exception(result)
    else:
        answer.set_result(result)
