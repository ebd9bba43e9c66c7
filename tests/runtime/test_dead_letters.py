"""Parked work: a step that was interrupted too often is listed, replayed or given up, once."""

import asyncio

import bodies
import pytest
from test_restarts import leave_in_the_middle
from waiting import called, dag

import podium
from podium.core.ids import run_id
from podium.core.states import RunStatus
from podium.errors import NotFoundError

POISON = "[{name: h, uses: fn:hold, max_recoveries: 0}]"


async def parked(house):
    """Return the id of a run whose step was interrupted too often."""
    return await leave_in_the_middle(house, dag(POISON), crash=True)


async def letter_of(app, run):
    await app.run(run).wait()
    [letter] = await app.dead_letters.list()
    return f"stp_{run[4:]}_{letter.step_no}"


async def statuses(app):
    return [letter.status for letter in await app.dead_letters.list(status="")]


async def test_a_letter_is_replayed_in_its_run_with_all_its_recoveries(house):
    run = await parked(house)
    async with house.app() as app:
        letter = await letter_of(app, run)
        bodies.gate("gate").set()
        await app.dead_letters.replay(letter, by="op")
        await app.run(run).result()
        assert (await app.dead_letters.list(), await statuses(app)) == ([], ["replayed"])


async def test_a_plain_retry_empties_the_list_as_well(house):
    run = await parked(house)
    async with house.app() as app:
        await letter_of(app, run)
        bodies.gate("gate").set()
        await app.run(run).retry()
        await app.run(run).result()
        assert await statuses(app) == ["replayed"]


@pytest.mark.parametrize("verb", ["skip", "abort"])
async def test_what_is_skipped_or_aborted_is_not_waited_for(house, verb):
    run = await parked(house)
    async with house.app() as app:
        await letter_of(app, run)
        await getattr(app.run(run), verb)()
        await app.run(run).wait()
        assert await statuses(app) == ["discarded"]


async def test_a_discarded_letter_leaves_its_run_as_it_is(house):
    run = await parked(house)
    async with house.app() as app:
        letter = await letter_of(app, run)
        await app.dead_letters.discard(letter)
        assert await statuses(app) == ["discarded"]
        assert await app.run(run).status() is RunStatus.FAILED


async def test_of_two_who_decide_about_a_letter_one_is_told_that_it_is_gone(house):
    run = await parked(house)
    async with house.app() as app:
        letter = await letter_of(app, run)
        answers = await asyncio.gather(
            app.dead_letters.discard(letter),
            app.dead_letters.discard(letter),
            return_exceptions=True,
        )
        [lost] = [each for each in answers if isinstance(each, podium.ConflictError)]
        assert (lost.code_word, lost.state) == ("wrong_state", "failed")


async def test_a_letter_that_is_parked_again_is_in_the_list_again(house):
    run = await parked(house)
    async with house.app() as app:
        await app.dead_letters.replay(await letter_of(app, run))
        await called("gate in", "gate in")
        house.crash(app)
    async with house.app() as app:
        await app.run(run).wait()
        assert sorted(await statuses(app)) == ["parked", "replayed"]


async def test_letters_come_in_pages_oldest_first(house):
    for _ in range(3):
        bodies.calls.clear()
        await parked(house)
    async with house.app() as app:
        await app.recover()
        for row in await app.list_runs():
            await app.run(run_id(row.run_no)).wait()
        first = await app.dead_letters.list(limit=2)
        last = f"stp_{run_id(first[-1].run_no)[4:]}_{first[-1].step_no}"
        rest = await app.dead_letters.list(limit=2, after=last)
        assert (len(first), len({r.run_no for r in (*first, *rest)})) == (2, 3)


@pytest.mark.parametrize("letter", ["stp_00000001_9", "stp_0000zzzz_1"])
async def test_a_letter_that_does_not_exist_is_not_found(app, letter):
    with pytest.raises(NotFoundError) as caught:
        await app.dead_letters.replay(letter)
    assert caught.value.code == "PDM-R423"


async def test_the_letters_of_another_organization_do_not_exist(house):
    run = await parked(house)
    async with house.app() as app:
        letter = await letter_of(app, run)
        stranger = app.on_behalf_of("rivals", by="eve")
        assert await stranger.dead_letters.list() == []
        with pytest.raises(NotFoundError):
            await stranger.dead_letters.discard(letter)
        assert await statuses(app) == ["parked"]


async def test_an_unknown_status_is_refused(app):
    with pytest.raises(podium.RequestError, match="parked"):
        await app.dead_letters.list(status="parkd")
