"""Results that are ready, and the checkpoint after a task that may hold them back."""

from podium.core.definition import Checkpoint
from podium.core.scope import output_of
from podium.core.state import Step
from podium.core.states import RunStatus, StepStatus
from podium.core.turn import Turn

__all__ = ["release"]


def release(turn: Turn, step: Step, *, output: bytes | None = None, reason: str = "") -> None:
    """End a step whose work succeeded, or ask a person before its result is let out."""
    if not _is_held(turn, step):
        turn.end_step(step, StepStatus.COMPLETED, output=output, reason=reason)
        return
    turn.move_step(step, StepStatus.CHECKPOINT_PENDING, reason="checkpoint", output=output)
    prompt = f"Release the result of {step.path}?"
    turn.ask(step, prompt=prompt, payload=output_of(turn, step))


def _is_held(turn: Turn, step: Step) -> bool:
    if step.task < 0 or turn.state.status is RunStatus.CANCELLING:
        return False
    if turn.task_of(step).checkpoint is not Checkpoint.AFTER:
        return False
    # A task is asked about once: the items of its map and the passes of its loop are not.
    parent = turn.state.steps[step.scope]
    return parent.fan is None or parent.task != step.task
