"""Where a person stands between a task and what comes after it.

What was approved must be what happens. So whoever changes something behind a gate from outside
(other arguments, another agent, a substitute output, a result taken over from another run) makes
the run ask again, and never gets around the question.
"""

from podium.core.definition import Checkpoint, Task
from podium.core.plan import NO_BLOCK, Plan, PlannedTask
from podium.core.state import RunState, Step
from podium.core.states import StepKind, StepStatus
from podium.core.turn import Turn

__all__ = ["hold", "is_behind_gate", "is_edited", "is_gate", "is_gate_step", "will_feed_work"]


def is_gate(task: Task) -> bool:
    """Return whether a person is asked about the task itself or about one inside it."""
    if task.checkpoint is not Checkpoint.NONE or task.uses == "approval":
        return True
    return any(is_gate(inner) for inner in task.tasks)


def is_gate_step(turn: Turn, step: Step) -> bool:
    """Return whether `step` cannot be got around without a person."""
    return step.kind is StepKind.APPROVAL or is_gate(turn.task_of(step))


def is_behind_gate(plan: Plan, index: int) -> bool:
    """Return whether a person has had to approve something before the task could open."""
    waiting, seen = [index], {index}
    while waiting:
        planned = plan.tasks[waiting.pop()]
        around = [] if planned.block == NO_BLOCK else [planned.block]
        before = [dep for dep in planned.deps if is_gate(plan.tasks[dep].task)]
        opened = [no for no in around if plan.tasks[no].task.checkpoint is Checkpoint.BEFORE]
        if before or opened:
            return True
        further = {*planned.deps, *around} - seen
        seen |= further
        waiting.extend(further)
    return False


def is_edited(state: RunState, path: str, planned: PlannedTask) -> bool:
    """Return whether an operator gave the task at `path` other arguments or another agent."""
    if path in state.edits:
        return True
    kind, _, slug = planned.task.uses.partition(":")
    return kind == "agent" and (slug in state.stand_ins or path in state.stand_ins)


def will_feed_work(turn: Turn, planned: PlannedTask) -> bool:
    """Return whether a task that depends on `planned` runs anew in a run that was forked."""
    waiting, seen = list(planned.dependents), set(planned.dependents)
    while waiting:
        dependent = turn.plan.tasks[waiting.pop()]
        if dependent.name not in turn.state.carried:
            return True
        further = set(dependent.dependents) - seen
        seen |= further
        waiting.extend(further)
    return False


def hold(turn: Turn, step: Step, *, output: bytes, reason: str, prompt: str) -> None:
    """Keep an output of `step` back until a person has approved it."""
    turn.move_step(step, StepStatus.CHECKPOINT_PENDING, reason=reason, output=output)
    turn.ask(step, prompt=prompt, payload=output)
