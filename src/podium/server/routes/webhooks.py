"""Webhooks: who is told, who may tell us, what was delivered; and the door for what comes in."""

from typing import Annotated, Any, Final

import msgspec
from litestar import Request, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from podium.authoring.client import App
from podium.authoring.webhooks import Received
from podium.errors import RequestError
from podium.server.access import Permission
from podium.server.dependencies import CallersApp
from podium.server.parameters import Cursor, Limit, moment_us
from podium.server.webhook_shapes import (
    Delivery,
    Webhook,
    WebhookWithSecret,
    delivery_shape,
    webhook_shape,
    with_secret,
)

__all__ = ["ROUTES"]

READ: Final = {"needs": Permission.READ}
AUTHOR: Final = {"needs": Permission.AUTHOR}
PUBLIC: Final = {"needs": Permission.PUBLIC}

WebhookId = FromPath[str]


class NewWebhook(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A webhook to make: with `url` an outgoing one, else an incoming one."""

    url: Annotated[str, msgspec.Meta(max_length=2000, examples=["https://example.com/hook"])] = ""
    events: Annotated[list[str], msgspec.Meta(max_length=32)] = []
    """Patterns such as `orchestration.run.*`; empty: ends of runs and what waits for people."""
    workflow: str = ""
    """Outgoing: only runs of this workflow. Incoming: the workflow to start."""
    signal: str = ""
    """Incoming: the signal to send."""
    pointer: str = ""
    """Incoming: where in a message the input is, or the id of the run to signal."""
    description: str = ""
    secret: str = ""
    """`whsec_…`; left out, one is made."""


class ChangedWebhook(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change; the rest stays."""

    url: str | msgspec.UnsetType = msgspec.UNSET
    events: list[str] | msgspec.UnsetType = msgspec.UNSET
    workflow: str | msgspec.UnsetType = msgspec.UNSET
    signal: str | msgspec.UnsetType = msgspec.UNSET
    pointer: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    active: bool | msgspec.UnsetType = msgspec.UNSET


class Rotation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A secret of one's own; left out, one is made."""

    secret: str = ""


class WebhookPage(msgspec.Struct, kw_only=True):
    """Webhooks of an organization."""

    items: list[Webhook]
    next_cursor: str | None = None


class DeliveryPage(msgspec.Struct, kw_only=True):
    """Deliveries, newest first."""

    items: list[Delivery]
    next_cursor: str | None


class Replay(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to deliver again: one delivery, or every dead one since a time (default: all)."""

    delivery_id: str = ""
    since: str = ""


class Replayed(msgspec.Struct, kw_only=True):
    """How many deliveries are due again."""

    replayed: int


class Tested(msgspec.Struct, kw_only=True):
    """What came back from a test message."""

    code: int
    detail: str
    is_delivered: bool


def _number(name: str, text: str) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    raise RequestError(
        f"{name}: {text[:80]!r} is no delivery.",
        fix="Use a `delivery_id` of the list.",
        code="PDM-R153",
    )


@get("/v1/webhooks", opt=READ, summary="List webhooks")
async def list_webhooks(app: CallersApp) -> WebhookPage:
    """List the webhooks of the organization, without their secrets."""
    return WebhookPage(items=[webhook_shape(row) for row in await app.webhooks.list()])


@post("/v1/webhooks", opt=AUTHOR, status_code=201, summary="Make a webhook")
async def make_webhook(data: JSONBody[NewWebhook], app: CallersApp) -> WebhookWithSecret:
    """Make a webhook; its secret is in this answer and in no other."""
    common = {"workflow": data.workflow, "description": data.description, "secret": data.secret}
    if data.url:
        _refuse(data, "signal", "pointer")
        row, secret = await app.webhooks.create(data.url, events=data.events, **common)
    else:
        _refuse(data, "events")
        row, secret = await app.webhooks.create_inbound(
            signal=data.signal, pointer=data.pointer, **common
        )
    return with_secret(row, secret)


def _refuse(data: NewWebhook, *names: str) -> None:
    for name in names:
        if getattr(data, name):
            error = RequestError(
                f"`{name}` does not go with {'a' if data.url else 'no'} `url`.",
                fix="Outgoing webhooks take url and events, incoming ones workflow or signal.",
                code="PDM-R153",
            )
            error.status, error.code_word = 422, "invalid_webhook"
            raise error


@get("/v1/webhooks/{webhook:str}", opt=READ, summary="Get a webhook")
async def get_webhook(webhook: WebhookId, app: CallersApp) -> Webhook:
    """Return a webhook, without its secret."""
    return webhook_shape(await app.webhooks.get(webhook))


@patch("/v1/webhooks/{webhook:str}", opt=AUTHOR, summary="Change a webhook")
async def change_webhook(
    webhook: WebhookId, data: JSONBody[ChangedWebhook], app: CallersApp
) -> Webhook:
    """Change a webhook, or switch it on or off; what it was told stays."""
    given = {name: getattr(data, name) for name in data.__struct_fields__}
    changes = {name: value for name, value in given.items() if value is not msgspec.UNSET}
    if "active" in changes:
        changes["is_active"] = changes.pop("active")
    return webhook_shape(await app.webhooks.change(webhook, **changes))


@delete("/v1/webhooks/{webhook:str}", opt=AUTHOR, summary="Delete a webhook")
async def delete_webhook(webhook: WebhookId, app: CallersApp) -> None:
    """Forget a webhook, and what was still to be delivered to it."""
    await app.webhooks.remove(webhook)


@post(
    "/v1/webhooks/{webhook:str}/rotate",
    opt=AUTHOR,
    status_code=200,
    summary="Give a webhook a new secret",
)
async def rotate_webhook(
    webhook: WebhookId, app: CallersApp, data: JSONBody[Rotation | None] = None
) -> WebhookWithSecret:
    """Replace the secret; the old one still signs, and is still taken, for a day."""
    row, secret = await app.webhooks.rotate(webhook, secret=data.secret if data else "")
    return with_secret(row, secret)


@post(
    "/v1/webhooks/{webhook:str}/test",
    opt=AUTHOR,
    status_code=200,
    summary="Send a test message",
)
async def test_webhook(webhook: WebhookId, app: CallersApp) -> Tested:
    """Send a signed test message now, once, and say what came back."""
    reply = await app.webhooks.test(webhook)
    is_delivered = 200 <= reply.code < 300
    return Tested(code=reply.code, detail=reply.detail, is_delivered=is_delivered)


@get("/v1/webhooks/{webhook:str}/deliveries", opt=READ, summary="List deliveries")
async def list_deliveries(
    webhook: WebhookId,
    app: CallersApp,
    status: FromQuery[str] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> DeliveryPage:
    """List what was told to a webhook, newest first."""
    rows = await app.webhooks.deliveries(
        webhook, status=status, before=_number("cursor", cursor), limit=limit
    )
    more = str(rows[-1].delivery_no) if len(rows) == limit else None
    return DeliveryPage(items=[delivery_shape(row) for row in rows], next_cursor=more)


@post(
    "/v1/webhooks/{webhook:str}/replay",
    opt=AUTHOR,
    status_code=202,
    summary="Deliver again",
)
async def replay_webhook(webhook: WebhookId, data: JSONBody[Replay], app: CallersApp) -> Replayed:
    """Make one delivery due again, or every dead one; ids of messages stay as they were."""
    count = await app.webhooks.replay(
        webhook,
        delivery=_number("delivery_id", data.delivery_id),
        since_us=moment_us("since", data.since),
    )
    return Replayed(replayed=count)


@post(
    "/v1/webhooks/in/{webhook:str}",
    opt=PUBLIC,
    status_code=202,
    summary="Receive a signed message",
)
async def receive(webhook: WebhookId, request: Request[Any, Any, Any]) -> Received:
    """Take in a message of an incoming webhook: once, however often it is sent.

    No key: the signature (Standard Webhooks 1.0) says who sends. What is taken in is durable.
    """
    app: App = request.app.state.podium
    body = await request.body()
    return await app.webhooks.receive(webhook, headers=request.headers, body=body)


ROUTES: Final[tuple[Any, ...]] = (
    list_webhooks,
    make_webhook,
    get_webhook,
    change_webhook,
    delete_webhook,
    rotate_webhook,
    test_webhook,
    list_deliveries,
    replay_webhook,
    receive,
)
