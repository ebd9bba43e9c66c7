"""The fixture users test their workflows with."""

import subprocess
import sys
from typing import Any

import podium
from podium.testing.virtual import VirtualPodium

calls: list[int] = []


@podium.task(max_retries=3, retry_delay="1h")
async def flaky(number: int) -> int:
    calls.append(number)
    if len(calls) < 3:
        raise ValueError("not yet")
    return number


@podium.workflow
async def patient(number: int) -> int:
    await podium.sleep("90d")
    return await flaky(number)


@podium.workflow
async def asks() -> Any:
    return await podium.wait_signal("go")


def test_months_of_sleep_and_hours_of_retries_take_no_time(virtual_podium: VirtualPodium) -> None:
    async def scenario(app: podium.App) -> tuple[int, int]:
        calls.clear()
        run = await app.start(patient, input={"number": 7})
        row = await run.wait()
        return await run.result(), (row.ended_us or 0) - row.created_us

    result, took_us = virtual_podium(scenario)
    assert (result, calls) == (7, [7, 7, 7])
    assert took_us > 90 * 86_400 * 1_000_000


def test_a_later_scenario_finds_what_an_earlier_one_left(virtual_podium: VirtualPodium) -> None:
    async def begin(app: podium.App) -> str:
        return (await app.start(asks, idempotency_key="one")).id

    async def finish(app: podium.App) -> Any:
        run = await app.start(asks, idempotency_key="one")
        await run.signal("go", {"ok": True})
        return run.id, await run.result()

    started = virtual_podium(begin)
    assert virtual_podium(finish) == (started, {"ok": True})


def test_the_plugin_costs_nothing_where_nobody_uses_it() -> None:
    code = "import sys, podium.testing.pytest_plugin; print('podium.app' in sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "False"
