"""Why a run is where it is: one code for programs, one sentence for people, one thing to do."""

from typing import Final

import msgspec

from podium.core.clockwork import next_wake_us
from podium.core.explaining import (
    Because,
    Moment,
    explain_run_state,
    explain_step,
    explain_unborn,
    unborn,
)
from podium.core.ids import run_id, step_id
from podium.core.payload import decode_error
from podium.core.state import ROOT, RunState, Step
from podium.core.states import RunStatus, StepStatus
from podium.ports.store import NodeRow
from podium.runtime.engine import Engine
from podium.runtime.views import fold_run

__all__ = ["Explanation", "StepExplanation", "explain_run"]

STEPS_MAX: Final = 100
"""Steps that are explained one by one; the others wait for the same things."""


class StepExplanation(Because, kw_only=True):
    """Why one step of a run has not ended."""

    step: str
    status: str
    step_record_id: str = ""


class Explanation(msgspec.Struct, kw_only=True):
    """Why a run is where it is: a code for programs and one sentence for people."""

    run_id: str
    status: str
    code: str
    sentence: str
    step: str = ""
    since_us: int | None = None
    expected_us: int | None = None
    """When it goes on by itself, as far as anybody can know."""
    fix: str = ""
    blocker: str = ""
    """What holds it, by name."""
    holder: str = ""
    """Who has that in hand: a process, a person, another run."""
    steps: list[StepExplanation] = []
    """The same for its open steps, at most 100."""


async def explain_run(engine: Engine, run_no: int) -> Explanation:
    """Say in one sentence why a run is not moving, or that it is."""
    row, state, plan = await fold_run(engine, run_no)
    owner = "" if row.home is None else await _owner(engine, row.home)
    return _explain(state, Moment(plan, owner, engine.store.now_us()))


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


def _explain(state: RunState, at: Moment) -> Explanation:
    status = state.status
    base = Explanation(run_id=run_id(state.run_no), status=status.label, code="", sentence="")
    if not status.is_open:
        return _closed(base, state)
    due_us = next_wake_us(state, at.plan.workflow.settings)
    step = _blocker(state)
    held = explain_run_state(state, at, due_us)
    if held is None and step is not None:
        base.step, held = step.path, explain_step(state, step, at)
    found = held or Because(code="running", sentence="It is between two steps.", holder=at.owner)
    base.code, base.sentence, base.fix = found.code, found.sentence, found.fix
    base.blocker, base.holder, base.since_us = found.blocker, found.holder, found.since_us
    base.expected_us = due_us if found.expected_us is None else found.expected_us
    base.steps = _steps(state, at)
    return base


def _steps(state: RunState, at: Moment) -> list[StepExplanation]:
    found: list[StepExplanation] = []
    for step in state.steps.values():
        if step.status.is_open and step.no != ROOT:
            because = explain_step(state, step, at)
            name = step_id(state.run_no, step.no)
            found.append(_told(because, step.path, step.status.label, name))
        for task in unborn(state, at.plan, step) if len(found) < STEPS_MAX else ():
            path = f"{step.path}/{at.plan.tasks[task].name}".lstrip("/")
            because = explain_unborn(state, at.plan, step, task)
            found.append(_told(because, path, StepStatus.PENDING.label))
        if len(found) >= STEPS_MAX:
            break
    return found[:STEPS_MAX]


def _told(because: Because, path: str, status: str, name: str = "") -> StepExplanation:
    known = {field: getattr(because, field) for field in Because.__struct_fields__}
    return StepExplanation(step=path, status=status, step_record_id=name, **known)


_ORDER: Final = (
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
