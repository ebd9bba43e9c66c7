"""The shapes of keys, organizations and the audit log, for HTTP and for `--json` alike."""

from typing import Annotated, Any

import msgspec

from podium.authoring.auditing import ChainReport
from podium.authoring.keys import Keys, NewKey
from podium.core.access import AuditRow, Role
from podium.core.cloudevents import rfc3339
from podium.ports.access import KeyRow, OrganizationRow
from podium.server.shapes import Answer, Body

__all__ = [
    "AuditLine",
    "AuditPage",
    "AuditReport",
    "CreateKey",
    "CreateOrganization",
    "CreatedKey",
    "Key",
    "KeyPage",
    "Organization",
    "OrganizationPage",
    "RotateKey",
    "audit_line",
    "audit_report",
    "created_key",
    "key_shape",
    "organization_shape",
]

Text = Annotated[str, msgspec.Meta(max_length=200)]
Span = Annotated[str, msgspec.Meta(max_length=64)] | int | float


class CreateKey(Body, kw_only=True):
    """A key to make, for the organization of the caller."""

    role: Role
    name: Text = ""
    """Whose it is, as the audit log names them; no two active keys have the same."""
    expires_in: Span = "90d"
    """A duration, seconds, or `never`."""


class RotateKey(Body, kw_only=True):
    """How to make the successor of a key."""

    overlap: Span = "1d"
    """How long the old key lives on: a duration, or seconds."""


class CreateOrganization(Body, kw_only=True):
    """An organization to make."""

    slug: Text
    title: Text = ""


class Key(Answer, kw_only=True):
    """A key, without its secret."""

    key_id: str
    name: str
    role: str
    organization: str
    status: str
    """`active`, `expired` or `revoked`."""
    hint: str
    """How it begins."""
    created_at: str
    created_by: str
    expires_at: str | None
    last_used_at: str | None
    """To the minute."""
    revoked_at: str | None
    revoked_by: str
    successor: str | None
    """The key it was rotated to."""


class CreatedKey(Key, kw_only=True):
    """A key with its secret: it is shown this once."""

    key: str


class KeyPage(Answer, kw_only=True):
    """A page of keys, by id."""

    items: list[Key]
    next_cursor: str | None


class Organization(Answer, kw_only=True):
    """Whom runs, keys and audit logs belong to."""

    slug: str
    title: str
    created_at: str | None


class OrganizationPage(Answer, kw_only=True):
    """The organizations that are visible."""

    items: list[Organization]
    next_cursor: str | None


class AuditLine(Answer, kw_only=True):
    """Something that was changed."""

    seq: int
    at: str
    by: str
    via: str
    """`http`, `cli` or `server`."""
    action: str
    subject: str
    detail: dict[str, Any] | None
    key_id: str | None
    request_id: str | None
    organization: str
    hash: str


class AuditPage(Answer, kw_only=True):
    """A page of the audit log, newest first."""

    items: list[AuditLine]
    next_cursor: str | None


class AuditReport(Answer, kw_only=True):
    """Whether an audit log is whole."""

    organization: str
    whole: bool
    rows: int
    """How many rows are whole, from the first one on."""
    head: str
    """Keep it elsewhere: it proves later that nothing up to it is gone."""
    fault: str | None
    """`changed`, `missing` or `cut`."""
    at: int | None
    """The first row that is not whole."""


def key_shape(keys: Keys, row: KeyRow) -> Key:
    """Return a key as it is shown."""
    return Key(**_key_fields(keys, row))


def created_key(keys: Keys, made: NewKey) -> CreatedKey:
    """Return a key with its secret."""
    return CreatedKey(key=made.key, **_key_fields(keys, made.row))


def _key_fields(keys: Keys, row: KeyRow) -> dict[str, Any]:
    return {
        "key_id": row.key_id,
        "name": row.name,
        "role": row.role,
        "organization": row.organization,
        "status": keys.status(row).value,
        "hint": row.hint,
        "created_at": rfc3339(row.created_us),
        "created_by": row.created_by,
        "expires_at": _moment(row.expires_us),
        "last_used_at": _moment(row.last_used_us),
        "revoked_at": _moment(row.revoked_us),
        "revoked_by": row.revoked_by,
        "successor": row.successor or None,
    }


def organization_shape(row: OrganizationRow) -> Organization:
    """Return an organization as it is shown."""
    created_at = _moment(row.created_us or None)
    return Organization(slug=row.slug, title=row.title, created_at=created_at)


def audit_line(row: AuditRow) -> AuditLine:
    """Return a row of the audit log as it is shown."""
    return AuditLine(
        seq=row.seq,
        at=rfc3339(row.at_us),
        by=row.by,
        via=row.via,
        action=row.action,
        subject=row.subject,
        detail=msgspec.json.decode(row.detail) if row.detail else None,
        key_id=row.key_id or None,
        request_id=row.request_id or None,
        organization=row.organization,
        hash=row.hash,
    )


def audit_report(report: ChainReport) -> AuditReport:
    """Return what a check of an audit log found."""
    return AuditReport(
        organization=report.organization,
        whole=report.fault is None,
        rows=report.rows,
        head=report.head,
        fault=report.fault,
        at=report.at or None,
    )


def _moment(us: int | None) -> str | None:
    return None if us is None else rfc3339(us)
