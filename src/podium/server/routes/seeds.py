"""The older paths of the same things; see `podium.server.seeds`."""

from typing import Annotated, Any, Final

from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from podium.authoring.client import App
from podium.core.ids import parse_run_id, run_id
from podium.ports.store import RunFilter
from podium.server.access import Permission
from podium.server.dependencies import CallersApp, TheCaller
from podium.server.parameters import Cursor, IfMatch, Limit, RunId, place_of, statuses_of
from podium.server.routes import actions, agents, approvals
from podium.server.seeds import (
    ActedOn,
    AgentEntry,
    ApprovalList,
    ExecutionPage,
    Orchestration,
    OrchestrationStatus,
    ResumeOrder,
    RetryOrder,
    SkipOrder,
    StopOrder,
    acted_on,
    agent_entry,
    approval_entry,
    execution,
    orchestration,
    orchestration_status,
)
from podium.server.shapes import Resume

__all__ = ["ROUTES"]

READ: Final = {"needs": Permission.READ}
OPERATE: Final = {"needs": Permission.OPERATE}
AT: Final = "/api/orchestrations/{run:str}"

Statuses = Annotated[list[str] | None, QueryParameter(description="One or several.")]


@get("/v1/executions", opt=READ, summary="List runs")
async def seed_executions(
    app: CallersApp, status: Statuses = None, limit: Limit = 50, cursor: Cursor = ""
) -> ExecutionPage:
    """List runs, newest first: see `/v1/runs`."""
    where = RunFilter(statuses=statuses_of(status or ()))
    before = run_id(place_of(cursor, parse_run_id)) if cursor else ""
    rows = await app.list_runs(where, limit=limit, before=before)
    more = run_id(rows[-1].run_no) if len(rows) == limit else None
    return ExecutionPage(items=[execution(row) for row in rows], next_cursor=more)


@get("/v1/executions/{run:str}", opt=READ, summary="Get a run")
async def seed_execution(run: RunId, app: CallersApp) -> Orchestration:
    """Return a run with its steps: see `/v1/runs/{run}`."""
    return await _whole(run, app)


@get(AT, opt=READ, summary="Get a run")
async def seed_orchestration(run: RunId, app: CallersApp) -> Orchestration:
    """Return a run with its steps: see `/v1/runs/{run}`."""
    return await _whole(run, app)


async def _whole(run: str, app: App) -> Orchestration:
    handle = app.run(run)
    row, view = await handle.look()
    plan = await app.engine.registry.plan(row.def_hash)
    return orchestration(row, view, plan.workflow, now_us=app.engine.store.now_us())


@get(f"{AT}/status", opt=READ, summary="Where a run stands")
async def seed_status(run: RunId, app: CallersApp) -> OrchestrationStatus:
    """Return where a run stands: see `/v1/runs/{run}/status`."""
    return orchestration_status(await app.run(run).row())


@post(f"{AT}/actions/retry", status_code=202, opt=OPERATE, summary="Retry failed steps")
async def seed_retry(
    run: RunId, app: CallersApp, data: JSONBody[RetryOrder | None] = None, if_match: IfMatch = ""
) -> ActedOn:
    """Run failed steps again in place: see `/v1/runs/{run}/actions/retry`."""
    wish = data.canonical() if data else None
    return acted_on(await actions.retry.fn(run=run, app=app, data=wish, if_match=if_match))


@post(f"{AT}/actions/skip", status_code=202, opt=OPERATE, summary="Skip a step")
async def seed_skip(
    run: RunId, app: CallersApp, data: JSONBody[SkipOrder | None] = None, if_match: IfMatch = ""
) -> ActedOn:
    """Go on without a step: see `/v1/runs/{run}/actions/skip`."""
    wish = data.canonical() if data else None
    return acted_on(await actions.skip.fn(run=run, app=app, data=wish, if_match=if_match))


@post(f"{AT}/actions/abort", status_code=202, opt=OPERATE, summary="Abort a run")
async def seed_abort(
    run: RunId, app: CallersApp, data: JSONBody[StopOrder | None] = None, if_match: IfMatch = ""
) -> ActedOn:
    """Stop a run now: see `/v1/runs/{run}/actions/abort`."""
    wish = data.canonical() if data else None
    return acted_on(await actions.abort.fn(run=run, app=app, data=wish, if_match=if_match))


@post(f"{AT}/actions/resume", status_code=202, opt=OPERATE, summary="Resume a run")
async def seed_resume(
    run: RunId,
    app: CallersApp,
    caller: TheCaller,
    data: JSONBody[ResumeOrder | None] = None,
    if_match: IfMatch = "",
) -> ActedOn:
    """Go on after a pause, or approve and go on: see `/v1/runs/{run}/actions/resume`."""
    wish = Resume(approval_id=data.approval_id) if data else None
    told = await actions.resume.fn(run=run, app=app, caller=caller, data=wish, if_match=if_match)
    return acted_on(told)


@get("/api/orchestrations/approvals", opt=READ, summary="List approvals")
async def seed_approvals(app: CallersApp, limit: Limit = 50, cursor: Cursor = "") -> ApprovalList:
    """List what waits for a person, oldest first: see `/v1/approvals`."""
    page = await approvals.list_approvals.fn(app=app, limit=limit, cursor=cursor)
    items = [approval_entry(each) for each in page.items]
    return ApprovalList(items=items, next_cursor=page.next_cursor)


@get("/api/admin/agents/{slug:str}", opt=READ, summary="Get an agent")
async def seed_agent(slug: FromPath[str], app: CallersApp) -> AgentEntry:
    """Return one agent: see `/v1/agents/{slug}`."""
    return agent_entry(await agents.get_agent.fn(slug=slug, app=app))


ROUTES: Final[tuple[Any, ...]] = (
    seed_executions,
    seed_execution,
    seed_orchestration,
    seed_status,
    seed_retry,
    seed_skip,
    seed_abort,
    seed_resume,
    seed_approvals,
    seed_agent,
)
