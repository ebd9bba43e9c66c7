"""What one call costs beside the model: a gate far above what is measured, for slow machines."""

import asyncio
import time

from scripted import Desk, question, said

CALLS = 300
P99_MAX_US = 5_000


def test_a_call_costs_little_of_a_processor() -> None:
    desk = Desk(*(said() for _ in range(CALLS)))

    async def calls() -> list[float]:
        took = []
        for number in range(CALLS):
            ask = question(key=f"k{number}")
            began = time.thread_time_ns()
            await desk.gateway.call(ask, purse=desk.purse)
            took.append((time.thread_time_ns() - began) / 1_000)
        return sorted(took)

    took_us = asyncio.run(calls())
    assert took_us[int(CALLS * 0.99)] <= P99_MAX_US
