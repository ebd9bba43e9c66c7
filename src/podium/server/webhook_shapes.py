"""Webhooks and their deliveries as the API and the command line show them: without secrets."""

import msgspec

from podium.core.cloudevents import rfc3339
from podium.ports.webhooks import DeliveryRow, WebhookRow

__all__ = [
    "Delivery",
    "Webhook",
    "WebhookWithSecret",
    "delivery_shape",
    "webhook_shape",
    "with_secret",
]


class Webhook(msgspec.Struct, kw_only=True):
    """A webhook, without its secret."""

    webhook_id: str
    direction: str
    url: str
    events: list[str]
    workflow: str
    signal: str
    pointer: str
    description: str
    active: bool
    reason: str
    """Why it was switched off, if nobody did."""
    created_at: str


class WebhookWithSecret(Webhook, kw_only=True):
    """A webhook, and its secret: it is shown this once."""

    secret: str


class Delivery(msgspec.Struct, kw_only=True):
    """A message to a webhook, and how far it got."""

    delivery_id: str
    message_id: str
    """The `webhook-id` of the message, the same over all attempts."""
    event_type: str
    status: str
    """`pending`, `delivered` or `dead`."""
    attempts: int
    code: int
    """Status of the last answer; 0: there was none."""
    detail: str
    due_at: str | None
    created_at: str
    ended_at: str | None


def webhook_shape(row: WebhookRow) -> Webhook:
    """Return a webhook as it is shown."""
    return Webhook(
        webhook_id=row.webhook_id,
        direction=row.direction,
        url=row.url,
        events=list(row.events),
        workflow=row.workflow,
        signal=row.signal,
        pointer=row.pointer,
        description=row.description,
        active=row.is_active,
        reason=row.reason,
        created_at=rfc3339(row.created_us),
    )


def with_secret(row: WebhookRow, secret: str) -> WebhookWithSecret:
    """Return a webhook as it is shown once: to whoever made it or its secret."""
    return WebhookWithSecret(secret=secret, **msgspec.structs.asdict(webhook_shape(row)))


def delivery_shape(row: DeliveryRow) -> Delivery:
    """Return a delivery as it is shown."""
    return Delivery(
        delivery_id=str(row.delivery_no),
        message_id=row.message_id,
        event_type=row.event_type,
        status=row.status,
        attempts=row.attempts,
        code=row.code,
        detail=row.detail,
        due_at=rfc3339(row.due_us) if row.status == "pending" else None,
        created_at=rfc3339(row.created_us),
        ended_at=None if row.ended_us is None else rfc3339(row.ended_us),
    )
