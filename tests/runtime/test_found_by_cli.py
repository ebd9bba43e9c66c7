"""What people at the command line ran into."""

import asyncio
import sys
from pathlib import Path

import podium
from podium.app import open_reader
from podium.runtime.explain import explain_run
from podium.settings import Settings

DIES = """
import asyncio, os, sys
import podium

@podium.task
async def dies():
    os.kill(os.getpid(), 9)

@podium.workflow
async def ends() -> None:
    await dies()

async def main():
    async with podium.connect(sys.argv[1]) as app:
        await (await app.start(ends)).wait()

asyncio.run(main())
"""


def url(folder: Path) -> str:
    return f"sqlite:///{folder}/p.db"


@podium.task
async def long() -> None:
    started.set()
    await asyncio.Event().wait()


@podium.workflow
async def patient() -> None:
    await long()


started = asyncio.Event()


async def test_leaving_in_good_order_charges_no_recovery(sqlite_house):
    for _ in range(6):
        started.clear()
        async with sqlite_house.app() as app:
            handle = await app.start(patient, idempotency_key="one")
            await asyncio.wait_for(started.wait(), 3)
            view = await handle.view()
    assert (view.status, view.steps[0].recoveries) == ("running", 0)


async def test_explain_does_not_name_a_process_that_is_dead(sqlite_house, tmp_path):
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", DIES, url(tmp_path))
    await child.wait()
    async with open_reader(Settings(database_url=url(tmp_path))) as app:
        found = await explain_run(app.engine, 1)
    assert (found.code, found.fix) == ("no_engine", "podium recover")


async def test_a_published_version_knows_when_it_was_published(app):
    await app.engine.registry.publish(patient.definition)
    row = await app.engine.store.definition("default", "patient")
    assert row is not None
    assert row.created_us > 0
