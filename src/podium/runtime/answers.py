"""What the engine says to those who ask for what a run cannot give."""

from podium.core.ids import run_id
from podium.core.messages import Mail
from podium.core.states import RunStatus, allowed_verbs
from podium.errors import ConflictError, NotFoundError
from podium.ports.store import OutcomeRow

__all__ = ["accepted", "unknown_run"]


def unknown_run(run_no: int) -> NotFoundError:
    """Return the error for a run that is not in the store."""
    return NotFoundError(
        f"The run {run_id(run_no)} does not exist in this store.",
        fix="List the runs with `podium runs list`, or name another store with --store.",
    )


def accepted(run_no: int, mail: Mail, outcome: OutcomeRow) -> OutcomeRow:
    """Return the outcome of a message the run took; raises `ConflictError` if it refused."""
    if not outcome.applied:
        raise _refused(run_no, mail, outcome)
    return outcome


def _refused(run_no: int, mail: Mail, outcome: OutcomeRow) -> ConflictError:
    status = RunStatus(outcome.status)
    allowed = allowed_verbs(status)
    again = f"Start a new run instead: `podium runs rerun {run_id(run_no)}`."
    return ConflictError(
        f"Cannot {type(mail).__name__.lower()} {run_id(run_no)}: {outcome.detail}.",
        why=f"The run is {status.label}.",
        fix=f"Allowed now: {', '.join(allowed)}." if allowed else again,
        code="PDM-C001",
        state=status.label,
        allowed=allowed,
    )
