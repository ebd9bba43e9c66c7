"""Webhooks on their way out: told of every tick once, delivered at least once or parked.

Telling turns events into deliveries, in the order of the feed, and moves one position in the
same transaction: a crash repeats nothing and loses nothing. Delivering leases what is due. A
receiver that is slow or asks to be left alone holds up nobody else.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from secrets import token_bytes
from typing import Any, Final

from msgspec.structs import replace

from podium.core.cloudevents import rfc3339
from podium.core.webhooks import (
    SECRET_BYTES,
    Secret,
    VerdictKind,
    encode_secret,
    is_wanted,
    judge,
    live_secrets,
    next_try_us,
    signature_headers,
)
from podium.errors import PodiumError, StoreError
from podium.ports.egress import Egress, Reply
from podium.ports.store import Store
from podium.ports.webhooks import DeliveryRow, WebhookRow
from podium.runtime.feeds import FeedReader, Told
from podium.runtime.registry import Registry

__all__ = ["PROGRESS_ID", "Deliveries", "Spawn", "new_secret", "send"]

log = logging.getLogger("podium.webhooks")

PROGRESS_ID: Final = "whk_progress"
"""The webhook that the setting `progress_webhook_url` makes: of all organizations."""

Spawn = Callable[[Coroutine[Any, Any, None], str], None]
SENDERS: Final = frozenset({"all", "engine", "run"})
"""Roles of processes that tell and deliver; the others only start runs, decide or look."""
CONCURRENCY: Final = 16
PER_WEBHOOK: Final = 4
"""Requests to one receiver at once, about: one that hangs must not take all places."""
LEASE_US: Final = 60_000_000
TICKS_PER_READ: Final = 200
LOOK_EVERY_S: Final = 300.0
PAUSE_S: Final = 0.05
"""How long commits may gather before webhooks are told."""
LOOK_PAUSE_S: Final = 1.0
"""The same while there is no webhook, as far as this process knows."""
KEPT_US: Final = 7 * 86_400_000_000
"""How long a delivery that arrived is listed."""
FEED_KEPT: Final = 1_000_000
"""Ticks the feed reaches back."""
TIDY_EVERY_US: Final = 600_000_000
LEAVE_S: Final = 5.0
"""How long what was just told may take to go out when the process ends."""


def message_headers(webhook: WebhookRow, row: DeliveryRow, now_us: int) -> dict[str, str]:
    """Return the headers of a message, signed with every secret that holds now."""
    signed = signature_headers(
        live_secrets(webhook.secrets, now_us),
        message_id=row.message_id,
        at_s=now_us // 1_000_000,
        body=row.body,
    )
    kind = "application/cloudevents+json; charset=utf-8"
    return {"Content-Type": kind, "User-Agent": "podium-webhooks/1", **signed}


async def send(egress: Egress, webhook: WebhookRow, row: DeliveryRow, now_us: int) -> Reply:
    """Send one message once."""
    return await egress.post(
        webhook.url,
        headers=message_headers(webhook, row, now_us),
        body=row.body,
        trusted=webhook.webhook_id == PROGRESS_ID,
    )


def new_secret() -> str:
    """Return the text form of a fresh key."""
    return encode_secret(token_bytes(SECRET_BYTES))


def _progress(url: str, row: WebhookRow | None, now_us: int) -> WebhookRow:
    return WebhookRow(
        webhook_id=PROGRESS_ID,
        organization="",
        direction="out",
        url=url,
        events=("orchestration.*",),
        secrets=(Secret(new_secret()),) if row is None else row.secrets,
        description="From the settings: progress_webhook_url",
        created_us=now_us,
    )


class Deliveries:
    """See the module docstring. `egress` None: this process tells nobody."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        egress: Egress | None,
        dice: Callable[[], float],
    ) -> None:
        self._store = store
        self._registry = registry
        self._egress = egress
        self._dice = dice
        self._is_sender = False
        self._has_hearers = False
        self._news = asyncio.Event()
        self._due = asyncio.Event()
        self._idle = asyncio.Event()
        """Whether nothing is due and nothing is under way."""
        self._tidied_us = 0
        self._under_way: Counter[str] = Counter()
        self._left_alone: dict[str, int] = {}
        """Receivers that asked for a pause, and until when."""
        self._telling = asyncio.Lock()
        self._reader: FeedReader | None = None

    # -- what moves it -------------------------------------------------------------------------

    async def begin(self, spawn: Spawn, *, role: str) -> None:
        """Tell and deliver in the background, if that is for a process of this role to do."""
        if self._egress is not None and role in SENDERS:
            self._is_sender = True
            # Before anything is started here: its webhook hears of that, too.
            await self._declare_progress(is_server=role != "run")
            spawn(self._tell_on(), "webhooks-tell")
            spawn(self._deliver_on(self._egress), "webhooks-deliver")

    def committed(self) -> None:
        """Note a commit of this node; costs nothing while there is no webhook."""
        if self._has_hearers:
            self._news.set()

    def stir(self) -> None:
        """Note that another process wrote something, perhaps a webhook."""
        self._news.set()

    async def leave(self) -> None:
        """Tell what was committed last, and give it a moment to go out."""
        if not self._is_sender:
            return
        await self._tell()
        if not self._has_hearers:
            return
        self._idle.clear()
        self._due.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._idle.wait()

    # -- telling -------------------------------------------------------------------------------

    async def _tell_on(self) -> None:
        await self._try_to_tell()
        while True:
            await self._news.wait()
            await asyncio.sleep(PAUSE_S if self._has_hearers else LOOK_PAUSE_S)
            self._news.clear()
            await self._try_to_tell()
            # What another process told, or made due again, is ours to deliver as well.
            self._due.set()

    async def _try_to_tell(self) -> None:
        """Tell; what cannot be read here is left to a process that can, and nothing skipped."""
        try:
            await self._tell()
        except StoreError:
            raise
        except PodiumError as error:
            log.error("webhooks.stuck", extra={"error": str(error)})  # noqa: TRY400 - no traceback

    async def _declare_progress(self, *, is_server: bool) -> None:
        """Make the webhook of the settings as they are now; a server without one ends it."""
        url = self._registry.services.progress_url
        row = await self._store.webhook(PROGRESS_ID)
        if not url:
            if is_server and row is not None:
                await self._store.switch_off_webhook(PROGRESS_ID, reason="The setting is gone.")
        elif row is None or (row.url, row.is_active) != (url, True):
            await self._store.put_webhook(_progress(url, row, self._store.now_us()))

    async def _hearers(self) -> list[WebhookRow]:
        rows = await self._store.webhooks()
        return [row for row in rows if row.direction == "out" and row.is_active]

    async def _tell(self) -> None:
        """Tell webhooks of everything that was committed."""
        # One at a time: the reader is shared, and what it read is told by whoever read it.
        async with self._telling:
            self._has_hearers = bool(await self._hearers())
            while self._has_hearers and await self._tell_some():
                pass

    async def _tell_some(self) -> bool:
        """Tell of some ticks; return whether there may be more."""
        start = await self._store.told_until()
        if self._reader is None or self._reader.no != start:
            self._reader = FeedReader(self._store, self._registry, after=start)
        reader = self._reader
        told = await reader.read(limit=TICKS_PER_READ)
        if reader.no == start:
            return False
        # After the feed: a webhook that was made since then hears only of what comes later.
        rows = self._rows(told, await self._hearers())
        if not await self._store.tell_webhooks(start=start, end=reader.no, deliveries=rows):
            # Another process was faster; its place is where we go on.
            self._reader = None
        return True

    def _rows(self, told: Sequence[Told], hearers: Sequence[WebhookRow]) -> list[DeliveryRow]:
        now_us = self._store.now_us()
        return [
            DeliveryRow(
                webhook_id=webhook.webhook_id,
                message_id=message_id(each),
                event_type=each.notice.event.type,
                body=each.notice.body,
                due_us=now_us,
                created_us=now_us,
            )
            for each in told
            for webhook in hearers
            if _hears(webhook, each)
        ]

    # -- delivering ----------------------------------------------------------------------------

    async def _deliver_on(self, egress: Egress) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                self._due.clear()
                rows = await self._claim()
                for row in rows:
                    self._under_way[row.webhook_id] += 1
                    group.create_task(self._attempt(egress, row), name="podium-webhook")
                if not rows:
                    # What was told since the claim began was not seen by it.
                    if not self._under_way and not self._due.is_set():
                        self._idle.set()
                    await self._tidy()
                    await self._wait()

    async def _claim(self) -> Sequence[DeliveryRow]:
        room = min(CONCURRENCY - self._under_way.total(), PER_WEBHOOK)
        next_us = await self._store.next_delivery_us()
        # Looking first: a claim is a write, and mostly there is nothing to claim.
        if room <= 0 or next_us is None or next_us > self._store.now_us():
            return ()
        return await self._store.claim_deliveries(limit=room, lease_us=LEASE_US, busy=self._busy())

    def _busy(self) -> list[str]:
        """Return the receivers that get nothing more for now."""
        now_us = self._store.now_us()
        self._left_alone = {k: us for k, us in self._left_alone.items() if us > now_us}
        full = [name for name, count in self._under_way.items() if count >= PER_WEBHOOK]
        return [*full, *self._left_alone]

    async def _wait(self) -> None:
        """Wait until something may be due: told, timed, or room for more."""
        next_us = await self._store.next_delivery_us()
        timeout_s = None
        if next_us is not None:
            left_s = (next_us - self._store.now_us()) / 1e6
            # What is due and was not claimed belongs to a busy receiver: look again soon.
            timeout_s = min(LOOK_EVERY_S, left_s if left_s > 0 else 1.0)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._due.wait()

    async def _attempt(self, egress: Egress, row: DeliveryRow) -> None:
        try:
            webhook = await self._store.webhook(row.webhook_id)
            if webhook is not None and webhook.is_active:
                reply = await send(egress, webhook, row, self._store.now_us())
                await self._settle(row, reply)
        finally:
            self._under_way[row.webhook_id] -= 1
            if not self._under_way[row.webhook_id]:
                del self._under_way[row.webhook_id]
            self._due.set()

    async def _settle(self, row: DeliveryRow, reply: Reply) -> None:
        now_us = self._store.now_us()
        verdict = judge(reply.code, reply.retry_after_s)
        detail = "" if verdict.kind is VerdictKind.DELIVERED else _detail(reply)
        row = replace(row, code=reply.code, detail=detail)
        facts = {"webhook": row.webhook_id, "event": row.message_id, "attempt": row.attempts}
        if verdict.kind is VerdictKind.DELIVERED:
            await self._store.settle_delivery(replace(row, status="delivered", ended_us=now_us))
            return
        log.warning("webhook.failed", extra={**facts, "code": reply.code, "error": detail})
        if verdict.kind is VerdictKind.GONE:
            await self._store.switch_off_webhook(row.webhook_id, reason="It answered 410 Gone.")
            return
        delay_us = next_try_us(row.attempts, dice=self._dice(), at_least_us=verdict.wait_us)
        if delay_us is None:
            log.error("webhook.parked", extra={**facts, "error": detail})
            await self._store.settle_delivery(replace(row, status="dead", ended_us=now_us))
            return
        due_us = now_us + delay_us
        if verdict.kind is VerdictKind.THROTTLE:
            self._left_alone[row.webhook_id] = now_us + max(verdict.wait_us, 1_000_000)
        log.info("webhook.retrying", extra={**facts, "at": rfc3339(due_us)})
        await self._store.settle_delivery(replace(row, due_us=due_us))

    async def _tidy(self) -> None:
        """Now and then forget what nobody needs any more, a little at a time."""
        now_us = self._store.now_us()
        if now_us < self._tidied_us + TIDY_EVERY_US:
            return
        self._tidied_us = now_us
        ends = await self._store.feed_ends()
        if ends.is_open:
            await self._store.prune_deliveries(now_us - KEPT_US)
            if ends.head - ends.floor > FEED_KEPT:
                await self._store.prune_feed(ends.head - FEED_KEPT)


def message_id(told: Told) -> str:
    """Return the id of a message: that of its event, in letters that a header may hold."""
    return f"{told.notice.event.id.replace(':', '_')}"


def _hears(webhook: WebhookRow, told: Told) -> bool:
    return (
        webhook.organization in {"", told.organization}
        and webhook.workflow in {"", told.workflow}
        and told.cursor.no > webhook.since_no
        and is_wanted(webhook.events, told.notice.event.type)
    )


def _detail(reply: Reply) -> str:
    if not reply.code:
        return reply.detail or "There was no answer."
    if 300 <= reply.code < 400:
        return f"It answered {reply.code}: redirects are not followed."
    return f"It answered {reply.code}."
