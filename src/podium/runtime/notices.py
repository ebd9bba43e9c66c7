"""Events as many readers get them: each encoded once, its bytes shared by all.

A `Notice` is one event with its text; a `Scribe` turns the journal records of one run into
notices, wherever in the run its reader wants to begin.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import msgspec

from podium.core import events as ev
from podium.core.cloudevents import CloudEvent, Translator
from podium.core.ids import run_id
from podium.core.state import RunState
from podium.errors import InternalError
from podium.ports.store import JournalRecord, RunRecord

__all__ = ["Notice", "Scribe"]

_ENCODER: Final = msgspec.json.Encoder()


class Notice:
    """One event, encoded when the first reader asks for it."""

    def __init__(self, event: CloudEvent) -> None:
        self.event = event
        self.sequence = event.sequence

    @cached_property
    def body(self) -> bytes:
        """Return the event as JSON."""
        return _ENCODER.encode(self.event)

    @cached_property
    def text(self) -> str:
        """Return the event as JSON text."""
        return self.body.decode()

    @cached_property
    def frame(self) -> bytes:
        """Return the event as one of the server-sent events, its sequence as the id."""
        head = f"id: {self.sequence}\nevent: {self.event.type}\ndata: ".encode()
        return head + self.body + b"\n\n"


class Scribe:
    """Takes in the records of one run in order, and skips what it has seen.

    `floor` is where its notices begin: those of earlier events cannot be made any more.
    """

    def __init__(self, run_no: int, *, is_code: bool, start: RunRecord | None = None) -> None:
        self._translator = Translator(run_no, is_code=is_code)
        self.floor = 0
        if start is not None and start.snapshot is not None:
            self._translator.state = msgspec.msgpack.decode(start.snapshot, type=RunState)
            self.floor = start.snapshot_seq

    @property
    def seq(self) -> int:
        """Return the number of the last record that was taken in."""
        return self._translator.seq

    @property
    def state(self) -> RunState:
        """Return the run as far as it was taken in; for reading only."""
        return self._translator.state

    def take(self, first_seq: int, at_us: int, records: Sequence[ev.Event]) -> list[Notice]:
        """Return the notices of one tick; `first_seq` is at most one above `seq`."""
        return [Notice(event) for event in self._translator.take(first_seq, at_us, records)]

    def take_record(self, record: JournalRecord) -> list[Notice]:
        """Return the notices of one journal record; raises `InternalError` PDM-I030."""
        try:
            at_us, records = ev.unpack(record.body)
        except msgspec.MsgspecError as error:
            raise InternalError(
                f"The journal of {run_id(record.run_no)} cannot be read from event "
                f"{record.first_seq} on.",
                why="A newer podium wrote it, or the file is damaged.",
                fix="Ask a process of the newer version; `podium doctor` checks the file.",
                code="PDM-I030",
            ) from error
        return self.take(record.first_seq, at_us, records)
