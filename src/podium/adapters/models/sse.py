"""Server-sent events out of bytes, with bounds; nothing else is known here about models."""

import codecs
from typing import Final, NamedTuple

__all__ = ["EVENT_MAX", "EventTooLong", "Events", "SentEvent"]

EVENT_MAX: Final = 4 * 1024 * 1024
"""Characters of one event; a tool call's whole arguments may come in one."""


class EventTooLong(Exception):
    """An event is longer than anybody should have to hold in memory."""


class SentEvent(NamedTuple):
    """One event: its name (empty: `message`) and its data."""

    name: str
    data: str


class Events:
    """Takes bytes as they come and returns the events that they complete.

    Line ends may be LF, CRLF or CR; comments, ids and retry hints are skipped. What is left
    when the stream ends is an unfinished event, and is dropped, as the standard says.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[SentEvent]:
        """Return the events that end in this chunk; raises `EventTooLong`."""
        text = self._rest + self._decoder.decode(chunk)
        held = "\r" if text.endswith("\r") else ""  # it may be the first half of a CRLF
        text = text[: len(text) - len(held)].replace("\r\n", "\n").replace("\r", "\n")
        *lines, rest = text.split("\n")
        self._rest = rest + held
        events = [event for line in lines if (event := self._line(line)) is not None]
        if self._size + len(self._rest) > EVENT_MAX:
            raise EventTooLong
        return events

    def _line(self, line: str) -> SentEvent | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._size += len(value)
        elif field == "event":
            self._name = value
        return None

    def _dispatch(self) -> SentEvent | None:
        event = SentEvent(self._name, "\n".join(self._data)) if self._data else None
        self._name, self._data, self._size = "", [], 0
        return event
