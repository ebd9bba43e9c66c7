"""The reference store: the port's methods over a shared `MemoryDatabase`, one view per node.

Deterministic: time comes from `clock`, waiting from `call_later`, trouble from `faults`. A view's
process can be paused, resumed and killed.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from heapq import nsmallest
from typing import TypeVar

from podium.adapters.memory import desk
from podium.adapters.memory.access import AccessPart
from podium.adapters.memory.database import MemoryDatabase, is_open
from podium.adapters.memory.faults import FaultKind, Faults, injected_error, no_faults
from podium.adapters.memory.feed import FeedPart
from podium.adapters.memory.ledger import spending_of
from podium.adapters.memory.operation import MemoryOperation
from podium.adapters.memory.process import CallLater, Process, loop_call_later
from podium.adapters.memory.schedules import SchedulesPart
from podium.core.budgets import Budget
from podium.core.receipts import Receipt
from podium.ports.ledger import (
    AccountRow,
    Change,
    GrantRow,
    HoldAnswer,
    HoldRequest,
    LedgerRow,
    Reserved,
    Spending,
)
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

__all__ = ["MemoryStore"]

R = TypeVar("R")
RENEWALS_PER_LEASE = 3
PREFIX_MIN = 6


class MemoryStore(FeedPart, AccessPart, MemoryOperation, SchedulesPart, Store):
    """One node's view of a shared database in memory."""

    def __init__(
        self,
        database: MemoryDatabase,
        *,
        clock: Callable[[], int],
        call_later: CallLater = loop_call_later,
        faults: Faults = no_faults,
        format_known: int = 1,
        engine_known: int = 1,
    ) -> None:
        self.database = database
        self.schedule_tables = database.schedules
        self.access = database.access
        self.stats = StoreStats()
        self.uid = "memory"
        self._clock = clock
        self._last_us = 0
        self.process = Process(call_later)
        self._faults = faults
        self._known = (format_known, engine_known)
        self._held: dict[int, NodeRow] = {}
        self._seen = database.version
        self._own = 0

    def kill(self) -> None:
        """End the process: nothing of this view happens any more, and its nodes are dead."""
        self.process.end()
        for node_id in self._held:
            self.database.processes[node_id] = False

    async def _perform(self, name: str, work: Callable[[], R]) -> R:
        """Do `work` the way the fault for this call says."""
        fault = self._faults(name, None)
        await self.process.wait(fault.delay_s)
        if fault.kind is FaultKind.BEFORE:
            raise injected_error(name)
        before = self.database.version
        result = work()
        self._own += self.database.version - before
        await self.process.wait(fault.answer_s)
        if fault.kind is FaultKind.AFTER:
            raise injected_error(name)
        return result

    async def _read(self, name: str, work: Callable[[], R]) -> R:
        self.stats.reads += 1
        return await self._perform(name, work)

    # -- the port ------------------------------------------------------------------------------

    def now_us(self) -> int:
        """See `Store.now_us`."""
        self._last_us = max(self._last_us, self._clock())
        return self._last_us

    async def open(self) -> None:
        """See `Store.open`."""

    async def close(self) -> None:
        """See `Store.close`."""
        self.kill()

    async def register_node(self, *, boot_id: str, role: str, lease_us: int) -> NodeRow:
        """See `Store.register_node`."""
        now_us = self.now_us()
        new = NodeRow(
            node_id=0,
            epoch=1,
            state=NodeState.UP,
            boot_id=boot_id,
            pid=0,
            host="memory",
            role=role,
            started_us=now_us,
            lease_until_us=now_us + lease_us,
        )
        node = await self._perform("register_node", lambda: self.database.add_node(new))
        self._held[node.node_id] = node
        self._renew_later(node, lease_us)
        return node

    def _renew_later(self, node: NodeRow, lease_us: int) -> None:
        def renew() -> None:
            if node.node_id not in self._held:
                return
            if self.database.renew(node, self.now_us() + lease_us):
                self._renew_later(node, lease_us)
            else:
                del self._held[node.node_id]

        self.process.later(lease_us / 1e6 / RENEWALS_PER_LEASE, renew)

    async def release_node(self, node: NodeRow) -> None:
        """See `Store.release_node`."""
        await self._perform(
            "release_node",
            lambda: self.database.abandon(
                node, state=NodeState.GONE, recoveries=0, now_us=self.now_us()
            ),
        )
        self._held.pop(node.node_id, None)
        self.database.processes[node.node_id] = False

    async def dead_nodes(self, node: NodeRow) -> Sequence[NodeRow]:
        """See `Store.dead_nodes`."""
        database = self.database
        return await self._read(
            "dead_nodes",
            lambda: [
                other
                for other in database.nodes.values()
                if other.state == NodeState.UP
                and other.node_id != node.node_id
                and (not database.processes[other.node_id] or other.lease_until_us < self.now_us())
            ],
        )

    async def declare_dead(self, dead: NodeRow) -> int:
        """See `Store.declare_dead`."""
        return await self._perform(
            "declare_dead",
            lambda: self.database.abandon(
                dead, state=NodeState.DEAD, recoveries=1, now_us=self.now_us()
            ),
        )

    async def nodes(self) -> Sequence[NodeRow]:
        """See `Store.nodes`."""
        rows = self.database.nodes
        return await self._read(
            "nodes", lambda: [row for row in rows.values() if row.state == NodeState.UP]
        )

    async def reserve_run_numbers(self, count: int) -> int:
        """See `Store.reserve_run_numbers`."""

        def reserve() -> int:
            first = self.database.next_run_no
            self.database.next_run_no += count
            self.database.version += 1
            return first

        return await self._perform("reserve_run_numbers", reserve)

    def submit(self, batch: Batch, done: Callable[[Committed | BaseException], None]) -> None:
        """See `Store.submit`."""
        fault = self._faults("submit", batch)

        def commit() -> None:
            if fault.kind is FaultKind.BEFORE:
                answer: Committed | BaseException = injected_error("submit")
            else:
                answer = self._commit(batch)
            if fault.kind is FaultKind.AFTER:
                answer = injected_error("submit")
            self.process.later(fault.answer_s, lambda: done(answer))

        self.process.later(fault.delay_s, commit)

    def _commit(self, batch: Batch) -> Committed:
        before = self.database.version
        answer = self.database.commit(batch)
        self._own += self.database.version - before
        self.stats.commits += 1
        self.stats.flushes += len(answer.refused) < len(batch.writes)
        self.stats.rows += len(batch.writes) - len(answer.refused)
        return answer

    async def adopt(
        self, node: NodeRow, *, limit: int, run_nos: Sequence[int] = ()
    ) -> Sequence[int]:
        """See `Store.adopt`."""

        def take() -> list[int]:
            known = run_nos or self._candidates(limit)
            return [n for n in known if self._is_known(n) and self.database.take(n, node)]

        return await self._perform("adopt", take)

    def _is_known(self, run_no: int) -> bool:
        row = self.database.runs.get(run_no)
        return row is not None and row.format <= self._known[0] and row.min_engine <= self._known[1]

    def _candidates(self, limit: int) -> list[int]:
        now_us, runs = self.now_us(), self.database.runs
        waiting: dict[int, int] = {}
        for message in self.database.inbox.values():
            if message.run_no in self.database.homeless:
                sent_us = waiting.get(message.run_no, message.sent_us)
                waiting[message.run_no] = min(sent_us, message.sent_us)
        for run_no in self.database.homeless:
            row = runs[run_no]
            if is_open(row) and row.wake_us is not None and row.wake_us <= now_us:
                waiting[run_no] = min(waiting.get(run_no, row.wake_us), row.wake_us)
        urgency = [
            (runs[n].priority, since, n) for n, since in waiting.items() if self._is_known(n)
        ]
        return [n for _, _, n in nsmallest(limit, urgency)]

    async def load(self, run_nos: Sequence[int]) -> Sequence[RunRecord]:
        """See `Store.load`."""
        runs = self.database.runs
        return await self._read("load", lambda: [self._record(n) for n in run_nos if n in runs])

    def _record(self, run_no: int) -> RunRecord:
        seq, snapshot = self.database.snapshots.get(run_no, (0, None))
        tail = [r for r in self.database.journal.get(run_no, ()) if r.first_seq > seq]
        row = self.database.runs[run_no]
        return RunRecord(row=row, snapshot=snapshot, snapshot_seq=seq, tail=tail)

    async def next_wake_us(self) -> int | None:
        """See `Store.next_wake_us`."""
        rows = [self.database.runs[n] for n in self.database.homeless]
        times = [row.wake_us for row in rows if is_open(row) and row.wake_us is not None]
        return await self._read("next_wake_us", lambda: min(times, default=None))

    async def post(self, messages: Sequence[MessageRow]) -> Sequence[str]:
        """See `Store.post`."""
        return await self._perform("post", lambda: self.database.post(messages))

    async def unread(self, node: NodeRow, *, limit: int) -> Sequence[MessageRow]:
        """See `Store.unread`."""

        def find() -> list[MessageRow]:
            runs = self.database.runs
            mail = self.database.inbox.values()
            ours = [m for m in mail if m.run_no in runs and runs[m.run_no].home == node.node_id]
            return ours[:limit]

        return await self._read("unread", find)

    async def mail(self, run_nos: Sequence[int]) -> Sequence[MessageRow]:
        """See `Store.mail`."""
        inbox = self.database.inbox
        return await self._read("mail", lambda: [m for m in inbox.values() if m.run_no in run_nos])

    async def outcome(self, message_id: str) -> OutcomeRow | None:
        """See `Store.outcome`."""
        return await self._read("outcome", lambda: self.database.outcomes.get(message_id))

    def changed(self) -> bool:
        """See `Store.changed`."""
        seen = self._seen + self._own
        self._seen, self._own = self.database.version, 0
        return self._seen != seen

    async def run(self, run_no: int) -> RunRow | None:
        """See `Store.run`."""
        return await self._read("run", lambda: self.database.runs.get(run_no))

    async def run_by_key(self, organization: str, key: str) -> RunRow | None:
        """See `Store.run_by_key`."""
        return await self._read("run_by_key", lambda: self.database.run_of_key(organization, key))

    async def runs(
        self, where: RunFilter, *, limit: int, before: int | None = None
    ) -> Sequence[RunRow]:
        """See `Store.runs`."""

        def find() -> list[RunRow]:
            place = _place if where.parent_run is None else _number
            newest = sorted(self.database.runs.values(), key=place, reverse=True)
            start = None if before is None else self._start(before, place)
            older = [row for row in newest if start is None or place(row) < start]
            return [row for row in older if _matches(row, where)][:limit]

        return await self._read("runs", find)

    def _start(self, before: int, place: Callable[[RunRow], tuple[int, int]]) -> tuple[int, int]:
        """Return the place of a run in a list; one that is gone stands after the next older."""
        row = self.database.runs.get(before)
        if row is not None:
            return place(row)
        older = [row for row in self.database.runs.values() if row.run_no < before]
        at, number = place(max(older, key=_number)) if older else (0, 0)
        return at, number + 1

    async def events(
        self, run_no: int, *, after: int = 0, limit: int = 1000
    ) -> Sequence[JournalRecord]:
        """See `Store.events`."""
        records = self.database.journal.get(run_no, [])
        later = [r for r in records if r.first_seq + r.count - 1 > after]
        return await self._read("events", lambda: later[:limit])

    async def steps(self, run_no: int, *, after: int = -1, limit: int = 1000) -> Sequence[StepRow]:
        """See `Store.steps`."""
        rows = self.database.steps.get(run_no, {})
        later = [rows[step_no] for step_no in sorted(rows) if step_no > after]
        return await self._read("steps", lambda: later[:limit])

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
        work = partial(
            desk.approvals,
            self.database,
            pending=pending,
            run_no=run_no,
            organization=organization,
            after=after,
        )
        return await self._read("approvals", lambda: work()[:limit])

    async def approval(self, approval_no: int) -> ApprovalRow | None:
        """See `Store.approval`."""
        return await self._read("approval", lambda: self.database.approvals.get(approval_no))

    async def dead_letters(
        self,
        *,
        status: str = "parked",
        organization: str = "",
        limit: int = 100,
        after: tuple[int, int] | None = None,
    ) -> Sequence[DeadLetterRow]:
        """See `Store.dead_letters`."""
        work = partial(
            desk.dead_letters, self.database, status=status, organization=organization, after=after
        )
        return await self._read("dead_letters", lambda: work()[:limit])

    # -- budgets and the ledger ----------------------------------------------------------------

    async def reserve(
        self, node_id: int, epoch: int, wanted: Sequence[HoldRequest], changes: Sequence[Change]
    ) -> Sequence[HoldAnswer]:
        """See `Ledger.reserve`."""

        def make() -> Sequence[HoldAnswer]:
            if not self.database.is_up(node_id, epoch):
                return [HoldAnswer(kind=Reserved.FENCED) for _ in wanted]
            return self.database.ledger.reserve(node_id, wanted, changes)

        return await self._perform("reserve", make)

    async def book(self, receipts: Sequence[Receipt]) -> None:
        """See `Ledger.book`."""
        await self._perform("book", lambda: self.database.ledger.book(receipts))

    async def grant(self, row: GrantRow) -> None:
        """See `Ledger.grant`."""
        await self._perform("grant", lambda: self.database.ledger.grant(row))

    async def accounts(self, *, prefix: str = "", limit: int = 100) -> Sequence[AccountRow]:
        """See `Ledger.accounts`."""
        ledger = self.database.ledger
        return await self._read("accounts", lambda: ledger.accounts(prefix, limit))

    async def ledger(self, run_no: int, *, limit: int = 1000) -> Sequence[LedgerRow]:
        """See `Ledger.ledger`."""
        return await self._read("ledger", lambda: self._billed(run_no)[:limit])

    def _billed(self, run_no: int) -> list[LedgerRow]:
        return self.database.ledger.of_runs(self.database.family(run_no))

    async def spending(self, run_nos: Sequence[int]) -> Mapping[int, Spending]:
        """See `Ledger.spending`."""

        def add_up() -> Mapping[int, Spending]:
            sums = {run_no: spending_of(self._billed(run_no)) for run_no in run_nos}
            return {run_no: spent for run_no, spent in sums.items() if spent is not None}

        return await self._read("spending", add_up)

    async def put_budget(self, budget: Budget, *, remove: bool = False) -> None:
        """See `Ledger.put_budget`."""
        ledger = self.database.ledger
        await self._perform("put_budget", lambda: ledger.put_budget(budget, remove=remove))

    async def budgets(self) -> Sequence[Budget]:
        """See `Ledger.budgets`."""
        rules = self.database.ledger.rules
        return await self._read("budgets", lambda: [rules[name] for name in sorted(rules)])

    async def dead_letter(self, run_no: int, step_no: int) -> DeadLetterRow | None:
        """See `Store.dead_letter`."""
        key = (run_no, step_no)
        return await self._read("dead_letter", lambda: self.database.dead_letters.get(key))

    # -- definitions ---------------------------------------------------------------------------

    async def publish(self, row: DefinitionRow, *, activate: bool = True) -> DefinitionRow:
        """See `Store.publish`."""
        return await self._perform("publish", lambda: self.database.publish(row, activate=activate))

    async def deactivate(self, organization: str, name: str) -> bool:
        """See `Store.deactivate`."""
        return await self._perform(
            "deactivate", lambda: self.database.deactivate(organization, name)
        )

    async def definition(
        self, organization: str, name: str, version: str = ""
    ) -> DefinitionRow | None:
        """See `Store.definition`."""
        versions = await self.definitions(organization, name)
        wanted = version.lower()
        for matches in (
            [row for row in versions if row.active and not version],
            [row for row in versions if version and row.label == version],
            [row for row in versions if str(row.number) == version],
            [r for r in versions if len(wanted) >= PREFIX_MIN and r.def_hash.startswith(wanted)],
        ):
            if matches:
                return matches[0]
        return None

    async def definition_by_hash(self, def_hash: str) -> DefinitionRow | None:
        """See `Store.definition_by_hash`."""
        found = [row for row in self.database.definitions.values() if row.def_hash == def_hash]
        row = min(found, key=lambda row: row.organization, default=None)
        return await self._read(
            "definition_by_hash", lambda: None if row is None else self.database.shown(row)
        )

    async def definitions(self, organization: str, name: str = "") -> Sequence[DefinitionRow]:
        """See `Store.definitions`."""

        def find() -> list[DefinitionRow]:
            all_rows = self.database.definitions.values()
            ours = [row for row in all_rows if row.organization == organization]
            rows = [self.database.shown(row) for row in ours]
            if name:
                return sorted([r for r in rows if r.name == name], key=lambda r: -r.number)
            return sorted([r for r in rows if r.active], key=lambda r: r.name)

        return await self._read("definitions", find)


def _place(row: RunRow) -> tuple[int, int]:
    return row.created_us, row.run_no


def _number(row: RunRow) -> tuple[int, int]:
    return 0, row.run_no


def _matches(row: RunRow, where: RunFilter) -> bool:
    """Return whether a run passes every part of a filter that is not empty."""
    after, before = where.created_after_us, where.created_before_us
    return (
        (not where.statuses or row.status in where.statuses)
        and where.workflow in {"", row.workflow}
        and where.organization in {"", row.organization}
        and (where.label is None or row.labels.get(where.label[0]) == where.label[1])
        and (after is None or row.created_us > after)
        and (before is None or row.created_us < before)
        and where.parent_run in {None, row.parent_run}
    )
