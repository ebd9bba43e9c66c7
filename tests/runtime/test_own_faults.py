"""A fault of the engine itself meets one run, is told, and leaves all others alone."""

import asyncio

import bodies
import pytest
from waiting import called, dag, moment, run, status

import podium
from podium.core.messages import Signal
from podium.core.states import RunStatus
from podium.errors import InternalError
from podium.runtime import actor as actors
from podium.runtime.actor import Actor
from podium.runtime.deeds import Deeds

WAITS = "[{name: w, uses: signal, with: {name: go}}]"
QUICK = "[{name: a, uses: fn:echo, with: {value: 1}}]"
BUSY = "[{name: w, uses: signal, with: {name: go}}, {name: h, uses: fn:hold, with: {value: 1}}]"


@pytest.fixture
def poisoned(monkeypatch):
    """Let every decision about a signal named `poison` raise."""
    decide = actors.decide

    def fragile(turn, message):
        if isinstance(message, Signal) and message.name == "poison":
            raise ZeroDivisionError("of ours")
        return decide(turn, message)

    monkeypatch.setattr(actors, "decide", fragile)
    return monkeypatch


async def poison(handle):
    with pytest.raises(InternalError) as caught:
        await handle.signal("poison", 1)
    assert caught.value.code == "PDM-I005"


async def test_a_decision_that_raises_fails_its_run_and_no_other(app, poisoned):
    ill = await app.start(dag(WAITS))
    well = await app.start(dag(WAITS))
    await status(ill, "waiting")
    sent = [poison(ill), well.signal("go", 2), run(app, QUICK)]
    assert (await asyncio.gather(*sent))[2] == 1
    assert await well.result() == 2
    row = await ill.wait()
    assert (row.status, row.reason) == (RunStatus.FAILED, "internal")
    with pytest.raises(podium.PodiumError, match="ZeroDivisionError: of ours") as caught:
        await ill.result()
    assert caught.value.code == "PDM-I005"


async def test_the_run_goes_on_after_a_retry_once_the_fault_is_mended(app, poisoned):
    ill = await app.start(dag(WAITS))
    await poison(ill)
    await ill.wait()
    poisoned.undo()
    await ill.retry()
    await ill.signal("go", 3)
    assert await ill.result() == 3


async def test_results_that_a_broken_turn_held_free_their_places(app, poisoned):
    ill = await app.start(dag(BUSY))
    await called("gate in")
    bodies.gate("gate").set()
    await poison(ill)
    await ill.wait()
    while app.engine.free_places != app.engine.options.capacity:
        await moment()


async def test_a_start_that_raises_tells_its_caller_and_no_other(app, monkeypatch):
    begin = Actor.begin

    def fragile(self, started, now_us, **options):
        if started.labels.get("ill"):
            raise ZeroDivisionError("of ours")
        return begin(self, started, now_us, **options)

    monkeypatch.setattr(Actor, "begin", fragile)
    ill = app.start(dag(QUICK), labels={"ill": "yes"})
    answers = await asyncio.gather(ill, run(app, QUICK), return_exceptions=True)
    assert (answers[0].code, answers[1]) == ("PDM-I005", 1)


async def test_deeds_that_raise_fail_their_run_and_no_other(app, monkeypatch):
    ill = await app.start(dag(WAITS))
    act = Deeds.act

    def fragile(self, actor, turn):
        if actor.run_no == ill.run_no and actor.state.status.is_open:
            raise ZeroDivisionError("of ours")
        act(self, actor, turn)

    monkeypatch.setattr(Deeds, "act", fragile)
    answers = await asyncio.gather(ill.signal("other", 1), run(app, QUICK))
    assert answers[1] == 1
    assert (await ill.wait()).status == RunStatus.FAILED


async def test_a_run_that_cannot_be_loaded_keeps_nobody_else_from_coming_home(house, monkeypatch):
    async with house.app() as app:
        handles = [await app.start(dag(WAITS)) for _ in range(3)]
        for handle in handles:
            await status(handle, "waiting")
    ill, *well = [handle.id for handle in handles]
    revive = Actor.revive.__func__

    def fragile(cls, record, *rest):
        if record.row.run_no == handles[0].run_no:
            raise ZeroDivisionError("of ours")
        return revive(cls, record, *rest)

    monkeypatch.setattr(Actor, "revive", classmethod(fragile))
    async with house.app() as app:
        await app.recover()
        for run_id in well:
            await app.run(run_id).signal("go", 1)
            assert await app.run(run_id).result() == 1
        with pytest.raises(InternalError, match="cannot be loaded") as caught:
            await app.run(ill).signal("go", 1)
        assert caught.value.code == "PDM-I006"
        monkeypatch.undo()
        await app.engine.adopt(handles[0].run_no)
        assert await app.run(ill).result() == 1


async def test_a_listener_that_raises_disturbs_nobody(app):
    handle = await app.start(dag(WAITS))

    def broken(*_):
        raise ZeroDivisionError("of theirs")

    app.engine.listen(handle.run_no, broken)
    await handle.signal("go", 1)
    assert await handle.result() == 1
