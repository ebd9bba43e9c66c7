"""Real processes take the ticks of one store and are killed at any moment."""

import asyncio
import random
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

import podium
from podium.authoring.documents import load_workflow
from podium.core.states import RunStatus
from podium.ports.store import RunFilter
from podium.settings import Settings

pytestmark = [pytest.mark.system, pytest.mark.slow]

CHILD = Path(__file__).with_name("schedule_child.py")
SECONDS = 12
SECOND_US = 1_000_000


@pytest.fixture
def children():
    """Return the living processes; none outlives the test."""
    living: list[subprocess.Popen[str]] = []
    yield living
    for child in living:
        child.kill()
        child.communicate()


def start(url: str) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, str(CHILD), url], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


async def prepare(url: str) -> None:
    """Publish a workflow of no code, and a schedule of every second that may overlap."""
    settings = Settings(database_url=url)
    async with podium.connect(settings=settings) as app:
        workflow = load_workflow(
            "name: quick\ntasks: [{name: a}]",
            source="w.yaml",
            expressions=app.engine.registry.expressions,
        ).workflow
        await app.workflows.publish(workflow)
        await app.schedules.create(
            {"name": "often", "workflow": "quick", "every": "1s", "overlap": "allow"}
        )


async def look(url: str) -> tuple[list[int], dict[int, str], list[int]]:
    """Return the ticks of all runs, what the schedule says of its ticks, and what is open."""
    async with podium.connect(settings=Settings(database_url=url)) as app:
        await app.schedules.pause("often")
        rows = await app.engine.store.runs(RunFilter(), limit=1000)
        for row in rows:
            await app.engine.ended(row.run_no)
        rows = await app.engine.store.runs(RunFilter(), limit=1000)
        ticks = await app.engine.store.schedule_ticks(1, limit=1000)
    due = [round(tick_us(row.labels["schedule_time"])) for row in rows]
    unfinished = [row.run_no for row in rows if row.status != RunStatus.COMPLETED]
    return due, {tick.tick_us: tick.outcome.name for tick in ticks}, unfinished


def tick_us(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1e6


def test_each_tick_starts_one_run_however_processes_are_killed(tmp_path, children):
    url = f"sqlite:///{tmp_path}/podium.db"
    asyncio.run(prepare(url))
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    children += [start(url), start(url)]
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        time.sleep(dice.uniform(0.2, 1.1))
        children[0].kill()
        children.pop(0).communicate()
        children.append(start(url))
    for child in children:
        child.kill()
    due, ticks, unfinished = asyncio.run(look(url))
    assert len(due) == len(set(due)) >= SECONDS, f"seed {seed}"
    assert sorted(due) == list(range(min(due), max(due) + 1, SECOND_US))
    assert set(due) == set(ticks)
    assert set(ticks.values()) == {"STARTED"}
    assert not unfinished
