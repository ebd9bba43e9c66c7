"""Following runs: every event once, in order, whoever drives the run and whatever breaks."""

import asyncio
from contextlib import AsyncExitStack, aclosing

import bodies
import pytest
from msgspec.structs import replace
from waiting import dag, slow_down

from podium import connect
from podium.errors import GoneError, InternalError, NotFoundError, RequestError
from podium.runtime import followers as module
from podium.testing import VirtualPodium


def chain(*, after=""):
    """Return twenty tasks, one after the other."""
    before = [after, *(f"t{n}" for n in range(19))]
    needs = [f", depends_on: [{name}]" if name else "" for name in before]
    return ", ".join(f"{{name: t{n}, uses: noop{need}}}" for n, need in enumerate(needs))


CHAIN = f"[{chain()}]"
GATE = (
    "[{name: first, uses: noop}, {name: go, uses: signal, depends_on: [first], with: {name: go}}]"
)


@pytest.fixture
def podium():
    return VirtualPodium()


async def collected(app, run, *, after=0):
    async with aclosing(app.follow(run.id, after=after)) as events:
        return [event async for event in events]


async def for_ever(follower):
    """Follow until something breaks."""
    while True:
        await follower.next(10)


def numbers(events):
    return [event.sequence for event in events]


def test_a_follower_sees_every_event_to_the_end(podium):
    async def scenario(app):
        run = await app.start(dag(CHAIN))
        return await collected(app, run)

    events = podium(scenario)
    assert events[0].type == "orchestration.run.queued"
    assert events[-1].type == "orchestration.run.completed"
    assert numbers(events) == sorted(set(numbers(events)))
    ended = [event.subject for event in events if event.type == "orchestration.step.completed"]
    assert ended == [f"t{n}" for n in range(20)]


def test_from_every_cursor_the_rest_is_the_same(podium):
    async def scenario(app):
        run = await app.start(dag(CHAIN))
        whole = await collected(app, run)
        for cursor in range(whole[-1].sequence + 1):
            rest = await collected(app, run, after=cursor)
            assert rest == [event for event in whole if event.sequence > cursor]

    podium(scenario)


def test_a_follower_that_came_first_hears_what_happens_later(podium):
    async def scenario(app):
        run = await app.start(dag(GATE))
        async with asyncio.TaskGroup() as group:
            follower = group.create_task(collected(app, run))
            await asyncio.sleep(0)
            await run.signal("go", 1)
        return [event.type for event in follower.result()], await collected(app, run)

    heard, again = podium(scenario)
    assert heard == [event.type for event in again]
    assert "orchestration.run.signalled" in heard


@pytest.mark.parametrize("cursor", [-1, 9999])
def test_a_cursor_that_was_never_given_is_refused(podium, cursor):
    async def scenario(app):
        run = await app.start(dag(GATE))
        with pytest.raises(RequestError, match="PDM-R150"):
            await collected(app, run, after=cursor)

    podium(scenario)


def test_a_run_of_another_organization_does_not_exist(podium):
    async def scenario(app):
        run = await app.start(dag(GATE))
        stranger = app.on_behalf_of("other")
        with pytest.raises(NotFoundError) as refused:
            await collected(stranger, run)
        with pytest.raises(NotFoundError) as unknown:
            await collected(stranger, app.run("run_0000zzzz"))
        assert str(refused.value).replace(run.id, "") == str(unknown.value).replace(
            "run_0000zzzz", ""
        )

    podium(scenario)


def test_events_that_were_pruned_are_gone_and_not_skipped(podium):
    async def scenario(app):
        run = await app.start(dag(GATE))
        await run.signal("go", 1)
        await run.result()
        journal = app.engine.store.database.journal[run.run_no]
        del journal[:1]
        oldest = journal[0].first_seq
        with pytest.raises(GoneError, match="PDM-R415"):
            await collected(app, run, after=oldest - 2)

    podium(scenario)


def test_who_is_too_slow_for_the_window_reads_the_journal(podium, monkeypatch):
    monkeypatch.setattr(module, "WINDOW", 4)
    monkeypatch.setattr(module, "BATCH_MAX", 3)

    async def scenario(app):
        gated = await app.start(dag(f"{GATE[:-1]}, {chain(after='go')}]"))
        followers = app.engine.audience.followers
        async with followers.follow(gated.run_no) as slow:
            first = await slow.next(1)
            await gated.signal("go", 1)
            await gated.result()
            heard = [each.sequence for each in first]
            while not slow.has_ended:
                heard += [each.sequence for each in await slow.next(1)]
        return heard, numbers(await collected(app, gated))

    heard, whole = podium(scenario)
    assert heard == whole


def test_thousand_followers_cost_one_fold_and_share_the_bytes(podium):
    async def scenario(app):
        run = await app.start(dag(GATE))
        followers = app.engine.audience.followers
        async with AsyncExitStack() as stack:
            crowd = [
                await stack.enter_async_context(followers.follow(run.run_no)) for _ in range(1000)
            ]
            for each in crowd:
                await each.next(1)
            reads = app.engine.store.stats.reads
            await run.signal("go", 1)
            await run.result()
            read_by_verbs = app.engine.store.stats.reads - reads
            last = [await each.next(1) for each in crowd]
            assert app.engine.store.stats.reads - reads == read_by_verbs
        assert all(batch[-1] is last[0][-1] for batch in last)
        assert all(batch[-1].frame is last[0][-1].frame for batch in last)

    podium(scenario)


def test_whoever_is_cut_off_while_reading_for_all_leaves_it_to_another(podium):
    async def scenario(app):
        run = await app.start(dag(GATE))
        followers = app.engine.audience.followers
        async with followers.follow(run.run_no) as patient:
            heard = await patient.next(0)
            window = followers._windows[run.run_no]
            # As if it lived elsewhere: nothing is heard of its commits.
            window.stop_listening()
            await run.signal("go", 1)
            slow_down(app.engine.store, "events")
            begun_s = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(patient.next(3600))
                reading = group.create_task(followers._read(window))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                reading.cancel()
            heard += waiting.result()
            # Nobody waited for the next look around, which comes after five seconds.
            assert asyncio.get_running_loop().time() - begun_s < 1
            window.stop_listening = None
        whole = numbers(await collected(app, run))
        assert [each.sequence for each in heard] == whole[: len(heard)]
        assert len(heard) > 3

    podium(scenario)


def test_commits_that_come_while_a_follower_reads_are_neither_lost_nor_told_twice(podium):
    async def scenario(app):
        run = await app.start(dag(f"{GATE[:-1]}, {chain(after='go')}]"))
        store, followers = app.engine.store, app.engine.audience.followers
        look, has_looked, may_answer = store.events, asyncio.Event(), asyncio.Event()

        async def slow_look(*values, **options):
            page = await look(*values, **options)
            if options["limit"] > 1:
                has_looked.set()
                await may_answer.wait()
            return page

        store.events = slow_look
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(collected(app, run))
            await has_looked.wait()
            await run.signal("go", 1)
            # Much was committed, and the first look at the journal has not come back.
            assert followers._windows[run.run_no].scribe.seq == 0
            may_answer.set()
        assert numbers(reader.result()) == numbers(await collected(app, run))
        assert reader.result()[0].type == "orchestration.run.queued"
        assert reader.result()[-1].type == "orchestration.run.completed"

    podium(scenario)


def test_a_journal_that_cannot_be_read_ends_its_followers_and_nothing_else(tmp_path):
    async def scenario():
        url = f"sqlite:///{tmp_path}/podium.db"
        async with connect(url) as driver, connect(url) as reader:
            run = await driver.start(dag(GATE))
            look = reader.engine.store.events

            async def damaged(*values, **options):
                page = await look(*values, **options)
                return [replace(each, body=b"damaged") for each in page]

            async with reader.engine.audience.followers.follow(run.run_no) as follower:
                await follower.next(1)
                reader.engine.store.events = damaged
                await run.signal("go", 1)
                with pytest.raises(InternalError, match="PDM-I030"):
                    await for_ever(follower)
            reader.engine.store.events = look
            assert reader.engine.failure is None
            assert numbers(await collected(reader, run)) == numbers(await collected(driver, run))

    asyncio.run(scenario())


def test_closing_ends_every_follower(podium):
    async def scenario(app):
        run = await app.start(dag(GATE))
        followers = app.engine.audience.followers
        async with followers.follow(run.run_no) as follower:
            await follower.next(1)
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(follower.next(3600))
                await asyncio.sleep(0)
                followers.close()
            assert waiting.result() == []
            assert follower.is_closing
            assert not follower.has_ended

    podium(scenario)


def test_a_run_that_another_process_drives_is_followed_all_the_same(tmp_path):
    async def scenario():
        url = f"sqlite:///{tmp_path}/podium.db"
        async with connect(url) as driver, connect(url) as reader:
            bodies.calls.clear()
            run = await driver.start(dag(GATE))
            async with asyncio.TaskGroup() as group:
                follower = group.create_task(collected(reader, run))
                early = group.create_task(anext(reader.follow(run.id)))
                assert (await early).type == "orchestration.run.queued"
                await run.signal("go", 1)
            heard = numbers(follower.result())
            assert heard == numbers(await collected(driver, run))
            assert reader.engine.actor(run.run_no) is None

    asyncio.run(scenario())
