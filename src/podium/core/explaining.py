"""Why a step, or a run, is where it is: who or what holds it, since when, and what to do.

Pure: a function of the folded state. There is an answer for every open status; a test walks
through all of them.
"""

from typing import Final

import msgspec

from podium.core.ids import approval_id, approval_no, run_id
from podium.core.payload import decode_error
from podium.core.plan import NO_BLOCK, Plan
from podium.core.state import ROOT, RunState, Step
from podium.core.states import RunStatus, StepKind, StepStatus

__all__ = ["Because", "Moment", "explain_run_state", "explain_step", "explain_unborn", "unborn"]


class Because(msgspec.Struct, kw_only=True):
    """A reason, for programs and for people."""

    code: str
    """What it waits for, as one word: approval, signal, timer, child, retrying, …"""
    sentence: str
    blocker: str = ""
    """What holds it, by name: an approval, a signal, a child run, a limit, tasks before it."""
    holder: str = ""
    """Who has that in hand: a process, a person, a run."""
    since_us: int | None = None
    expected_us: int | None = None
    """When it goes on by itself; None: nobody can know."""
    fix: str = ""


class Moment(msgspec.Struct, frozen=True):
    """What is known besides the state."""

    plan: Plan
    owner: str
    """The live process that drives the run; "" for none."""
    now_us: int


def explain_run_state(state: RunState, at: Moment, due_us: int | None) -> Because | None:
    """Return what holds the run as a whole, whatever its steps do; None if nothing does."""
    run, since_us = run_id(state.run_no), state.started_us or state.created_us
    match state.status:
        case RunStatus.PAUSED:
            return Because(
                code="paused",
                sentence="It was paused and starts nothing new.",
                blocker="pause",
                holder=state.held_by or "an operator",
                since_us=state.paused_since_us,
                expected_us=due_us,
                fix=f"podium runs resume {run}",
            )
        case RunStatus.QUEUED | RunStatus.PLANNING:
            return Because(
                code="no_engine",
                sentence="It waits for an engine to take it.",
                blocker="engine",
                holder=at.owner or "nobody",
                since_us=state.created_us,
                expected_us=due_us,
                fix="podium recover",
            )
        case RunStatus.CANCELLING | RunStatus.COMPENSATING if at.owner:
            return _stopping(state, at, run)
    if at.owner or due_us is None or due_us > at.now_us:
        return None
    late = (at.now_us - due_us) / 1e6
    return Because(
        code="no_engine",
        sentence=f"It is due since {late:.1f} s, but no process is there to go on with it.",
        blocker="engine",
        holder="nobody",
        since_us=since_us,
        expected_us=due_us,
        fix="podium recover",
    )


def _stopping(state: RunState, at: Moment, run: str) -> Because:
    live = [step for step in state.steps.values() if _is_live(step)]
    first = live[0] if live else None
    what = f"step {first.path!r} to stop" if first else "its last steps to end"
    return Because(
        code=state.status.label,
        sentence=f"It is {state.status.label} and waits for {what}.",
        blocker="" if first is None else first.path,
        holder=at.owner,
        since_us=None if first is None else first.started_us,
        fix=f"podium runs abort {run}",
    )


def _is_live(step: Step) -> bool:
    return step.status is StepStatus.RUNNING and step.kind is StepKind.TASK


def explain_step(state: RunState, step: Step, at: Moment) -> Because:
    """Return why an open step has not ended."""
    match step.status:
        case StepStatus.RUNNING if step.fan is not None or step.graph is not None:
            found = _container(state, step, at)
        case StepStatus.RUNNING:
            found = _running(state, step, at)
        case StepStatus.RETRYING:
            found = _retrying(state, step, at)
        case StepStatus.CHECKPOINT_PENDING:
            found = _approval(state, step)
        case StepStatus.WAITING:
            found = _waiting(state, step, at)
        case _:
            found = _queued(state, step, at)
    found.since_us = found.since_us or step.started_us or step.opened_us
    return found


def explain_unborn(state: RunState, plan: Plan, scope: Step, task: int) -> Because:
    """Return why a task of an open graph has not begun: what it depends on is open."""
    members = scope.graph.members if scope.graph is not None else {}
    planned = plan.tasks[task]
    waiting = [
        plan.tasks[dep].name
        for dep in planned.deps
        if dep not in members or state.steps[members[dep]].status.is_open
    ]
    names = ", ".join(waiting) or "the end of this tick"
    return Because(
        code="dependencies",
        sentence=f"Task {planned.name!r} waits for {names}.",
        blocker=", ".join(waiting),
        holder=run_id(state.run_no),
        since_us=scope.started_us or state.started_us,
        fix=f"podium runs explain {run_id(state.run_no)}",
    )


def _running(state: RunState, step: Step, at: Moment) -> Because:
    run = run_id(state.run_no)
    if not at.owner:
        return Because(
            code="no_engine",
            sentence=f"Step {step.path!r} was running in a process that is gone.",
            blocker="engine",
            holder="nobody",
            fix="podium recover",
        )
    count = state.tally[StepStatus.RUNNING]
    others = f" and {count - 1} more" if count > 1 else ""
    spent = (at.now_us - step.started_us) / 1e6
    return Because(
        code="running",
        sentence=f"Step {step.path!r}{others} has been running for {spent:.1f} s ({at.owner}).",
        blocker=f"attempt {step.attempts}",
        holder=at.owner,
        expected_us=step.wake_us or None,
        fix=f"podium runs events {run} --follow",
    )


def _container(state: RunState, step: Step, at: Moment) -> Because:
    if step.fan is not None and step.fan.cursor < step.fan.count and not step.fan.open:
        return _queued(state, step, at)
    open_below = step.fan.open if step.fan is not None else step.graph.open if step.graph else 0
    return Because(
        code="running",
        sentence=f"Step {step.path!r} has {open_below} open steps below it.",
        blocker=f"{open_below} steps",
        holder=at.owner or "nobody",
        expected_us=step.wake_us or None,
        fix=f"podium runs show {run_id(state.run_no)}",
    )


def _retrying(state: RunState, step: Step, at: Moment) -> Because:
    error = decode_error(step.error).message if step.error else "an error"
    left = max(0.0, (step.wake_us - at.now_us) / 1e6)
    return Because(
        code="retrying",
        sentence=f"Step {step.path!r} failed ({error}) and is tried again in {left:.1f} s.",
        blocker=f"delay before attempt {step.attempts + 1}",
        holder=at.owner or "the clock",
        expected_us=step.wake_us,
        fix=f"podium runs retry {run_id(state.run_no)} --step {step.path}",
    )


def _queued(state: RunState, step: Step, at: Moment) -> Because:
    limit = at.plan.workflow.settings.max_parallel_steps
    is_full = limit is not None and state.tally[StepStatus.RUNNING] >= limit
    ahead = next((each.path for each in state.steps.values() if _is_live(each)), "")
    full = Because(
        code="blocked_on_concurrency",
        sentence=f"Step {step.path!r} is ready and waits for room "
        "(max_parallel_steps or capacity).",
        blocker=f"max_parallel_steps: {limit}" if is_full else "capacity",
        holder=ahead or at.owner or "nobody",
        expected_us=step.wake_us or None,
        fix=f"podium runs explain {run_id(state.run_no)}",
    )
    if is_full:
        full.fix = "Raise max_parallel_steps in the settings of the workflow for the next run."
    return full


def _approval(state: RunState, step: Step) -> Because:
    approval = approval_id(approval_no(state.run_no, step.no))
    escalate_us, expires_us = state.deadlines.get(step.no, (0, 0))
    return Because(
        code="approval",
        sentence=f"Step {step.path!r} waits for a person to approve {approval}.",
        blocker=approval,
        holder="a person",
        expected_us=escalate_us or expires_us or None,
        fix=f"podium approvals approve {approval}",
    )


def _waiting(state: RunState, step: Step, at: Moment) -> Because:
    if step.kind is StepKind.APPROVAL:
        return _approval(state, step)
    if step.reason in _QUESTIONS:
        found = _approval(state, step)
        found.code, found.sentence = step.reason, _QUESTIONS[step.reason].format(repr(step.path))
        return found
    if step.reason.startswith("signal:"):
        return _signal(state, step)
    return _child(state, step) if step.reason == "child" else _timer(state, step, at)


_QUESTIONS: Final = {
    "in_doubt": "Step {} was interrupted and may have had its effect: a person decides.",
    "budget": "Step {} would exceed a budget: a person decides whether it gets more.",
}


def _signal(state: RunState, step: Step) -> Because:
    name = step.reason.partition(":")[2]
    return Because(
        code="signal",
        sentence=f"Step {step.path!r} waits for the signal {name!r}.",
        blocker=name,
        holder="whoever sends it",
        expected_us=step.wake_us or None,
        fix=f"podium signal {run_id(state.run_no)} {name}",
    )


def _child(state: RunState, step: Step) -> Because:
    child = run_id(step.child_run) if step.child_run else "its child run"
    return Because(
        code="child",
        sentence=f"Step {step.path!r} waits for {child}.",
        blocker=child,
        holder=child,
        expected_us=step.wake_us or None,
        fix=f"podium runs explain {child if step.child_run else run_id(state.run_no)}",
    )


def _timer(state: RunState, step: Step, at: Moment) -> Because:
    left = max(0.0, (step.wake_us - at.now_us) / 1e6)
    return Because(
        code="timer",
        sentence=f"Step {step.path!r} sleeps for another {left:.1f} s.",
        blocker="timer",
        holder="the clock",
        expected_us=step.wake_us or None,
        fix=f"podium runs skip {run_id(state.run_no)} --step {step.path}",
    )


def unborn(state: RunState, plan: Plan, scope: Step) -> list[int]:
    """Return the tasks of an open graph that have not begun."""
    if scope.graph is None or scope.status is not StepStatus.RUNNING or state.is_code:
        return []
    tasks = plan.by_block.get(NO_BLOCK if scope.no == ROOT else scope.task, ())
    return [task for task in tasks if task not in scope.graph.members]
