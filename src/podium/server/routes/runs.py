"""Runs: start them, list them, look at one from every side."""

from typing import Annotated, Any, Final

import msgspec
from litestar import get, post
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter

from podium.core.charges import NANO
from podium.core.definition import Workflow
from podium.core.ids import parse_run_id, parse_step_id, run_id
from podium.core.outline import plan_document
from podium.core.states import RunStatus
from podium.errors import RequestError
from podium.ports.ledger import Spending
from podium.ports.store import RunFilter
from podium.runtime.views import StepView
from podium.server.access import Permission
from podium.server.definitions import Definitions
from podium.server.dependencies import CallersApp, TheDefinitions
from podium.server.parameters import (
    Cursor,
    Limit,
    RunId,
    moment_us,
    name_and_value,
    place_of,
    statuses_of,
)
from podium.server.records import (
    ledger_line,
    reason_shape,
    run_shape,
    run_status,
    run_summary,
    step_shape,
)
from podium.server.shapes import (
    KEY_MAX,
    Cost,
    Reason,
    Run,
    RunPage,
    RunPlan,
    RunStatusShape,
    StartedRun,
    StartRun,
    StepDetail,
    StepPage,
)

__all__ = ["ROUTES"]

READ: Final = {"needs": Permission.READ}
OPERATE: Final = {"needs": Permission.OPERATE}
EXAMPLE: Final = {
    "example": {
        "workflow": "review",
        "input": {"path": "src", "limit": 50},
        "idempotency_key": "review-2026-11-21",
        "labels": {"team": "billing"},
    }
}


@post("/v1/runs", status_code=202, opt=OPERATE | EXAMPLE, summary="Start a run")
async def start_run(
    data: JSONBody[StartRun],
    app: CallersApp,
    definitions: TheDefinitions,
    idempotency_key: Annotated[
        str,
        HeaderParameter(name="Idempotency-Key", max_length=KEY_MAX, pattern=r"^[\x21-\x7e]*$"),
    ] = "",
) -> StartedRun:
    """Start a published workflow, or a definition sent along; the run is durable on 202."""
    handle = await app.start(
        await _startable(data, definitions),
        input={} if data.input is None else data.input,
        idempotency_key=_key(data.idempotency_key, idempotency_key),
        priority=data.priority,
        labels=_labels(data.labels),
        version=data.version,
        detach=not app.engine.options.capacity,
        budget=data.budget,
    )
    row = handle.started or await handle.row()
    return StartedRun(run_id=handle.id, status=RunStatus(row.status).label)


async def _startable(data: StartRun, definitions: Definitions) -> Workflow | str:
    if bool(data.workflow) == (data.definition is not None):
        raise RequestError(
            "Give either `workflow` or `definition`.",
            why="One names a published workflow, the other one is a workflow.",
            fix='For example {"workflow": "review", "input": {}}.',
            code="PDM-R138",
        )
    if data.definition is None:
        return data.workflow
    return (await definitions.read(data.definition)).workflow


def _key(in_body: str | None, in_header: str) -> str | None:
    if in_body and in_header and in_body != in_header:
        raise RequestError(
            "The header Idempotency-Key and the field `idempotency_key` differ.",
            fix="Send one of the two.",
            code="PDM-R138",
        )
    return in_body or in_header or None


def _labels(labels: dict[str, str]) -> dict[str, str]:
    for name in labels:
        if name.startswith("podium."):
            raise RequestError(
                f"The label {name!r} is one of ours.",
                fix="Choose a name that does not begin with `podium.`.",
                code="PDM-R065",
            )
    return labels


@get("/v1/runs", opt=READ, summary="List runs")
async def list_runs(
    *,
    app: CallersApp,
    status: Annotated[list[str] | None, QueryParameter(description="One or several.")] = None,
    workflow: FromQuery[str] = "",
    label: Annotated[str, QueryParameter(description="As name=value.")] = "",
    created_after: Annotated[str, QueryParameter(description="RFC 3339.")] = "",
    created_before: Annotated[str, QueryParameter(description="RFC 3339.")] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> RunPage:
    """List runs, newest first, a page at a time."""
    where = RunFilter(
        statuses=statuses_of(status or ()),
        workflow=workflow,
        label=name_and_value(label),
        created_after_us=moment_us("created_after", created_after),
        created_before_us=moment_us("created_before", created_before),
    )
    before = run_id(place_of(cursor, parse_run_id)) if cursor else ""
    rows = await app.list_runs(where, limit=limit, before=before)
    spent = await app.engine.store.spending([row.run_no for row in rows])
    items = [
        run_summary(row, cost_nano=spent[row.run_no].cost_nano if row.run_no in spent else 0)
        for row in rows
    ]
    more = run_id(rows[-1].run_no) if len(rows) == limit else None
    return RunPage(items=items, next_cursor=more)


@get("/v1/runs/{run:str}", opt=READ, summary="Get a run")
async def get_run(run: RunId, app: CallersApp) -> Run:
    """Return a run with its input and output, without its steps."""
    row, view = await app.run(run).look(steps=False)
    return run_shape(row, view, now_us=app.engine.store.now_us())


@get("/v1/runs/{run:str}/status", opt=READ, summary="Where a run stands")
async def get_status(run: RunId, app: CallersApp) -> RunStatusShape:
    """Return where a run stands; the cheapest question about it."""
    return run_status(await app.run(run).row())


@get("/v1/runs/{run:str}/steps", opt=READ, summary="List the steps of a run")
async def list_steps(
    run: RunId, app: CallersApp, limit: Limit = 200, cursor: Cursor = ""
) -> StepPage:
    """List the steps of a run in the order in which they were opened."""
    handle = app.run(run)
    after = place_of(cursor, parse_step_id)[1] if cursor else -1
    later = [step for step in (await handle.view()).steps if _number(step) > after]
    page = later[:limit]
    more = page[-1].step_record_id if len(later) > limit else None
    return StepPage(items=[step_shape(step) for step in page], next_cursor=more)


@get("/v1/runs/{run:str}/steps/{step:str}", opt=READ, summary="Get a step of a run")
async def get_step(run: RunId, step: FromPath[str], app: CallersApp) -> StepDetail:
    """Return one step with what it was given and what it gave."""
    view = await app.run(run).step(step)
    return StepDetail(**msgspec.structs.asdict(step_shape(view)), input=view.input)


def _number(step: StepView) -> int:
    return parse_step_id(step.step_record_id)[1]


@get("/v1/runs/{run:str}/explain", opt=READ, summary="Why a run is where it is")
async def explain_run(run: RunId, app: CallersApp) -> Reason:
    """Say why a run is where it is: a code, one sentence, and what to do."""
    return reason_shape(await app.run(run).explain())


@get("/v1/runs/{run:str}/plan", opt=READ, summary="What a run was to do")
async def get_plan(run: RunId, app: CallersApp) -> RunPlan:
    """Return the tasks of a run in waves, beside what became of them."""
    handle = app.run(run)
    row, view = await handle.look()
    plan = await app.engine.registry.plan(row.def_hash)
    return RunPlan(
        run_id=handle.id,
        plan=plan_document(plan.workflow),
        actual={step.path: step.status for step in view.steps},
    )


@get("/v1/runs/{run:str}/cost", opt=READ, summary="What a run has cost")
async def get_cost(run: RunId, app: CallersApp, limit: Limit = 1000) -> Cost:
    """Return what a run and its child runs were billed, oldest first."""
    handle = app.run(run)
    row = await handle.row()
    lines = await app.ledger(handle.id, limit=limit)
    spent = (await app.engine.store.spending([row.run_no])).get(row.run_no, Spending())
    return Cost(
        run_id=handle.id,
        cost_usd=spent.cost_nano / NANO,
        tokens=spent.tokens,
        model_calls=spent.calls,
        is_estimated=spent.is_estimated,
        items=[ledger_line(line) for line in lines],
    )


ROUTES: Final[tuple[Any, ...]] = (
    start_run,
    list_runs,
    get_run,
    get_status,
    list_steps,
    get_step,
    explain_run,
    get_plan,
    get_cost,
)
