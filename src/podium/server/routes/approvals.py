"""Approvals: what waits for a person, and what the person says."""

from typing import Annotated, Any, Final

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from podium.core.ids import approval_id, run_id
from podium.core.states import RunStatus
from podium.server.access import Permission
from podium.server.dependencies import CallersApp
from podium.server.parameters import Cursor, IfMatch, Limit, seen
from podium.server.records import approval_shape
from podium.server.shapes import (
    Acted,
    Approval,
    ApprovalPage,
    Decision,
)

__all__ = ["ROUTES"]

READ: Final = {"needs": Permission.READ}
APPROVE: Final = {"needs": Permission.APPROVE}

Pending = Annotated[bool, QueryParameter(description="False: those that were decided, too.")]


@get("/v1/approvals", opt=READ, summary="List approvals")
async def list_approvals(
    *,
    app: CallersApp,
    pending: Pending = True,
    run: FromQuery[str] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> ApprovalPage:
    """List what waits for a person, oldest first."""
    rows = await app.approvals(pending=pending, run=run, limit=limit, after=cursor)
    items = [approval_shape(row, decode=app.engine.payloads.decode) for row in rows]
    more = approval_id(rows[-1].approval_no) if len(rows) == limit else None
    return ApprovalPage(items=items, next_cursor=more)


@get("/v1/approvals/{approval:str}", opt=READ, summary="Get an approval")
async def get_approval(approval: FromPath[str], app: CallersApp) -> Approval:
    """Return one approval with the payload it is about."""
    row = await app.approval(approval)
    return approval_shape(row, decode=app.engine.payloads.decode)


@post(
    "/v1/approvals/{approval:str}/decision",
    status_code=200,
    opt=APPROVE,
    summary="Decide an approval",
)
async def decide(
    approval: FromPath[str], app: CallersApp, data: JSONBody[Decision], if_match: IfMatch = ""
) -> Acted:
    """Approve, reject, edit or send back; repeating a decision is harmless."""
    outcome = await app.decide(
        approval,
        data.decision,
        comment=data.comment,
        payload=data.payload,
        payload_hash=data.payload_hash,
        seen_seq=seen(if_match),
    )
    return Acted(run_id=run_id(outcome.run_no), status=RunStatus(outcome.status).label)


ROUTES: Final[tuple[Any, ...]] = (list_approvals, get_approval, decide)
