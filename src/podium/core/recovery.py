"""Which steps a retry or a skip is about: those that made the run fail, and no others."""

from collections.abc import Collection, Iterator

from podium.core.definition import JoinKind
from podium.core.messages import Retry, Skip
from podium.core.payload import decode_error
from podium.core.refusals import Refused, wrong_state
from podium.core.state import ROOT, Step
from podium.core.states import StepStatus
from podium.core.turn import Turn

__all__ = ["below_or_self", "consequences", "culprits", "failed_at", "is_below", "path_of"]

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


def path_of(turn: Turn, message: Retry | Skip) -> str | Refused:
    """Return the path of the step that a message names, by path or by number."""
    state = turn.state
    if not message.step_no:
        return message.step if message.step in state.paths else _no_such(turn, message.step)
    step = state.steps.get(message.step_no)
    if step is not None and step.no != ROOT:
        return step.path
    if message.step_no >= state.next_no:
        return Refused("unknown_step", f"the run has no step number {message.step_no}")
    return Refused("stale", f"step number {message.step_no} was opened anew since, or completed")


def _no_such(turn: Turn, path: str) -> Refused:
    name = path.partition("/")[0].partition("[")[0]
    if name in {turn.plan.tasks[index].name for index in turn.plan.roots}:
        return wrong_state(f"step {path!r} has not begun, or has completed")
    return Refused("unknown_step", f"the run has no step {path!r}")


def failed_at(turn: Turn, path: str) -> Step | Refused:
    """Return the failed step at `path`, or why it cannot be taken up again."""
    steps = turn.state.steps
    step = steps.get(turn.state.paths.get(path, -1))
    if step is None or step.status is not StepStatus.FAILED:
        return wrong_state(f"step {path!r} has not failed")
    at = step
    while at.scope != ROOT:
        at = steps[at.scope]
        if at.status not in _GOES_ON:
            sentence = f"step {path!r} is part of {at.path!r}, which {at.status.label} without it"
            return wrong_state(sentence)
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


def consequences(turn: Turn, reopened: list[Step]) -> list[int]:
    """Return the numbers of the ended steps that took the failure of `reopened` for an answer.

    A clean-up with `join: all_done` ran on what the failure left behind; when the failure is
    undone, what it cleaned up comes again, and so must it. The same goes for all that depends
    on it, and for what depends on a block or map around the failure. Tasks that did not wait
    for the failed one (`any`, `at_least`) have nothing to correct.
    """
    found: dict[int, None] = {}
    for step in reopened:
        at = step
        while at.no != ROOT:
            scope = turn.state.steps[at.scope]
            if scope.graph is not None and at.task >= 0:
                _collect_dependents(turn, scope, at.task, found)
            at = scope
    known = {step.no for step in reopened}
    steps = turn.state.steps
    return [no for no in found if no not in known and not is_below(turn, steps[no], found)]


def is_below(turn: Turn, step: Step, numbers: Collection[int]) -> bool:
    """Return whether one of the containers around `step` is among `numbers`."""
    while step.scope != ROOT:
        if step.scope in numbers:
            return True
        step = turn.state.steps[step.scope]
    return False


def _collect_dependents(turn: Turn, scope: Step, task: int, found: dict[int, None]) -> None:
    members = scope.graph.members if scope.graph is not None else {}
    waiting = [task]
    while waiting:
        for dependent in turn.plan.tasks[waiting.pop()].dependents:
            number = members.get(dependent)
            planned = turn.plan.tasks[dependent]
            if number is None or number in found or planned.task.join.kind not in _WAITS_FOR_ALL:
                continue
            found[number] = None
            waiting.append(dependent)


_WAITS_FOR_ALL = frozenset({JoinKind.ALL, JoinKind.ALL_DONE})


def _last_unhandled(turn: Turn) -> list[Step]:
    """Return the failure that a durable function let through: earlier ones it has handled."""
    state = turn.state
    ended = [state.steps[no] for no in reversed(state.ended)]
    failed = [step for step in ended if step.status is StepStatus.FAILED]
    if not failed or state.error is None or decode_error(state.error).code in _NOT_A_STEP:
        return []
    last = next((step for step in failed if step.error == state.error), failed[0])
    return below_or_self(turn, last)
