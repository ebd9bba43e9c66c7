"""The feed and the webhooks of the reference store: a list, two dicts and one position."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from msgspec.structs import replace

from podium.ports.feed import FeedEnds, FeedRow, JournalRecord
from podium.ports.store import RunRow
from podium.ports.webhooks import DeliveryRow, WebhookRow

__all__ = ["FeedPart", "MemoryFeed"]

R = TypeVar("R")
NUMBER_MAX: Final = (1 << 63) - 1


class MemoryFeed:
    """The tables; every method applies whole or changes nothing."""

    def __init__(self) -> None:
        self.is_open = False
        self.ticks: list[tuple[int, list[tuple[int, int]]]] = []
        """Number of a tick, and run and first sequence of each record it wrote."""
        self.told_until = 0
        self.webhooks: dict[str, WebhookRow] = {}
        self.deliveries: dict[int, DeliveryRow] = {}
        self.delivery_no = 0

    @property
    def head(self) -> int:
        """Return the number of the last tick."""
        return self.ticks[-1][0] if self.ticks else 0

    def open(self) -> int:
        """Keep the feed from now on."""
        if not self.is_open:
            self.is_open, self.told_until = True, self.head
        return self.head

    def append(self, records: Sequence[tuple[int, int]]) -> None:
        """Note the records of a tick, if anybody reads the feed."""
        if self.is_open and records:
            self.ticks.append((self.head + 1, list(records)))

    def prune(self, before: int) -> int:
        """Forget ticks, but not the newest one, nor what is still to be told."""
        limit = min(before, self.head)
        if self._has_hearers():
            limit = min(limit, self.told_until + 1)
        kept = [tick for tick in self.ticks if tick[0] >= limit]
        gone = len(self.ticks) - len(kept)
        self.ticks = kept
        return gone

    def _has_hearers(self) -> bool:
        return any(row.is_active and row.direction == "out" for row in self.webhooks.values())

    def put(self, row: WebhookRow) -> WebhookRow:
        """Make a webhook, or replace it."""
        self.open()
        if not self._has_hearers():
            self.told_until = self.head
        old = self.webhooks.get(row.webhook_id)
        stored = replace(row, since_no=self.head)
        if old is not None:
            kept = {"organization": old.organization, "direction": old.direction}
            stored = replace(row, since_no=old.since_no, created_us=old.created_us, **kept)
        self.webhooks[row.webhook_id] = stored
        return stored

    def switch_off(self, webhook_id: str, reason: str, now_us: int) -> bool:
        """Switch a webhook off and park its deliveries."""
        row = self.webhooks.get(webhook_id)
        if row is None or not row.is_active:
            return False
        self.webhooks[webhook_id] = replace(row, is_active=False, reason=reason)
        for each in self._of(webhook_id):
            if each.status == "pending":
                self.deliveries[each.delivery_no] = replace(
                    each, status="dead", ended_us=now_us, lease_until_us=None, detail=reason
                )
        return True

    def remove(self, webhook_id: str) -> bool:
        """Forget a webhook with its deliveries."""
        for each in self._of(webhook_id):
            del self.deliveries[each.delivery_no]
        return self.webhooks.pop(webhook_id, None) is not None

    def _of(self, webhook_id: str) -> list[DeliveryRow]:
        return [row for row in self.deliveries.values() if row.webhook_id == webhook_id]

    def tell(self, start: int, end: int, deliveries: Sequence[DeliveryRow]) -> bool:
        """Add deliveries and move on."""
        if self.told_until != start or not self.is_open:
            return False
        self.told_until = end
        known = {(row.webhook_id, row.message_id) for row in self.deliveries.values()}
        for row in deliveries:
            webhook = self.webhooks.get(row.webhook_id)
            is_new = (row.webhook_id, row.message_id) not in known
            if webhook is not None and webhook.is_active and is_new:
                self.delivery_no += 1
                self.deliveries[self.delivery_no] = replace(row, delivery_no=self.delivery_no)
                known.add((row.webhook_id, row.message_id))
        return True

    def claim(
        self, now_us: int, limit: int, lease_us: int, busy: Sequence[str]
    ) -> list[DeliveryRow]:
        """Begin attempts of due deliveries."""
        pending = [row for row in self.deliveries.values() if row.status == "pending"]
        due = [row for row in pending if _next_us(row) <= now_us and row.webhook_id not in busy]
        due = sorted(due, key=_next_us)[:limit]
        claimed = [
            replace(row, attempts=row.attempts + 1, lease_until_us=now_us + lease_us) for row in due
        ]
        self.deliveries.update((row.delivery_no, row) for row in claimed)
        return claimed

    def settle(self, row: DeliveryRow) -> bool:
        """Record what became of an attempt, unless its lease was lost."""
        known = self.deliveries.get(row.delivery_no)
        claim = (row.attempts, row.lease_until_us)
        if known is None or known.status != "pending" or row.lease_until_us is None:
            return False
        if (known.attempts, known.lease_until_us) != claim:
            return False
        self.deliveries[row.delivery_no] = replace(row, lease_until_us=None)
        return True

    def next_us(self) -> int | None:
        """Return when something is to be done."""
        pending = [_next_us(row) for row in self.deliveries.values() if row.status == "pending"]
        return min(pending, default=None)

    def listed(self, webhook_id: str, status: str, before: int, limit: int) -> list[DeliveryRow]:
        """Return deliveries of a webhook, newest first."""
        rows = sorted(self._of(webhook_id), key=lambda row: -row.delivery_no)
        older = [row for row in rows if row.delivery_no < before]
        return [row for row in older if status in {"", row.status}][:limit]

    def replay(self, webhook_id: str, delivery_no: int | None, since_us: int, now_us: int) -> int:
        """Make deliveries due again."""
        if delivery_no is None:
            ours = self._of(webhook_id)
            chosen = [row for row in ours if row.status == "dead" and row.created_us >= since_us]
        else:
            chosen = [row for row in self._of(webhook_id) if row.delivery_no == delivery_no]
        for row in chosen:
            self.deliveries[row.delivery_no] = replace(
                row, status="pending", attempts=0, due_us=now_us, lease_until_us=None, ended_us=None
            )
        return len(chosen)

    def prune_deliveries(self, before_us: int) -> int:
        """Forget deliveries that arrived long ago."""
        gone = [
            row.delivery_no
            for row in self.deliveries.values()
            if row.status == "delivered" and row.ended_us is not None and row.ended_us < before_us
        ]
        for delivery_no in gone:
            del self.deliveries[delivery_no]
        return len(gone)


def _next_us(row: DeliveryRow) -> int:
    return row.due_us if row.lease_until_us is None else row.lease_until_us


class _Tables(Protocol):
    """What this part uses of the database."""

    feed: MemoryFeed
    journal: dict[int, list[JournalRecord]]
    runs: dict[int, RunRow]
    version: int


class _View(Protocol):
    """What the view of a node offers: its database, and a way to do things under faults."""

    @property
    def database(self) -> _Tables: ...

    def now_us(self) -> int: ...

    def _perform(self, name: str, work: Callable[[], R]) -> Awaitable[R]: ...

    def _read(self, name: str, work: Callable[[], R]) -> Awaitable[R]: ...


async def _change(view: _View, name: str, work: Callable[[], R]) -> R:
    def change() -> R:
        view.database.version += 1
        return work()

    return await view._perform(name, change)  # noqa: SLF001 - the other half of one class


class FeedPart:
    """The methods of `Feed` and `Webhooks`, for a view of a `MemoryDatabase`."""

    async def open_feed(self: _View) -> int:
        """See `Feed.open_feed`."""
        return await _change(self, "open_feed", self.database.feed.open)

    async def feed_ends(self: _View) -> FeedEnds:
        """See `Feed.feed_ends`."""
        feed = self.database.feed

        def ends() -> FeedEnds:
            floor = feed.ticks[0][0] - 1 if feed.ticks else 0
            return FeedEnds(floor=floor, head=feed.head, is_open=feed.is_open)

        return await self._read("feed_ends", ends)

    async def feed(self: _View, *, after: int, limit: int) -> Sequence[FeedRow]:
        """See `Feed.feed`."""
        database = self.database

        def find() -> list[FeedRow]:
            later = [tick for tick in database.feed.ticks if tick[0] > after][:limit]
            return [FeedRow(no=no, records=_records(database.journal, keys)) for no, keys in later]

        return await self._read("feed", find)

    async def prune_feed(self: _View, before: int) -> int:
        """See `Feed.prune_feed`."""
        return await _change(self, "prune_feed", lambda: self.database.feed.prune(before))

    async def last_seqs(self: _View, run_nos: Sequence[int]) -> Mapping[int, int]:
        """See `Feed.last_seqs`."""

        def find() -> dict[int, int]:
            runs = self.database.runs
            return {run_no: runs[run_no].last_seq for run_no in run_nos if run_no in runs}

        return await self._read("last_seqs", find)

    # -- webhooks ------------------------------------------------------------------------------

    async def put_webhook(self: _View, row: WebhookRow) -> WebhookRow:
        """See `Webhooks.put_webhook`."""
        return await _change(self, "put_webhook", lambda: self.database.feed.put(row))

    async def switch_off_webhook(self: _View, webhook_id: str, *, reason: str) -> bool:
        """See `Webhooks.switch_off_webhook`."""
        feed, now_us = self.database.feed, self.now_us()
        work = "switch_off_webhook"
        return await _change(self, work, lambda: feed.switch_off(webhook_id, reason, now_us))

    async def remove_webhook(self: _View, webhook_id: str) -> bool:
        """See `Webhooks.remove_webhook`."""
        return await _change(self, "remove_webhook", lambda: self.database.feed.remove(webhook_id))

    async def webhook(self: _View, webhook_id: str) -> WebhookRow | None:
        """See `Webhooks.webhook`."""
        return await self._read("webhook", lambda: self.database.feed.webhooks.get(webhook_id))

    async def webhooks(self: _View, organization: str = "") -> Sequence[WebhookRow]:
        """See `Webhooks.webhooks`."""

        def find() -> list[WebhookRow]:
            rows = self.database.feed.webhooks
            found = [rows[name] for name in sorted(rows)]
            return [row for row in found if organization in {"", row.organization}]

        return await self._read("webhooks", find)

    async def told_until(self: _View) -> int:
        """See `Webhooks.told_until`."""
        return await self._read("told_until", lambda: self.database.feed.told_until)

    async def tell_webhooks(
        self: _View, *, start: int, end: int, deliveries: Sequence[DeliveryRow]
    ) -> bool:
        """See `Webhooks.tell_webhooks`."""
        feed = self.database.feed
        return await _change(self, "tell_webhooks", lambda: feed.tell(start, end, deliveries))

    async def claim_deliveries(
        self: _View, *, limit: int, lease_us: int, busy: Sequence[str] = ()
    ) -> Sequence[DeliveryRow]:
        """See `Webhooks.claim_deliveries`."""
        feed, now_us = self.database.feed, self.now_us()
        return await _change(
            self, "claim_deliveries", lambda: feed.claim(now_us, limit, lease_us, busy)
        )

    async def settle_delivery(self: _View, row: DeliveryRow) -> bool:
        """See `Webhooks.settle_delivery`."""
        return await _change(self, "settle_delivery", lambda: self.database.feed.settle(row))

    async def next_delivery_us(self: _View) -> int | None:
        """See `Webhooks.next_delivery_us`."""
        return await self._read("next_delivery_us", self.database.feed.next_us)

    async def deliveries(
        self: _View,
        webhook_id: str,
        *,
        status: str = "",
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[DeliveryRow]:
        """See `Webhooks.deliveries`."""
        feed, older = self.database.feed, NUMBER_MAX if before is None else before
        return await self._read("deliveries", lambda: feed.listed(webhook_id, status, older, limit))

    async def replay_deliveries(
        self: _View,
        webhook_id: str,
        *,
        delivery_no: int | None = None,
        since_us: int | None = None,
    ) -> int:
        """See `Webhooks.replay_deliveries`."""
        feed, now_us = self.database.feed, self.now_us()
        return await _change(
            self,
            "replay_deliveries",
            lambda: feed.replay(webhook_id, delivery_no, since_us or 0, now_us),
        )

    async def prune_deliveries(self: _View, before_us: int) -> int:
        """See `Webhooks.prune_deliveries`."""
        feed = self.database.feed
        return await _change(self, "prune_deliveries", lambda: feed.prune_deliveries(before_us))


def _records(
    journal: Mapping[int, Sequence[JournalRecord]], keys: Sequence[tuple[int, int]]
) -> list[JournalRecord]:
    wanted = set(keys)
    runs = dict.fromkeys(run_no for run_no, _ in keys)
    found = [record for run_no in runs for record in journal.get(run_no, ())]
    return [record for record in found if (record.run_no, record.first_seq) in wanted]
