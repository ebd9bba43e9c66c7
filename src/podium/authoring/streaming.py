"""The text that steps of a run write while they go on, in the process that drives them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from podium.core.events import Event, RunMoved
from podium.core.ids import parse_run_id
from podium.core.states import RunStatus
from podium.runtime.attempts import attempt_context
from podium.runtime.engine import Engine
from podium.runtime.streams import Chunk

__all__ = ["stream", "text_of"]

LOOK_EVERY_S: Final = 1.0
DEPTH_MAX: Final = 64
"""How many runs lie between a run and one that it started by way of others."""


def stream(text: str) -> None:
    """Show some text of this task to whoever watches its run, before the task has a result.

    Nothing of it is kept: what counts is what the task returns. Outside of a task it does
    nothing, so that functions can be tested alone. May be called from any thread.
    """
    context = attempt_context()
    if context is not None:
        streams = context.services.streams
        streams.write_from_anywhere(context.run_id, context.step, context.attempt, text)


async def text_of(
    engine: Engine, run_no: int, *, idle_s: float = LOOK_EVERY_S
) -> AsyncGenerator[Chunk | None]:
    """Yield what steps of a run and of its child runs write, until the run has ended.

    A reader that comes late, or again, first gets what the steps that go on wrote so far, from
    `offset` 0. Steps that run in other processes are not heard. After `idle_s` without a word it
    yields None. Ends also when this process is about to leave.
    """
    heard: asyncio.Queue[Chunk | None] = asyncio.Queue()
    deaf = engine.registry.services.streams.listen_to_all(heard.put_nowait)
    stop = engine.listen(run_no, partial(_moved, heard))
    family: dict[int, bool] = {run_no: True}
    silent_s = 0.0
    try:
        goes_on = await _goes_on(engine, run_no)
        while goes_on or heard.qsize():
            chunk = await _next(heard, min(idle_s, LOOK_EVERY_S))
            if chunk is not None and await _belongs(engine, parse_run_id(chunk.run), family):
                silent_s = 0.0
                yield chunk
            elif chunk is None:
                goes_on = await _goes_on(engine, run_no)
                silent_s += min(idle_s, LOOK_EVERY_S)
                if silent_s >= idle_s:
                    silent_s = 0.0
                    yield None
    finally:
        stop()
        deaf()


def _moved(
    heard: "asyncio.Queue[Chunk | None]", run: int, seq: int, at_us: int, records: Sequence[Event]
) -> None:
    """Wake the reader: the run may have ended."""
    if any(type(record) is RunMoved for record in records):
        heard.put_nowait(None)


async def _next(heard: "asyncio.Queue[Chunk | None]", wait_s: float) -> Chunk | None:
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            return await heard.get()
    return None


async def _goes_on(engine: Engine, run_no: int) -> bool:
    if engine.audience.followers.is_closing:
        return False
    row = await engine.store.run(run_no)
    return row is not None and RunStatus(row.status).is_open


async def _belongs(engine: Engine, run_no: int, family: dict[int, bool]) -> bool:
    """Return whether a run was started by one of the family, and remember it."""
    line: list[int] = []
    at: int | None = run_no
    while at is not None and at not in family and len(line) < DEPTH_MAX:
        line.append(at)
        row = await engine.store.run(at)
        at = None if row is None else row.parent_run
    answer = family.get(at, False) if at is not None else False
    family.update(dict.fromkeys(line, answer))
    return answer
