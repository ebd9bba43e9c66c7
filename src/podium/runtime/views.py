"""Runs as people see them: one record with its steps, its error and why it is not moving."""

from typing import Any

import msgspec

from podium.core.children import arguments_of
from podium.core.evolve import fold
from podium.core.ids import run_id, step_id
from podium.core.nudging import is_stuck
from podium.core.payload import ErrorRecord, decode_error
from podium.core.plan import Plan
from podium.core.scope import output_of
from podium.core.state import ROOT, RunState, Step
from podium.core.states import RunStatus, StepKind, StepStatus, allowed_verbs
from podium.core.template import ExpressionFailure
from podium.core.turn import Facts, Turn
from podium.ports.store import RunRow
from podium.runtime.answers import unknown_run, unknown_step
from podium.runtime.engine import Engine

__all__ = ["RunView", "StepView", "fold_run", "look_at", "view_run", "view_step"]


class StepView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One step, as shown; times in µs, `output` only for steps that keep one."""

    step_record_id: str
    path: str
    kind: str
    status: str
    reason: str = ""
    attempts: int = 0
    recoveries: int = 0
    started_us: int | None = None
    ended_us: int | None = None
    wake_us: int | None = None
    items: int | None = None
    items_done: int | None = None
    items_failed: int | None = None
    child_run_id: str | None = None
    cost_nano: int = 0
    """What its calls of models have cost, those of its child run included."""
    error: ErrorRecord | None = None
    input: Any = None
    """What it was, or would be, given; only in the view of one step, for steps of graphs."""
    output: Any = None


class RunView(msgspec.Struct, kw_only=True):
    """One run with everything known about it."""

    run_id: str
    workflow: str
    version: str
    status: str
    reason: str
    generation: int
    organization: str
    priority: int
    labels: dict[str, str]
    input: Any
    output: Any
    error: ErrorRecord | None
    created_us: int
    started_us: int | None
    ended_us: int | None
    parent_run_id: str | None
    forked_from: str | None
    seq: int
    steps: list[StepView]
    allowed: list[str]
    cost_nano: int = 0
    """What the run has spent in nano-dollars, its child runs included."""
    tokens: int = 0
    calls: int = 0
    """Billed requests."""
    is_estimated: bool = False
    """Whether any of the cost is our estimate: a provider did not say what it billed."""


async def fold_run(engine: Engine, run_no: int) -> tuple[RunRow, RunState, Plan]:
    """Return row, state and plan of a run as stored now; raises `NotFoundError`."""
    records = await engine.store.load([run_no])
    if not records:
        raise unknown_run(run_no)
    record = records[0]
    plan = await engine.registry.plan(record.row.def_hash)
    state = RunState(run_no, is_code=plan.is_code)
    if record.snapshot is not None:
        state = msgspec.msgpack.decode(record.snapshot, type=RunState)
    fold(state, [part.body for part in record.tail])
    return record.row, state, plan


async def view_run(engine: Engine, run_no: int, *, outputs: bool = True) -> RunView:
    """Return the whole view of a run."""
    return (await look_at(engine, run_no, outputs=outputs))[1]


async def look_at(
    engine: Engine, run_no: int, *, outputs: bool = True, steps: bool = True
) -> tuple[RunRow, RunView]:
    """Return the row of a run, brought up to date, and its view: with its steps, or without."""
    row, state, plan = await fold_run(engine, run_no)
    facts = Facts(plan, inputs=engine.payloads.decode(state.input))
    turn = Turn(state, facts, engine.store.now_us())
    views = await _step_views(engine, turn, outputs=outputs) if steps else {}
    status = state.status
    spent = (await engine.store.spending([run_no])).get(run_no)
    if spent is not None and steps:
        await _add_costs(engine, state, views)
    view = RunView(
        run_id=run_id(run_no),
        workflow=state.workflow,
        version=plan.workflow.label or plan.def_hash[:12],
        status=status.label,
        reason=state.reason,
        generation=state.generation,
        organization=state.organization,
        priority=state.priority,
        labels=state.labels,
        input=facts.inputs,
        output=_run_output(turn, row) if status is RunStatus.COMPLETED and outputs else None,
        error=decode_error(state.error) if state.error else None,
        created_us=state.created_us,
        started_us=state.started_us or None,
        ended_us=state.ended_us or None,
        parent_run_id=run_id(state.parent_run) if state.parent_run else None,
        forked_from=run_id(state.forked_from) if state.forked_from else None,
        seq=state.seq,
        steps=[views[no] for no in sorted(views)],
        allowed=_allowed(state),
        **({} if spent is None else msgspec.structs.asdict(spent)),
    )
    return _up_to_date(row, state), view


def _up_to_date(row: RunRow, state: RunState) -> RunRow:
    """Return a row with the counts of its steps: the stored ones are of its last status."""
    tally = state.tally
    return msgspec.structs.replace(
        row,
        steps_open=sum(tally[: StepStatus.COMPLETED]),
        steps_done=tally[StepStatus.COMPLETED] + tally[StepStatus.SKIPPED],
        steps_failed=tally[StepStatus.FAILED],
    )


async def _step_views(engine: Engine, turn: Turn, *, outputs: bool) -> dict[int, StepView]:
    """Return the steps by number: what the state remembers, and map items that ended."""
    state = turn.state
    run_no = state.run_no
    views = {
        step.no: _step_view(turn, step, outputs=outputs)
        for step in state.steps.values()
        if step.no != ROOT
    }
    for kept in await engine.store.steps(run_no, limit=1_000_000):
        # A retry opens a step anew under its path: the row of its former life is history.
        if kept.step_no not in views and kept.path not in state.paths:
            # A map item that ended: the state keeps its output only, the row the rest.
            views[kept.step_no] = StepView(
                step_record_id=step_id(run_no, kept.step_no),
                path=kept.path,
                kind=StepKind(kept.kind).name.lower(),
                status=StepStatus(kept.status).label,
                reason=kept.reason,
                attempts=kept.attempts,
                started_us=kept.started_us,
                ended_us=kept.ended_us,
                error=decode_error(kept.error) if kept.error else None,
            )
    return views


async def view_step(engine: Engine, run_no: int, step_no: int) -> StepView:
    """Return one step of a run with what it was given; raises `NotFoundError`."""
    _, state, plan = await fold_run(engine, run_no)
    facts = Facts(plan, inputs=engine.payloads.decode(state.input))
    turn = Turn(state, facts, engine.store.now_us())
    step = state.steps.get(step_no) if step_no != ROOT else None
    if step is not None:
        view = _step_view(turn, step, outputs=True)
        view.input = _input_of(turn, step)
        views = {step_no: view}
    else:
        views = await _step_views(engine, turn, outputs=True)
    if step_no not in views:
        raise unknown_step(step_id(run_no, step_no), run_id(run_no))
    await _add_costs(engine, state, views)
    return views[step_no]


def _input_of(turn: Turn, step: Step) -> Any:
    """Return the arguments of a step; None where there are none, or none that can be told yet."""
    if step.task < 0 or step.kind is not StepKind.TASK or turn.task_of(step).tasks:
        return None
    try:
        return arguments_of(turn, step)
    except ExpressionFailure:
        # It names what is not there yet.
        return None


def _allowed(state: RunState) -> list[str]:
    """Return the verbs the run takes as it stands, `retry` of a stuck one included."""
    verbs = set(allowed_verbs(state.status))
    return sorted(verbs | {"retry"} if is_stuck(state) else verbs)


async def _add_costs(engine: Engine, state: RunState, views: dict[int, StepView]) -> None:
    """Fill in what each step has spent."""
    for row in await engine.store.ledger(state.run_no, limit=1_000_000):
        if row.run_no == state.run_no and row.step_no in views:
            views[row.step_no].cost_nano += row.cost_nano
    children = {
        step.child_run: step.no
        for step in state.steps.values()
        if step.child_run and step.no in views
    }
    for run_no, spent in (await engine.store.spending(list(children))).items():
        views[children[run_no]].cost_nano += spent.cost_nano


def _run_output(turn: Turn, row: RunRow) -> Any:
    if row.output is not None:
        return turn.plan.decode(row.output)
    graph = turn.state.root.graph
    number = graph.members.get(turn.plan.output_task) if graph is not None else None
    if number is None:
        return None
    return turn.plan.decode(output_of(turn, turn.state.steps[number]))


def _step_view(turn: Turn, step: Step, *, outputs: bool) -> StepView:
    run_no = turn.state.run_no
    fan = step.fan
    shown = outputs and step.output is not None and not step.status.is_open
    return StepView(
        step_record_id=step_id(run_no, step.no),
        path=step.path,
        kind=step.kind.name.lower(),
        status=step.status.label,
        reason=step.reason,
        attempts=step.attempts,
        recoveries=step.recoveries,
        started_us=step.started_us or None,
        ended_us=step.ended_us or None,
        wake_us=step.wake_us or None,
        items=fan.count if fan is not None else None,
        items_done=fan.done if fan is not None else None,
        items_failed=fan.failures if fan is not None else None,
        child_run_id=run_id(step.child_run) if step.child_run else None,
        error=decode_error(step.error) if step.error else None,
        output=turn.plan.decode(step.output) if shown and step.output is not None else None,
    )
