"""The feed and the webhooks of the embedded store: see `ports/feed.py` and `ports/webhooks.py`.

A row of the feed holds the keys of the journal records that one transaction wrote. There is one
writer at a time, so the order of the rows is the order of the commits.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from podium.adapters.sqlite import rows
from podium.adapters.sqlite.database import Database, Reader, Values
from podium.adapters.sqlite.parts import Part
from podium.core.webhooks import Secret
from podium.ports.feed import FeedEnds, FeedRow
from podium.ports.webhooks import DeliveryRow, WebhookRow

__all__ = ["FeedPart", "pack"]

NUMBER_MAX: Final = (1 << 63) - 1

_KEYS: Final = msgspec.msgpack.Decoder(list[int])
_SECRETS: Final = msgspec.json.Decoder(list[Secret])
_PATTERNS: Final = msgspec.json.Decoder(list[str])

pack: Final[Callable[[list[int]], bytes]] = msgspec.msgpack.Encoder().encode
"""Return the keys of a tick as a row of the feed holds them."""


class FeedPart(Part):
    """The methods of `Feed` and `Webhooks`."""

    @abstractmethod
    def now_us(self) -> int:
        """See `Store.now_us`."""

    # -- the feed ------------------------------------------------------------------------------

    async def open_feed(self) -> int:
        """See `Feed.open_feed`."""
        return await self._write(_open_feed)

    async def feed_ends(self) -> FeedEnds:
        """See `Feed.feed_ends`."""
        return await self._read(_feed_ends)

    async def feed(self, *, after: int, limit: int) -> Sequence[FeedRow]:
        """See `Feed.feed`."""
        return await self._read(_feed, after, limit)

    async def prune_feed(self, before: int) -> int:
        """See `Feed.prune_feed`."""
        return await self._write(partial(_changes, "feed_prune", values=(before,)))

    async def last_seqs(self, run_nos: Sequence[int]) -> Mapping[int, int]:
        """See `Feed.last_seqs`."""
        return await self._read(_last_seqs, run_nos)

    # -- webhooks ------------------------------------------------------------------------------

    async def put_webhook(self, row: WebhookRow) -> WebhookRow:
        """See `Webhooks.put_webhook`."""
        return await self._write(partial(_put_webhook, row=row))

    async def switch_off_webhook(self, webhook_id: str, *, reason: str) -> bool:
        """See `Webhooks.switch_off_webhook`."""
        parked = (webhook_id, self.now_us(), reason)
        return await self._write(partial(_switch_off, parked=parked))

    async def remove_webhook(self, webhook_id: str) -> bool:
        """See `Webhooks.remove_webhook`."""
        return await self._write(partial(_remove, webhook_id=webhook_id))

    async def webhook(self, webhook_id: str) -> WebhookRow | None:
        """See `Webhooks.webhook`."""
        found = await self._read(_webhooks, "webhook", (webhook_id,))
        return found[0] if found else None

    async def webhooks(self, organization: str = "") -> Sequence[WebhookRow]:
        """See `Webhooks.webhooks`."""
        return await self._read(_webhooks, "webhooks", (organization,))

    async def told_until(self) -> int:
        """See `Webhooks.told_until`."""
        return await self._read(_number, "told_until") or 0

    async def tell_webhooks(
        self, *, start: int, end: int, deliveries: Sequence[DeliveryRow]
    ) -> bool:
        """See `Webhooks.tell_webhooks`."""
        return await self._write(partial(_tell, start=start, end=end, deliveries=deliveries))

    async def claim_deliveries(
        self, *, limit: int, lease_us: int, busy: Sequence[str] = ()
    ) -> Sequence[DeliveryRow]:
        """See `Webhooks.claim_deliveries`."""
        work = partial(_claim, now_us=self.now_us(), limit=limit, lease_us=lease_us, busy=busy)
        return await self._write(work)

    async def settle_delivery(self, row: DeliveryRow) -> bool:
        """See `Webhooks.settle_delivery`."""
        guard = (row.delivery_no, row.attempts)
        outcome = (row.status, row.due_us, row.ended_us, row.code, row.detail)
        values = (*guard, *outcome, row.lease_until_us)
        return await self._write(partial(_changes, "delivery_settle", values=values)) > 0

    async def next_delivery_us(self) -> int | None:
        """See `Webhooks.next_delivery_us`."""
        return await self._read(_number, "next_delivery")

    async def deliveries(
        self, webhook_id: str, *, status: str = "", before: int | None = None, limit: int = 100
    ) -> Sequence[DeliveryRow]:
        """See `Webhooks.deliveries`."""
        older = NUMBER_MAX if before is None else before
        return await self._read(_deliveries, (webhook_id, older, status, limit))

    async def replay_deliveries(
        self, webhook_id: str, *, delivery_no: int | None = None, since_us: int | None = None
    ) -> int:
        """See `Webhooks.replay_deliveries`."""
        name = "deliveries_replay" if delivery_no is None else "delivery_replay"
        which = (since_us or 0) if delivery_no is None else delivery_no
        values = (webhook_id, which, self.now_us())
        return await self._write(partial(_changes, name, values=values))

    async def prune_deliveries(self, before_us: int) -> int:
        """See `Webhooks.prune_deliveries`."""
        return await self._write(partial(_changes, "deliveries_prune", values=(before_us,)))


# --- reads ----------------------------------------------------------------------------------------


def _number(db: Reader, name: str) -> int | None:
    found = db.one(name)
    return None if found is None else found[0]


def _feed_ends(db: Reader) -> FeedEnds:
    [(floor, head, is_open)] = db.all("feed_ends")
    return FeedEnds(floor=floor, head=head, is_open=bool(is_open))


def _feed(db: Reader, after: int, limit: int) -> list[FeedRow]:
    with db.snapshot():
        return [_feed_row(db, no, keys) for no, keys in db.all("feed", (after, limit))]


def _feed_row(db: Reader, no: int, keys: bytes) -> FeedRow:
    found = [db.one("feed_record", (key,)) for key in _KEYS.decode(keys)]
    return FeedRow(no=no, records=[rows.journal_record(each) for each in found if each])


def _last_seqs(db: Reader, run_nos: Sequence[int]) -> dict[int, int]:
    with db.snapshot():
        found = {run_no: db.one("last_seq", (run_no,)) for run_no in run_nos}
    return {run_no: row[0] for run_no, row in found.items() if row is not None}


def _webhooks(db: Reader, name: str, values: Values) -> list[WebhookRow]:
    return [_webhook(row) for row in db.all(name, values)]


def _webhook(values: Values) -> WebhookRow:
    row: dict[str, Any] = dict(zip(WebhookRow.__struct_fields__, values, strict=True))
    row["events"] = _PATTERNS.decode(row["events"])
    row["secrets"] = _SECRETS.decode(row["secrets"])
    row["is_active"] = bool(row["is_active"])
    return WebhookRow(**row)


def _deliveries(db: Reader, values: Values) -> list[DeliveryRow]:
    return [_delivery(row) for row in db.all("deliveries_of", values)]


def _delivery(values: Values) -> DeliveryRow:
    return DeliveryRow(**dict(zip(DeliveryRow.__struct_fields__, values, strict=True)))


# --- writes ---------------------------------------------------------------------------------------


def _changes(name: str, db: Database, values: Values) -> int:
    with db.transaction():
        return db.changes(name, values)


def _open_feed(db: Database) -> int:
    with db.transaction():
        db.changes("feed_open")
        return _feed_ends(db).head


def _put_webhook(db: Database, row: WebhookRow) -> WebhookRow:
    with db.transaction():
        db.changes("feed_open")
        db.changes("webhook_catch_up")
        db.changes("webhook_put", _put_values(row))
        return _webhooks(db, "webhook", (row.webhook_id,))[0]


def _put_values(row: WebhookRow) -> Values:
    return (
        row.webhook_id,
        row.organization,
        row.direction,
        row.url,
        msgspec.json.encode(row.events).decode(),
        row.workflow,
        row.signal,
        row.pointer,
        msgspec.json.encode(row.secrets).decode(),
        row.description,
        row.is_active,
        row.reason,
        row.created_us,
    )


def _switch_off(db: Database, parked: Values) -> bool:
    webhook_id, _, reason = parked
    with db.transaction():
        if not db.changes("webhook_switch_off", (webhook_id, reason)):
            return False
        db.changes("webhook_park", parked)
        return True


def _remove(db: Database, webhook_id: str) -> bool:
    with db.transaction():
        db.changes("webhook_remove_deliveries", (webhook_id,))
        return db.changes("webhook_remove", (webhook_id,)) > 0


def _tell(db: Database, *, start: int, end: int, deliveries: Sequence[DeliveryRow]) -> bool:
    with db.transaction() as transaction:
        if not db.changes("webhook_told", (start, end)):
            transaction.roll_back()
            return False
        db.write("delivery_insert", [_insert_values(row) for row in deliveries])
        return True


def _insert_values(row: DeliveryRow) -> Values:
    told = (row.webhook_id, row.message_id, row.event_type, row.body)
    return (*told, row.due_us, row.created_us)


def _claim(
    db: Database, *, now_us: int, limit: int, lease_us: int, busy: Sequence[str]
) -> list[DeliveryRow]:
    passed_over = msgspec.json.encode(busy).decode()
    with db.transaction():
        due = db.all("deliveries_due", (now_us, passed_over, limit))
        claimed = [db.all("delivery_claim", (no, now_us + lease_us)) for (no,) in due]
        return [_delivery(row) for found in claimed for row in found]
