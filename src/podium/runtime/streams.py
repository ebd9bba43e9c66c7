"""Text of model calls while it is being written, for readers in this process.

Nothing here is durable and nobody waits for it: what counts is the result of the step. A reader
that comes late gets what was written so far; one that comes after the end reads the result.
"""

from collections.abc import Callable
from typing import Final

import msgspec

__all__ = ["Chunk", "Streams"]

TEXT_MAX: Final = 1_000_000
"""Characters of one call that are kept for readers who come late."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Some more text of one call; a higher `attempt` begins anew."""

    step: str
    attempt: int
    offset: int
    """Characters of this attempt that came before."""
    text: str
    is_end: bool = False
    """The call ended. Whether its text is the whole answer is for the step's result to say."""


Reader = Callable[[Chunk], None]


class Streams:
    """Passes chunks from calls to readers, by run. All methods are for the event loop thread."""

    def __init__(self) -> None:
        self._readers: dict[str, list[Reader]] = {}
        self._written: dict[tuple[str, str], tuple[int, str]] = {}
        """Attempt and text so far of calls that go on, by run and step."""

    def listen(self, run: str, reader: Reader) -> Callable[[], None]:
        """Give `reader` what calls of `run` wrote so far and from now on; return what stops it."""
        for (of_run, step), (attempt, text) in self._written.items():
            if of_run == run and text:
                reader(Chunk(step=step, attempt=attempt, offset=0, text=text))
        readers = self._readers.setdefault(run, [])
        readers.append(reader)

        def stop() -> None:
            if reader in readers:
                readers.remove(reader)
            if not readers and self._readers.get(run) is readers:
                del self._readers[run]

        return stop

    def has_readers(self, run: str) -> bool:
        """Return whether anybody listens to `run` now."""
        return run in self._readers

    def begin(self, run: str, step: str, attempt: int) -> None:
        """Note that a call starts; what an earlier attempt wrote is forgotten."""
        self._written[run, step] = (attempt, "")

    def write(self, run: str, step: str, text: str) -> None:
        """Pass on some more text of a call."""
        attempt, before = self._written.get((run, step), (1, ""))
        self._written[run, step] = (attempt, (before + text)[:TEXT_MAX])
        self._tell(run, Chunk(step=step, attempt=attempt, offset=len(before), text=text))

    def end(self, run: str, step: str) -> None:
        """Note that a call ended, however it did."""
        attempt, before = self._written.pop((run, step), (1, ""))
        offset = len(before)
        self._tell(run, Chunk(step=step, attempt=attempt, offset=offset, text="", is_end=True))

    def _tell(self, run: str, chunk: Chunk) -> None:
        for reader in list(self._readers.get(run, ())):
            reader(chunk)
