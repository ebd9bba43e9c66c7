"""Manual recovery: retry, skip and discard, and how a failed run is opened again.

A failed run goes on in place, one generation further. Who retries cannot get around a person:
what was changed behind an approval asks again, and so does a substitute for what asks.
"""

from typing import Final

from podium.core import events as ev
from podium.core.approvals import REJECTED
from podium.core.gates import hold, is_behind_gate, is_gate, is_gate_step
from podium.core.messages import Discard, Retry, Skip
from podium.core.nudging import nudge
from podium.core.payload import decode_error
from podium.core.plan import NO_BLOCK
from podium.core.recovery import (
    below_or_self,
    consequences,
    culprits,
    failed_at,
    is_below,
    path_of,
)
from podium.core.refusals import Refused, wrong_state
from podium.core.state import NULL, ROOT, Step
from podium.core.states import RUN_VERBS, RunStatus, StepStatus
from podium.core.turn import Turn
from podium.errors import did_you_mean

__all__ = ["discard", "give_up_parked", "refill", "refused_in", "reopen", "retry", "skip"]

_GOING: Final = frozenset({RunStatus.RUNNING, RunStatus.WAITING})


def refused_in(turn: Turn, verb: str) -> Refused | None:
    """Return why the run does not take `verb` in its status, or None if it does."""
    status = turn.state.status
    if status in RUN_VERBS[verb]:
        return None
    return wrong_state(f"the run is {status.label}")


def retry(turn: Turn, message: Retry) -> Refused | None:
    """Run failed steps again in place, as a new generation of the same run.

    Failed members of a graph are considered anew, with their condition and their checkpoint:
    an approval holds for the generation it was given in. So is what ran because of the failure.
    """
    if turn.state.status in _GOING:
        return nudge(turn, message)
    steps = _wanted(turn, message)
    if isinstance(steps, Refused):
        return steps
    refusal = _unchangeable(turn, message, steps)
    if refusal is not None:
        return refusal
    if message.arguments is not None:
        turn.emit(ev.StepEdited(steps[0].path, message.arguments, message.by))
    if message.agents:
        turn.emit(ev.AgentsReplaced(message.agents, message.by))
    _run_again(turn, message.by, steps)
    return None


def _wanted(turn: Turn, message: Retry) -> list[Step] | Refused:
    refusal = refused_in(turn, "retry")
    if refusal is not None:
        return refusal
    if not message.step and not message.step_no:
        return culprits(turn)
    path = path_of(turn, message)
    step = path if isinstance(path, Refused) else failed_at(turn, path)
    return step if isinstance(step, Refused) else below_or_self(turn, step)


def _run_again(turn: Turn, by: str, steps: list[Step]) -> None:
    after = consequences(turn, steps)
    # What lies below a step that is forgotten comes again with it.
    steps = [step for step in steps if not is_below(turn, step, after)]
    members = [step.no for step in steps if _is_member(turn, step)]
    others = [step.no for step in steps if step.no not in members]
    _reopen(turn, "retry", by, steps=others, anew=[*members, *after])


def _is_member(turn: Turn, step: Step) -> bool:
    """Return whether a graph opens this step: a map or a durable function never does it twice."""
    return not turn.state.is_code and turn.state.steps[step.scope].graph is not None


def reopen(turn: Turn, verb: str, by: str, step: Step) -> None:
    """Open the run again for one failed step, which the caller then ends."""
    _reopen(turn, verb, by, steps=[step.no], anew=consequences(turn, [step]))


def _reopen(turn: Turn, verb: str, by: str, *, steps: list[int], anew: list[int]) -> None:
    turn.facts.values.clear()
    parked = dict(turn.state.parked)
    turn.emit(ev.RunReopened(verb, steps, by, anew))
    status = "discarded" if verb == "skip" else "replayed"
    gone = [no for no in parked if no not in turn.state.parked]
    turn.letters += tuple((no, parked[no], status) for no in gone)
    turn.move_run(RunStatus.RUNNING, reason=verb, by=by)
    if not turn.state.is_code:
        for step in turn.state.steps.values():
            if step.graph is not None and step.status is StepStatus.RUNNING:
                members = turn.plan.by_block[NO_BLOCK if step.no == ROOT else step.task]
                turn.ready.extend((step.no, task) for task in members)
        _remind(turn)
    refill(turn)


def refill(turn: Turn) -> None:
    """Let every open map look again for items that it may open."""
    for step in turn.state.steps.values():
        if step.fan is not None and step.status is StepStatus.RUNNING:
            turn.fills.append(step.no)


def _remind(turn: Turn) -> None:
    """Let open containers with nothing open below them look again whether they are done."""
    for step in turn.state.steps.values():
        if step.status is not StepStatus.RUNNING:
            continue
        if step.graph is not None and step.graph.members and not step.graph.open:
            turn.ended.append((step.no, next(iter(step.graph.members)), StepStatus.COMPLETED))
        elif step.fan is not None and step.fan.cursor and not step.fan.open:
            turn.ended.append((step.no, step.task, StepStatus.COMPLETED))


# -- changes that come with a retry ------------------------------------------------------------


def _unchangeable(turn: Turn, message: Retry, steps: list[Step]) -> Refused | None:
    """Return why the modifications of a retry cannot be made, or None if they can."""
    if message.arguments is None and not message.agents:
        return None
    if turn.state.is_code:
        return wrong_state("a durable function itself says what its steps get")
    if message.arguments is not None:
        refusal = _uneditable(turn, steps)
        if refusal is not None:
            return refusal
    refusals = (_irreplaceable(turn, *pair) for pair in message.agents.items())
    return next((refusal for refusal in refusals if refusal is not None), None)


def _uneditable(turn: Turn, steps: list[Step]) -> Refused | None:
    if len(steps) != 1:
        sentence = f"{len(steps)} steps failed, and the arguments are for one: name it"
        return Refused("step_needed", sentence)
    step = steps[0]
    if step.fan is not None or step.graph is not None:
        return wrong_state(f"{step.path!r} runs several steps, so there are no arguments to change")
    # A graph asks when it opens the step anew. An item of a map is not opened anew.
    if not _is_member(turn, step) and _is_approved(turn, step.task):
        return _approval_needed(step.path)
    return None


def _irreplaceable(turn: Turn, old: str, new: str) -> Refused | None:
    known = turn.plan.workflow.agents or {}
    if new not in known:
        hint = did_you_mean(new, list(known), what="agent")
        return Refused("unknown_agent", f"the agent {new!r} is not declared ({hint.rstrip('.?')})")
    used = [planned for planned in turn.plan.tasks if planned.task.uses == f"agent:{old}"]
    place = turn.state.paths.get(old)
    if place is None and not used:
        return Refused("unknown_agent", f"no step of the run is {old!r} or runs an agent {old!r}")
    tasks = {planned.index for planned in used} if place is None else {turn.state.steps[place].task}
    for step in turn.state.steps.values():
        is_in_place = step.task in tasks and not _is_member(turn, step)
        if is_in_place and _is_approved(turn, step.task):
            return _approval_needed(step.path)
    return None


def _is_approved(turn: Turn, task: int) -> bool:
    return is_gate(turn.plan.tasks[task].task) or is_behind_gate(turn.plan, task)


def _approval_needed(path: str) -> Refused:
    sentence = f"{path!r} is part of what a person has approved: fork the run instead"
    return Refused("approval_needed", sentence)


# -- skip --------------------------------------------------------------------------------------


def skip(turn: Turn, message: Skip) -> Refused | None:
    """Take a substitute output for a step and go on; one that asks a person asks about that."""
    refusal = refused_in(turn, "skip")
    if refusal is not None:
        return refusal
    is_failed = turn.state.status is RunStatus.FAILED
    step = _failed_step(turn, message) if is_failed else _resting_step(turn, message)
    if isinstance(step, Refused):
        return step
    asks = is_gate_step(turn, step) or _was_rejected(step)
    if is_failed:
        reopen(turn, "skip", message.by, step)
    else:
        turn.emit(ev.RunSteered("skip", step.path, message.by))
        if step.child_run:
            turn.let_go(step, step.child_run, "parent skipped it")
    output = message.output if message.output is not None else NULL
    if asks:
        prompt = f"Go on without {step.path}, with this as its output?"
        hold(turn, step, output=output, reason="substitute", prompt=prompt)
    else:
        turn.end_step(step, StepStatus.SKIPPED, output=output, reason="operator")
    return None


def _was_rejected(step: Step) -> bool:
    """Return whether a person has said no to what the step did, such as inside its child run."""
    return step.error is not None and decode_error(step.error).code == REJECTED


def _failed_step(turn: Turn, message: Skip) -> Step | Refused:
    if message.step or message.step_no:
        path = path_of(turn, message)
        return path if isinstance(path, Refused) else failed_at(turn, path)
    none = wrong_state("no step has failed")
    return next(reversed(culprits(turn)), none)


def _resting_step(turn: Turn, message: Skip) -> Step | Refused:
    """Return the open step of an open run that can be skipped, or why it cannot."""
    if not message.step and not message.step_no:
        return Refused("step_needed", "the run is open: name the step to skip")
    path = path_of(turn, message)
    if isinstance(path, Refused):
        return path
    step = turn.state.steps[turn.state.paths[path]]
    if step.no in turn.state.approvals:
        return wrong_state(f"step {path!r} waits for a person: decide the approval")
    is_many = step.fan is not None or step.graph is not None
    if is_many or not step.status.is_open or step.status is StepStatus.RUNNING:
        return wrong_state(f"step {path!r} is {step.status.label}")
    return step


# -- dead letters ------------------------------------------------------------------------------


def discard(turn: Turn, message: Discard) -> Refused | None:
    """Take a step from the dead letters for good; its run stays as it is."""
    path = turn.state.parked.get(message.step_no)
    if path is None:
        return wrong_state("it is not parked (any more)")
    _discard(turn, message.step_no, path, message.by)
    return None


def give_up_parked(turn: Turn) -> None:
    """Discard every parked step of a run that will never go on."""
    for no, path in list(turn.state.parked.items()):
        _discard(turn, no, path)


def _discard(turn: Turn, no: int, path: str, by: str = "") -> None:
    turn.emit(ev.LetterDiscarded(no, by))
    turn.letters += ((no, path, "discarded"),)
