"""What the end of an attempt means for its step: done, again later, failed, parked."""

from typing import Final

import msgspec

from podium.core import events as ev
from podium.core.definition import OnLost
from podium.core.limits import due_us
from podium.core.messages import AttemptDone, Interrupted
from podium.core.payload import ErrorRecord, decode_error, encode_error, pack_value
from podium.core.receipts import Appeal
from podium.core.release import release
from podium.core.retry import delay_before_us, retries_allowed
from podium.core.state import Step
from podium.core.states import AttemptOutcome, RunStatus, StepKind, StepStatus
from podium.core.turn import Turn

__all__ = ["interrupt", "settle_attempt"]

_UNKNOWN: Final = ErrorRecord(code="PDM-T001", kind="Error", message="The attempt failed.")


def settle_attempt(turn: Turn, done: AttemptDone) -> bool:
    """Apply the end of an attempt; return False if it is not the one the step waits for.

    A result of an earlier attempt, or of a step that was cancelled meanwhile, changes nothing;
    but what it spent is spent.
    """
    turn.room += 1
    if done.receipt is not None:
        turn.receipts += (done.receipt,)
    step = turn.state.steps.get(done.step_no)
    if step is None or step.status is not StepStatus.RUNNING or step.attempts != done.attempt:
        return False
    if done.outcome is AttemptOutcome.SUCCEEDED:
        release(turn, step, output=done.output)
    elif turn.state.status is RunStatus.CANCELLING or done.outcome is AttemptOutcome.CANCELLED:
        turn.end_step(step, StepStatus.CANCELLED, error=done.error, reason="cancelled")
    elif done.appeal is not None:
        _appeal(turn, step, done.appeal)
    elif done.outcome in _SPENT:
        _failed(turn, step, done)
    else:
        _lost(turn, step, done.outcome, done.error)
    return True


_SPENT: Final = frozenset({AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT})


def _failed(turn: Turn, step: Step, done: AttemptDone) -> None:
    error = decode_error(done.error) if done.error is not None else _UNKNOWN
    policy = turn.retry_of(step)
    if not error.retryable or step.failures >= retries_allowed(policy, error.kind):
        turn.end_step(step, StepStatus.FAILED, error=done.error, reason=done.outcome.label)
        return
    delay = delay_before_us(
        step.failures + 1,
        policy=policy,
        dice=done.dice,
        kind=error.kind,
        retry_after_us=error.retry_after_us,
    )
    due = due_us(turn, step)
    if due and turn.clock_us + delay >= due:
        turn.end_step(step, StepStatus.FAILED, error=done.error, reason="total_timeout")
        return
    # A delay of zero still goes through `retrying` by the clock, so the wake is at least 1 µs.
    turn.emit(ev.AttemptEnded(step.no, done.outcome, done.error, turn.now_us + max(delay, 1)))
    turn.touched[step.no] = step


def _lost(turn: Turn, step: Step, outcome: AttemptOutcome, error: bytes | None) -> None:
    task = turn.task_of(step)
    if outcome is not AttemptOutcome.CRASHED and task.on_lost is OnLost.IN_DOUBT:
        _doubt(turn, step)
    elif outcome is not AttemptOutcome.PREEMPTED and step.recoveries >= task.max_recoveries:
        _park(turn, step, outcome)
    else:
        turn.emit(ev.AttemptEnded(step.no, outcome, error))


def _doubt(turn: Turn, step: Step) -> None:
    """Ask a person: nobody can tell whether the interrupted attempt had its effect."""
    turn.move_step(step, StepStatus.WAITING, reason="in_doubt")
    prompt = (
        f"The attempt of {step.path} was interrupted and may have had its effect. "
        "Approve to run it again, reject to fail it."
    )
    turn.ask(step, prompt=prompt, payload=b"\xc0")


def _appeal(turn: Turn, step: Step, appeal: Appeal) -> None:
    """Ask a person: a budget has too little left, and says that people may grant more."""
    asked, spent = appeal.asked, appeal.spent
    turn.move_step(step, StepStatus.WAITING, reason="budget")
    amounts = (asked.cost_nano, asked.tokens, asked.calls, asked.time_us)
    turn.emit(ev.BudgetAsked(step.no, appeal.account, appeal.budget, *amounts))
    shown = {
        "budget": appeal.budget,
        "account": appeal.account,
        "spent": msgspec.structs.asdict(spent),
        "asked": msgspec.structs.asdict(asked),
    }
    turn.ask(step, prompt=appeal.prompt, payload=pack_value(shown))


def _park(turn: Turn, step: Step, outcome: AttemptOutcome) -> None:
    error = ErrorRecord(
        code="PDM-T040",
        kind="RecoveriesSpent",
        message=f"Step {step.path!r} was interrupted {step.recoveries + 1} times.",
        why="Its process died each time (last outcome: "
        f"{outcome.label}), so the step may be what kills it.",
        fix="Look at memory and logs of the last attempt, then `podium runs retry RUN`.",
        step=step.path,
        retryable=False,
    )
    turn.end_step(step, StepStatus.FAILED, error=encode_error(error), reason="recoveries_spent")
    turn.parked += (step,)


def interrupt(turn: Turn, message: Interrupted) -> None:
    """Treat every attempt shown as running as cut off: the run just came to a new home."""
    outcome = AttemptOutcome.LOST if message.died else AttemptOutcome.PREEMPTED
    for step in list(turn.state.steps.values()):
        if step.status is StepStatus.RUNNING and step.kind is StepKind.TASK:
            if turn.state.status is RunStatus.CANCELLING:
                turn.end_step(step, StepStatus.CANCELLED, reason="cancelled")
            else:
                _lost(turn, step, outcome, None)
        elif step.fan is not None and step.status is StepStatus.RUNNING:
            turn.fills.append(step.no)
