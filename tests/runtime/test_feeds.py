"""The feed: the events of all runs in the order of their commits, from every place on."""

import asyncio
import itertools

import pytest
from test_following import GATE, chain, collected
from waiting import dag, slow_down

from podium import connect
from podium.errors import GoneError, RequestError
from podium.runtime import feeds as module
from podium.runtime.feeds import START, FeedCursor, parse_cursor
from podium.testing import VirtualPodium

SHORT = f"[{chain()[:200].rpartition('}, ')[0]}}}]"


@pytest.fixture
def podium():
    return VirtualPodium()


async def read(app, *, after=START, organization=""):
    """Return what the feed holds after a place."""
    follower = await app.engine.audience.feeds.follow(after=after, organization=organization)
    found = []
    while told := await follower.next(0):
        found += told
    return found


async def started(app, count=3):
    """Run some flows side by side; the feed was opened before."""
    await app.engine.store.open_feed()
    runs = [await app.start(dag(SHORT)) for _ in range(count)]
    for run in runs:
        await run.result()
    return runs


def seen(told):
    return [(str(each.cursor), each.notice.event) for each in told]


def test_the_feed_holds_every_event_of_every_run_in_order(podium):
    async def scenario(app):
        runs = await started(app)
        told = await read(app)
        places = [each.cursor for each in told]
        assert places == sorted(set(places))
        for run in runs:
            source = f"/v1/runs/{run.id}"
            of_run = [e.notice.event for e in told if e.notice.event.source == source]
            assert of_run == await collected(app, run)

    podium(scenario)


@pytest.mark.parametrize("window", [2, 4096])
def test_from_every_place_the_rest_is_the_same(podium, monkeypatch, window):
    monkeypatch.setattr(module, "WINDOW", window)
    monkeypatch.setattr(module, "SCRIBES_MAX", 1)
    monkeypatch.setattr(module, "BATCH_MAX", 3)

    async def scenario(app):
        await started(app)
        whole = await read(app)
        for number, each in enumerate(whole):
            assert seen(await read(app, after=each.cursor)) == seen(whole[number + 1 :])

    podium(scenario)


def test_who_follows_from_now_on_hears_what_comes(podium):
    async def scenario(app):
        await started(app)
        follower = await app.engine.audience.feeds.follow(organization=app.organization)
        assert await follower.next(0) == []
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(follower.next(60))
            await asyncio.sleep(0)
            run = await app.start(dag(GATE))
        assert {each.notice.event.source for each in waiting.result()} == {f"/v1/runs/{run.id}"}

    podium(scenario)


def test_nobody_hears_of_other_organizations(podium):
    async def scenario(app):
        await started(app)
        stranger = app.on_behalf_of("stranger")
        theirs = await stranger.start(dag(GATE))
        heard = await read(app, organization="stranger")
        assert {each.notice.event.source for each in heard} == {f"/v1/runs/{theirs.id}"}

    podium(scenario)


def test_whoever_is_cut_off_while_reading_for_all_loses_nothing(podium):
    async def scenario(app):
        await started(app)
        feeds = app.engine.audience.feeds
        follower = await feeds.follow()
        # Every run is met for the first time, so that a read is cut off between two of them.
        slow_down(app.engine.store, "feed")
        slow_down(app.engine.registry, "plan")
        runs = [await app.start(dag(SHORT)) for _ in range(3)]
        for run in runs:
            await run.result()
        begun_s = asyncio.get_running_loop().time()
        for turns in range(20):
            async with asyncio.TaskGroup() as group:
                heard = group.create_task(follower.next(60))
                reading = group.create_task(feeds.refresh())
                for _ in range(turns):
                    await asyncio.sleep(0)
                reading.cancel()
                told = list(await heard)
            if told:
                break
        while more := await follower.next(1):
            told += more
        # Nobody waited for the next look around, which comes after five seconds.
        assert asyncio.get_running_loop().time() - begun_s < 5
        sources = {f"/v1/runs/{run.id}" for run in runs}
        assert {each.notice.event.source for each in told} == sources
        assert len(told) == sum([len(await collected(app, run)) for run in runs])

    podium(scenario)


@pytest.mark.parametrize("turns", range(1, 12))
def test_a_read_that_was_cut_off_anywhere_is_read_again(podium, turns):
    async def scenario(app):
        await started(app)
        slow_down(app.engine.store, "feed")
        slow_down(app.engine.registry, "plan")
        reader = module.FeedReader(app.engine.store, app.engine.registry, after=0)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(reader.read())
            for _ in range(turns):
                await asyncio.sleep(0)
            reading.cancel()
        assert reader.no == 0
        feeds = app.engine.audience.feeds
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(feeds.refresh())
            await asyncio.sleep(0)
            reading.cancel()
        assert feeds._is_behind
        assert seen(await reader.read()) == seen(await read(app))

    podium(scenario)


def test_a_reader_that_begins_late_names_steps_as_the_first_one_did(podium):
    async def scenario(app):
        await started(app)
        whole = await read(app)
        middle = whole[len(whole) // 2].cursor
        reader = module.FeedReader(app.engine.store, app.engine.registry, after=middle.no)
        late = await reader.read()
        assert seen(late) == [pair for pair in seen(whole) if parse_cursor(pair[0]).no > middle.no]
        assert {each.notice.event.subject[0] for each in late} <= {"t", "r"}

    podium(scenario)


def test_runs_that_are_gone_leave_no_gap_in_the_others(podium):
    async def scenario(app):
        gone, kept, _ = await started(app)
        app.engine.store.database.forget([gone.run_no])
        told = await read(app)
        sources = {each.notice.event.source for each in told}
        assert f"/v1/runs/{gone.id}" not in sources
        of_kept = [e.notice.event for e in told if e.notice.event.source == f"/v1/runs/{kept.id}"]
        assert of_kept == await collected(app, kept)

    podium(scenario)


def test_a_place_that_was_pruned_is_gone_and_not_skipped(podium):
    async def scenario(app):
        await started(app)
        whole = await read(app)
        assert await app.engine.store.prune_feed(9999)
        with pytest.raises(GoneError, match="PDM-R415"):
            await read(app, after=FeedCursor(1, 1))
        with pytest.raises(GoneError, match="PDM-R415"):
            await read(app)
        last = whole[-1].cursor
        assert await read(app, after=last) == []

    podium(scenario)


@pytest.mark.parametrize("cursor", ["", "1", "x.1", "1.x", "-1.0", "1.2.3", "9" * 16 + ".1"])
def test_what_is_no_place_is_refused(cursor):
    with pytest.raises(RequestError, match="PDM-R150"):
        parse_cursor(cursor)


def test_a_place_beyond_the_end_is_refused(podium):
    async def scenario(app):
        await started(app)
        with pytest.raises(RequestError, match="PDM-R150"):
            await read(app, after=FeedCursor(9999, 1))

    podium(scenario)


def test_the_feed_tells_what_other_processes_commit(tmp_path):
    async def scenario():
        url = f"sqlite:///{tmp_path}/podium.db"
        async with connect(url) as one, connect(url) as two:
            follower = await two.engine.audience.feeds.follow()
            run = await one.start(dag(GATE))
            heard = []
            while not any(e.notice.event.type.endswith("waiting") for e in heard):
                heard += await follower.next(10)
            await run.signal("go", 1)
            while not any(e.notice.event.type.endswith("run.completed") for e in heard):
                heard += await follower.next(10)
            assert [e.notice.event for e in heard] == await collected(one, run)
            places = [each.cursor for each in heard]
            assert all(a < b for a, b in itertools.pairwise(places))

    asyncio.run(scenario())
