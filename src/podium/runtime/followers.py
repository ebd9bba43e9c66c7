"""Everybody who follows runs on this node: one fold and one read for each run, however many look.

A run that lives here tells its events as they are committed; one that lives elsewhere is read
from the journal when its last number has moved, all such runs with one look. Followers share a
window of the newest events and wait on one future. Who is too slow for the window, or begins
far back, reads the journal for itself: nothing is dropped, and nobody is waited for.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from podium.core import events as ev
from podium.core.ids import run_id
from podium.core.states import RunStatus
from podium.errors import GoneError, PodiumError, RequestError, StoreError
from podium.ports.store import RunRow, Store
from podium.runtime.answers import unknown_run
from podium.runtime.notices import Notice, Scribe
from podium.runtime.registry import Registry
from podium.runtime.waiters import Listener

__all__ = ["Follower", "Followers", "invalid_cursor"]

PAGE: Final = 500
BATCH_MAX: Final = 256
"""Notices given to a follower at once: one that is far behind does not hold up the others."""
WINDOW: Final = 4096
"""The newest notices of a run that are kept for all."""
IDLE_MAX: Final = 32
"""Runs nobody follows at the moment whose fold is kept: who lost a connection comes back."""
LOOK_EVERY_S: Final = 5.0
"""How often to look at the runs of other nodes although nothing was heard."""
POLL_S: Final = 0.1
"""How often a follower looks where no engine runs that would tell."""

CROWD: Final = 50
GATHER_S: Final = 10e-6
"""How long each of a crowd lets the others wait: about what it takes to tell one of them."""

Listen = Callable[[int, Listener], Callable[[], None]]


class _Window:
    """The newest notices of one run, and who waits for more."""

    def __init__(self, run_no: int, scribe: Scribe) -> None:
        self.run_no = run_no
        self.scribe = scribe
        self.followers = 0
        self.is_behind = True
        """Whether the journal holds more than was taken in, as far as this node knows."""
        self.failure: PodiumError | None = None
        """Why the run cannot be followed any further here."""
        self.reading = asyncio.Lock()
        self.stop_listening: Callable[[], None] | None = None
        self._floor = scribe.floor
        self._notices: deque[Notice] = deque()
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._wake_timer: asyncio.TimerHandle | None = None

    @property
    def floor(self) -> int:
        """Return the cursor before which notices have to be read from the journal."""
        return self._floor

    @property
    def is_listening(self) -> bool:
        """Return whether commits of this node are heard."""
        return self.stop_listening is not None

    @property
    def is_closed(self) -> bool:
        """Return whether the run has ended, as far as it was taken in."""
        return self.scribe.seq > 0 and not self.scribe.state.status.is_open

    def add(self, notices: Sequence[Notice]) -> None:
        """Show new notices to everybody."""
        self._notices.extend(notices)
        while len(self._notices) > WINDOW:
            self._floor = self._notices.popleft().sequence
        self.wake()

    def wake(self) -> None:
        """Let everybody look again.

        To wake a crowd takes a while, and often more comes in that while: it is gathered first,
        so that one look serves for all of it.
        """
        if self._wake_timer is None and self._waiting:
            pause_s = len(self._waiting) * GATHER_S if len(self._waiting) >= CROWD else 0.0
            self._wake_timer = asyncio.get_running_loop().call_later(pause_s, self._wake_now)

    def _wake_now(self) -> None:
        self._wake_timer = None
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting:
            _release(waiter)

    def after(self, cursor: int) -> list[Notice]:
        """Return some notices after a cursor that is not below the floor."""
        if not self._notices or self._notices[-1].sequence <= cursor:
            return []
        # Followers are mostly near the end: count from there.
        found: list[Notice] = []
        for notice in reversed(self._notices):
            if notice.sequence <= cursor:
                break
            found.append(notice)
        found.reverse()
        return found[:BATCH_MAX]

    async def changed(self, within_s: float) -> None:
        """Wait for news, at most so long."""
        loop = asyncio.get_running_loop()
        # One future each: whoever is cancelled must not take the others along.
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(within_s, _release, waiter)
        self._waiting[waiter] = None
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiting.pop(waiter, None)

    def heard(self, run_no: int, first_seq: int, at_us: int, records: Sequence[ev.Event]) -> None:
        """Take in a commit of this node."""
        if first_seq > self.scribe.seq + 1 or self.reading.locked():
            # What lies between is read first; this comes with it.
            self.is_behind = True
            self.wake()
            return
        self.add(self.scribe.take(first_seq, at_us, records))


def _release(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


class Followers:
    """See the module docstring. `listen` is `Engine.listen`; `is_here` tells who lives here."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        listen: Listen,
        is_here: Callable[[int], bool],
    ) -> None:
        self._store = store
        self._registry = registry
        self._listen = listen
        self._is_here = is_here
        self._windows: OrderedDict[int, _Window] = OrderedDict()
        self._opening = asyncio.Lock()
        self._stirred = asyncio.Event()
        self._is_watched = False
        self.is_closing = False

    # -- what moves it -------------------------------------------------------------------------

    async def watch(self) -> None:
        """Look after the runs of other nodes, for ever; an engine does this in the background."""
        self._is_watched = True
        try:
            while True:
                is_needed = any(window.followers for window in self._windows.values())
                with suppress(TimeoutError):
                    timeout = LOOK_EVERY_S if is_needed else None
                    async with asyncio.timeout(timeout):
                        await self._stirred.wait()
                self._stirred.clear()
                await self._look()
        finally:
            self._is_watched = False

    def stir(self) -> None:
        """Note that another process wrote something; costs nothing while nobody follows."""
        if self._windows:
            self._stirred.set()

    def close(self) -> None:
        """Let every follower end: this process is about to leave."""
        self.is_closing = True
        for window in self._windows.values():
            window.wake()

    async def _look(self) -> None:
        """Find out with one read which of the followed runs went on elsewhere."""
        followed = [each for each in self._windows.values() if each.followers]
        away = [each for each in followed if each.is_behind or not self._is_here(each.run_no)]
        if away:
            seqs = await self._store.last_seqs([each.run_no for each in away])
            for window in away:
                if seqs.get(window.run_no, 0) > window.scribe.seq:
                    await self._try_to_read(window)

    async def _try_to_read(self, window: _Window) -> None:
        """Read; what keeps one run from being read is for its followers to hear."""
        try:
            await self._read(window)
        except StoreError:
            raise
        except PodiumError as error:
            window.failure = error
            self._windows.pop(window.run_no, None)
            window.wake()

    async def _read(self, window: _Window) -> None:
        """Take in what the journal holds beyond what was taken in."""
        async with window.reading:
            while True:
                window.is_behind = False
                scribe = window.scribe
                try:
                    page = await self._store.events(window.run_no, after=scribe.seq, limit=PAGE)
                except BaseException:
                    # Whoever read for all was cut off: let another one do it.
                    window.is_behind = True
                    window.wake()
                    raise
                for record in page:
                    window.add(scribe.take_record(record))
                if len(page) < PAGE and not window.is_behind:
                    return

    # -- following -----------------------------------------------------------------------------

    @asynccontextmanager
    async def follow(self, run_no: int, *, after: int = 0) -> AsyncIterator["Follower"]:
        """Give a follower whose first notice is the one after the sequence number `after`.

        Raises `NotFoundError`, `RequestError` PDM-R150 for a cursor the run never gave, and
        `GoneError` PDM-R415 for one before what retention left.
        """
        row = await self._store.run(run_no)
        if row is None:
            raise unknown_run(run_no)
        await self._check_cursor(row, after)
        window = await self._open(row)
        window.followers += 1
        try:
            yield Follower(self, window, after)
        finally:
            window.followers -= 1
            self._rest(window)

    async def _check_cursor(self, row: RunRow, after: int) -> None:
        if not 0 <= after <= row.last_seq:
            raise _future(row, after)
        window = self._windows.get(row.run_no)
        if window is not None and after >= window.floor:
            return
        oldest = await self._store.events(row.run_no, after=0, limit=1)
        if row.last_seq and (not oldest or oldest[0].first_seq > after + 1):
            raise _gone(row.run_no, after)

    async def _open(self, row: RunRow) -> _Window:
        """Return the window of a run, folded up to now and listening."""
        window = self._windows.get(row.run_no)
        if window is not None and window.is_listening and row.last_seq <= window.scribe.seq:
            return window
        async with self._opening:
            window = self._windows.get(row.run_no)
            if window is None:
                window = _Window(row.run_no, await self._scribe(row))
                self._windows[row.run_no] = window
                # Also wakes the watch, which need not look around while nobody follows.
                self._stirred.set()
            self._windows.move_to_end(row.run_no)
            if window.stop_listening is None:
                # First listen, then read: what comes meanwhile is known to be missing.
                window.stop_listening = self._listen(row.run_no, window.heard)
            await self._read(window)
        return window

    async def _scribe(self, row: RunRow) -> Scribe:
        """Return where a window begins: at the start if it is near enough, else at a snapshot."""
        is_code = (await self._registry.plan(row.def_hash)).is_code
        if row.last_seq <= WINDOW:
            return Scribe(row.run_no, is_code=is_code)
        [record] = await self._store.load([row.run_no])
        return Scribe(row.run_no, is_code=is_code, start=record)

    def _rest(self, window: _Window) -> None:
        """Stop folding a run that nobody follows; keep the fold for a while."""
        if window.followers:
            return
        if window.stop_listening is not None:
            window.stop_listening()
            window.stop_listening = None
        idle = [each for each in self._windows.values() if not each.followers]
        for each in idle[: max(0, len(idle) - IDLE_MAX)]:
            del self._windows[each.run_no]

    # -- for followers -------------------------------------------------------------------------

    async def refresh(self, window: _Window, within_s: float) -> None:
        """Wait until there may be news of a run, at most so long."""
        if window.is_behind and not window.reading.locked():
            await self._read(window)
        elif self._is_watched:
            await window.changed(within_s)
        else:
            await window.changed(min(POLL_S, within_s))
            await self._read(window)

    async def history(self, window: _Window, after: int) -> AsyncIterator[list[Notice]]:
        """Yield the notices from a cursor up to where the window begins, page by page."""
        state = window.scribe.state
        is_code = (await self._registry.plan(state.def_hash)).is_code
        scribe = Scribe(window.run_no, is_code=is_code)
        while scribe.seq < window.floor:
            page = await self._store.events(window.run_no, after=scribe.seq, limit=PAGE)
            if not page or page[0].first_seq > scribe.seq + 1:
                raise _gone(window.run_no, after)
            notices = [each for record in page for each in scribe.take_record(record)]
            later = [each for each in notices if each.sequence > after]
            for start in range(0, len(later), BATCH_MAX):
                yield later[start : start + BATCH_MAX]


class Follower:
    """One reader of one run, with a cursor of its own. Use it from one task."""

    def __init__(self, followers: Followers, window: _Window, after: int) -> None:
        self._followers = followers
        self._window = window
        self._history: AsyncIterator[list[Notice]] | None = None
        self.cursor = after
        """The sequence number of the last notice that was given out."""

    @property
    def status(self) -> RunStatus:
        """Return where the run stands, as far as this node knows."""
        return self._window.scribe.state.status

    @property
    def reason(self) -> str:
        """Return the reason of that status."""
        return self._window.scribe.state.reason

    @property
    def is_closing(self) -> bool:
        """Return whether this process is about to leave."""
        return self._followers.is_closing

    @property
    def has_ended(self) -> bool:
        """Return whether the run has ended and every notice was given out."""
        return self._window.is_closed and not self._has_more()

    def _has_more(self) -> bool:
        window = self._window
        return self.cursor < window.floor or bool(window.after(self.cursor))

    async def next(self, within_s: float) -> list[Notice]:
        """Return the next notices, oldest first.

        Empty after `within_s` without any, at the end of the run, or when this process leaves.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while True:
            notices = await self._available()
            if notices or self._window.is_closed or self.is_closing:
                return notices
            left_s = until - loop.time()
            if left_s <= 0:
                return []
            await self._followers.refresh(self._window, left_s)

    async def _available(self) -> list[Notice]:
        window = self._window
        if window.failure is not None:
            raise window.failure
        while self.cursor < window.floor:
            if self._history is None:
                self._history = self._followers.history(window, self.cursor)
            notices = await anext(self._history, None)
            if notices is None:
                # The history has reached the window: what is between them was never shown.
                self._history = None
                self.cursor = max(self.cursor, window.floor)
            elif notices:
                self.cursor = notices[-1].sequence
                return notices
        self._history = None
        notices = window.after(self.cursor)
        if notices:
            self.cursor = notices[-1].sequence
        return notices


def invalid_cursor(what: str, *, fix: str) -> RequestError:
    """Return the error for a cursor that nobody was ever given."""
    error = RequestError(what, fix=fix, code="PDM-R150")
    error.code_word = "invalid_cursor"
    return error


def _future(row: RunRow, after: int) -> RequestError:
    return invalid_cursor(
        f"The cursor {after} is none of {run_id(row.run_no)}: its last event is {row.last_seq}.",
        fix="Use the id of the last event you received, or 0 to begin at the start.",
    )


def _gone(run_no: int, after: int) -> GoneError:
    return GoneError(
        f"The events after {after} of {run_id(run_no)} are no longer kept.",
        why="Retention removed them; what is left would begin with a gap.",
        fix=f"Read where the run stands, GET /v1/runs/{run_id(run_no)}, and follow from its seq.",
        code="PDM-R415",
    )
