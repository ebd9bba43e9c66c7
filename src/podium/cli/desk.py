"""Where a person's decision about a run is handed in, whoever drives the run.

A decision is durable first. A live process that may drive the run applies it; without one this
process applies it itself, starting nothing: what follows is for the next `podium recover`.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, TypeVar

from podium.app import connect_desk
from podium.authoring.client import App
from podium.cli.background import dead_nodes, live_engines
from podium.cli.loading import use_folders_of
from podium.cli.output import note
from podium.cli.session import Session, person
from podium.core.definition import WorkflowKind
from podium.core.ids import run_id
from podium.core.states import RunStatus
from podium.errors import PodiumError
from podium.ports.store import RunRow
from podium.runtime.registry import load_target

__all__ = ["Desk", "open_desk"]

R = TypeVar("R")
ANSWER_WAIT_S: Final = 15.0
POST_S: Final = 0.3


class Desk:
    """See the module docstring; made by `open_desk`."""

    def __init__(self, session: Session, reader: App, stack: AsyncExitStack) -> None:
        self.reader = reader
        self._session = session
        self._stack = stack
        self._own: App | None = None
        self._has_engine: bool | None = None

    async def row(self, run: str) -> RunRow:
        """Return the row of a run; raises `NotFoundError`."""
        return await self.reader.run(run).row()

    async def has_driver(self, row: RunRow) -> bool:
        """Return whether a living process drives this run, or will take it."""
        if self._has_engine is None:
            self._has_engine = bool(await live_engines(self.reader))
        return self._has_engine or await self._has_home(row)

    async def _has_home(self, row: RunRow) -> bool:
        if row.home is None:
            return False
        dead = {node.node_id for node in await dead_nodes(self.reader)}
        up = {node.node_id for node in await self.reader.engine.store.nodes()}
        return row.home in up - dead

    async def tell(self, row: RunRow, verb: Callable[[App], Awaitable[R]]) -> R | None:
        """Hand in `verb` and return its answer; None if it is recorded and nobody can apply it.

        Raises what the run refuses with, and PDM-C030 if a living process does not answer.
        """
        if await self.has_driver(row):
            return await self._ask(verb, row)
        if await self._can_apply(row):
            return await verb(await self._own_app())
        try:
            async with asyncio.timeout(POST_S):
                return await verb(self.reader)
        except TimeoutError:
            return None

    async def _ask(self, verb: Callable[[App], Awaitable[R]], row: RunRow) -> R:
        try:
            async with asyncio.timeout(ANSWER_WAIT_S):
                return await verb(self.reader)
        except TimeoutError:
            raise _unanswered(row) from None

    async def _own_app(self) -> App:
        if self._own is None:
            desk = connect_desk(self._session.settings)
            self._own = (await self._stack.enter_async_context(desk)).acting_as(person())
        return self._own

    async def _can_apply(self, row: RunRow) -> bool:
        """Return whether this process can run the code that decides for a durable function."""
        plan = await self.reader.engine.registry.plan(row.def_hash)
        if plan.workflow.kind is not WorkflowKind.CODE:
            return True
        use_folders_of([row])
        try:
            load_target(plan.workflow.entrypoint)
        except PodiumError:
            return False
        return True

    async def advise(self, row: RunRow) -> None:
        """Say what continues the run if nobody is there to do it."""
        now = await self.reader.engine.store.run(row.run_no)
        is_open = now is not None and RunStatus(now.status).is_open
        if is_open and not await self.has_driver(row):
            note("No process drives this store now. Continue it: podium recover")


def _unanswered(row: RunRow) -> PodiumError:
    error = PodiumError(
        f"The process that drives {run_id(row.run_no)} has not answered for {ANSWER_WAIT_S:.0f} s.",
        why="The request is stored and will be applied as soon as it does.",
        fix=f"Look again: podium runs show {run_id(row.run_no)}",
        code="PDM-C030",
    )
    error.exit_code = 124
    return error


@asynccontextmanager
async def open_desk(session: Session) -> AsyncGenerator[Desk]:
    """Open the store for handing in decisions."""
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(session.reading())
        yield Desk(session, reader, stack)
