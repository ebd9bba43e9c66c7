"""The one seam to storage: what the engine needs from a store, in words.

A store keeps runs, their journals, inboxes, approvals, definitions and nodes. It decides
nothing; it applies whole ticks or refuses parts of them. Every method may raise `StoreError`
(the store cannot be used now); none raises for an ordinary refusal. Numbers: times are integer
microseconds since 1970 UTC on the store's clock; `run_no` < 2**39; `seq` counts a run's events
from 1 without gaps.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol

import msgspec

from podium.core.receipts import Receipt
from podium.ports.access import Access
from podium.ports.feed import Feed, JournalRecord
from podium.ports.ledger import GrantRow, Ledger
from podium.ports.operation import Operation
from podium.ports.schedules import Schedules, ScheduleWrite
from podium.ports.webhooks import Webhooks

__all__ = [
    "ApprovalDecision",
    "ApprovalRow",
    "ApprovalStatus",
    "Batch",
    "Committed",
    "DeadLetterRow",
    "DefinitionRow",
    "Escalation",
    "JournalRecord",
    "MessageRow",
    "NodeRow",
    "NodeState",
    "OutcomeRow",
    "Refusal",
    "RefusalKind",
    "RunFilter",
    "RunRecord",
    "RunRow",
    "RunWrite",
    "StepRow",
    "Store",
    "StoreStats",
]


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of the rows a store writes and returns. They hold no cycles: no work for the GC."""


class RunRow(Row, frozen=True, kw_only=True):
    """The row of one run: what lists, claims and fences need; everything else is journal."""

    run_no: int
    slot: int
    organization: str
    workflow: str
    def_hash: str
    status: int
    """`core.states.RunStatus`."""
    reason: str = ""
    priority: int = 50
    generation: int = 1
    last_seq: int = 0
    home: int | None = None
    home_epoch: int = 0
    wake_us: int | None = None
    """When a homeless run next needs a home; None: only a message can wake it."""
    created_us: int = 0
    started_us: int | None = None
    ended_us: int | None = None
    updated_us: int = 0
    parent_run: int | None = None
    parent_step: int | None = None
    forked_from: int | None = None
    recoveries: int = 0
    """How often a dead node left this run behind since it last advanced."""
    format: int = 1
    min_engine: int = 1
    idempotency_key: str | None = None
    request_hash: str = ""
    steps_open: int = 0
    steps_done: int = 0
    steps_failed: int = 0
    labels: dict[str, str] = {}
    input: bytes = b""
    output: bytes | None = None
    error: bytes | None = None


class StepRow(Row, frozen=True, kw_only=True):
    """The row of one step that ended or rests; ordinary success writes it once."""

    run_no: int
    step_no: int
    path: str
    task: str
    kind: int
    status: int
    """`core.states.StepStatus`."""
    reason: str = ""
    attempts: int = 0
    started_us: int | None = None
    ended_us: int | None = None
    wake_us: int | None = None
    error: bytes | None = None


class ApprovalStatus(IntEnum):
    """Where an approval stands."""

    PENDING = 0
    APPROVED = 1
    REJECTED = 2
    EDITED = 3
    EXPIRED = 4
    CANCELLED = 5

    @property
    def label(self) -> str:
        """Return the word used in the API and the CLI."""
        return "edited_and_approved" if self is ApprovalStatus.EDITED else self.name.lower()


class ApprovalRow(Row, frozen=True, kw_only=True):
    """A question to a person, bound to the hash of the payload it shows."""

    approval_no: int
    """`run_no << 24 | step_no` (a generation keeps its own number in `generation`)."""
    run_no: int
    step_no: int
    organization: str
    conversation_id: str
    path: str
    prompt: str
    payload: bytes
    payload_hash: str
    status: int
    generation: int = 1
    created_us: int = 0
    expires_us: int | None = None
    decided_us: int | None = None
    decided_by: str = ""
    comment: str = ""
    requested_by: str = ""
    """Who asked for what is to be approved, by name."""
    four_eyes: bool = False
    """Whether none of them may approve it."""
    escalated_us: int | None = None
    """When it had waited for so long that somebody else was told; it still waits."""
    escalated_to: str = ""
    edited: bytes | None = None
    """What was approved instead of `payload`, if it was edited."""
    rework: bool = False
    """Whether it was rejected in order to be done again."""


class ApprovalDecision(Row, frozen=True, kw_only=True):
    """What became of an approval; prompt, payload and hash stay as they were asked."""

    approval_no: int
    status: int
    """`ApprovalStatus`."""
    decided_us: int
    decided_by: str = ""
    comment: str = ""
    edited: bytes | None = None
    rework: bool = False


class Escalation(Row, frozen=True, kw_only=True):
    """An approval that waits was brought to the notice of somebody else."""

    approval_no: int
    at_us: int
    to: str


class DeadLetterRow(Row, frozen=True, kw_only=True):
    """Parked work: a step whose recoveries are spent.

    Written again with another status it keeps the time and the reason it was parked for.
    """

    run_no: int
    step_no: int
    path: str
    reason: str
    created_us: int
    status: str = "parked"
    """parked, replayed, discarded or expired."""


class MessageRow(Row, frozen=True, kw_only=True):
    """A message in a run's durable inbox; `message_id` makes sending repeatable."""

    message_id: str
    run_no: int
    body: bytes
    sent_us: int = 0


class OutcomeRow(Row, frozen=True, kw_only=True):
    """What became of a message: the idempotency record and the answer to races."""

    message_id: str
    run_no: int
    applied: bool
    status: int
    seq: int
    detail: str = ""
    decided_us: int = 0
    word: str = ""
    """Of a refusal: one of `core.refusals.WORDS`."""


class RunWrite(Row, frozen=True, kw_only=True):
    """One run's part of a tick. Applied whole, or refused whole.

    Applied only if the batch's node is up at the batch's epoch, and (unless `create`) the run's
    home is that node, its `home_epoch` equals `home_epoch` and its `last_seq` equals `old_seq`.
    A write whose `new_seq` is already the run's `last_seq` under the same home and epoch, and
    whose journal record is present, was applied before: it counts as applied (a batch with an
    unknown outcome is simply sent again).
    """

    run_no: int
    home_epoch: int
    old_seq: int
    new_seq: int
    create: bool = False
    """Insert the run; refused as DUPLICATE if its idempotency key is taken. The row's `home` is
    the batch's node, or None for a run that any engine may take; later writes ignore it, and what
    a run was started with (workflow, input, labels, key, parent) never changes."""
    row: RunRow | None = None
    """The new row; None: nothing but `last_seq` and `updated_us` changes."""
    updated_us: int = 0
    body: bytes = b""
    """The packed events `old_seq + 1 .. new_seq`; empty only if no event happened."""
    format: int = 1
    release: bool = False
    """Give up the home: `home` becomes None and `home_epoch` grows by one."""
    steps: Sequence[StepRow] = ()
    approvals: Sequence[ApprovalRow] = ()
    decisions: Sequence[ApprovalDecision] = ()
    """Applied after `approvals`; a decision on an unknown approval changes nothing."""
    escalations: Sequence[Escalation] = ()
    """Applied like decisions."""
    dead_letters: Sequence[DeadLetterRow] = ()
    consumed: Sequence[str] = ()
    """Inbox messages to delete."""
    outcomes: Sequence[OutcomeRow] = ()
    posts: Sequence[MessageRow] = ()
    """Messages to other runs, inserted with this write; an existing id is left alone."""
    snapshot: bytes | None = None
    """The state after `new_seq`; replaces the older snapshot."""
    receipts: Sequence[Receipt] = ()
    """What attempts that ended have to settle: charges for the ledger, holds given back."""
    grants: Sequence[GrantRow] = ()
    schedule: ScheduleWrite | None = None
    """What the schedule that starts this run becomes; refused as OVERTAKEN if it moved on."""


class Batch(Row, frozen=True, kw_only=True):
    """One tick: one transaction, at most one write per run."""

    node_id: int
    node_epoch: int
    writes: Sequence[RunWrite]


class RefusalKind(IntEnum):
    """Why a write was refused."""

    NODE = 0
    """The node is no longer up at that epoch: every write of the batch is refused."""
    HOME = 1
    """The run has another home, epoch or sequence: discard the actor and reload."""
    DUPLICATE = 2
    """The idempotency key belongs to `existing`."""
    DATA = 3
    """The data of this run cannot be stored (a CHECK, a NUL in text); others went through."""
    OVERTAKEN = 4
    """The schedule that would start this run is no longer as it was decided on."""


class Refusal(Row, frozen=True, kw_only=True):
    """A refused write of a batch."""

    run_no: int
    kind: RefusalKind
    existing: int = 0
    existing_hash: str = ""
    detail: str = ""


class Committed(Row, frozen=True, kw_only=True):
    """The answer to a batch: everything not listed as refused is durable."""

    refused: Sequence[Refusal] = ()


class NodeState(IntEnum):
    """Where a node stands."""

    UP = 0
    DEAD = 1
    GONE = 2
    """Left in good order."""


class NodeRow(Row, frozen=True, kw_only=True):
    """One podium process. `node_id` is never reused; `epoch` fences it."""

    node_id: int
    epoch: int
    state: int
    boot_id: str
    pid: int
    host: str
    role: str
    started_us: int
    lease_until_us: int


class DefinitionRow(Row, frozen=True, kw_only=True):
    """One published version of a workflow. Versions are immutable; `active` is a pointer."""

    organization: str
    """Whose it is: names and numbers are those of the organization."""
    name: str
    def_hash: str
    label: str
    body: bytes
    """Canonical JSON of `core.definition.Workflow`."""
    number: int = 0
    """1, 2, 3 … in order of first publication of the name."""
    active: bool = False
    created_us: int = 0


class RunRecord(Row, frozen=True, kw_only=True):
    """Everything needed to fold a run's state: the row, a snapshot, and the tail after it."""

    row: RunRow
    snapshot: bytes | None
    snapshot_seq: int
    tail: Sequence[JournalRecord]


class RunFilter(Row, frozen=True, kw_only=True):
    """Which runs to list, newest first; an empty field does not restrict."""

    statuses: Sequence[int] = ()
    workflow: str = ""
    organization: str = ""
    label: tuple[str, str] | None = None
    created_after_us: int | None = None
    created_before_us: int | None = None
    parent_run: int | None = None


class StoreStats(msgspec.Struct, kw_only=True):
    """Counters since opening; the performance gates read these, not the clock."""

    commits: int = 0
    flushes: int = 0
    """Times the log was forced to disk (or a stand-in for it)."""
    rows: int = 0
    reads: int = 0
    """Read statements outside the writer's own guards."""
    busy: int = 0


class Store(Access, Feed, Ledger, Operation, Schedules, Webhooks, Protocol):
    """See the module docstring. Methods are called on the event loop thread only."""

    stats: StoreStats
    uid: str
    """What no other store has; known once the store is open. It never changes."""

    def now_us(self) -> int:
        """Return the store's time; never goes back, costs no I/O."""

    async def open(self) -> None:
        """Open or create the store and bring the schema up to date.

        Raises `StoreError`: newer schema (PDM-S002), read-only or missing directory (PDM-S003),
        network file system (PDM-S004), disk full (PDM-S005), not a podium store (PDM-S006).
        """

    async def close(self) -> None:
        """Finish what was submitted and close; safe to repeat."""

    # -- nodes ---------------------------------------------------------------------------------

    async def register_node(self, *, boot_id: str, role: str, lease_us: int) -> NodeRow:
        """Add this process as a node and keep its lease renewed until `release_node`.

        Renewal runs apart from the caller (a blocked event loop does not lose the lease).
        """

    async def release_node(self, node: NodeRow) -> None:
        """Leave in good order: the node is GONE, its runs homeless and ready; safe to repeat.

        Every open run that is still at home becomes due, for the store cannot tell what was
        under way in it. Runs that only wait leave before, with their own time to wake.
        """

    async def dead_nodes(self, node: NodeRow) -> Sequence[NodeRow]:
        """Return nodes other than `node` that are up by their row but proven dead or expired."""

    async def declare_dead(self, dead: NodeRow) -> int:
        """Fence a dead node and make its runs homeless and ready; return how many runs.

        A store that needs two transactions commits the fence first, and lists a fenced node
        that still has runs among the dead ones again. Each release grows `home_epoch` and
        `recoveries` and sets `wake_us` to now. Safe to repeat and to race: one caller wins.
        """

    async def nodes(self) -> Sequence[NodeRow]:
        """Return all nodes that are up by their row."""

    # -- runs ----------------------------------------------------------------------------------

    async def reserve_run_numbers(self, count: int) -> int:
        """Reserve `count` consecutive run numbers, each for good, and return the first."""

    def submit(self, batch: Batch, done: Callable[[Committed | BaseException], None]) -> None:
        """Commit `batch` in one transaction; later call `done` once, on the event loop thread.

        `done` gets the answer, or an exception when the outcome is unknown or the store failed:
        the same batch may then be submitted again. One batch at a time. On SQLite a commit costs
        one flush.
        """

    async def adopt(
        self, node: NodeRow, *, limit: int, run_nos: Sequence[int] = ()
    ) -> Sequence[int]:
        """Take homeless runs that are due or have mail, most urgent first; return their numbers.

        Mail makes a closed run adoptable, too (it must be answered); being due, only an open one.
        Sets `home` and grows `home_epoch`. With `run_nos`, tries those runs alone, due or not;
        one that is at home on `node` is taken anew, in case an earlier answer was lost. Never takes
        a run from another node. Runs of a newer `format` or `min_engine` are left alone.
        """

    async def load(self, run_nos: Sequence[int]) -> Sequence[RunRecord]:
        """Return the records of the runs that exist, in any order; one consistent read each."""

    async def next_wake_us(self) -> int | None:
        """Return the earliest `wake_us` of homeless open runs, or None."""

    async def post(self, messages: Sequence[MessageRow]) -> Sequence[str]:
        """Put messages into inboxes; durable on return; an id already known is left alone.

        Returns the ids that lie in an inbox now; the others were consumed before.
        """

    async def unread(self, node: NodeRow, *, limit: int) -> Sequence[MessageRow]:
        """Return messages for runs at home on `node`, oldest first."""

    async def mail(self, run_nos: Sequence[int]) -> Sequence[MessageRow]:
        """Return all messages in the inboxes of these runs, oldest first."""

    async def outcome(self, message_id: str) -> OutcomeRow | None:
        """Return what became of a message, or None while it is unread or unknown."""

    def changed(self) -> bool:
        """Return whether another process may have written since the last call; cheap."""

    # -- reads for people ----------------------------------------------------------------------

    async def run(self, run_no: int) -> RunRow | None:
        """Return one run's row."""

    async def run_by_key(self, organization: str, key: str) -> RunRow | None:
        """Return the run that an idempotency key belongs to."""

    async def runs(
        self, where: RunFilter, *, limit: int, before: int | None = None
    ) -> Sequence[RunRow]:
        """Return runs newest first, those that come after the run `before` (keyset paging).

        The newest is the one created last; of those created at the same time, the one with the
        highest number. The child runs of a run (`parent_run`) come in the order of their numbers.
        """

    async def events(
        self, run_no: int, *, after: int = 0, limit: int = 1000
    ) -> Sequence[JournalRecord]:
        """Return journal records holding events with `seq > after`, in order."""

    async def steps(self, run_no: int, *, after: int = -1, limit: int = 1000) -> Sequence[StepRow]:
        """Return step rows with `step_no > after`, in order."""

    async def approvals(
        self,
        *,
        pending: bool = True,
        run_no: int | None = None,
        organization: str = "",
        limit: int = 100,
        after: int | None = None,
    ) -> Sequence[ApprovalRow]:
        """Return approvals, oldest first: those that come after the approval `after`."""

    async def approval(self, approval_no: int) -> ApprovalRow | None:
        """Return one approval."""

    async def dead_letters(
        self,
        *,
        status: str = "parked",
        organization: str = "",
        limit: int = 100,
        after: tuple[int, int] | None = None,
    ) -> Sequence[DeadLetterRow]:
        """Return work in `status` ("" for any), oldest first: what comes after step `after`.

        `after` is the run number and step number of the last one seen.
        """

    async def dead_letter(self, run_no: int, step_no: int) -> DeadLetterRow | None:
        """Return what became of one step that was parked once."""

    # -- definitions ---------------------------------------------------------------------------

    async def publish(self, row: DefinitionRow, *, activate: bool = True) -> DefinitionRow:
        """Record a version (no-op if the hash is known) and point the name at it if `activate`."""

    async def deactivate(self, organization: str, name: str) -> bool:
        """Let a name point at no version, and return whether it pointed at one.

        Nothing new is started under it until a version is published or made active again.
        """

    async def definition(
        self, organization: str, name: str, version: str = ""
    ) -> DefinitionRow | None:
        """Return a version by hash prefix (≥ 6), label or number; the active one by default."""

    async def definition_by_hash(self, def_hash: str) -> DefinitionRow | None:
        """Return the version with exactly this hash, active or not, whosever it is."""

    async def definitions(self, organization: str, name: str = "") -> Sequence[DefinitionRow]:
        """Return the active version of every name, or all versions of one name, newest first."""
