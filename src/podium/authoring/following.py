"""Following runs from a program: `app.follow(run)` and `app.followed(run)`.

Whoever remembers the `sequence` of the last event it saw goes on after it, in any process and
after any crash, and misses nothing and sees nothing twice.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from podium.authoring.standing import Standing
from podium.core.cloudevents import CloudEvent
from podium.core.ids import parse_run_id
from podium.runtime.answers import unknown_run
from podium.runtime.followers import Follower

__all__ = ["follow", "followed"]

A_WHILE_S: Final = 3600.0


async def follow(app: Standing, run: str, *, after: int = 0) -> AsyncGenerator[CloudEvent]:
    """Yield the events of a run after a sequence number, until it ends; see `App.follow`."""
    async with followed(app, run, after=after) as follower:
        while not (follower.has_ended or follower.is_closing):
            for notice in await follower.next(A_WHILE_S):
                yield notice.event


@asynccontextmanager
async def followed(app: Standing, run: str, *, after: int = 0) -> AsyncIterator[Follower]:
    """Give a follower of a run, for those who pass its events on; see `Followers.follow`."""
    run_no = parse_run_id(run)
    if app.scope:
        row = await app.engine.store.run(run_no)
        if row is None or row.organization != app.scope:
            raise unknown_run(run_no)
    async with app.engine.audience.followers.follow(run_no, after=after) as follower:
        yield follower
