"""What `podium keys` and `podium orgs` do and print."""

from podium.authoring.keys import Keys, NewKey
from podium.cli.output import ago, emit, emit_json, moment, note, table
from podium.cli.session import Session
from podium.core.durations import DURATION_EXAMPLES, parse_duration
from podium.errors import RequestError
from podium.ports.access import KeyRow
from podium.server.access_shapes import created_key, key_shape, organization_shape

__all__ = [
    "create_key",
    "create_organization",
    "list_keys",
    "list_organizations",
    "revoke_key",
    "rotate_key",
]


async def create_key(
    session: Session, role: str, *, name: str, organization: str, expires: str
) -> int:
    """Make a key and print it."""
    expires_in_us = None if expires == "never" else _span("--expires", expires)
    async with session.reading() as app:
        made = await app.keys.create(
            role, name=name, organization=organization, expires_in_us=expires_in_us
        )
        return _show_new(session, app.keys, made)


def _show_new(session: Session, keys: Keys, made: NewKey) -> int:
    row = made.row
    if session.as_json:
        emit_json(created_key(keys, made))
        return 0
    emit(made.key)
    until = f"good until {moment(row.expires_us)}" if row.expires_us else "does not expire"
    note(f"{row.key_id} of {row.organization}: {row.role}, {until}. It is shown this once.")
    return 0


async def list_keys(session: Session, *, limit: int) -> int:
    """List keys."""
    async with session.reading() as app:
        rows = await app.keys.list(limit=limit)
        now_us = app.engine.store.now_us()
        if session.as_json:
            items = [key_shape(app.keys, row) for row in rows]
            emit_json({"items": items, "next_cursor": None})
            return 0
        lines = [_line(app.keys, row, now_us) for row in rows]
    if not lines:
        note("No key was made: a server of this store trusts callers on its own machine.")
        return 0
    emit(table(("key", "begins", "role", "name", "org", "status", "expires", "used"), lines))
    return 0


def _line(keys: Keys, row: KeyRow, now_us: int) -> tuple[str, ...]:
    used = ago(row.last_used_us, now_us) or "never"
    expires = moment(row.expires_us)[:10] or "never"
    status = keys.status(row).value
    return (
        *(row.key_id, row.hint, row.role, row.name, row.organization),
        f"{status}, rotated" if row.successor and status == "active" else status,
        expires,
        used,
    )


async def rotate_key(session: Session, key_id: str, *, overlap: str) -> int:
    """Make the successor of a key."""
    overlap_us = _span("--overlap", overlap)
    async with session.reading() as app:
        made = await app.keys.rotate(key_id, overlap_us=overlap_us)
        old = await app.keys.get(key_id)
        code = _show_new(session, app.keys, made)
    if not session.as_json:
        note(f"{key_id} works until {moment(old.expires_us)}.")
    return code


async def revoke_key(session: Session, key_id: str) -> int:
    """End a key."""
    async with session.reading() as app:
        row = await app.keys.revoke(key_id)
        if session.as_json:
            emit_json(key_shape(app.keys, row))
        else:
            note(f"{key_id} ({row.name}) opens nothing any more.")
    return 0


def _span(name: str, text: str) -> int:
    span_us = parse_duration(text)
    if span_us is None:
        raise RequestError(
            f"{name}: {text!r} is not a duration.",
            fix=f"For example {DURATION_EXAMPLES}.",
            code="PDM-R127",
        )
    return span_us


# --- organizations ------------------------------------------------------------------------------


async def create_organization(session: Session, slug: str, *, title: str) -> int:
    """Make an organization."""
    async with session.reading() as app:
        row = await app.organizations.create(slug, title=title)
    if session.as_json:
        emit_json(organization_shape(row))
    else:
        note(f"{slug} is there. Its first key: podium keys create --org {slug} --role admin")
    return 0


async def list_organizations(session: Session) -> int:
    """List organizations."""
    async with session.reading() as app:
        rows = await app.organizations.list()
    if session.as_json:
        emit_json({"items": [organization_shape(row) for row in rows], "next_cursor": None})
        return 0
    made = [(row.slug, row.title, moment(row.created_us or None)) for row in rows]
    emit(table(("organization", "title", "made"), made))
    return 0
