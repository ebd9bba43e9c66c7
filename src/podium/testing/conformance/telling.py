"""The feed and the webhooks: one order for all ticks, and no delivery told twice or lost."""

from typing import Any

from msgspec.structs import replace

from podium.core.webhooks import Secret
from podium.ports.feed import FeedRow
from podium.ports.webhooks import DeliveryRow, WebhookRow
from podium.testing.conformance.desk import SECOND_US, Behaviours, Desk, World

__all__ = ["BEHAVIOURS"]

BEHAVIOURS = behaviour = Behaviours()


def hook(name: str = "whk_1", **fields: Any) -> WebhookRow:
    """Return an outgoing webhook."""
    facts: dict[str, Any] = {"organization": "acme", "direction": "out", "url": "https://a.example"}
    facts |= {"events": ["orchestration.run.*"], "secrets": [Secret("whsec_c2VjcmV0")]}
    return WebhookRow(webhook_id=name, **(facts | fields))


def delivery(message_id: str = "m1", **fields: Any) -> DeliveryRow:
    """Return something to be told."""
    facts: dict[str, Any] = {"webhook_id": "whk_1", "event_type": "t", "body": b"{}", "due_us": 1}
    return DeliveryRow(message_id=message_id, **(facts | fields))


def told(rows: list[FeedRow] | Any) -> list[list[tuple[int, int, bytes]]]:
    """Return what ticks of a feed hold."""
    return [[(each.run_no, each.first_seq, each.body) for each in row.records] for row in rows]


async def tell(desk: Desk, *deliveries: DeliveryRow) -> bool:
    """Tell webhooks of everything up to now."""
    start, ends = await desk.store.told_until(), await desk.store.feed_ends()
    return await desk.store.tell_webhooks(start=start, end=ends.head, deliveries=deliveries)


async def claim(desk: Desk, *, limit: int = 10) -> list[DeliveryRow]:
    """Lease what is due for ten seconds."""
    return list(await desk.store.claim_deliveries(limit=limit, lease_us=10 * SECOND_US))


# --- the feed -----------------------------------------------------------------------------------


@behaviour
async def a_feed_that_nobody_opened_stays_empty(world: World) -> None:
    desk = await world.desk()
    await desk.start()
    ends = await desk.store.feed_ends()
    assert (ends.floor, ends.head, ends.is_open) == (0, 0, False)
    assert await desk.store.feed(after=0, limit=10) == []


@behaviour
async def a_feed_holds_the_ticks_of_all_processes_in_the_order_of_their_commits(
    world: World,
) -> None:
    one, two = await world.two_desks()
    assert await one.store.open_feed() == 0
    first = await one.start()
    second = await two.start()
    await one.advance(first)
    rows = await two.store.feed(after=0, limit=10)
    assert [row.no for row in rows] == [1, 2, 3]
    created, event = b"created", b"event"
    assert told(rows) == [[(first, 1, created)], [(second, 1, created)], [(first, 2, event)]]
    assert [row.no for row in await one.store.feed(after=1, limit=1)] == [2]


@behaviour
async def a_tick_of_many_runs_is_one_row_of_the_feed(world: World) -> None:
    desk = await world.desk()
    await desk.store.open_feed()
    writes = [await desk.creation() for _ in range(3)]
    await desk.commit(*writes)
    [row] = await desk.store.feed(after=0, limit=10)
    assert [each.run_no for each in row.records] == [write.run_no for write in writes]


@behaviour
async def a_refused_write_is_not_in_the_feed(world: World) -> None:
    desk = await world.desk()
    await desk.store.open_feed()
    good, bad = await desk.start(), await desk.start()
    write = await desk.move(bad, old_seq=7, new_seq=8)
    committed = await desk.submit(await desk.move(good), write)
    assert [refusal.run_no for refusal in committed.refused] == [bad]
    ticks = await desk.store.feed(after=2, limit=10)
    assert [each.run_no for row in ticks for each in row.records] == [good]


@behaviour
async def a_tick_that_is_sent_again_is_in_the_feed_once(world: World) -> None:
    desk = await world.desk()
    await desk.store.open_feed()
    run_no = await desk.start()
    write = await desk.move(run_no)
    await desk.commit(write)
    await desk.commit(write)
    assert (await desk.store.feed_ends()).head == 2


@behaviour
async def a_write_without_events_is_not_in_the_feed(world: World) -> None:
    desk = await world.desk()
    await desk.store.open_feed()
    run_no = await desk.start()
    row = await desk.row(run_no)
    await desk.advance(run_no, new_seq=row.last_seq, body=b"", release=True)
    assert (await desk.store.feed_ends()).head == 1


@behaviour
async def numbers_of_the_feed_go_on_after_it_was_pruned(world: World) -> None:
    desk = await world.desk()
    await desk.store.open_feed()
    run_no = await desk.start()
    await desk.advance(run_no)
    assert await desk.store.prune_feed(99) == 1
    await desk.advance(run_no)
    ends = await desk.store.feed_ends()
    assert (ends.floor, ends.head) == (1, 3)


@behaviour
async def what_a_webhook_was_not_told_is_not_pruned(world: World) -> None:
    desk = await world.desk()
    await desk.store.put_webhook(hook())
    for _ in range(3):
        await desk.start()
    assert await desk.store.prune_feed(99) == 0
    assert await tell(desk)
    assert await desk.store.prune_feed(99) == 2


@behaviour
async def one_read_tells_how_far_runs_have_come(world: World) -> None:
    desk = await world.desk()
    one, two = await desk.start(), await desk.start()
    await desk.advance(two)
    reads = desk.store.stats.reads
    assert await desk.store.last_seqs([one, two, 99_999]) == {one: 1, two: 2}
    assert desk.store.stats.reads == reads + 1


# --- webhooks -----------------------------------------------------------------------------------


@behaviour
async def a_webhook_is_kept_as_it_was_made(world: World) -> None:
    desk = await world.desk()
    row = hook(workflow="invoice", description="Pager", created_us=5)
    assert await desk.store.put_webhook(row) == row
    again = (await world.desk()).store
    assert await again.webhook("whk_1") == row
    assert await again.webhook("whk_2") is None


@behaviour
async def webhooks_are_listed_by_organization(world: World) -> None:
    desk = await world.desk()
    for name, organization in (("whk_b", "acme"), ("whk_a", "acme"), ("whk_c", "other")):
        await desk.store.put_webhook(hook(name, organization=organization))
    of_one = await desk.store.webhooks("acme")
    assert [row.webhook_id for row in of_one] == ["whk_a", "whk_b"]
    assert len(await desk.store.webhooks()) == 3


@behaviour
async def a_new_webhook_hears_of_what_is_committed_from_now_on(world: World) -> None:
    desk = await world.desk()
    await desk.store.open_feed()
    await desk.start()
    row = await desk.store.put_webhook(hook())
    assert (row.since_no, await desk.store.told_until()) == (1, 1)
    await desk.start()
    later = await desk.store.put_webhook(hook("whk_2"))
    # The first one is still to be told of the second tick.
    assert (later.since_no, await desk.store.told_until()) == (2, 1)


@behaviour
async def changing_a_webhook_keeps_what_it_hears_of(world: World) -> None:
    desk = await world.desk()
    row = await desk.store.put_webhook(hook(created_us=3))
    await desk.start()
    changed = replace(row, url="https://b.example", secrets=(), organization="evil", since_no=9)
    stored = await desk.store.put_webhook(changed)
    assert (stored.url, stored.organization, stored.since_no) == ("https://b.example", "acme", 0)
    assert stored.created_us == 3


@behaviour
async def two_processes_tell_of_a_tick_once(world: World) -> None:
    one, two = await world.two_desks()
    await one.store.put_webhook(hook())
    await one.start()
    assert await one.store.tell_webhooks(start=0, end=1, deliveries=[delivery()])
    assert not await two.store.tell_webhooks(start=0, end=1, deliveries=[delivery("m2")])
    assert [row.message_id for row in await two.store.deliveries("whk_1")] == ["m1"]
    assert await two.store.told_until() == 1


@behaviour
async def a_message_is_told_to_a_webhook_once(world: World) -> None:
    desk = await world.desk()
    await desk.store.put_webhook(hook())
    await desk.start()
    assert await tell(desk, delivery(), delivery(), delivery(webhook_id="whk_9"))
    assert len(await desk.store.deliveries("whk_1")) == 1
    assert await desk.store.deliveries("whk_9") == []


@behaviour
async def a_delivery_is_claimed_by_one_process(world: World) -> None:
    one, two = await world.two_desks()
    await one.store.put_webhook(hook())
    assert await tell(one, delivery(), delivery("later", due_us=1 << 60))
    [row] = await claim(one)
    assert (row.message_id, row.attempts, row.status) == ("m1", 1, "pending")
    assert row.lease_until_us == one.store.now_us() + 10 * SECOND_US
    assert await claim(two) == []


@behaviour
async def a_delivery_whose_process_died_comes_again(world: World) -> None:
    one, two = await world.two_desks()
    await one.store.put_webhook(hook())
    assert await tell(one, delivery())
    [row] = await claim(one)
    assert await two.store.next_delivery_us() == row.lease_until_us
    world.advance(11)
    [again] = await claim(two)
    assert again.attempts == 2
    assert not await one.store.settle_delivery(replace(row, status="delivered", ended_us=1))
    assert await two.store.settle_delivery(replace(again, status="delivered", ended_us=1))


@behaviour
async def a_failed_delivery_is_due_when_its_attempt_says(world: World) -> None:
    desk = await world.desk()
    await desk.store.put_webhook(hook())
    assert await tell(desk, delivery())
    [row] = await claim(desk)
    due_us = desk.store.now_us() + 5 * SECOND_US
    failed = replace(row, due_us=due_us, code=500, detail="It answered 500.")
    assert await desk.store.settle_delivery(failed)
    assert await desk.store.next_delivery_us() == due_us
    assert await claim(desk) == []
    world.advance(5)
    [again] = await claim(desk)
    assert (again.attempts, again.code, again.detail) == (2, 500, "It answered 500.")


@behaviour
async def an_outcome_is_recorded_once(world: World) -> None:
    desk = await world.desk()
    await desk.store.put_webhook(hook())
    assert await tell(desk, delivery())
    [row] = await claim(desk)
    done = replace(row, status="delivered", ended_us=7, code=204)
    assert await desk.store.settle_delivery(done)
    assert not await desk.store.settle_delivery(done)
    [stored] = await desk.store.deliveries("whk_1", status="delivered")
    assert stored == replace(done, lease_until_us=None)
    assert await desk.store.next_delivery_us() is None


@behaviour
async def deliveries_are_claimed_earliest_first(world: World) -> None:
    desk = await world.desk()
    await desk.store.put_webhook(hook())
    assert await tell(desk, *(delivery(f"m{due}", due_us=due) for due in (3, 1, 2)))
    assert [row.due_us for row in await claim(desk, limit=2)] == [1, 2]


@behaviour
async def deliveries_of_a_busy_receiver_are_passed_over(world: World) -> None:
    desk = await world.desk()
    await desk.store.put_webhook(hook())
    await desk.store.put_webhook(hook("whk_2"))
    assert await tell(desk, delivery(), delivery(webhook_id="whk_2", due_us=2))
    [row] = await desk.store.claim_deliveries(limit=9, lease_us=1, busy=["whk_1"])
    assert row.webhook_id == "whk_2"


@behaviour
async def switching_a_webhook_off_parks_what_it_was_to_be_told(world: World) -> None:
    desk = await world.desk()
    await desk.store.put_webhook(hook())
    assert await tell(desk, delivery())
    assert await desk.store.switch_off_webhook("whk_1", reason="It answered 410.")
    assert not await desk.store.switch_off_webhook("whk_1", reason="again")
    row = await desk.store.webhook("whk_1")
    assert row is not None
    assert (row.is_active, row.reason) == (False, "It answered 410.")
    [parked] = await desk.store.deliveries("whk_1")
    assert (parked.status, parked.detail) == ("dead", "It answered 410.")
    assert await tell(desk, delivery("m2"))
    assert len(await desk.store.deliveries("whk_1")) == 1


@behaviour
async def a_webhook_that_is_switched_on_again_hears_of_nothing_old(world: World) -> None:
    desk = await world.desk()
    row = await desk.store.put_webhook(hook())
    await desk.store.switch_off_webhook("whk_1", reason="")
    await desk.start()
    await desk.store.put_webhook(row)
    assert await desk.store.told_until() == 1


@behaviour
async def dead_deliveries_are_replayed_with_all_attempts_ahead(world: World) -> None:
    desk = await world.desk()
    await desk.store.put_webhook(hook())
    assert await tell(desk, delivery(created_us=5), delivery("m2", created_us=9))
    for row in await claim(desk):
        await desk.store.settle_delivery(replace(row, status="dead", ended_us=1))
    assert await desk.store.replay_deliveries("whk_1", since_us=6) == 1
    [again] = await claim(desk)
    assert (again.message_id, again.attempts) == ("m2", 1)
    assert await desk.store.replay_deliveries("whk_1") == 1


@behaviour
async def one_delivery_is_replayed_by_its_number(world: World) -> None:
    desk = await world.desk()
    await desk.store.put_webhook(hook())
    assert await tell(desk, delivery())
    [row] = await claim(desk)
    await desk.store.settle_delivery(replace(row, status="delivered", ended_us=1))
    number = row.delivery_no
    assert await desk.store.replay_deliveries("whk_2", delivery_no=number) == 0
    assert await desk.store.replay_deliveries("whk_1", delivery_no=number) == 1
    assert (await claim(desk))[0].body == row.body


@behaviour
async def deliveries_are_listed_newest_first_in_pages(world: World) -> None:
    desk = await world.desk()
    await desk.store.put_webhook(hook())
    assert await tell(desk, *(delivery(f"m{n}") for n in range(3)))
    page = await desk.store.deliveries("whk_1", limit=2)
    assert [row.message_id for row in page] == ["m2", "m1"]
    rest = await desk.store.deliveries("whk_1", before=page[-1].delivery_no)
    assert [row.message_id for row in rest] == ["m0"]


@behaviour
async def only_deliveries_that_arrived_long_ago_are_forgotten(world: World) -> None:
    desk = await world.desk()
    await desk.store.put_webhook(hook())
    assert await tell(desk, *(delivery(f"m{n}") for n in range(3)))
    ends = iter((("delivered", 5), ("delivered", 9), ("dead", 5)))
    for row in await claim(desk):
        status, ended_us = next(ends)
        await desk.store.settle_delivery(replace(row, status=status, ended_us=ended_us))
    assert await desk.store.prune_deliveries(6) == 1
    assert len(await desk.store.deliveries("whk_1")) == 2


@behaviour
async def a_removed_webhook_leaves_nothing_behind(world: World) -> None:
    desk = await world.desk()
    await desk.store.put_webhook(hook())
    assert await tell(desk, delivery())
    assert await desk.store.remove_webhook("whk_1")
    assert not await desk.store.remove_webhook("whk_1")
    assert await desk.store.next_delivery_us() is None
