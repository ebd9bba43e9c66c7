"""What operating a store takes beside running: captured logs, counts, and taking old runs away.

Nothing here decides about runs. Logs are kept beside the journal: a crash may lose the last
lines, never a result.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

__all__ = ["LogRow", "OpenCount", "Operation"]


class LogRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line that an attempt printed or logged."""

    run_no: int
    step: str
    """Path of the step."""
    attempt: int
    at_us: int
    level: str
    """debug, info, warn, error, stdout or stderr."""
    source: str
    """Name of the logger; empty for what was printed."""
    text: str
    number: int = 0
    """Place in the order of all lines, given by the store: the cursor."""


class OpenCount(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How many open runs a workflow has in one status."""

    organization: str
    workflow: str
    status: int
    """`core.states.RunStatus`."""
    count: int


class Operation(Protocol):
    """See the module docstring."""

    async def write_logs(self, lines: Sequence[LogRow]) -> None:
        """Keep lines in this order, in one transaction; their `number` is chosen here."""

    async def logs(
        self, run_no: int, *, step: str = "", after: int = 0, limit: int = 1000
    ) -> Sequence[LogRow]:
        """Return lines of a run, or of one of its steps, with `number > after`, in order."""

    async def prune_logs(self, *, before_us: int, limit: int) -> int:
        """Forget up to `limit` lines older than that, oldest first; return how many."""

    async def open_counts(self, organization: str = "") -> Sequence[OpenCount]:
        """Return how many open runs there are; reads open runs only, however many have ended."""

    async def runs_past(self, before_us: Mapping[int, int], *, limit: int) -> Sequence[int]:
        """Return closed runs to forget, oldest first; `before_us` is a time for each status.

        Such a run was created and ended before the time of its status, no process holds it,
        and the run that started it, if any, is closed.
        """

    async def forget_runs(self, run_nos: Sequence[int]) -> Sequence[int]:
        """Take closed runs out of the store in one short transaction; return which went.

        They are gone for every reader at once; their idempotency keys are free. What was
        theirs is taken away by `sweep_forgotten`. The ledger stays: money is not forgotten.
        """

    async def sweep_forgotten(self, *, limit: int) -> int:
        """Take away up to about `limit` rows of forgotten runs; return how many went."""
