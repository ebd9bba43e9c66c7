"""Streams of server-sent events, read line by line: what a follower needs, and no more."""

from dataclasses import dataclass, field
from typing import Final

__all__ = ["Frame", "Frames"]

FRAME_LINES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream."""

    id: str
    name: str
    data: str


@dataclass(slots=True)
class Frames:
    """Gathers lines into frames; remembers the last id over connections, as the standard says."""

    last_id: str = ""
    """Of the last frame that came whole."""
    _id: str = ""
    _name: str = ""
    _data: list[str] = field(default_factory=list)

    def line(self, text: str) -> Frame | None:
        """Take one line without its end; return the frame that it completes, if any.

        Comments, heartbeats among them, complete nothing. Raises `ValueError` for a frame that
        does not end.
        """
        if not text:
            return self._complete()
        if len(self._data) >= FRAME_LINES_MAX:
            raise ValueError("a frame of the stream does not end")
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def lost(self) -> None:
        """Forget what came of a frame when its connection broke."""
        self._id, self._name, self._data = self.last_id, "", []

    def _complete(self) -> Frame | None:
        name, data = self._name, self._data
        self.last_id = self._id or self.last_id
        self.lost()
        if not data and not name:
            return None
        return Frame(self.last_id, name or "message", "\n".join(data))
