"""Inboxes: a durable queue per run, ids that make sending repeatable, and outcomes."""

from podium.errors import StoreError
from podium.ports.store import MessageRow
from podium.testing.conformance.desk import Behaviours, Desk, World, message, outcome

__all__ = ["BEHAVIOURS"]

BEHAVIOURS = behaviour = Behaviours()


@behaviour
async def a_message_is_seen_by_the_home_of_its_run(world: World) -> None:
    """And by no other node: only the home may answer."""
    desk, other = await world.two_desks()
    run_no = await desk.start()
    await other.store.post([message(run_no, "m")])
    assert await desk.store.unread(desk.node, limit=9) == [message(run_no, "m")]
    assert await other.store.unread(other.node, limit=9) == []


@behaviour
async def unread_messages_come_oldest_first(world: World) -> None:
    """Pause and resume in the wrong order are another wish."""
    desk = await world.desk()
    first, second = await desk.start(), await desk.start()
    sent = [message(second, "1"), message(first, "2"), message(second, "3")]
    for one in sent:
        await desk.store.post([one])
    assert await desk.store.unread(desk.node, limit=2) == sent[:2]
    assert await desk.store.unread(desk.node, limit=9) == sent


@behaviour
async def mail_is_read_whether_or_not_a_run_has_a_home(world: World) -> None:
    """Moving in reads the mail that came while nobody was there."""
    desk = await world.desk()
    home, rest = await desk.start(), await desk.rest()
    sent = [message(rest, "1"), message(home, "2"), message(rest, "3")]
    await desk.store.post(sent)
    assert await desk.store.mail([home, rest]) == sent
    assert await desk.store.mail([home]) == [sent[1]]
    assert await desk.store.mail([]) == []


@behaviour
async def a_message_sent_twice_arrives_once(world: World) -> None:
    """Senders repeat what was not answered; the id tells, and the first body stands."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.store.post([message(run_no, "m", body=b"first")])
    await desk.store.post([message(run_no, "m", body=b"second"), message(run_no, "n")])
    found = await desk.store.mail([run_no])
    assert [(m.message_id, m.body) for m in found] == [("m", b"first"), ("n", b"n")]


@behaviour
async def posting_tells_which_messages_still_wait(world: World) -> None:
    """The sender hands over only those: what has an outcome is over."""
    desk = await world.desk()
    run_no = await desk.start()
    assert await desk.store.post([message(run_no, "read"), message(run_no, "new")]) == [
        "read",
        "new",
    ]
    await desk.advance(run_no, consumed=["read"], outcomes=[outcome(run_no, "read")])
    assert await desk.store.post([message(run_no, "new"), message(run_no, "read")]) == ["new"]


@behaviour
async def a_message_that_cannot_be_stored_is_an_error_and_none_is_sent(world: World) -> None:
    """Half a post could not be repeated without doubt about the other half."""
    desk = await world.desk()
    run_no = await desk.start()
    odd = (message(run_no, "nul\0"), message(run_no, "big", sent_us=1 << 63))
    for bad in odd:
        assert await _complaint(desk, [message(run_no, "good"), bad]) == "PDM-S010"
    assert await desk.store.mail([run_no]) == []


async def _complaint(desk: Desk, messages: list[MessageRow]) -> str:
    """Post messages and return the code of the error, empty if there was none."""
    try:
        await desk.store.post(messages)
    except StoreError as error:
        return error.code
    return ""


@behaviour
async def a_consumed_message_is_gone_and_has_an_outcome(world: World) -> None:
    """The outcome is the answer, and what makes a repeat harmless."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.store.post([message(run_no, "m")])
    assert await desk.store.outcome("m") is None
    await desk.advance(run_no, consumed=["m"], outcomes=[outcome(run_no, "m", detail="d")])
    assert await desk.store.mail([run_no]) == []
    assert await desk.store.outcome("m") == outcome(run_no, "m", detail="d")


@behaviour
async def a_message_with_an_outcome_is_not_delivered_again(world: World) -> None:
    """Posted or sent by a tick: a decided message never reaches its run twice."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, outcomes=[outcome(run_no, "m")])
    await desk.store.post([message(run_no, "m")])
    await desk.advance(run_no, posts=[message(run_no, "m")])
    assert await desk.store.mail([run_no]) == []


@behaviour
async def the_first_outcome_stands(world: World) -> None:
    """Somebody may have acted on it already."""
    desk = await world.desk()
    run_no = await desk.start()
    await desk.advance(run_no, outcomes=[outcome(run_no, "m", seq=2)])
    await desk.advance(run_no, outcomes=[outcome(run_no, "m", seq=3)])
    assert await desk.store.outcome("m") == outcome(run_no, "m", seq=2)


@behaviour
async def a_run_consumes_only_its_own_mail(world: World) -> None:
    """A tick speaks for its own run; ids of others in it change nothing."""
    desk = await world.desk()
    run_no, stranger = await desk.start(), await desk.start()
    await desk.store.post([message(run_no, "m")])
    await desk.advance(stranger, consumed=["m", "unknown"])
    assert await desk.store.mail([run_no]) == [message(run_no, "m")]


@behaviour
async def a_posted_message_in_a_tick_is_known_by_its_id(world: World) -> None:
    """A turn that is decided again sends the same ids again."""
    desk = await world.desk()
    sender, receiver = await desk.start(), await desk.start()
    await desk.store.post([message(receiver, "m", body=b"first")])
    await desk.advance(sender, posts=[message(receiver, "m", body=b"second")])
    assert [m.body for m in await desk.store.mail([receiver])] == [b"first"]


@behaviour
async def mail_that_arrives_at_a_release_is_seen_afterwards(world: World) -> None:
    """The run left without reading it, so it is due where it comes home next."""
    desk, other = await world.two_desks()
    run_no = await desk.start()
    release = await desk.move(run_no, release=True)
    await other.store.post([message(run_no, "m")])
    await desk.commit(release)
    assert await desk.store.mail([run_no]) == [message(run_no, "m")]
    assert await desk.store.adopt(desk.node, limit=9) == [run_no]


@behaviour
async def mail_may_come_before_its_run(world: World) -> None:
    """A child may be told something by the commit that asks for it."""
    desk = await world.desk()
    creation = await desk.creation()
    await desk.store.post([message(creation.run_no, "early")])
    assert await desk.store.unread(desk.node, limit=9) == []
    assert await desk.store.adopt(desk.node, limit=9) == []
    await desk.commit(creation)
    assert await desk.store.unread(desk.node, limit=9) == [message(creation.run_no, "early")]


@behaviour
async def posting_nothing_is_fine(world: World) -> None:
    """Callers need not look first whether there is anything to send."""
    desk = await world.desk()
    await desk.store.post([])


@behaviour
async def own_writes_are_no_news(world: World) -> None:
    """A node that wakes itself up by writing would never sleep."""
    desk = await world.desk()
    run_no = await desk.start()
    desk.store.changed()
    await desk.advance(run_no)
    await desk.store.post([message(run_no, "m")])
    assert not desk.store.changed()


@behaviour
async def the_writes_of_others_are_news_once(world: World) -> None:
    """It is a hint to look; a hint that stays on is polling."""
    desk, other = await world.two_desks()
    run_no = await desk.start()
    desk.store.changed()
    await other.store.post([message(run_no, "m")])
    assert desk.store.changed()
    assert not desk.store.changed()


@behaviour
async def the_writes_of_others_are_news_between_own_ones(world: World) -> None:
    """What one wrote oneself must not hide that somebody else wrote, too."""
    desk, other = await world.two_desks()
    run_no = await desk.start()
    desk.store.changed()
    await other.store.post([message(run_no, "m")])
    await desk.advance(run_no)
    assert desk.store.changed()
