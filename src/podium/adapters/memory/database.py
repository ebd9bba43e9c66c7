"""The tables of the reference store as plain dicts, and the rules that change them.

One `MemoryDatabase` is what all nodes of a simulation share. Nothing here awaits, so every
method is one transaction.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from podium.adapters.memory.access import MemoryAccess
from podium.adapters.memory.checks import fault_in_values, fault_in_write
from podium.adapters.memory.feed import MemoryFeed
from podium.adapters.memory.ledger import MemoryLedger
from podium.adapters.memory.schedules import MemorySchedules
from podium.core.states import RunStatus
from podium.errors import StoreError
from podium.ports.operation import LogRow
from podium.ports.store import (
    ApprovalDecision,
    ApprovalRow,
    Batch,
    Committed,
    DeadLetterRow,
    DefinitionRow,
    Escalation,
    JournalRecord,
    MessageRow,
    NodeRow,
    NodeState,
    OutcomeRow,
    Refusal,
    RefusalKind,
    RunRow,
    RunWrite,
    StepRow,
)

__all__ = ["MemoryDatabase"]

# What a run was started with; later rows cannot change it.
START_FIELDS: Final = (
    "slot",
    "organization",
    "workflow",
    "def_hash",
    "created_us",
    "parent_run",
    "parent_step",
    "forked_from",
    "idempotency_key",
    "request_hash",
    "labels",
    "input",
)


def is_open(row: RunRow) -> bool:
    """Return whether a run has not ended."""
    return row.status < RunStatus.COMPLETED


class MemoryDatabase:
    """All tables; every method applies whole or refuses."""

    def __init__(self) -> None:
        self.runs: dict[int, RunRow] = {}
        # Kept beside `runs` so that looking for work does not walk over every run.
        self.homeless: dict[int, None] = {}
        self.keys: dict[tuple[str, str], int] = {}
        self.journal: dict[int, list[JournalRecord]] = {}
        self.snapshots: dict[int, tuple[int, bytes]] = {}
        self.steps: dict[int, dict[int, StepRow]] = {}
        self.approvals: dict[int, ApprovalRow] = {}
        self.dead_letters: dict[tuple[int, int], DeadLetterRow] = {}
        self.inbox: dict[str, MessageRow] = {}
        self.outcomes: dict[str, OutcomeRow] = {}
        self.nodes: dict[int, NodeRow] = {}
        self.processes: dict[int, bool] = {}
        """Whether the process behind a node is alive: what an OS lock would tell."""
        self.definitions: dict[tuple[str, str], DefinitionRow] = {}
        """By organization and hash."""
        self.active: dict[tuple[str, str], str] = {}
        """The active hash, by organization and name."""
        self.access = MemoryAccess(self._note_change)
        self.feed = MemoryFeed()
        self._tick: list[tuple[int, int]] = []
        """Run and first sequence of each journal record of the tick that is being written."""
        self.ledger = MemoryLedger(self._has_node)
        self.schedules = MemorySchedules(is_open=self._is_open, changed=self._grow)
        self.logs: list[LogRow] = []
        self.next_run_no = 1
        self.version = 0
        """Grows with every change."""

    # -- ticks ---------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> Committed:
        """Apply a batch: every write that passes both guards and can be stored."""
        if not self.is_up(batch.node_id, batch.node_epoch):
            refused = [Refusal(run_no=w.run_no, kind=RefusalKind.NODE) for w in batch.writes]
            return Committed(refused=refused)
        self._tick = []
        answers = [self._apply(write, batch.node_id) for write in batch.writes]
        self.feed.append(self._tick)
        self.version += 1
        return Committed(refused=[answer for answer in answers if answer is not None])

    def is_up(self, node_id: int, epoch: int) -> bool:
        """Return whether a node is up at that epoch."""
        node = self.nodes.get(node_id)
        return node is not None and (node.state, node.epoch) == (NodeState.UP, epoch)

    def _note_change(self) -> None:
        self.version += 1

    def _has_node(self, node_id: int) -> bool:
        node = self.nodes.get(node_id)
        return node is not None and node.state == NodeState.UP

    def _grow(self) -> None:
        self.version += 1

    def _is_open(self, run_no: int) -> bool:
        return run_no in self.runs and is_open(self.runs[run_no])

    def _apply(self, write: RunWrite, node_id: int) -> Refusal | None:
        refusal = self._guard(write, node_id)
        if refusal is None:
            self._write_run(write, node_id)
            self._write_rest(write)
            if write.schedule is not None:
                self.schedules.change(write.schedule)
        elif self._was_applied(write, node_id):
            return None
        return refusal

    def _guard(self, write: RunWrite, node_id: int) -> Refusal | None:
        if write.create:
            refusal = self._guard_create(write, node_id)
        else:
            row = self.runs.get(write.run_no)
            expected = (node_id, write.home_epoch, write.old_seq)
            is_ours = row is not None and (row.home, row.home_epoch, row.last_seq) == expected
            refusal = None if is_ours else Refusal(run_no=write.run_no, kind=RefusalKind.HOME)
        if refusal is None and (detail := fault_in_write(write)):
            refusal = Refusal(run_no=write.run_no, kind=RefusalKind.DATA, detail=detail)
        change = write.schedule
        if refusal is None and change is not None and self.schedules.is_overtaken(change):
            refusal = Refusal(run_no=write.run_no, kind=RefusalKind.OVERTAKEN)
        return refusal

    def _guard_create(self, write: RunWrite, node_id: int) -> Refusal | None:
        row = write.row
        if row is None or write.old_seq or write.run_no in self.runs:
            return Refusal(run_no=write.run_no, kind=RefusalKind.HOME)
        if row.home not in {None, node_id}:
            detail = f"A new run cannot have node {row.home} as its home."
            return Refusal(run_no=write.run_no, kind=RefusalKind.DATA, detail=detail)
        owner = self.run_of_key(row.organization, row.idempotency_key)
        if owner is None:
            return None
        return Refusal(
            run_no=write.run_no,
            kind=RefusalKind.DUPLICATE,
            existing=owner.run_no,
            existing_hash=owner.request_hash,
        )

    def run_of_key(self, organization: str, key: str | None) -> RunRow | None:
        """Return the run an idempotency key belongs to."""
        run_no = None if key is None else self.keys.get((organization, key))
        return None if run_no is None else self.runs[run_no]

    def _was_applied(self, write: RunWrite, node_id: int) -> bool:
        row = self.runs.get(write.run_no)
        if row is None or row.last_seq != write.new_seq:
            return False
        home = None if write.release else node_id
        if (row.home, row.home_epoch) != (home, write.home_epoch + write.release):
            return False
        records = self.journal.get(write.run_no, ())
        return not write.body or any(r.first_seq == write.old_seq + 1 for r in records)

    def _write_run(self, write: RunWrite, node_id: int) -> None:
        old = self.runs.get(write.run_no)
        row = write.row or old
        assert row is not None
        fixed = {name: getattr(old, name) for name in START_FIELDS} if old and write.row else {}
        home = row.home if write.create else node_id
        changed = replace(
            row,
            **fixed,
            last_seq=write.new_seq,
            updated_us=write.updated_us or row.updated_us,
            home=None if write.release else home,
            home_epoch=write.home_epoch + write.release,
        )
        if write.create and row.idempotency_key is not None:
            self.keys[row.organization, row.idempotency_key] = row.run_no
        self._put_run(changed)

    def _put_run(self, row: RunRow) -> None:
        self.runs[row.run_no] = row
        if row.home is None:
            self.homeless[row.run_no] = None
        else:
            self.homeless.pop(row.run_no, None)

    def _write_rest(self, write: RunWrite) -> None:
        run_no = write.run_no
        if write.body:
            record = JournalRecord(
                run_no=run_no,
                first_seq=write.old_seq + 1,
                count=write.new_seq - write.old_seq,
                format=write.format,
                body=write.body,
            )
            self.journal.setdefault(run_no, []).append(record)
            self._tick.append((run_no, record.first_seq))
        if write.snapshot is not None:
            self.snapshots[run_no] = (write.new_seq, write.snapshot)
        for step in write.steps:
            self.steps.setdefault(step.run_no, {})[step.step_no] = step
        self._write_desk(write)
        self._write_messages(write)
        self.ledger.book(write.receipts)
        for granted in write.grants:
            self.ledger.grant(granted)

    def _write_desk(self, write: RunWrite) -> None:
        """Write what waits for people."""
        for approval in write.approvals:
            self.approvals[approval.approval_no] = approval
        for decision in write.decisions:
            self._decide(decision)
        for each in write.escalations:
            self._escalate(each)
        for letter in write.dead_letters:
            self._park(letter)

    def _decide(self, decision: ApprovalDecision) -> None:
        asked = self.approvals.get(decision.approval_no)
        if asked is not None:
            self.approvals[decision.approval_no] = replace(
                asked,
                status=decision.status,
                decided_us=decision.decided_us,
                decided_by=decision.decided_by,
                comment=decision.comment,
                edited=decision.edited,
                rework=decision.rework,
            )

    def _escalate(self, row: Escalation) -> None:
        asked = self.approvals.get(row.approval_no)
        if asked is not None:
            escalated = replace(asked, escalated_us=row.at_us, escalated_to=row.to)
            self.approvals[row.approval_no] = escalated

    def _park(self, letter: DeadLetterRow) -> None:
        key = (letter.run_no, letter.step_no)
        known = self.dead_letters.get(key)
        if known is not None and letter.status != "parked":
            letter = replace(known, status=letter.status)
        self.dead_letters[key] = letter

    def _write_messages(self, write: RunWrite) -> None:
        for message_id in write.consumed:
            message = self.inbox.get(message_id)
            if message is not None and message.run_no == write.run_no:
                del self.inbox[message_id]
        for outcome in write.outcomes:
            self.outcomes.setdefault(outcome.message_id, outcome)
        self._put_messages(write.posts)

    # -- inboxes -------------------------------------------------------------------------------

    def post(self, messages: Sequence[MessageRow]) -> list[str]:
        """Put messages into inboxes, ids that are known excepted; return those that lie there."""
        for message in messages:
            self.check(message)
        self._put_messages(messages)
        self.version += 1
        return [m.message_id for m in messages if m.message_id in self.inbox]

    def _put_messages(self, messages: Sequence[MessageRow]) -> None:
        for message in messages:
            if message.message_id not in self.outcomes:
                self.inbox.setdefault(message.message_id, message)

    @staticmethod
    def check(row: msgspec.Struct) -> None:
        """Raise PDM-S010 if a row cannot be stored."""
        if detail := fault_in_values(row):
            raise StoreError(
                "The store refused the data.",
                why=f"It cannot be stored: {detail}.",
                fix="Text must be valid Unicode without NUL; numbers must fit into 64 bits.",
                code="PDM-S010",
            )

    # -- nodes and homes -----------------------------------------------------------------------

    def add_node(self, node: NodeRow) -> NodeRow:
        """Add a node under the next number."""
        node = replace(node, node_id=len(self.nodes) + 1)
        self.nodes[node.node_id] = node
        self.processes[node.node_id] = True
        self.version += 1
        return node

    def renew(self, node: NodeRow, lease_until_us: int) -> bool:
        """Extend a lease; return False if the node is no longer up."""
        if not self.is_up(node.node_id, node.epoch):
            return False
        row = self.nodes[node.node_id]
        self.nodes[node.node_id] = replace(row, lease_until_us=lease_until_us)
        return True

    def abandon(self, node: NodeRow, *, state: NodeState, recoveries: int, now_us: int) -> int:
        """Fence a node and free its runs; return how many, 0 if it was fenced before."""
        if not self.is_up(node.node_id, node.epoch):
            return 0
        self.nodes[node.node_id] = replace(self.nodes[node.node_id], state=state)
        left = [row for row in self.runs.values() if row.home == node.node_id]
        for row in left:
            freed = replace(row, home=None, home_epoch=row.home_epoch + 1)
            if is_open(row):
                freed = replace(freed, wake_us=now_us, recoveries=row.recoveries + recoveries)
            self._put_run(freed)
        self.version += 1
        return len(left)

    def take(self, run_no: int, node: NodeRow) -> bool:
        """Give a run that nobody else has a home on a node; return whether it did."""
        row = self.runs[run_no]
        if row.home not in (None, node.node_id) or not self.is_up(node.node_id, node.epoch):
            return False
        self._put_run(replace(row, home=node.node_id, home_epoch=row.home_epoch + 1))
        self.version += 1
        return True

    # -- retention -----------------------------------------------------------------------------

    def forget(self, run_nos: Sequence[int]) -> list[int]:
        """Take closed runs that nobody holds out of every table; return which went."""
        found = {run_no: self.runs.get(run_no) for run_no in run_nos}
        gone = {
            run_no: row
            for run_no, row in found.items()
            if row is not None and not is_open(row) and row.home is None
        }
        for run_no, row in gone.items():
            self.keys.pop((row.organization, row.idempotency_key or ""), None)
            for table in (self.runs, self.homeless, self.journal, self.snapshots, self.steps):
                table.pop(run_no, None)
        self.approvals = {k: a for k, a in self.approvals.items() if a.run_no not in gone}
        self.dead_letters = {k: d for k, d in self.dead_letters.items() if k[0] not in gone}
        self.logs[:] = [line for line in self.logs if line.run_no not in gone]
        self.inbox = {k: mail for k, mail in self.inbox.items() if mail.run_no not in gone}
        self.version += 1
        return list(gone)

    # -- money ---------------------------------------------------------------------------------

    def family(self, run_no: int) -> set[int]:
        """Return a run and the child runs below it."""
        found = {run_no}
        while True:
            more = {row.run_no for row in self.runs.values() if row.parent_run in found} - found
            if not more:
                return found
            found |= more

    # -- definitions ---------------------------------------------------------------------------

    def publish(self, row: DefinitionRow, *, activate: bool) -> DefinitionRow:
        """Record a version under the next number of its name, and point the name at it."""
        self.check(row)
        key, name = (row.organization, row.def_hash), (row.organization, row.name)
        if key not in self.definitions:
            rows = self.definitions.values()
            taken = [known.number for known in rows if (known.organization, known.name) == name]
            number = 1 + max(taken, default=0)
            self.definitions[key] = replace(row, number=number, active=False)
        if activate:
            self.active[name] = row.def_hash
        self.version += 1
        return self.shown(self.definitions[key])

    def deactivate(self, organization: str, name: str) -> bool:
        """Let a name point at no version; return whether it pointed at one."""
        self.version += 1
        return self.active.pop((organization, name), None) is not None

    def shown(self, row: DefinitionRow) -> DefinitionRow:
        """Return a version as callers see it: with its `active` flag."""
        return replace(row, active=self.active.get((row.organization, row.name)) == row.def_hash)
