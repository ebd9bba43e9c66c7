"""What webhooks need from a store; a part of the `Store` port.

An outgoing webhook hears of everything that was committed after it was made: telling is one
transaction that adds the deliveries and moves the one position in the feed, or does neither.
A delivery is leased to one process at a time, ends as delivered or dead, and is never lost.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from podium.core.webhooks import Secret

__all__ = ["DELIVERY_STATES", "DeliveryRow", "WebhookRow", "Webhooks"]

DELIVERY_STATES = ("pending", "delivered", "dead")


class WebhookRow(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told of events (`out`), or who may tell us of something (`in`)."""

    webhook_id: str
    organization: str
    """Empty: of every organization. Only settings make such a webhook."""
    direction: str
    """`out` or `in`."""
    url: str = ""
    """Of `out`: where to."""
    events: Sequence[str] = ()
    """Of `out`: patterns of event types."""
    workflow: str = ""
    """Of `out`: only runs of this workflow. Of `in`: the workflow that a message starts."""
    signal: str = ""
    """Of `in`: the signal that a message becomes."""
    pointer: str = ""
    """Of `in`: JSON pointer to the input of the run, or to the id of the run to signal."""
    secrets: Sequence[Secret] = ()
    """The newest first."""
    description: str = ""
    is_active: bool = True
    reason: str = ""
    """Why it was switched off, if it was not a person."""
    since_no: int = 0
    """It hears of ticks after this one; set by the store when the webhook is made."""
    created_us: int = 0


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message to one receiver; id and body stay the same over all attempts."""

    delivery_no: int = 0
    """Given by the store, in the order of the feed."""
    webhook_id: str
    message_id: str
    """Unique for a webhook: told twice, it is stored once."""
    event_type: str
    body: bytes
    status: str = "pending"
    """One of `DELIVERY_STATES`."""
    attempts: int = 0
    """Attempts begun; it also tells which claim an outcome belongs to."""
    due_us: int = 0
    lease_until_us: int | None = None
    created_us: int = 0
    ended_us: int | None = None
    code: int = 0
    """The status of the last answer; 0: there was none."""
    detail: str = ""
    """What the last attempt failed with, in words."""


class Webhooks(Protocol):
    """See the module docstring."""

    async def put_webhook(self, row: WebhookRow) -> WebhookRow:
        """Make a webhook, or replace the one with its id; return it as stored.

        A new one opens the feed and hears of what is committed from now on.
        """

    async def switch_off_webhook(self, webhook_id: str, *, reason: str) -> bool:
        """Switch an active webhook off and park what it was still to be told.

        Returns False if it is off already or gone.
        """

    async def remove_webhook(self, webhook_id: str) -> bool:
        """Forget a webhook with its deliveries; return whether it was there."""

    async def webhook(self, webhook_id: str) -> WebhookRow | None:
        """Return one webhook."""

    async def webhooks(self, organization: str = "") -> Sequence[WebhookRow]:
        """Return the webhooks of an organization, or of all, by their ids."""

    async def told_until(self) -> int:
        """Return the number of the last tick that webhooks were told of."""

    async def tell_webhooks(
        self, *, start: int, end: int, deliveries: Sequence[DeliveryRow]
    ) -> bool:
        """Add the deliveries of the ticks after `start` up to `end`, and move there.

        Returns False, and does nothing, if the position is not `start`: another process was
        faster. A webhook that is off or gone by now gets none; a message it has, no second time.
        """

    async def claim_deliveries(
        self, *, limit: int, lease_us: int, busy: Sequence[str] = ()
    ) -> Sequence[DeliveryRow]:
        """Lease due deliveries to the caller, the earliest due first, and begin an attempt.

        Those of the webhooks that are `busy` stay where they are.
        """

    async def settle_delivery(self, row: DeliveryRow) -> bool:
        """Record what became of an attempt: `status`, `due_us`, `ended_us`, `code`, `detail`.

        Returns False if the lease was lost: another attempt has begun since.
        """

    async def next_delivery_us(self) -> int | None:
        """Return when the next delivery is due or its lease ends, or None."""

    async def deliveries(
        self, webhook_id: str, *, status: str = "", before: int | None = None, limit: int = 100
    ) -> Sequence[DeliveryRow]:
        """Return deliveries of a webhook newest first, those with a number below `before`."""

    async def replay_deliveries(
        self, webhook_id: str, *, delivery_no: int | None = None, since_us: int | None = None
    ) -> int:
        """Make deliveries due again, with all attempts ahead of them; return how many.

        One by its number, whatever became of it; or every dead one made since a time.
        """

    async def prune_deliveries(self, before_us: int) -> int:
        """Forget some deliveries that arrived before a time; return how many."""
