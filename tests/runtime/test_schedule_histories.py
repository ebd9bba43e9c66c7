"""Schedules under everything at once: nodes that die, stop and come back, and lost answers.

A seed is a whole history in virtual time; a failing one replays exactly.
"""

import asyncio
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from timekeeping import Town, passing, us

from podium.adapters.memory import MemoryStore
from podium.adapters.memory.faults import Fault, FaultKind
from podium.authoring.client import App
from podium.core.schedules import Overlap, TickOutcome
from podium.core.states import RunStatus
from podium.errors import PodiumError
from podium.testing.loop import run_virtual

PERIOD_US = 10_000_000
TROUBLE_S = 400
WORKFLOW = "name: job\ntasks:\n- {name: a, uses: sleep, with: {duration: %ss}}"
WRITES = ("submit", "change_schedule", "post")


class History:
    """One seed: three nodes on a store, trouble for a while, and then none."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(f"{seed}/schedules")
        self.town = Town()
        self.nodes: list[App] = []
        self.deaths: dict[App, asyncio.Future[None]] = {}
        self.is_troubled = True
        self.overlap = self.dice.choice(list(Overlap))
        self.ended_us = 0
        self.silences: list[tuple[int, int]] = []
        """When the schedule was paused: from the answer to the call that ended it."""

    # -- trouble -------------------------------------------------------------------------------

    def faults(self, call: str, batch: object) -> Fault:
        if not self.is_troubled or call not in WRITES:
            return Fault()
        delay_s = self.dice.choice([0, 0, 0.001, 0.02, 0.5])
        answer_s = self.dice.choice([0, 0, 0.001, 0.3])
        # Whether a lone change happened, its caller cannot know: the node is as good as dead.
        odds = 0.1 if call == "submit" else 0.02
        kind = FaultKind.NEVER
        if self.dice.random() < odds:
            kind = self.dice.choice([FaultKind.BEFORE, FaultKind.AFTER])
        return Fault(kind=kind, delay_s=delay_s, answer_s=answer_s)

    async def node(self) -> None:
        """Be a node until it is killed or its store fails; then another comes."""
        loop = asyncio.get_running_loop()
        while True:
            app = self.town.node(faults=self.faults, lease_us=8_000_000, run_block=4)
            death = self.deaths[app] = loop.create_future()
            life = loop.create_task(self.life(app))
            await asyncio.wait([death, life], return_when=asyncio.FIRST_COMPLETED)
            if app in self.nodes:
                self.nodes.remove(app)
            end(app)
            life.cancel()
            await asyncio.wait([life], timeout=1)
            await passing(self.dice.uniform(0.1, 5))

    async def life(self, app: App) -> None:
        with suppress(PodiumError, BaseExceptionGroup):
            async with app:
                self.nodes.append(app)
                assert app._task is not None
                await asyncio.wait([app._task])

    async def trouble(self) -> None:
        until = asyncio.get_running_loop().time() + TROUBLE_S
        while asyncio.get_running_loop().time() < until:
            await passing(self.dice.uniform(0.5, 10))
            if self.nodes:
                await self.harm(self.dice.choice(self.nodes))
        self.is_troubled = False

    async def harm(self, app: App) -> None:
        store = app.engine.store
        assert isinstance(store, MemoryStore)
        match self.dice.randrange(4):
            case 0:
                self.deaths[app].set_result(None)
            case 1:
                store.process.pause()
                await passing(self.dice.uniform(0.1, 15))
                store.process.resume()
            case 2:
                await self.ask(app)
            case _:
                pass

    async def ask(self, app: App) -> None:
        """Pause the schedule for a while, as a person would: again until it is answered."""
        await self.insist("pause")
        begun_us = self.town.now_us()
        await passing(self.dice.uniform(1, 30))
        ended_us = self.town.now_us()
        await self.insist("resume")
        self.silences.append((begun_us, ended_us))

    async def insist(self, verb: str) -> None:
        while True:
            with suppress(PodiumError, TimeoutError):
                async with asyncio.timeout(5):
                    await getattr(self.desk.schedules, verb)("often")
                return

    # -- the whole -----------------------------------------------------------------------------

    async def live(self) -> dict[str, Any]:
        self.desk = self.town.node(schedules=False, capacity=1)
        loop = asyncio.get_running_loop()
        async with self.desk:
            text = WORKFLOW % self.dice.choice([1, 8, 25])
            await self.desk.workflows.publish(self.town.workflow(text))
            await self.desk.schedules.create(
                {"name": "often", "workflow": "job", "every": "10s", "overlap": self.overlap}
            )
            nodes = [loop.create_task(self.node()) for _ in range(3)]
            await self.trouble()
            await passing(60)
            await self.insist("pause")
            self.ended_us = self.town.now_us()
            for node in nodes:
                node.cancel()
            await asyncio.wait(nodes)
            return await self.told()

    async def told(self) -> dict[str, Any]:
        store = self.desk.engine.store
        return {
            "runs": await self.town.runs(self.desk),
            "ticks": list(reversed(await store.schedule_ticks(1, limit=1000))),
            "row": await store.schedule(1),
        }


def end(app: App) -> None:
    """End the process of a node without a word."""
    store = app.engine.store
    assert isinstance(store, MemoryStore)
    store.kill()
    app.engine.node = None


def check(history: History, told: dict[str, Any]) -> None:
    runs, ticks, row = told["runs"], told["ticks"], told["row"]
    started = {t.run_no: t.tick_us for t in ticks if t.outcome is TickOutcome.STARTED}
    due = [us(run.labels["schedule_time"]) for run in runs]
    assert len(due) == len(set(due)), "a tick started two runs"
    assert {run.run_no: at for run, at in zip(runs, due, strict=True)} == started
    seen = [tick.tick_us for tick in ticks]
    whole = range(history.town.start_us + PERIOD_US, row.state.cursor_us + 1, PERIOD_US)
    lost = [at for at in whole if at not in seen and not in_silence(history, at)]
    assert not lost, "a tick has no outcome"
    assert len(runs) > 3
    for run in runs:
        assert not any(a < run.created_us < b for a, b in history.silences), "started in a pause"
    if history.overlap is not Overlap.ALLOW:
        for before, after in pairwise(sorted(runs, key=lambda run: run.created_us)):
            assert before.ended_us is not None, "a run did not end"
            assert before.ended_us <= after.created_us, "runs overlap"
    assert all(not RunStatus(run.status).is_open for run in runs[:-3])


def in_silence(history: History, tick_us: int) -> bool:
    """Return whether a tick fell into a pause, or was about to be taken when one began."""
    return any(a - 2 * PERIOD_US <= tick_us <= b + PERIOD_US for a, b in history.silences) or (
        tick_us > history.ended_us - 2 * PERIOD_US
    )


@pytest.mark.parametrize("seed", range(16))
def test_every_tick_has_one_outcome_whatever_fails(seed: int) -> None:
    history = History(seed)

    check(history, run_virtual(history.live()))
