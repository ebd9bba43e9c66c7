"""Who waits on this node: for a start to be durable, for an answer, for an end, for each commit."""

import asyncio
import logging
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

from podium.core import events as ev
from podium.core.ids import run_id
from podium.core.states import RunStatus
from podium.core.turn import Turn
from podium.errors import PodiumError
from podium.ports.store import OutcomeRow, Refusal, RunRow, RunWrite, Store
from podium.runtime.options import EngineOptions

__all__ = ["Listener", "Observer", "Waiters"]

log = logging.getLogger("podium.engine")

Listener = Callable[[int, int, int, Sequence[ev.Event]], None]
"""Called after each commit with run number, first seq, time and events."""


Observer = Callable[[RunWrite, Turn], None]
"""Called after each commit with what was written and the turn that decided it."""


class Waiters:
    """See the module docstring. Whoever gives up waiting is forgotten, never an error."""

    def __init__(self) -> None:
        self._starts: dict[int, asyncio.Future[Refusal | None]] = {}
        self._ends: dict[int, list[asyncio.Future[RunRow]]] = {}
        self._outcomes: dict[str, asyncio.Future[OutcomeRow]] = {}
        self._listeners: dict[int, list[Listener]] = {}
        self.observer: Observer | None = None
        """Hears of every commit of this node, whatever run it is about."""

    # -- starts --------------------------------------------------------------------------------

    def for_start(self, run_no: int) -> "asyncio.Future[Refusal | None]":
        """Return what will hold None once the run is durable, or why it was refused."""
        future: asyncio.Future[Refusal | None] = asyncio.get_running_loop().create_future()
        self._starts[run_no] = future
        return future

    def starting(self) -> list[int]:
        """Return the runs whose start nobody knows the outcome of yet."""
        return list(self._starts)

    def answer_start(self, run_no: int, answer: Refusal | PodiumError | None) -> bool:
        """Tell what became of a start; return False if nobody started this run."""
        future = self._starts.pop(run_no, None)
        if future is None:
            return False
        if not future.done():
            if isinstance(answer, PodiumError):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        return True

    # -- outcomes of messages ------------------------------------------------------------------

    def for_outcome(self, message_id: str) -> "asyncio.Future[OutcomeRow]":
        """Return what will hold the outcome of a message that a run on this node reads."""
        future: asyncio.Future[OutcomeRow] = asyncio.get_running_loop().create_future()
        self._outcomes[message_id] = future
        return future

    def drop_outcome(self, message_id: str) -> None:
        """Stop waiting for an outcome."""
        self._outcomes.pop(message_id, None)

    def refuse(self, message_ids: Iterable[str], error: PodiumError) -> None:
        """Tell who sent these messages that nobody will decide on them."""
        for message_id in message_ids:
            waiting = self._outcomes.get(message_id)
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)

    # -- ends ----------------------------------------------------------------------------------

    def for_end(self, run_no: int) -> "asyncio.Future[RunRow]":
        """Return what will hold the row of the closed run."""
        future: asyncio.Future[RunRow] = asyncio.get_running_loop().create_future()
        self._ends.setdefault(run_no, []).append(future)
        return future

    def awaited(self) -> list[int]:
        """Return the runs whose end somebody waits for."""
        return list(self._ends)

    def announce_end(self, row: RunRow) -> None:
        """Tell that a run is closed."""
        for future in self._ends.pop(row.run_no, []):
            if not future.done():
                future.set_result(row)

    async def watch_ends(self, store: Store, here: Container[int], options: EngineOptions) -> None:
        """Look up the awaited runs that do not live `here`, for ever: nobody else would tell.

        When they are thousands it looks less often, and spends a tenth of the time on it.
        """
        loop, took_s = asyncio.get_running_loop(), 0.0
        while True:
            await asyncio.sleep(max(0.25, options.watch_every_us / 1e6, 9 * took_s))
            begun_s = loop.time()
            for run_no in [each for each in self.awaited() if each not in here]:
                row = await store.run(run_no)
                if row is not None and not RunStatus(row.status).is_open:
                    self.announce_end(row)
            took_s = loop.time() - begun_s

    # -- commits -------------------------------------------------------------------------------

    def listen(self, run_no: int, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each commit of the run on this node; returns how to stop it."""
        self._listeners.setdefault(run_no, []).append(listener)

        def stop() -> None:
            self._listeners[run_no].remove(listener)
            if not self._listeners[run_no]:
                del self._listeners[run_no]

        return stop

    def tell(self, write: RunWrite, turn: Turn | None) -> None:
        """Pass a durable write on to everybody it concerns."""
        for outcome in write.outcomes:
            waiting = self._outcomes.get(outcome.message_id)
            if waiting is not None and not waiting.done():
                waiting.set_result(outcome)
        if write.create:
            self.answer_start(write.run_no, None)
        if turn is not None and turn.events and write.run_no in self._listeners:
            self._tell_listeners(write, turn)
        if turn is not None and self.observer is not None:
            self.observer(write, turn)

    def _tell_listeners(self, write: RunWrite, turn: Turn) -> None:
        for listener in list(self._listeners[write.run_no]):
            try:
                listener(write.run_no, write.old_seq + 1, turn.now_us, turn.events)
            except Exception:
                log.exception("listener.failed", extra={"run": run_id(write.run_no)})

    def fail_all(self, error: PodiumError) -> None:
        """Tell everybody that nothing more will happen on this node."""
        ends: list[asyncio.Future[Any]] = [f for fs in self._ends.values() for f in fs]
        waiting: list[asyncio.Future[Any]] = [*self._starts.values(), *self._outcomes.values()]
        for future in waiting + ends:
            if not future.done():
                future.set_exception(error)
