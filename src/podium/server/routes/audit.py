"""The audit log of the caller's organization: what was changed, and whether the log is whole."""

from typing import Annotated, Any, Final

from litestar import get
from litestar.params import QueryParameter

from podium.server.access import Permission
from podium.server.access_shapes import AuditPage, AuditReport, audit_line, audit_report
from podium.server.dependencies import CallersApp
from podium.server.parameters import Limit

__all__ = ["ROUTES"]

ADMIN: Final = {"needs": Permission.ADMIN}
SEQ_MAX: Final = (1 << 63) - 1

Before = Annotated[
    int | None,
    QueryParameter(ge=1, le=SEQ_MAX, description="`next_cursor` of the page before."),
]
Head = Annotated[
    str, QueryParameter(max_length=100, description="A head that an earlier check gave.")
]


@get("/v1/audit", opt=ADMIN, summary="List the audit log")
async def list_audit(app: CallersApp, limit: Limit = 50, cursor: Before = None) -> AuditPage:
    """List what was changed, newest first."""
    rows = await app.audit.list(before=cursor, limit=limit)
    more = str(rows[-1].seq) if len(rows) == limit else None
    return AuditPage(items=[audit_line(row) for row in rows], next_cursor=more)


@get("/v1/audit/verify", opt=ADMIN, summary="Check the audit log")
async def verify_audit(app: CallersApp, head: Head = "") -> AuditReport:
    """Recompute the chain of the log; also against a head that was kept elsewhere."""
    return audit_report(await app.audit.verify(head=head))


ROUTES: Final[tuple[Any, ...]] = (list_audit, verify_audit)
