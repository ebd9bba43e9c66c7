"""The shape of a run's state. What changes it is `core.evolve`, and nothing else.

States are mutable and owned by one actor, because copying a 100,000-item map costs more than
all else in a tick; a refused tick throws the state away and folds the journal again.
"""

from typing import Final

import msgspec

from podium.core.budgets import Amounts, Pot
from podium.core.states import RunStatus, StepKind, StepStatus

__all__ = ["NULL", "ROOT", "Fan", "RunState", "Scope", "Step"]

ROOT: Final = 0
NULL: Final = b"\xc0"
"""MessagePack nil: the output of a step that gave none."""


class Scope(msgspec.Struct, gc=False):
    """A graph being run: the root of a run, or one pass through a block."""

    members: dict[int, int] = {}
    """Task index → number of its step, once it was opened."""
    open: int = 0
    """Members that have not ended."""


class Fan(msgspec.Struct, gc=False):
    """A map or a loop: `count` items of which those before `cursor` were opened."""

    count: int
    cursor: int = 0
    open: int = 0
    done: int = 0
    failures: int = 0
    outputs: list[bytes] = []
    kept: list[int] = []
    """Items that ended otherwise than completed, in the order they ended."""
    folded: dict[int, int] = {}
    """What the forgotten items count in the run's tally: number of steps by status."""


class Step(msgspec.Struct, gc=False):
    """One node of a run. Map items exist here from their start to their end only."""

    no: int
    scope: int
    task: int
    kind: StepKind
    path: str
    status: StepStatus
    index: int = -1
    key: str = ""
    reason: str = ""
    attempts: int = 0
    """Attempts started; the number goes on over generations, so that no result is mistaken."""
    failures: int = 0
    """Attempts that spent a retry."""
    recoveries: int = 0
    opened_us: int = 0
    started_us: int = 0
    ended_us: int = 0
    wake_us: int = 0
    limit_us: int = 0
    """The total limit of a block or loop: it counts anew when the container is re-opened."""
    held_us: int = 0
    """How long its run was paused since `started_us`: time that no limit counts."""
    mark: int = 0
    priority: int = 50
    output: bytes | None = None
    error: bytes | None = None
    child_run: int = 0
    former: list[int] = []
    """Child runs of earlier generations: their ends are no news."""
    graph: Scope | None = None
    fan: Fan | None = None


class RunState(msgspec.Struct):
    """Everything the engine knows of a run between two ticks."""

    run_no: int
    seq: int = 0
    status: RunStatus = RunStatus.QUEUED
    reason: str = ""
    workflow: str = ""
    def_hash: str = ""
    organization: str = ""
    priority: int = 50
    generation: int = 1
    parent_run: int = 0
    parent_step: int = 0
    depth: int = 0
    forked_from: int = 0
    labels: dict[str, str] = {}
    pots: tuple[Pot, ...] = ()
    """The budgets per run that it falls under; its child runs get them, too."""
    appeals: dict[int, tuple[str, Amounts]] = {}
    """What steps that wait for a budget asked a person for: account and amounts, by step."""
    input: bytes = NULL
    output: bytes | None = None
    error: bytes | None = None
    created_us: int = 0
    started_us: int = 0
    ended_us: int = 0
    running_us: int = 0
    """Time spent in `running`, up to `running_since_us`."""
    running_since_us: int = 0
    paused_since_us: int = 0
    """When the latest pause began."""
    next_no: int = ROOT + 1
    steps: dict[int, Step] = {}
    paths: dict[str, int] = {}
    """Path → number of the steps in `steps`."""
    tally: list[int] = msgspec.field(default_factory=lambda: [0] * len(StepStatus))
    """Number of steps by status, ended map items included, containers not."""
    queue: list[tuple[int, int]] = []
    """Heap of (priority, number) of queued steps; entries of moved steps are stale."""
    timers: list[tuple[int, int]] = []
    """Heap of (wake_us, number); an entry is stale unless the step still waits for it."""
    signals: dict[str, list[bytes]] = {}
    ended: list[int] = []
    """Steps of a durable function in the order they ended: the order of delivery."""
    carried: dict[str, bytes] = {}
    approvals: dict[int, str] = {}
    """Payload hash of what people were shown, by step, while it is undecided."""
    deadlines: dict[int, tuple[int, int]] = {}
    """When an open question is escalated and when it expires, by step; 0: never (again)."""
    requesters: list[str] = []
    """Who asked for what the run does: who started it, and who opened it again."""
    lineage: list[str] = []
    """The names of the workflows above the run, the outermost first."""
    feedback: dict[str, tuple[int, str]] = {}
    """How often a person sent a result back, and what was written last, by path of the step."""
    edits: dict[str, bytes] = {}
    """Arguments that an operator gave instead, by path of the step."""
    stand_ins: dict[str, str] = {}
    """Agents that stand in for others: slug or path of a step → slug."""
    held_by: str = ""
    """Who paused or cancelled it."""
    parked: dict[int, str] = {}
    """Paths of the steps that lie among the dead letters, by number."""
    is_code: bool = False

    @property
    def root(self) -> Step:
        """Return the step that stands for the whole run."""
        return self.steps[ROOT]

    def rework_of(self, step: Step) -> tuple[int, str]:
        """Return how often `step`, or what it is part of, was sent back, and the last comment."""
        around: Step | None = step
        while self.feedback and around is not None:
            if around.path in self.feedback:
                return self.feedback[around.path]
            around = self.steps[around.scope] if around.no != ROOT else None
        return 0, ""

    def children(self, step: Step) -> list[Step]:
        """Return the steps directly below a block, or the kept items of a map or loop."""
        numbers = step.graph.members.values() if step.graph is not None else ()
        kept = step.fan.kept if step.fan is not None else ()
        return [self.steps[no] for no in (*numbers, *kept)]
