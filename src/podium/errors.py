"""Every error Podium raises: one tree, one base, a stable code, and three parts to read.

    PodiumError
    ├── DefinitionError     the workflow as written is wrong (author)            exit 2, 422
    ├── RequestError        the call is wrong (caller)                           exit 2, 400
    │   ├── AccessError     no key, or one that may not do this                  exit 2, 401/403
    │   ├── GoneError       it existed, and retention removed it                 exit 3, 410
    │   └── NotFoundError   the thing named does not exist                       exit 3, 404
    ├── ConflictError       right call, wrong moment (state, version, key)       exit 4, 409
    ├── StoreError          the store cannot be used (disk, lock, schema)        exit 5, 503
    ├── RunError            a run did not complete (user code, policy, person)   exit 1, 200
    │   ├── TaskError       what a task raised, carried over a process or a crash
    │   ├── ModelError      a language model did not answer
    │   ├── BudgetError     a budget has too little left
    │   └── NondeterminismError   a durable function changed under its journal
    └── InternalError       ours: please report                                  exit 70, 500

Each error says what happened, why, and how to fix it; `docs/errors/<code>.md` explains each code.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

import msgspec

__all__ = [
    "AccessError",
    "BudgetError",
    "ConflictError",
    "DefinitionError",
    "Fault",
    "GoneError",
    "InternalError",
    "ModelError",
    "NondeterminismError",
    "NotFoundError",
    "PodiumError",
    "RequestError",
    "RunError",
    "StoreError",
    "TaskError",
    "did_you_mean",
]

FAULTS_MAX: Final = 50


def did_you_mean(name: str, known: Sequence[str], *, what: str = "name") -> str:
    """Return a one-sentence suggestion for a misspelt `name` among the `known` ones."""
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    if not known:
        return f"No {what} exists yet."
    listed = ", ".join(sorted(known)[:12])
    return f"Known: {listed}{', …' if len(known) > 12 else ''}."


class PodiumError(Exception):
    """Base of all errors: `what` happened, `why`, and the `fix`."""

    code = "PDM-I000"
    status = 500
    exit_code = 70
    code_word = ""
    """The machine word of the API where the contract names one, such as `wrong_state`."""
    request_id = ""
    """The request that failed, on errors that came over HTTP: the server's log knows it."""
    retry_after_s = 0.0
    """How long to wait before asking again, where a server said so."""

    def __init__(self, what: str, *, why: str = "", fix: str = "", code: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        if code:
            self.code = code

    def __str__(self) -> str:
        """Return the three parts as aligned lines, as the CLI prints them."""
        indent = " " * (len(self.code) + 2)
        parts = [f"{self.code}  {self.what}"]
        parts += [indent + part for part in (self.why, self.fix) if part]
        return "\n".join(parts)


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong in a definition, with its place in the text (1-based; 0 if unknown)."""

    code: str
    message: str
    why: str = ""
    fix: str = ""
    line: int = 0
    column: int = 0
    pointer: str = ""
    warning: bool = False

    def __str__(self) -> str:
        """Return `line:column: code message fix`, the form editors can jump to."""
        place = f"{self.line}:{self.column}: " if self.line else ""
        where = f" (at {self.pointer})" if self.pointer else ""
        hints = "".join(f"\n    {part}" for part in (self.why, self.fix) if part)
        return f"{place}{self.code} {self.message}{where}{hints}"


class DefinitionError(PodiumError):
    """A workflow definition is invalid; `faults` lists everything found, at most 50."""

    code = "PDM-D000"
    status = 422
    exit_code = 2

    def __init__(self, faults: Sequence[Fault], *, source: str = "definition") -> None:
        self.faults = tuple(faults[:FAULTS_MAX])
        self.source = source
        count = len(faults)
        head = f"{source} has {count} fault{'s' if count != 1 else ''}."
        super().__init__(head, code=self.faults[0].code if count == 1 else "")

    def __str__(self) -> str:
        """Return the headline and then every fault with its place."""
        told = [f"  {self.source}:{each}" if each.line else f"  {each}" for each in self.faults]
        return "\n".join([f"{self.code}  {self.what}", *told])


class RequestError(PodiumError):
    """The caller asked for something malformed; asking again unchanged fails again."""

    code = "PDM-R000"
    status = 400
    exit_code = 2


class AccessError(RequestError):
    """Who asks is unknown (401), or known and not allowed to (403)."""

    code = "PDM-R110"
    status = 403

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        fix: str = "",
        code: str = "",
        code_word: str = "forbidden",
        status: int = 403,
    ) -> None:
        super().__init__(what, why=why, fix=fix, code=code)
        self.code_word = code_word
        self.status = status


class NotFoundError(RequestError):
    """The named run, step, workflow or approval does not exist."""

    code = "PDM-R404"
    status = 404
    exit_code = 3


class GoneError(RequestError):
    """What was asked for existed, and retention removed it."""

    code = "PDM-R415"
    status = 410
    exit_code = 3
    code_word = "gone"


class ConflictError(PodiumError):
    """The request is well-formed but the state does not allow it now."""

    code = "PDM-C000"
    status = 409
    exit_code = 4

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        fix: str = "",
        code: str = "",
        code_word: str = "",
        state: str = "",
        allowed: Sequence[str] = (),
    ) -> None:
        super().__init__(what, why=why, fix=fix, code=code)
        self.code_word = code_word
        self.state = state
        """Where the run or the approval stands."""
        self.allowed = tuple(allowed)
        """The verbs it takes now."""


class StoreError(PodiumError):
    """The store cannot be opened, read or written; nothing acknowledged is lost."""

    code = "PDM-S000"
    status = 503
    exit_code = 5


class RunError(PodiumError):
    """A run ended other than `completed`; carries the run id and its error record."""

    code = "PDM-T000"
    status = 200
    exit_code = 1


class TaskError(RunError):
    """What a task raised, as recorded: `kind` is the class name of the original error."""

    code = "PDM-T001"

    def __init__(self, what: str, *, kind: str = "Error", why: str = "", fix: str = "") -> None:
        super().__init__(what, why=why, fix=fix)
        self.kind = kind
        self.record: object = None


class NondeterminismError(RunError):
    """A durable function asked for other steps than its journal holds."""

    code = "PDM-T010"


class ModelError(RunError):
    """A call of a language model failed for good: no retry and no fallback is left.

    `kind` is the last `FaultKind`; `is_transient` tells whether the same call may succeed later.
    """

    code = "PDM-M000"

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        fix: str = "",
        code: str = "",
        kind: str = "",
        is_transient: bool = False,
    ) -> None:
        super().__init__(what, why=why, fix=fix, code=code)
        self.kind = kind
        self.is_transient = is_transient


class BudgetError(RunError):
    """A budget has too little left for what was asked; nothing was sent.

    `outcome` is what the budget declares: deny, downgrade, pause or partial.
    """

    code = "PDM-B000"

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        fix: str = "",
        code: str = "",
        outcome: str = "deny",
        budget: str = "",
    ) -> None:
        super().__init__(what, why=why, fix=fix, code=code)
        self.outcome = outcome
        self.budget = budget
        """The budget that is spent, as `podium budgets list` names it."""


class InternalError(PodiumError):
    """An invariant of Podium was broken: our fault; the message asks for a report."""

    code = "PDM-I001"
