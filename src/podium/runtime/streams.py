"""Text of steps while it is being written, for readers in this process.

Nothing here is durable and nobody waits for it: what counts is the result of the step. A reader
that comes late gets what was written so far; one that comes after the end reads the result.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

__all__ = ["Chunk", "Streams"]

TEXT_MAX: Final = 1_000_000
"""Characters of one call that are kept for readers who come late."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Some more text of one step; a higher `attempt` begins anew."""

    run: str
    step: str
    attempt: int
    offset: int
    """Characters of this attempt that came before."""
    text: str
    is_end: bool = False
    """The call ended. Whether its text is the whole answer is for the step's result to say."""
    is_note: bool = False
    """The text is about the step, not of it: why a call of a model waits."""


Reader = Callable[[Chunk], None]


class Streams:
    """Passes chunks from calls to readers, by run. All methods are for the event loop thread."""

    def __init__(self) -> None:
        self._readers: dict[str, list[Reader]] = {}
        self._readers_of_all: list[Reader] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_used = False
        self._written: dict[tuple[str, str], tuple[int, str]] = {}
        """Attempt and text so far of calls that go on, by run and step."""

    def listen(self, run: str, reader: Reader) -> Callable[[], None]:
        """Give `reader` what calls of `run` wrote so far and from now on; return what stops it."""
        self._catch_up(reader, run)
        readers = self._readers.setdefault(run, [])
        readers.append(reader)

        def stop() -> None:
            if reader in readers:
                readers.remove(reader)
            if not readers and self._readers.get(run) is readers:
                del self._readers[run]

        return stop

    def listen_to_all(self, reader: Reader) -> Callable[[], None]:
        """Do the same for all runs of this process."""
        self._catch_up(reader)
        self._readers_of_all.append(reader)

        def stop() -> None:
            if reader in self._readers_of_all:
                self._readers_of_all.remove(reader)

        return stop

    def _catch_up(self, reader: Reader, run: str = "") -> None:
        for (of_run, step), (attempt, text) in self._written.items():
            if text and run in ("", of_run):
                reader(Chunk(run=of_run, step=step, attempt=attempt, offset=0, text=text))

    def has_readers(self, run: str) -> bool:
        """Return whether anybody listens to `run` now."""
        return run in self._readers or bool(self._readers_of_all)

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop the readers live in, for steps that run in threads."""
        self._loop = loop

    def write_from_anywhere(self, run: str, step: str, attempt: int, text: str) -> None:
        """Pass on text of a step, from the event loop's thread or another one."""
        self._is_used = True
        # A loop that has ended has no readers left.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._write_in_turn, run, step, attempt, text)

    def end_soon(self, run: str, step: str) -> None:
        """Note that a step writes no more, after what it has written so far."""
        if self._is_used and self._loop is not None:
            self._loop.call_soon(self.end, run, step)

    def _write_in_turn(self, run: str, step: str, attempt: int, text: str) -> None:
        if self._written.get((run, step), (0, ""))[0] != attempt:
            self.begin(run, step, attempt)
        self.write(run, step, text)

    def begin(self, run: str, step: str, attempt: int) -> None:
        """Note that a call starts; what an earlier attempt wrote is forgotten."""
        self._written[run, step] = (attempt, "")

    def write(self, run: str, step: str, text: str) -> None:
        """Pass on some more text of a call."""
        attempt, before = self._written.get((run, step), (1, ""))
        self._written[run, step] = (attempt, (before + text)[:TEXT_MAX])
        self._tell(Chunk(run=run, step=step, attempt=attempt, offset=len(before), text=text))

    def note(self, run: str, step: str, attempt: int, text: str) -> None:
        """Tell readers something about a step."""
        self._tell(Chunk(run=run, step=step, attempt=attempt, offset=0, text=text, is_note=True))

    def end(self, run: str, step: str) -> None:
        """Note that a step writes no more, however it ended; safe to repeat."""
        known = self._written.pop((run, step), None)
        if known is not None:
            attempt, before = known
            offset = len(before)
            self._tell(
                Chunk(run=run, step=step, attempt=attempt, offset=offset, text="", is_end=True)
            )

    def _tell(self, chunk: Chunk) -> None:
        for reader in (*self._readers.get(chunk.run, ()), *self._readers_of_all):
            reader(chunk)
