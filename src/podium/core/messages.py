"""What a run can be told. Messages from outside travel through the durable inbox.

Encoded as MessagePack maps with a `type`, so that an older engine refuses what it does not
know instead of misreading it.
"""

from typing import Final

import msgspec

from podium.core.definition import Task
from podium.core.receipts import Appeal, Receipt
from podium.core.states import AttemptOutcome, StepKind

__all__ = [
    "Abort",
    "AttemptDone",
    "Cancel",
    "ChildEnded",
    "ChildStarted",
    "CodeCancel",
    "CodeFinished",
    "CodeStep",
    "Continue",
    "Decide",
    "Discard",
    "Interrupted",
    "Mail",
    "Message",
    "Pause",
    "Resume",
    "Retry",
    "Signal",
    "Skip",
    "Wake",
    "decode_mail",
    "encode_mail",
]


class Mailed(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Base of the messages that may come from another process."""

    by: str = ""
    """Who asked, for the audit trail."""
    seen_seq: int = 0
    """The last event of the run that the sender saw: refused as stale if there were more since.
    0: whatever has happened."""


class Cancel(Mailed, frozen=True, kw_only=True):
    """Stop cooperatively: attempts are asked to stop, nothing new starts."""

    reason: str = ""


class Abort(Mailed, frozen=True, kw_only=True):
    """Stop now: attempts are cut off, nothing is cleaned up."""

    reason: str = ""


class Pause(Mailed, frozen=True, kw_only=True):
    """Start nothing more; what runs may end."""


class Resume(Mailed, frozen=True, kw_only=True):
    """Go on after a pause."""


class Retry(Mailed, frozen=True, kw_only=True):
    """Run failed steps again: `step` by path or by number, or all that failed.

    To a run that is open it says: try again now what only waits for its turn.
    """

    step: str = ""
    step_no: int = 0
    arguments: bytes | None = None
    """Arguments to take instead: an object is merged into those of the definition."""
    agents: dict[str, str] = {}
    """Agents that stand in from now on: slug, or path of a step → slug."""


class Skip(Mailed, frozen=True, kw_only=True):
    """Take `output` for the failed step `step` (or the last one that failed) and go on."""

    step: str = ""
    step_no: int = 0
    output: bytes | None = None


class Signal(Mailed, frozen=True, kw_only=True):
    """Deliver `payload` under `name`; kept until a step waits for it."""

    name: str
    payload: bytes


class Decide(Mailed, frozen=True, kw_only=True):
    """Decide the approval of step `step_no`; refused unless `payload_hash` is what was shown."""

    step_no: int
    decision: str
    """approve, reject, edit or rework (reject, and do it again)."""
    payload_hash: str = ""
    comment: str = ""
    payload: bytes | None = None
    """The edited payload, for `edit`."""


class Discard(Mailed, frozen=True, kw_only=True):
    """Give up the parked step `step_no`: nobody will replay it."""

    step_no: int


class ChildStarted(Mailed, frozen=True, kw_only=True):
    """The child run that step `step_no` asked for exists."""

    step_no: int
    run_no: int


class ChildEnded(Mailed, frozen=True, kw_only=True):
    """The child run started by step `step_no` ended."""

    step_no: int
    run_no: int
    status: int
    output: bytes | None = None
    error: bytes | None = None


class Continue(Mailed, frozen=True, kw_only=True):
    """Start the next life of the run with `input`.

    A run that continues as new sends this to itself with its last commit, and it is read only
    once the next life exists: a crash between the two loses nothing.
    """

    input: bytes


Mail = (
    Cancel
    | Abort
    | Pause
    | Resume
    | Retry
    | Skip
    | Signal
    | Decide
    | Discard
    | ChildStarted
    | ChildEnded
    | Continue
)


class AttemptDone(msgspec.Struct, frozen=True, gc=False):
    """An attempt ended on this node. `dice` in [0, 1) is the chance for the retry delay."""

    step_no: int
    attempt: int
    outcome: AttemptOutcome
    output: bytes | None = None
    error: bytes | None = None
    dice: float = 0.0
    receipt: Receipt | None = None
    """What it spent, however it ended."""
    appeal: Appeal | None = None
    """Set if a budget refused it and declares that a person is asked."""


class Wake(msgspec.Struct, frozen=True, gc=False):
    """Look at the clock, at the queue, and at what there is room for."""


class Interrupted(msgspec.Struct, frozen=True, gc=False):
    """The run came to a new home: attempts shown as running were cut off."""

    died: bool = True
    """Whether the old home died; one that left in good order costs no recovery."""


class CodeStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A durable function asks for a step it has not asked for before."""

    path: str
    kind: StepKind
    task: Task
    mark: int = 0
    count: int = 0
    keys: tuple[str, ...] = ()
    wake_us: int = 0
    """A time to wake at (sleep) or to give up at (signal, approval)."""
    value: bytes | None = None
    """The recorded value, for `VALUE` steps."""
    signal: str = ""
    prompt: str = ""
    payload: bytes | None = None
    workflow: str = ""
    """The child workflow to start, with `payload` as its input."""


class CodeCancel(msgspec.Struct, frozen=True, gc=False):
    """A durable function gave up these steps, because a sibling branch failed."""

    paths: tuple[str, ...]


class CodeFinished(msgspec.Struct, frozen=True, gc=False):
    """A durable function returned, raised, or asked to continue as new."""

    output: bytes | None = None
    error: bytes | None = None
    continue_input: bytes | None = None


Message = Mail | AttemptDone | Wake | Interrupted | CodeStep | CodeCancel | CodeFinished

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[Mail]] = msgspec.msgpack.Decoder(Mail)


def encode_mail(message: Mail) -> bytes:
    """Return the inbox form of a message."""
    return _ENCODER.encode(message)


def decode_mail(body: bytes) -> Mail:
    """Return the message of an inbox body; raises `msgspec.DecodeError` if it is unknown."""
    mail: Mail = _DECODER.decode(body)
    return mail
