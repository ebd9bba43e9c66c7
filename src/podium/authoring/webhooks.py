"""`app.webhooks`: who is told of events, who may tell us of something, and what became of it."""

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, Self

import msgspec
from msgspec.structs import replace

from podium.authoring.auditing import Audit
from podium.core.cloudevents import CloudEvent, rfc3339
from podium.core.ids import parse_run_id, run_id
from podium.core.messages import Signal
from podium.core.states import RunStatus
from podium.core.webhooks import (
    DEFAULT_EVENTS,
    ROTATION_US,
    Secret,
    decode_secret,
    fault_in_pattern,
    live_secrets,
    verification_fault,
)
from podium.errors import AccessError, NotFoundError, PodiumError, RequestError, StoreError
from podium.ports.egress import Egress, Reply
from podium.ports.webhooks import DELIVERY_STATES, DeliveryRow, WebhookRow
from podium.runtime.answers import unknown_run
from podium.runtime.deliveries import new_secret, send
from podium.runtime.engine import Engine

__all__ = ["Received", "WebhookDesk"]

WEBHOOKS_MAX: Final = 100
"""Webhooks of one organization: every event is held against each of them."""
PATTERNS_MAX: Final = 32
TEXT_MAX: Final = 500
MESSAGE_ID: Final = re.compile(r"[\x21-\x7e]{1,200}")
ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


class Handle(Protocol):
    """A run that was started."""

    @property
    def id(self) -> str:
        """Return its public id."""
        ...

    async def status(self) -> RunStatus:
        """Return where it stands."""
        ...


class Host(Protocol):
    """What webhooks use of an app."""

    organization: str

    @property
    def scope(self) -> str:
        """Return the only organization it may see; "" for all."""
        ...

    @property
    def engine(self) -> Engine:
        """Return its engine."""
        ...

    @property
    def audit(self) -> Audit:
        """Return where changes are written down."""
        ...

    def on_behalf_of(self, organization: str, *, by: str = "") -> Self:
        """Return it as a caller of one organization sees it."""
        ...

    async def start(
        self,
        workflow: str,
        *,
        input: Any,  # noqa: A002 - the word of the contract
        idempotency_key: str | None,
        detach: bool,
    ) -> Handle:
        """Start a run."""
        ...


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What an incoming message led to; the same for each repetition of it."""

    run_id: str
    status: str


class WebhookDesk:
    """See the module docstring. For a scoped app the webhooks of others do not exist."""

    def __init__(self, app: Host) -> None:
        self._app = app
        self._store = app.engine.store

    # -- making --------------------------------------------------------------------------------

    async def create(
        self,
        url: str,
        *,
        events: Sequence[str] = (),
        workflow: str = "",
        description: str = "",
        secret: str = "",
    ) -> tuple[WebhookRow, str]:
        """Make an outgoing webhook; return it and its secret, which is shown this once.

        It hears of what is committed from now on. Without `events`, of the ends of runs and of
        what waits for people. Raises `RequestError` PDM-R152 for a URL that may not be asked.
        """
        row = self._new("out", secret, description=description)
        row = replace(row, url=url, events=tuple(events) or DEFAULT_EVENTS, workflow=workflow)
        return await self._put(row, "create"), row.secrets[0].text

    async def create_inbound(
        self,
        *,
        workflow: str = "",
        signal: str = "",
        pointer: str = "",
        description: str = "",
        secret: str = "",
    ) -> tuple[WebhookRow, str]:
        """Make an incoming webhook that starts `workflow`, or sends `signal` to a run.

        `pointer` (JSON pointer) says where in a message the input of the run is (default: all
        of it), or the id of the run to signal (default: `/run_id`).
        """
        row = self._new("in", secret, description=description)
        row = replace(row, workflow=workflow, signal=signal, pointer=pointer)
        return await self._put(row, "create"), row.secrets[0].text

    def _new(self, direction: str, secret: str, *, description: str) -> WebhookRow:
        name = "".join(secrets.choice(ALPHABET) for _ in range(16))
        return WebhookRow(
            webhook_id=f"whk_{name}",
            organization=self._app.organization,
            direction=direction,
            secrets=(Secret(secret or new_secret()),),
            description=description,
            created_us=self._store.now_us(),
        )

    async def _put(self, row: WebhookRow, verb: str) -> WebhookRow:
        self._check(row)
        if verb == "create" and len(await self._store.webhooks(row.organization)) >= WEBHOOKS_MAX:
            raise _invalid(f"{row.organization} has {WEBHOOKS_MAX} of them, which is the most")
        stored = await self._store.put_webhook(row)
        await self._note(verb, stored, url=row.url, is_active=row.is_active)
        # This process does not hear of its own writes as of those of others.
        self._app.engine.audience.deliveries.stir()
        return stored

    async def _note(self, verb: str, row: WebhookRow, **facts: Any) -> None:
        """Write down who did what; secrets are no part of it."""
        owner = row.organization or self._app.organization
        await self._app.audit.record(
            f"webhook.{verb}", row.webhook_id, organization=owner, detail=facts
        )

    def _check(self, row: WebhookRow) -> None:
        fault = _fault_in_out(row) if row.direction == "out" else _fault_in_in(row)
        if fault := fault or _fault_in_texts(row):
            raise _invalid(fault)
        if row.direction == "out" and (fault := self._egress().fault_in_url(row.url)):
            error = RequestError(
                f"The URL {row.url[:200]!r} may not be asked: {fault}.",
                why="Whoever makes a webhook must not reach what only this machine can reach.",
                fix="Use a public https URL, or let the operator add the host to `egress_allow`.",
                code="PDM-R152",
            )
            error.status, error.code_word = 422, "url_not_allowed"
            raise error

    def _egress(self) -> Egress:
        egress = self._app.engine.registry.services.egress
        if egress is None:
            raise StoreError("This process sends no webhooks.", code="PDM-S000")
        return egress

    # -- looking and changing ------------------------------------------------------------------

    async def list(self) -> Sequence[WebhookRow]:
        """Return the webhooks, by their ids."""
        return await self._store.webhooks(self._app.scope)

    async def get(self, webhook_id: str) -> WebhookRow:
        """Return one webhook; raises `NotFoundError`."""
        row = await self._store.webhook(webhook_id)
        if row is None or self._app.scope not in {"", row.organization}:
            raise _unknown(webhook_id)
        return row

    async def change(self, webhook_id: str, **changes: Any) -> WebhookRow:
        """Change `url`, `events`, `workflow`, `description`, … or `is_active` of a webhook."""
        row = replace(await self.get(webhook_id), **changes)
        return await self._put(replace(row, reason="") if row.is_active else row, "change")

    async def remove(self, webhook_id: str) -> None:
        """Forget a webhook, and what was still to be delivered to it."""
        row = await self.get(webhook_id)
        await self._store.remove_webhook(webhook_id)
        await self._note("delete", row)

    async def rotate(self, webhook_id: str, *, secret: str = "") -> tuple[WebhookRow, str]:
        """Give a webhook a new secret and return it; the old one holds for another day.

        Meanwhile messages carry a signature of each, and both are taken.
        """
        row = await self.get(webhook_id)
        until_us = self._store.now_us() + ROTATION_US
        old = [Secret(each.text, until_us) for each in row.secrets[:1]]
        fresh = Secret(secret or new_secret())
        row = await self._put(replace(row, secrets=(fresh, *old)), "rotate")
        return row, row.secrets[0].text

    # -- deliveries ----------------------------------------------------------------------------

    async def deliveries(
        self, webhook_id: str, *, status: str = "", before: int | None = None, limit: int = 100
    ) -> Sequence[DeliveryRow]:
        """Return what was told to a webhook, newest first: `pending`, `delivered` or `dead`."""
        if status and status not in DELIVERY_STATES:
            raise _invalid(f"{status!r} is no status of a delivery: {', '.join(DELIVERY_STATES)}")
        await self.get(webhook_id)
        rows = self._store.deliveries(webhook_id, status=status, before=before, limit=limit)
        return await rows

    async def replay(
        self, webhook_id: str, *, delivery: int | None = None, since_us: int | None = None
    ) -> int:
        """Deliver again: one by its number, or every dead one made since a time; return how many.

        The id of a message stays: a receiver that saw it can tell.
        """
        row = await self.get(webhook_id)
        if not row.is_active:
            raise _invalid("it is switched off; switch it on first")
        found = await self._store.replay_deliveries(
            webhook_id, delivery_no=delivery, since_us=since_us
        )
        if delivery is not None and not found:
            raise NotFoundError(
                f"The webhook {webhook_id} has no delivery {delivery}.",
                fix=f"List them: podium webhooks deliveries {webhook_id}",
                code="PDM-R416",
            )
        await self._note("replay", row, deliveries=found)
        self._app.engine.audience.deliveries.stir()
        return found

    async def test(self, webhook_id: str) -> Reply:
        """Send a test message now, once, and return what came back."""
        row = await self.get(webhook_id)
        if row.direction != "out":
            raise _invalid("it is an incoming one; only outgoing ones can be tested")
        now_us = self._store.now_us()
        message_id = f"test_{secrets.token_hex(8)}"
        event = CloudEvent(
            id=message_id,
            source=f"/v1/webhooks/{row.webhook_id}",
            sequence=0,
            type="orchestration.webhook.test",
            subject=row.webhook_id,
            time=rfc3339(now_us),
            data={"webhook_id": row.webhook_id},
        )
        body = msgspec.json.encode(event)
        told = DeliveryRow(
            webhook_id=row.webhook_id, message_id=message_id, event_type=event.type, body=body
        )
        return await send(self._egress(), row, told, now_us)

    # -- receiving -----------------------------------------------------------------------------

    async def receive(
        self, webhook_id: str, *, headers: Mapping[str, str], body: bytes
    ) -> Received:
        """Take a signed message in; once, however often it comes. Names of headers: lower case.

        Raises `NotFoundError`, `AccessError` PDM-R155 for a message that is not genuine, and
        `RequestError` PDM-R156 for one that does not say what it has to.
        """
        row = await self._store.webhook(webhook_id)
        if row is None or row.direction != "in" or not row.is_active:
            raise _unknown(webhook_id)
        now_us = self._store.now_us()
        fault = verification_fault(
            live_secrets(row.secrets, now_us), headers, body=body, now_s=now_us // 1_000_000
        )
        message_id = headers.get("webhook-id", "")
        if fault or not MESSAGE_ID.fullmatch(message_id):
            raise AccessError(
                "The message is not genuine: " + (fault or "its webhook-id is no short word") + ".",
                fix="Sign it as Standard Webhooks says, with the secret of this webhook.",
                code="PDM-R155",
                code_word="invalid_signature",
                status=401,
            )
        if row.signal:
            return await self._signal(row, message_id, _decoded(body))
        return await self._start(row, message_id, _decoded(body))

    async def _start(self, row: WebhookRow, message_id: str, message: Any) -> Received:
        app = self._app.on_behalf_of(row.organization, by=f"webhook {row.webhook_id}")
        handle = await app.start(
            row.workflow,
            input=_at(message, row.pointer),
            idempotency_key=f"webhook:{row.webhook_id}:{message_id}",
            detach=not app.engine.options.capacity,
        )
        return Received(run_id=handle.id, status=(await handle.status()).label)

    async def _signal(self, row: WebhookRow, message_id: str, message: Any) -> Received:
        run_no = parse_run_id(str(_at(message, row.pointer or "/run_id")))
        run = await self._store.run(run_no)
        if run is None or run.organization != row.organization:
            raise unknown_run(run_no)
        engine = self._app.engine
        mail = Signal(
            by=f"webhook {row.webhook_id}",
            name=row.signal,
            payload=engine.payloads.encode(message),
        )
        told = f"webhook.{row.webhook_id}.{message_id}"
        outcome = await engine.tell(run_no, mail, message_id=told)
        return Received(run_id=run_id(run_no), status=RunStatus(outcome.status).label)


def _fault_in_out(row: WebhookRow) -> str:
    if row.signal or row.pointer:
        return "an outgoing webhook takes no `signal` and no `pointer`"
    if len(row.events) > PATTERNS_MAX:
        return f"it names {len(row.events)} patterns of events; at most {PATTERNS_MAX}"
    faults = [(each, fault_in_pattern(each)) for each in row.events]
    return next((f"{each!r}: {fault}" for each, fault in faults if fault), "")


def _fault_in_in(row: WebhookRow) -> str:
    if bool(row.workflow) == bool(row.signal):
        return "an incoming webhook names either a `workflow` to start or a `signal` to send"
    if row.url or row.events:
        return "an incoming webhook takes no `url` and no `events`"
    if row.pointer and not row.pointer.startswith("/"):
        return "`pointer` is a JSON pointer and begins with a slash, such as /data/order"
    return ""


def _fault_in_texts(row: WebhookRow) -> str:
    for name in ("workflow", "signal", "pointer", "description", "url"):
        text: str = getattr(row, name)
        limit = TEXT_MAX if name != "url" else 2000
        if len(text) > limit or "\0" in text or not text.isprintable():
            return f"`{name}` is longer than {limit} letters, or holds what cannot be shown"
    try:
        for each in row.secrets:
            decode_secret(each.text)
    except ValueError as error:
        return f"`secret`: {error}"
    return ""


def _invalid(fault: str) -> RequestError:
    error = RequestError(
        f"This is no webhook: {fault}.",
        fix='For example {"url": "https://example.com/hook", "events": ["orchestration.run.*"]}.',
        code="PDM-R153",
    )
    error.status, error.code_word = 422, "invalid_webhook"
    return error


def _unknown(webhook_id: str) -> NotFoundError:
    return NotFoundError(
        f"The webhook {webhook_id} does not exist.",
        fix="List them: podium webhooks list",
        code="PDM-R416",
    )


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise _unreadable(f"it is not JSON ({error})") from None


def _at(message: Any, pointer: str) -> Any:
    """Return what a JSON pointer points to."""
    found = message
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        match found:
            case dict() if key in found:
                found = found[key]
            case list() if key.isascii() and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            case _:
                raise _unreadable(f"there is nothing at {pointer}")
    return found


def _unreadable(fault: str) -> PodiumError:
    error = RequestError(
        f"The message cannot be used: {fault}.",
        fix="Send what the webhook expects; its `pointer` says where it looks.",
        code="PDM-R156",
    )
    error.status, error.code_word = 422, "invalid_message"
    return error
