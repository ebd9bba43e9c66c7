"""The virtual loop: time that costs nothing, one order of everything, no silent deadlock."""

import asyncio
import socket
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from podium.testing.loop import DeadlockError, run_virtual


def now() -> float:
    return asyncio.get_running_loop().time()


async def after(seconds: float, log: list[float] | None = None) -> float:
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()
    if log is not None:
        log.append(seconds)
    return now()


async def together(*work: Coroutine[Any, Any, Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for each in work:
            group.create_task(each)


def test_a_year_passes_in_no_time() -> None:
    began = time.monotonic()
    assert run_virtual(after(365 * 86_400)) == 365 * 86_400
    assert time.monotonic() - began < 5


def test_timers_ring_in_the_order_of_their_times() -> None:
    log: list[float] = []
    run_virtual(together(*(after(seconds, log) for seconds in (3, 1, 2, 1.5))))
    assert log == [1, 1.5, 2, 3]


def test_timers_of_one_moment_ring_in_the_order_of_their_making() -> None:
    async def scenario() -> list[int]:
        log: list[int] = []
        for number in range(100):
            asyncio.get_running_loop().call_at(5, log.append, number)
        await after(5)
        return log

    assert run_virtual(scenario()) == list(range(100))


def test_a_cancelled_timer_neither_rings_nor_moves_the_clock() -> None:
    async def scenario() -> float:
        asyncio.get_running_loop().call_later(50, pytest.fail, "it rang").cancel()
        return await after(1)

    assert run_virtual(scenario()) == 1


def test_a_timeout_expires_in_virtual_time() -> None:
    async def scenario() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await after(3600)
        return now()

    assert run_virtual(scenario()) == 60


def test_the_clock_waits_for_a_thread() -> None:
    async def scenario() -> tuple[float, list[float]]:
        log: list[float] = []
        timer = asyncio.get_running_loop().call_later(1, log.append, 1.0)
        await asyncio.to_thread(lambda: sum(range(200_000)))
        timer.cancel()
        return now(), log

    assert run_virtual(scenario()) == (0, [])


def test_sockets_work() -> None:
    async def scenario() -> bytes:
        left, right = socket.socketpair()
        with left, right:
            left.settimeout(0)
            right.settimeout(0)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(left, b"hello")
            return await loop.sock_recv(right, 10)

    assert run_virtual(scenario()) == b"hello"


def test_a_deadlock_is_raised_and_names_who_waits() -> None:
    async def waits_for_nobody() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError, match=r"waits_for_nobody at .*test_loop\.py"):
        run_virtual(waits_for_nobody())


def test_a_set_of_tasks_has_the_order_of_their_making() -> None:
    async def scenario() -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = {group.create_task(after(1), name=str(number)) for number in range(20)}
            return [task.get_name() for task in tasks]

    assert run_virtual(scenario()) == run_virtual(scenario())
