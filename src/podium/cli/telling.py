"""What `podium webhooks` does and prints; deliveries themselves are a server's work."""

from typing import Any

import msgspec

from podium.cli.output import cut, emit, emit_json, moment, note, table
from podium.cli.session import Session
from podium.errors import RequestError
from podium.ports.webhooks import WebhookRow
from podium.server.webhook_shapes import delivery_shape, webhook_shape, with_secret

__all__ = [
    "change_one",
    "create_one",
    "delete_one",
    "list_all",
    "list_deliveries",
    "replay_one",
    "rotate_one",
    "show_one",
    "test_one",
]


async def list_all(session: Session) -> int:
    """List webhooks."""
    async with session.reading() as app:
        rows = await app.webhooks.list()
    if session.as_json:
        emit_json({"items": [webhook_shape(row) for row in rows], "next_cursor": None})
        return 0
    if not rows:
        note("No webhooks yet. Make one: podium webhooks create https://example.com/hook")
        return 0
    lines = [(row.webhook_id, row.direction, _state(row), _target(row)) for row in rows]
    emit(table(("webhook", "way", "state", "where"), lines))
    return 0


def _state(row: WebhookRow) -> str:
    return "on" if row.is_active else f"off: {row.reason}" if row.reason else "off"


def _target(row: WebhookRow) -> str:
    if row.direction == "out":
        return row.url
    return f"starts {row.workflow}" if row.workflow else f"signals {row.signal}"


async def show_one(session: Session, webhook: str) -> int:
    """Show one webhook."""
    async with session.reading() as app:
        row = await app.webhooks.get(webhook)
    if session.as_json:
        emit_json(webhook_shape(row))
        return 0
    emit(f"{row.webhook_id} ({row.direction}, {_state(row)}): {_target(row)}")
    for name in ("workflow", "pointer", "description"):
        if text := getattr(row, name):
            emit(f"  {name}: {text}")
    if row.events:
        emit(f"  events: {', '.join(row.events)}")
    if row.direction == "in":
        emit(f"  POST /v1/webhooks/in/{row.webhook_id}")
    return 0


async def create_one(session: Session, url: str, **wishes: Any) -> int:
    """Make a webhook."""
    start, events = wishes.pop("start"), wishes.pop("events")
    is_inbound = bool(start or wishes["signal"])
    if bool(url) == is_inbound:
        raise RequestError(
            "A webhook is either outgoing or incoming.",
            fix="podium webhooks create URL, or podium webhooks create --start WORKFLOW",
            code="PDM-R153",
        )
    async with session.reading() as app:
        if is_inbound:
            wishes["workflow"] = start or wishes["workflow"]
            row, secret = await app.webhooks.create_inbound(**wishes)
        else:
            kept = {name: wishes[name] for name in ("workflow", "description", "secret")}
            row, secret = await app.webhooks.create(url, events=events, **kept)
    return _tell_secret(session, row, secret)


def _tell_secret(session: Session, row: WebhookRow, secret: str) -> int:
    if session.as_json:
        emit_json(with_secret(row, secret))
        return 0
    emit(f"{row.webhook_id}  {secret}")
    note("The secret is shown this once: give it to the other side.")
    if row.direction == "in":
        note(f"Messages come to POST /v1/webhooks/in/{row.webhook_id}")
    return 0


async def rotate_one(session: Session, webhook: str, *, secret: str) -> int:
    """Give a webhook a new secret."""
    async with session.reading() as app:
        row, fresh = await app.webhooks.rotate(webhook, secret=secret)
    return _tell_secret(session, row, fresh)


async def delete_one(session: Session, webhook: str) -> int:
    """Forget a webhook."""
    async with session.reading() as app:
        await app.webhooks.remove(webhook)
    return _done(session, {"webhook_id": webhook, "deleted": True}, f"{webhook} is forgotten.")


async def change_one(session: Session, webhook: str, *, is_active: bool) -> int:
    """Switch a webhook on or off."""
    async with session.reading() as app:
        row = await app.webhooks.change(webhook, is_active=is_active)
    word = "on" if row.is_active else "off"
    return _done(session, webhook_shape(row), f"{webhook} is switched {word}.")


async def replay_one(session: Session, webhook: str, *, delivery: int | None) -> int:
    """Make deliveries due again."""
    async with session.reading() as app:
        count = await app.webhooks.replay(webhook, delivery=delivery)
    told = f"{count} due again; a server delivers them."
    return _done(session, {"replayed": count}, told)


async def test_one(session: Session, webhook: str) -> int:
    """Send a test message; exit 1 if it was not taken."""
    async with session.reading() as app:
        reply = await app.webhooks.test(webhook)
        await app.engine.registry.services.close()
    is_delivered = 200 <= reply.code < 300
    answer = f"It answered {reply.code}." if reply.code else f"No answer: {reply.detail}"
    _done(session, {**msgspec.structs.asdict(reply), "is_delivered": is_delivered}, answer)
    return 0 if is_delivered else 1


def _done(session: Session, document: Any, told: str) -> int:
    if session.as_json:
        emit_json(document)
    else:
        note(told)
    return 0


async def list_deliveries(
    session: Session, webhook: str, *, status: str, limit: int, cursor: int | None
) -> int:
    """List deliveries, newest first."""
    async with session.reading() as app:
        rows = await app.webhooks.deliveries(webhook, status=status, before=cursor, limit=limit)
    more = str(rows[-1].delivery_no) if len(rows) == limit else None
    if session.as_json:
        emit_json({"items": [delivery_shape(row) for row in rows], "next_cursor": more})
        return 0
    if not rows:
        note("Nothing was told to it yet.")
        return 0
    lines = [
        (
            row.delivery_no,
            moment(row.created_us),
            row.event_type.removeprefix("orchestration."),
            row.status,
            row.attempts,
            cut(row.detail, 60),
        )
        for row in rows
    ]
    emit(table(("no", "told", "event", "status", "tries", ""), lines))
    if more is not None:
        note(f"More: podium webhooks deliveries {webhook} --cursor {more}")
    return 0
