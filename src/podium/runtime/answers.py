"""What the engine says to those who ask for what a run cannot give."""

from collections.abc import Mapping
from typing import Final

from podium.core.ids import run_id
from podium.core.messages import Decide, Discard, Mail
from podium.core.states import RunStatus, allowed_verbs
from podium.errors import AccessError, ConflictError, NotFoundError, PodiumError
from podium.ports.store import OutcomeRow

__all__ = ["accepted", "unknown_run"]


def unknown_run(run_no: int) -> NotFoundError:
    """Return the error for a run that is not in the store."""
    return NotFoundError(
        f"The run {run_id(run_no)} does not exist in this store.",
        fix="List the runs with `podium runs list`, or name another store with --store.",
    )


def unknown_step(step: str, run: str) -> NotFoundError:
    """Return the error for a step that a run does not have."""
    return NotFoundError(
        f"The run {run} has no step {step!r}.",
        fix=f"List its steps with `podium runs show {run}`.",
        code="PDM-R408",
    )


def accepted(run_no: int, mail: Mail, outcome: OutcomeRow) -> OutcomeRow:
    """Return the outcome of a message the run took; raises what says why it refused.

    `ConflictError` (with the run's state and the verbs it takes now), but `NotFoundError` for a
    step the run never had, and `AccessError` for an approval that takes a second person.
    """
    if not outcome.applied:
        raise _refused(run_no, mail, outcome)
    return outcome


CODES: Final[Mapping[str, str]] = {
    "wrong_state": "PDM-C001",
    "stale": "PDM-C002",
    "recovery_in_flight": "PDM-C003",
    "approval_needed": "PDM-C004",
    "step_needed": "PDM-C005",
    "unknown_agent": "PDM-C006",
    "already_decided": "PDM-C020",
    "approval_expired": "PDM-C021",
    "payload_changed": "PDM-C022",
}
"""The code of each word a run refuses with; the others are no conflicts."""

_FIXES: Final[Mapping[str, str]] = {
    "stale": "Look at the run again, and decide on what it is now.",
    "recovery_in_flight": "Wait for it: `podium runs explain {run}` says where the run is.",
    "approval_needed": "Fork it from there, and it asks again: `podium runs rerun {run} --from …`.",
    "step_needed": "Name one: `podium runs show {run}` lists the steps.",
    "unknown_agent": "Declare the agent under `agents:` and rerun with that version.",
    "already_decided": "See who decided what: `podium approvals list --all`.",
    "approval_expired": "Ask again: `podium runs retry {run}`.",
    "payload_changed": "Look at what is shown now, and decide on that.",
}


def _refused(run_no: int, mail: Mail, outcome: OutcomeRow) -> PodiumError:
    status = RunStatus(outcome.status)
    allowed = allowed_verbs(status)
    name = run_id(run_no)
    what = f"Cannot {_verb(mail)} {name}: {outcome.detail}."
    word = outcome.word or "wrong_state"
    if word == "unknown_step":
        fix = f"List its steps with `podium runs show {name}`."
        return NotFoundError(what, fix=fix, code="PDM-R408")
    if word == "four_eyes":
        return _same_eyes(what)
    again = f"Start a new run instead: `podium runs rerun {name}`."
    usual = f"Allowed now: {', '.join(allowed)}." if allowed else again
    return ConflictError(
        what,
        why=f"The run is {status.label}.",
        fix=_FIXES.get(word, usual).format(run=name),
        code=CODES.get(word, "PDM-C001"),
        code_word=word,
        state=status.label,
        allowed=allowed,
    )


def _verb(mail: Mail) -> str:
    if isinstance(mail, Decide):
        return f"{mail.decision} in"
    if isinstance(mail, Discard):
        return "discard a step of"
    return type(mail).__name__.lower()


def _same_eyes(what: str) -> AccessError:
    return AccessError(
        what,
        why="The task declares `four_eyes`: whoever asked for the run cannot approve it.",
        fix="Let somebody else decide.",
        code="PDM-R195",
        code_word="four_eyes",
    )
