"""Why a run is where it is: one code for programs, one sentence for people, one thing to do."""

from typing import Final

import msgspec

from podium.core.clockwork import next_wake_us
from podium.core.ids import approval_id, approval_no, run_id
from podium.core.payload import decode_error
from podium.core.plan import Plan
from podium.core.state import RunState, Step
from podium.core.states import RunStatus, StepKind, StepStatus
from podium.ports.store import NodeRow
from podium.runtime.engine import Engine
from podium.runtime.views import fold_run

__all__ = ["Explanation", "explain_run"]


class Explanation(msgspec.Struct, kw_only=True):
    """Why a run is where it is: a code for programs and one sentence for people."""

    run_id: str
    status: str
    code: str
    sentence: str
    step: str = ""
    since_us: int | None = None
    expected_us: int | None = None
    fix: str = ""


async def explain_run(engine: Engine, run_no: int) -> Explanation:
    """Say in one sentence why a run is not moving, or that it is."""
    row, state, plan = await fold_run(engine, run_no)
    owner = "" if row.home is None else await _owner(engine, row.home)
    return _explain(state, plan, owner, engine.store.now_us())


async def _owner(engine: Engine, home: int) -> str:
    """Return the live process that drives the run; a dead one may still stand in its row."""
    dead = {node.node_id for node in await engine.store.dead_nodes(_NOBODY)}
    for node in await engine.store.nodes():
        if node.node_id == home and home not in dead:
            return f"process {node.pid}"
    return ""


_NOBODY: Final = NodeRow(
    node_id=0,
    epoch=0,
    state=0,
    boot_id="",
    pid=0,
    host="",
    role="",
    started_us=0,
    lease_until_us=0,
)


def _explain(state: RunState, plan: Plan, owner: str, now_us: int) -> Explanation:
    status = state.status
    base = Explanation(run_id=run_id(state.run_no), status=status.label, code="", sentence="")
    if not status.is_open:
        return _closed(base, state)
    base.expected_us = next_wake_us(state, plan.workflow.settings)
    held = _held(base, status, owner, now_us)
    step = _blocker(state)
    if held is not None:
        base.code, base.sentence, base.fix = held
    elif step is None:
        base.code, base.sentence = "running", "It is between two steps."
    else:
        base.step, base.since_us = step.path, step.started_us or step.opened_us
        base.code, base.sentence, base.fix = _why(state, step, owner, now_us)
    return base


def _held(
    base: Explanation, status: RunStatus, owner: str, now_us: int
) -> tuple[str, str, str] | None:
    """Return what holds the run as a whole, whatever its steps do."""
    if status is RunStatus.PAUSED:
        fix = f"podium runs resume {base.run_id}"
        return "paused", "It was paused and starts nothing new.", fix
    if status is RunStatus.QUEUED:
        return "no_engine", "It waits for an engine to take it.", "podium recover"
    due_us = base.expected_us
    if owner or due_us is None or due_us > now_us:
        return None
    late = (now_us - due_us) / 1e6
    sentence = f"It is due since {late:.1f} s, but no process is there to go on with it."
    return "no_engine", sentence, "podium recover"


_ORDER = (
    StepStatus.CHECKPOINT_PENDING,
    StepStatus.RUNNING,
    StepStatus.RETRYING,
    StepStatus.QUEUED,
    StepStatus.WAITING,
)


def _blocker(state: RunState) -> Step | None:
    """Return the step whose state says most about the run's."""
    leaves = [s for s in state.steps.values() if s.fan is None and s.graph is None]
    for status in _ORDER:
        for step in leaves:
            if step.status is status:
                return step
    gates = (s for s in state.steps.values() if s.status is StepStatus.CHECKPOINT_PENDING)
    starved = (s for s in state.steps.values() if _finds_no_room(s))
    return next(gates, None) or next(starved, None)


def _finds_no_room(step: Step) -> bool:
    """Return whether a map has items and none of them could start."""
    fan = step.fan
    is_open = fan is not None and step.status is StepStatus.RUNNING
    return is_open and fan is not None and fan.cursor < fan.count and not fan.open


def _why(state: RunState, step: Step, owner: str, now_us: int) -> tuple[str, str, str]:
    path = repr(step.path)
    status = step.status
    if status is StepStatus.CHECKPOINT_PENDING or step.kind is StepKind.APPROVAL:
        approval = approval_id(approval_no(state.run_no, step.no))
        fix = f"podium approvals approve {approval}"
        return "approval", f"Step {path} waits for a person to approve {approval}.", fix
    if status is StepStatus.RUNNING and step.fan is not None:
        return _why_resting(state, step, now_us)
    if status is StepStatus.RUNNING and not owner:
        sentence = f"Step {path} was running in a process that is gone."
        return "no_engine", sentence, "podium recover"
    if status is StepStatus.RUNNING:
        count = state.tally[StepStatus.RUNNING]
        others = f" and {count - 1} more" if count > 1 else ""
        spent = (now_us - step.started_us) / 1e6
        return "running", f"Step {path}{others} has been running for {spent:.1f} s ({owner}).", ""
    return _why_resting(state, step, now_us)


def _why_resting(state: RunState, step: Step, now_us: int) -> tuple[str, str, str]:
    path = repr(step.path)
    if step.status is StepStatus.RETRYING:
        error = decode_error(step.error).message if step.error else "an error"
        left = max(0.0, (step.wake_us - now_us) / 1e6)
        sentence = f"Step {path} failed ({error}) and is tried again in {left:.1f} s."
        return "retrying", sentence, ""
    if step.status is StepStatus.QUEUED or step.fan is not None:
        sentence = f"Step {path} is ready and waits for room (max_parallel_steps or capacity)."
        return "blocked_on_concurrency", sentence, ""
    return _why_waiting(state, step, now_us)


def _why_waiting(state: RunState, step: Step, now_us: int) -> tuple[str, str, str]:
    path, run = repr(step.path), run_id(state.run_no)
    if step.reason.startswith("signal:"):
        name = step.reason.partition(":")[2]
        sentence = f"Step {path} waits for the signal {name!r}."
        return "signal", sentence, f"podium signal {run} {name}"
    if step.reason == "child":
        child = run_id(step.child_run) if step.child_run else "its child run"
        return "child", f"Step {path} waits for {child}.", f"podium runs explain {child}"
    if step.reason == "in_doubt":
        approval = approval_id(approval_no(state.run_no, step.no))
        sentence = f"Step {path} was interrupted and may have had its effect: a person decides."
        return "in_doubt", sentence, f"podium approvals approve {approval}"
    if step.reason == "budget":
        approval = approval_id(approval_no(state.run_no, step.no))
        sentence = f"Step {path} would exceed a budget: a person decides whether it gets more."
        return "budget", sentence, f"podium approvals approve {approval}"
    left = max(0.0, (step.wake_us - now_us) / 1e6)
    return "timer", f"Step {path} sleeps for another {left:.1f} s.", ""


def _closed(base: Explanation, state: RunState) -> Explanation:
    base.code = state.reason or state.status.label
    base.since_us = state.ended_us
    if state.error is not None:
        record = decode_error(state.error)
        where = f" at step {record.step!r}" if record.step else ""
        base.step = record.step
        base.sentence = f"It {state.status.label}{where}: {record.message}"
        base.fix = record.fix or f"podium runs retry {base.run_id}"
    elif state.status is RunStatus.COMPLETED:
        base.sentence = "It completed."
    else:
        base.sentence = f"It was {state.status.label}."
    return base
