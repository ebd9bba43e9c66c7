"""What attempts print and log, kept with their run: bounded, cleared of secrets, never in the way.

Lines are noted in memory by whichever thread writes them, and kept by the store a moment later,
many in one transaction. Nobody waits for that, and a crash may lose the last moment: what counts
is in the journal.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from dataclasses import dataclass
from threading import Lock
from typing import Final

from podium.core.ids import parse_run_id
from podium.errors import StoreError
from podium.ports.operation import LogRow
from podium.ports.store import Store
from podium.runtime.secrets import Secrets

__all__ = ["BYTES_MAX", "LINES_MAX", "LINE_MAX", "Logbook"]

log = logging.getLogger("podium.logbook")

LINES_MAX: Final = 2_000
BYTES_MAX: Final = 256 * 1024
"""What is kept of one attempt: whichever of the two is reached first."""
LINE_MAX: Final = 8 * 1024
"""Characters of one line."""
PENDING_MAX: Final = 20_000
"""Lines that wait for a store that does not answer; what comes after is counted and let go."""
ATTEMPTS_MAX: Final = 4_096
"""Attempts whose share is remembered; the one that wrote least lately begins a new share."""
KEEP_AFTER_S: Final = 0.2
LINES_PER_WRITE: Final = 2_000

Author = tuple[str, str, int]
"""Run, step and attempt."""


@dataclass(slots=True)
class _Share:
    """What an attempt has used of its share, and the line it has begun, by stream."""

    lines: int = 0
    size: int = 0
    is_full: bool = False
    begun: dict[str, str] | None = None


class Logbook:
    """See the module docstring. `write` and `print` may be called from any thread."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._lock = Lock()
        self._pending: deque[LogRow] = deque()
        self._shares: OrderedDict[Author, _Share] = OrderedDict()
        self._lost = 0
        self._store: Store | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news: asyncio.Event | None = None

    # -- writing -------------------------------------------------------------------------------

    def write(self, author: Author, level: str, source: str, text: str) -> None:
        """Note what an attempt logged; of several lines, each is one."""
        with self._lock:
            for line in text.splitlines() or [""]:
                self._note(author, level, source, line)
        self._tell()

    def print(self, author: Author, stream: str, text: str) -> None:
        """Note what an attempt printed; a line is kept once its end has come."""
        with self._lock:
            share = self._share(author)
            begun = share.begun = share.begun or {}
            *lines, rest = (begun.pop(stream, "") + text).split("\n")
            if rest:
                # One character more than is kept: the line is seen to be cut when it ends.
                begun[stream] = rest[: LINE_MAX + 1]
            for line in lines:
                self._note(author, stream, "", line.rstrip("\r"))
        self._tell()

    def _share(self, author: Author) -> _Share:
        share = self._shares.get(author)
        if share is None:
            share = self._shares[author] = _Share()
            if len(self._shares) > ATTEMPTS_MAX:
                self._end_lines(*self._shares.popitem(last=False))
        else:
            self._shares.move_to_end(author)
        return share

    def _note(self, author: Author, level: str, source: str, line: str) -> None:
        share = self._share(author)
        if share.is_full:
            return
        text = line if len(line) <= LINE_MAX else line[: LINE_MAX - 1] + "…"
        share.lines += 1
        share.size += len(text)
        if share.lines > LINES_MAX or share.size > BYTES_MAX:
            share.is_full = True
            level, source, text = "warn", "podium", _FULL
        if len(self._pending) >= PENDING_MAX:
            self._lost += 1
            return
        self._pending.append(self._row(author, level, source, text))

    def _row(self, author: Author, level: str, source: str, text: str) -> LogRow:
        run, step, attempt = author
        return LogRow(
            run_no=parse_run_id(run),
            step=_storable(step),
            attempt=attempt,
            at_us=0 if self._store is None else self._store.now_us(),
            level=level,
            source=_storable(source),
            text=_storable(text),
        )

    def _tell(self) -> None:
        if self._loop is not None and self._news is not None and not self._news.is_set():
            self._loop.call_soon_threadsafe(self._news.set)

    @property
    def is_open(self) -> bool:
        """Return whether an engine keeps what is written here."""
        return self._store is not None

    # -- keeping -------------------------------------------------------------------------------

    def open(self, store: Store) -> None:
        """Keep lines in `store` from now on; called on the event loop."""
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    async def keep(self) -> None:
        """Bring what was noted to the store, for ever."""
        news = self._news
        if news is None:
            return
        while True:
            await news.wait()
            await asyncio.sleep(KEEP_AFTER_S)
            news.clear()
            await self.flush()

    async def close(self) -> None:
        """Keep what is left, begun lines included; the store may have failed."""
        with self._lock:
            for author, share in self._shares.items():
                self._end_lines(author, share)
            self._shares.clear()
        await self.flush()
        self._store = self._loop = self._news = None

    def _end_lines(self, author: Author, share: _Share) -> None:
        begun, share.begun = share.begun or {}, None
        for stream, text in begun.items():
            if not share.is_full:
                self._pending.append(self._row(author, stream, "", text))

    async def flush(self) -> None:
        """Bring all that was noted to the store; what it refuses is let go, with a word."""
        while self._store is not None and (lines := self._take()):
            try:
                await self._store.write_logs(lines)
            except StoreError as error:
                # No reason to end the engine: if the store is gone, the next tick will say so.
                log.warning("lines.lost", extra={"lines": len(lines), "error": error.what})
                return

    def _take(self) -> list[LogRow]:
        with self._lock:
            count = min(len(self._pending), LINES_PER_WRITE)
            lines = [self._pending.popleft() for _ in range(count)]
            lost, self._lost = self._lost, 0
        if lost:
            log.warning("lines.lost", extra={"lines": lost})
        return [self._cleared(line) for line in lines]

    def _cleared(self, line: LogRow) -> LogRow:
        text = self._secrets.redact(line.text)
        if text is line.text:
            return line
        return LogRow(
            run_no=line.run_no,
            step=line.step,
            attempt=line.attempt,
            at_us=line.at_us,
            level=line.level,
            source=line.source,
            text=text,
        )


_FULL: Final = (
    f"This attempt wrote more than is kept: {LINES_MAX} lines or {BYTES_MAX // 1024} KiB. "
    "Later lines are left out."
)


def _storable(text: str) -> str:
    """Return text that every store keeps: without NUL and lone surrogates."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
