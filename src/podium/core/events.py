"""What happened to a run, as frozen records: the journal's alphabet.

The state of a run is the fold of these records (`core.state.evolve`) and nothing else. They
are encoded as MessagePack arrays led by a small integer tag, many to one journal record, so
field order and tags are a storage format: add fields at the end, never reuse a tag.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from podium.core.budgets import Pot

__all__ = [
    "FORMAT",
    "AgentsReplaced",
    "ApprovalAsked",
    "ApprovalDecided",
    "ApprovalEscalated",
    "AttemptEnded",
    "BudgetAsked",
    "BudgetGranted",
    "ChildLinked",
    "Event",
    "LetterDiscarded",
    "RunMoved",
    "RunReopened",
    "RunStarted",
    "RunSteered",
    "SignalReceived",
    "StepCarried",
    "StepEdited",
    "StepEnded",
    "StepMoved",
    "StepOpened",
    "StepReworked",
    "pack",
    "unpack",
]

FORMAT: Final = 1


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of the journal records."""


class RunStarted(Record, frozen=True, tag=1):
    """The run was accepted; everything needed to know what it is."""

    workflow: str
    def_hash: str
    input: bytes
    organization: str
    priority: int
    parent_run: int = 0
    parent_step: int = 0
    parent_seq: int = 0
    depth: int = 0
    forked_from: int = 0
    generation: int = 1
    labels: dict[str, str] = {}
    pots: Sequence[Pot] = ()
    """The budgets per run that it falls under: those of its parent, and its own."""
    requesters: Sequence[str] = ()
    """Who asked for the run; a child run was asked for by whoever asked for its parent."""
    lineage: Sequence[str] = ()
    """The names of the workflows above it, the outermost first."""


class RunMoved(Record, frozen=True, tag=2):
    """The run changed status; `output` and `error` are set when it ended."""

    status: int
    reason: str = ""
    by: str = ""
    output: bytes | None = None
    error: bytes | None = None


class StepOpened(Record, frozen=True, tag=3):
    """A step came to be, in its first status; in `running` its first attempt started."""

    no: int
    scope: int
    task: int
    kind: int
    status: int
    name: str = ""
    """The last part of the path, where it cannot be derived: map keys, durable functions."""
    index: int = -1
    count: int = 0
    """Items of a map."""
    wake_us: int = 0
    mark: int = 0
    """Fingerprint of the arguments of a durable function's step."""
    priority: int = 50


class StepMoved(Record, frozen=True, tag=4):
    """An open step changed status; into `running` means that an attempt started."""

    no: int
    status: int
    reason: str = ""
    wake_us: int = 0
    output: bytes | None = None
    """The result that is held back while a checkpoint after the step is pending."""


class StepEnded(Record, frozen=True, tag=5):
    """A step ended for this generation."""

    no: int
    status: int
    output: bytes | None = None
    error: bytes | None = None
    reason: str = ""


class AttemptEnded(Record, frozen=True, tag=6):
    """An attempt ended without ending its step."""

    no: int
    outcome: int
    error: bytes | None = None
    wake_us: int = 0
    """When the next attempt is due; 0: at once, as soon as there is room."""


class SignalReceived(Record, frozen=True, tag=7):
    """A signal arrived; it waits by name until a step takes it."""

    name: str
    payload: bytes


class ApprovalDecided(Record, frozen=True, tag=8):
    """A person (or a rule acting for one) decided an approval."""

    no: int
    decision: int
    by: str = ""
    comment: str = ""
    payload: bytes | None = None


class RunReopened(Record, frozen=True, tag=9):
    """A failed run was re-opened by `retry` or `skip`; these steps run again."""

    verb: str
    steps: Sequence[int]
    """Failed steps that are queued again as they are."""
    by: str = ""
    anew: Sequence[int] = ()
    """Failed members of graphs that are forgotten: condition, checkpoint and all come again."""


class ChildLinked(Record, frozen=True, tag=10):
    """A step started a child run."""

    no: int
    run_no: int


class StepCarried(Record, frozen=True, tag=11):
    """A rerun took over the result of a step of the run it was forked from."""

    path: str
    output: bytes


class ApprovalAsked(Record, frozen=True, tag=12):
    """A person was asked; the payload itself is in the approval's row."""

    no: int
    prompt: str
    payload_hash: str
    escalate_us: int = 0
    """When somebody else is told that it waits; 0: never."""
    expires_us: int = 0
    """When it is too late to answer; 0: never."""


class BudgetAsked(Record, frozen=True, tag=13):
    """A budget refused an attempt; a person is asked to grant these amounts on top."""

    no: int
    account: str
    budget: str
    cost_nano: int = 0
    tokens: int = 0
    calls: int = 0
    time_us: int = 0


class BudgetGranted(Record, frozen=True, tag=14):
    """A person granted what was asked; only this run can use it."""

    no: int
    account: str
    cost_nano: int = 0
    tokens: int = 0
    calls: int = 0
    time_us: int = 0
    by: str = ""


class ApprovalEscalated(Record, frozen=True, tag=15):
    """Nobody answered in time; `to` is told, and may answer as well."""

    no: int
    to: str


class StepReworked(Record, frozen=True, tag=16):
    """A person sent a result back: the step is forgotten, so that its graph opens it anew."""

    no: int
    comment: str = ""


class StepEdited(Record, frozen=True, tag=17):
    """An operator gave the step at `path` other arguments, for this and later generations."""

    path: str
    arguments: bytes
    by: str = ""


class AgentsReplaced(Record, frozen=True, tag=18):
    """An operator let other agents stand in: slug, or path of a step → slug."""

    agents: dict[str, str]
    by: str = ""


class RunSteered(Record, frozen=True, tag=20):
    """An operator told an open run to go on with a step, or without it."""

    verb: str
    step: str = ""
    by: str = ""


class LetterDiscarded(Record, frozen=True, tag=19):
    """An operator gave up a parked step."""

    no: int
    by: str = ""


Event = (
    RunStarted
    | RunMoved
    | StepOpened
    | StepMoved
    | StepEnded
    | AttemptEnded
    | SignalReceived
    | ApprovalDecided
    | RunReopened
    | ChildLinked
    | StepCarried
    | ApprovalAsked
    | BudgetAsked
    | BudgetGranted
    | ApprovalEscalated
    | StepReworked
    | StepEdited
    | AgentsReplaced
    | LetterDiscarded
    | RunSteered
)

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(tuple[int, list[Event]])


def pack(at_us: int, events: Sequence[Event]) -> bytes:
    """Return the journal body of one tick: its time and its events."""
    return _ENCODER.encode((at_us, events))


def unpack(body: bytes) -> tuple[int, list[Event]]:
    """Return time and events of a journal body; raises `msgspec.DecodeError` on damage."""
    return _DECODER.decode(body)
