"""Which steps a retry or a skip is about: those that made the run fail, and no others."""

from collections.abc import Iterator

from podium.core.payload import decode_error
from podium.core.state import ROOT, Step
from podium.core.states import StepStatus
from podium.core.turn import Turn

__all__ = ["below_or_self", "culprits", "failed_at"]

_GOES_ON = frozenset({StepStatus.FAILED, StepStatus.RUNNING, StepStatus.CANCELLED})
_NOT_A_STEP = frozenset({"PDM-T003", "PDM-T010", "PDM-T011"})
"""Errors of a durable function's run that no step is to blame for."""


def culprits(turn: Turn) -> list[Step]:
    """Return the steps whose failure made the run fail; none if no step did.

    Optional and tolerated failures are not among them. A container is, if nothing below it
    failed: its items could not be listed, or its loop never came to an end.
    """
    if turn.state.is_code:
        return _last_unhandled(turn)
    return list(_below(turn, turn.state.root))


def failed_at(turn: Turn, path: str) -> Step | str:
    """Return the failed step at `path`, or why it cannot be taken up again."""
    steps = turn.state.steps
    step = steps.get(turn.state.paths.get(path, -1))
    if step is None or step.status is not StepStatus.FAILED:
        return f"step {path!r} has not failed"
    at = step
    while at.scope != ROOT:
        at = steps[at.scope]
        if at.status not in _GOES_ON:
            return f"step {path!r} is part of {at.path!r}, which {at.status.label} without it"
    return step


def below_or_self(turn: Turn, step: Step) -> list[Step]:
    """Return what failed below a failed step, or the step if nothing did."""
    return list(_below(turn, step)) or [step]


def _below(turn: Turn, parent: Step) -> Iterator[Step]:
    for step in turn.state.children(parent):
        if step.status is not StepStatus.FAILED:
            continue
        if parent.graph is None or not turn.task_of(step).optional:
            yield from below_or_self(turn, step)


def _last_unhandled(turn: Turn) -> list[Step]:
    """Return the failure that a durable function let through: earlier ones it has handled."""
    state = turn.state
    ended = [state.steps[no] for no in reversed(state.ended)]
    failed = [step for step in ended if step.status is StepStatus.FAILED]
    if not failed or state.error is None or decode_error(state.error).code in _NOT_A_STEP:
        return []
    last = next((step for step in failed if step.error == state.error), failed[0])
    return below_or_self(turn, last)
