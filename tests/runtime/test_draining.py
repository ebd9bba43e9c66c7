"""A node that is about to leave: it begins nothing more, takes nobody in, and lets attempts end."""

import asyncio

import bodies
from waiting import at, called, dag, look

from podium.runtime.starved import Starved

HELD = """
    - {name: a, uses: fn:hold, with: {name: gate, value: 1}}
    - {name: b, uses: fn:echo, depends_on: [a], with: {value: after}}
"""
ONE = "[{name: a, uses: fn:echo, with: {value: 1}}]"


async def test_what_runs_may_end_and_nothing_new_begins(app):
    handle = await app.start(dag(HELD))
    await called("gate in")
    async with asyncio.TaskGroup() as group:
        drained = group.create_task(app.engine.drain(3600))
        await asyncio.sleep(0)
        bodies.gate("gate").set()
    assert drained.result() == 0
    await at(handle, "a", "completed")
    assert await look(handle) == {"a": "completed", "b": "queued"}
    assert "after" not in bodies.calls


async def test_what_does_not_end_in_time_is_counted(app):
    await app.start(dag(HELD))
    await called("gate in")
    assert await app.engine.drain(0.1) == 1


async def test_nobody_is_taken_in_any_more(house, app):
    await app.engine.drain(0)
    run = await app.start(dag(ONE), detach=True)
    assert await app.recover() == 0
    async with house.app() as other:
        assert await other.run(run.id).result() == 1


async def test_what_was_left_comes_to_its_end_elsewhere(house):
    async with house.app() as leaving:
        run = await leaving.start(dag(HELD))
        await called("gate in")
        await leaving.engine.drain(0)
    async with house.app() as other:
        await called("gate in", "gate in")
        bodies.gate("gate").set()
        assert await other.run(run.id).result() == "after"
        # It was handed back in good order: no recovery is spent.
        assert [step.recoveries for step in (await other.run(run.id).view()).steps] == [0, 0]


class Waiting:
    """As much of an actor as waiting takes."""

    def __init__(self, run_no: int, priority: int) -> None:
        self.run_no = run_no
        self.row = self
        self.priority = priority


def test_the_most_urgent_comes_first_and_equals_in_the_order_they_came():
    starved = Starved()
    for run_no, priority in ((1, 50), (2, 10), (3, 50), (4, 0)):
        starved.add(Waiting(run_no, priority))
    starved.add(Waiting(1, 50))
    assert [actor.run_no for actor in starved.in_order()] == [4, 2, 1, 3]
    assert starved.outranks(1)
    assert not starved.outranks(0)


def test_who_waits_no_longer_outranks_nobody():
    starved = Starved()
    starved.add(Waiting(1, 0))
    starved.remove(1)
    starved.remove(1)
    assert not starved
    assert not starved.outranks(100)
    assert not list(starved.in_order())
