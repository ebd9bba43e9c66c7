"""The feed as its readers get it: the events of all runs, in the order of their commits.

A cursor is `<tick>.<place in it>`, both counted from 1; it stays good in every process and over
every crash. Each reader folds the runs it meets along, because records name steps by number.
"""

import asyncio
from collections import OrderedDict, deque
from typing import Final, NamedTuple

from podium.core import events as ev
from podium.errors import GoneError, NotFoundError, PodiumError, RequestError
from podium.ports.feed import JournalRecord
from podium.ports.store import Store
from podium.runtime.followers import invalid_cursor
from podium.runtime.notices import Notice, Scribe
from podium.runtime.registry import Registry

__all__ = ["START", "FeedCursor", "FeedFollower", "FeedReader", "Feeds", "Told", "parse_cursor"]

PAGE: Final = 200
SCRIBES_MAX: Final = 256
WINDOW: Final = 4096
BATCH_MAX: Final = 256
LOOK_EVERY_S: Final = 5.0
"""How often to look although nothing was heard."""
PAUSE_S: Final = 0.02
"""How long commits may gather before they are read: many ticks cost one read."""


class FeedCursor(NamedTuple):
    """A place in the feed."""

    no: int
    place: int

    def __str__(self) -> str:
        """Return the text form."""
        return f"{self.no}.{self.place}"


START: Final = FeedCursor(0, 0)


def parse_cursor(text: str) -> FeedCursor:
    """Return the place of a text form; raises `RequestError` PDM-R150 if it is none."""
    no, dot, place = text.partition(".")
    if dot and all(part.isascii() and part.isdecimal() and len(part) < 16 for part in (no, place)):
        return FeedCursor(int(no), int(place))
    raise invalid_cursor(
        f"{text!r} is no cursor of the feed.",
        fix="Use the id of the last event you received, or leave it out to begin now.",
    )


class Told(NamedTuple):
    """One event of the feed, and whose it is."""

    cursor: FeedCursor
    organization: str
    workflow: str
    notice: Notice


class FeedReader:
    """Reads the feed from a tick on, for one user of it. `no` is the last tick it read."""

    def __init__(self, store: Store, registry: Registry, *, after: int) -> None:
        self.no = after
        self._store = store
        self._registry = registry
        self._scribes: OrderedDict[int, Scribe] = OrderedDict()

    async def read(self, *, limit: int = PAGE) -> list[Told]:
        """Return the events of the next ticks; `no` moves on even where there are none.

        One caller at a time. Whoever is cut off in the middle has read nothing.
        """
        try:
            told, self.no = await self._read(limit)
        except BaseException:
            # What was taken in belongs to an answer that nobody got.
            self._scribes.clear()
            raise
        return told

    async def _read(self, limit: int) -> tuple[list[Told], int]:
        told: list[Told] = []
        no = self.no
        for tick in await self._store.feed(after=no, limit=limit):
            place = 0
            for record in tick.records:
                for organization, workflow, notice in await self._notices(record):
                    place += 1
                    told.append(Told(FeedCursor(tick.no, place), organization, workflow, notice))
            no = tick.no
        return told, no

    async def _notices(self, record: JournalRecord) -> list[tuple[str, str, Notice]]:
        scribe = await self._scribe(record)
        if scribe is None:
            return []
        notices = scribe.take_record(record)
        state = scribe.state
        return [(state.organization, state.workflow, notice) for notice in notices]

    async def _scribe(self, record: JournalRecord) -> Scribe | None:
        """Return who has taken in all that came before a record; None for a run that is gone."""
        scribe = self._scribes.get(record.run_no)
        if scribe is None or scribe.seq < record.first_seq - 1:
            scribe = await self._new_scribe(record)
            if scribe is None:
                return None
            self._scribes[record.run_no] = scribe
        self._scribes.move_to_end(record.run_no)
        while len(self._scribes) > SCRIBES_MAX:
            self._scribes.popitem(last=False)
        return scribe

    async def _new_scribe(self, record: JournalRecord) -> Scribe | None:
        run_no = record.run_no
        if record.first_seq == 1:
            _, [started, *_] = ev.unpack(record.body)
            assert isinstance(started, ev.RunStarted)
            return Scribe(run_no, is_code=await self._is_code(started.def_hash))
        found = await self._store.load([run_no])
        if not found:
            return None
        is_code = await self._is_code(found[0].row.def_hash)
        near = found[0] if found[0].snapshot_seq < record.first_seq else None
        scribe = Scribe(run_no, is_code=is_code, start=near)
        while scribe.seq < record.first_seq - 1:
            page = await self._store.events(run_no, after=scribe.seq, limit=PAGE)
            if not page or page[0].first_seq > scribe.seq + 1:
                return None
            for each in page:
                if each.first_seq < record.first_seq:
                    scribe.take_record(each)
        return scribe

    async def _is_code(self, def_hash: str) -> bool:
        try:
            return bool((await self._registry.plan(def_hash)).is_code)
        except NotFoundError:
            # Nobody can run it any more; what happened to it can still be told.
            return False


class Feeds:
    """Everybody on this node who follows the feed: one reader near its end, shared by all."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._reader: FeedReader | None = None
        self._reading = asyncio.Lock()
        self._window: deque[Told] = deque()
        self._changed: asyncio.Future[None] | None = None
        self._is_behind = True
        self.floor = START
        """The place before which events have to be read from the store."""
        self.is_closing = False

    def stir(self) -> None:
        """Note that something was committed; costs nothing while nobody follows."""
        self._is_behind = True
        if self._changed is not None:
            self._wake()

    def close(self) -> None:
        """Let every follower end: this process is about to leave."""
        self.is_closing = True
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)

    async def changed(self, within_s: float) -> None:
        """Wait for a commit that was not read, at most so long."""
        if self._is_behind:
            return
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait([self._changed], timeout=min(within_s, LOOK_EVERY_S))
        if done:
            await asyncio.sleep(PAUSE_S)
        else:
            self._is_behind = True

    async def refresh(self) -> None:
        """Read what the feed holds beyond what was read."""
        async with self._reading:
            if self._reader is None:
                self._reader = FeedReader(
                    self._store, self._registry, after=await self._store.open_feed()
                )
                self.floor = FeedCursor(self._reader.no + 1, 0)
            while self._is_behind:
                self._is_behind = False
                before = self._reader.no
                try:
                    told = await self._reader.read()
                except BaseException:
                    # Whoever read for all was cut off: let another one do it.
                    self._is_behind = True
                    self._wake()
                    raise
                self._window.extend(told)
                while len(self._window) > WINDOW:
                    self.floor = self._window.popleft().cursor
                self._is_behind = self._is_behind or self._reader.no > before

    def after(self, cursor: FeedCursor) -> list[Told]:
        """Return some events after a cursor that is not below the floor."""
        found: list[Told] = []
        for told in reversed(self._window):
            if told.cursor <= cursor:
                break
            found.append(told)
        found.reverse()
        return found[:BATCH_MAX]

    @property
    def end(self) -> FeedCursor:
        """Return the place after everything that was read."""
        assert self._reader is not None
        return FeedCursor(self._reader.no + 1, 0)

    async def follow(
        self, *, after: FeedCursor | None = None, organization: str = ""
    ) -> "FeedFollower":
        """Return a follower of the feed, from a place or from now on.

        Raises `RequestError` PDM-R150 for a place that never was, and `GoneError` PDM-R415 for
        one that is no longer kept.
        """
        self._is_behind = True
        await self.refresh()
        if after is not None:
            await self._check(after)
        return FeedFollower(self, self.end if after is None else after, organization)

    async def _check(self, cursor: FeedCursor) -> None:
        ends = await self._store.feed_ends()
        if cursor.no > ends.head + 1:
            raise _future(cursor)
        # A place within a tick is good as long as the tick is there.
        if cursor != START and cursor.no <= ends.floor:
            raise _gone(cursor)
        if cursor == START and ends.floor:
            raise _gone(cursor)

    def private_reader(self, cursor: FeedCursor) -> FeedReader:
        """Return a reader of its own for who is too far back."""
        return FeedReader(self._store, self._registry, after=max(0, cursor.no - 1))


class FeedFollower:
    """One reader of the feed of one organization, or of all. Use it from one task."""

    def __init__(self, feeds: Feeds, cursor: FeedCursor, organization: str) -> None:
        self.cursor = cursor
        """The place of the last event that was given out or passed over."""
        self._feeds = feeds
        self._organization = organization
        self._private: FeedReader | None = None

    @property
    def is_closing(self) -> bool:
        """Return whether this process is about to leave."""
        return self._feeds.is_closing

    async def next(self, within_s: float) -> list[Told]:
        """Return the next events, oldest first; empty after `within_s` without any."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while True:
            told = await self._available()
            if told or self.is_closing:
                return told
            left_s = until - loop.time()
            if left_s <= 0:
                return []
            await self._feeds.changed(left_s)
            await self._feeds.refresh()

    async def _available(self) -> list[Told]:
        while True:
            told = await self._some()
            if not told:
                return []
            self.cursor = told[-1].cursor
            ours = [each for each in told if self._organization in {"", each.organization}]
            if ours:
                return ours

    async def _some(self) -> list[Told]:
        while self.cursor < self._feeds.floor:
            if self._private is None:
                self._private = self._feeds.private_reader(self.cursor)
            before = self._private.no
            told = [each for each in await self._private.read() if each.cursor > self.cursor]
            if told:
                return told
            if self._private.no == before:
                # At the end of the feed, which is in the window.
                self.cursor = max(self.cursor, self._feeds.floor)
        self._private = None
        return self._feeds.after(self.cursor)


def _future(cursor: FeedCursor) -> RequestError:
    return invalid_cursor(
        f"The cursor {cursor} lies beyond the end of the feed.",
        fix="Use the id of the last event you received, or leave it out to begin now.",
    )


def _gone(cursor: FeedCursor) -> PodiumError:
    return GoneError(
        f"The events after {cursor} are no longer kept.",
        why="The feed reaches back a while; what is left would begin with a gap.",
        fix="Read the list of runs, GET /v1/runs, and follow from now on: leave the cursor out.",
        code="PDM-R415",
    )
