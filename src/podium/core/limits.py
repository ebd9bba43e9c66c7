"""When a step is out of time, by the clock of its run, which stands still during a pause.

An operator who pauses a run for an afternoon must not find it failed by limits that nothing
could keep. Dates that were promised to somebody (a sleep, the end of a signal or an approval)
are dates of the calendar and do not move.
"""

from podium.core.definition import Task
from podium.core.payload import ErrorRecord
from podium.core.state import Step
from podium.core.states import StepKind, StepStatus
from podium.core.turn import Turn

__all__ = ["due_us", "expires_us", "is_late", "late", "limit_us"]


def _total_us(task: Task, kind: StepKind, parent: Step) -> int:
    """Return the total limit that a step of `kind` under `parent` keeps, in µs; 0 for none.

    A map leaves it to its items, of which each is a step like any other. A loop keeps it for
    all its passes together: a limit on each pass would never end it.
    """
    if kind is StepKind.MAP or parent.kind is StepKind.LOOP:
        return 0
    return task.timeouts.total_us or 0


def expires_us(turn: Turn, task: Task, kind: StepKind, parent: Step) -> int:
    """Return when a step that begins its work now reaches its total limit; 0 for never."""
    limit = _total_us(task, kind, parent)
    return turn.clock_us + limit if limit else 0


def due_us(turn: Turn, step: Step) -> int:
    """Return when a step that has begun reaches its total limit, by `Turn.clock_us`; 0: never."""
    limit = _total_us(turn.task_of(step), step.kind, turn.state.steps[step.scope])
    return step.started_us + step.held_us + limit if limit and step.started_us else 0


def is_late(turn: Turn, step: Step) -> bool:
    """Return whether a step that has begun is past its total limit."""
    return 0 < due_us(turn, step) <= turn.clock_us


def limit_us(
    turn: Turn, task: Task, status: StepStatus, parent: Step, step: Step | None = None
) -> int:
    """Return when a task step that is running or queued must have moved on; 0 for never.

    `step` is given if it was opened before: all its attempts share one total limit, and being
    queued for another attempt does not stop that clock.
    """
    begun = step is not None and step.started_us > 0
    total = due_us(turn, step) if step is not None and begun else 0
    if status is StepStatus.RUNNING:
        return total if begun else expires_us(turn, task, StepKind.TASK, parent)
    queue_us = task.timeouts.queue_us
    queue = turn.clock_us + queue_us if queue_us else 0
    return min(queue, total) if queue and total else queue or total


def late(step: Step, what: str) -> ErrorRecord:
    """Return the error of a step that reached its limit `what`, such as "queue timeout"."""
    return ErrorRecord(
        code="PDM-T002",
        kind="TimeoutError",
        message=f"Step {step.path!r} reached its {what}.",
        why="The limit is declared on the task (or on its group).",
        fix="Raise the limit, or find out with `podium runs explain` what it waited for.",
        step=step.path,
        retryable=False,
    )
