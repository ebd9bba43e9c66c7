"""What `podium audit` prints."""

from podium.authoring.auditing import ChainReport
from podium.cli.output import emit, emit_json, moment, note, table
from podium.cli.session import Session
from podium.core.access import ChainFault
from podium.server.access_shapes import audit_line, audit_report

__all__ = ["list_audit", "verify_audit"]


async def list_audit(session: Session, *, organization: str, limit: int, before: int | None) -> int:
    """List rows, newest first."""
    async with session.reading() as app:
        rows = await app.audit.list(organization=organization, before=before, limit=limit)
    if session.as_json:
        more = str(rows[-1].seq) if len(rows) == limit else None
        emit_json({"items": [audit_line(row) for row in rows], "next_cursor": more})
        return 0
    if not rows:
        note("Nothing was changed yet, over HTTP or by the command line.")
        return 0
    lines = [
        (row.seq, moment(row.at_us), row.by, row.via, row.action, row.subject, row.detail)
        for row in rows
    ]
    emit(table(("no", "when", "who", "via", "what", "which", ""), lines))
    return 0


async def verify_audit(session: Session, *, organization: str, head: str) -> int:
    """Recompute one chain, or all of them."""
    async with session.reading() as app:
        names = [organization] if organization or head else await app.audit.organizations()
        reports = [await app.audit.verify(organization=name, head=head) for name in names]
    is_whole = all(report.fault is None for report in reports)
    if session.as_json:
        emit_json({"whole": is_whole, "items": [audit_report(each) for each in reports]})
    else:
        for report in reports:
            emit(_told(report))
    return 0 if is_whole else 1


def _told(report: ChainReport) -> str:
    if report.fault is None:
        rows = f"{report.rows} row{'s' if report.rows != 1 else ''}"
        return f"{report.organization}: {rows}, whole. Head: {report.head}"
    what = {
        ChainFault.CHANGED: f"row {report.at} is not what was written there",
        ChainFault.MISSING: f"row {report.at} is missing",
        ChainFault.CUT: f"the log ends after row {report.rows}, and went on before",
    }[report.fault]
    return f"{report.organization}: NOT WHOLE: {what}. {report.rows} rows before it are."
