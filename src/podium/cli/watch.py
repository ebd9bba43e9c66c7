"""A run as seen from outside: its state folded along, whichever process drives it.

Events of a run that lives in this process come by themselves, after each commit; those of a
run that lives elsewhere are read from the journal. Either way every event is seen once, in
order.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from podium.core import events as ev
from podium.core.cloudevents import CloudEvent, Translator
from podium.core.plan import Plan
from podium.core.state import RunState
from podium.runtime.engine import Engine

__all__ = ["Watch"]

PAGE: Final = 500
Sink = Callable[[CloudEvent], None]


class Watch:
    """`sink` gets every event of the run from its first one on; `moved` hears of its status."""

    def __init__(
        self, engine: Engine, run_no: int, plan: Plan, sink: Sink, moved: Callable[[], None]
    ) -> None:
        self.run_no = run_no
        self.plan = plan
        self._engine = engine
        self._sink = sink
        self._moved = moved
        self._translator = Translator(run_no, is_code=plan.is_code)
        self._news: deque[tuple[int, int, Sequence[ev.Event]]] = deque()
        self._stop = engine.listen(run_no, self._heard)
        self._is_behind = True

    @property
    def state(self) -> RunState:
        """Return the state as far as it is known; for reading only."""
        return self._translator.state

    @property
    def seq(self) -> int:
        """Return the number of the last event that was seen; 0 before the first."""
        return self._translator.seq

    def _heard(self, run_no: int, first_seq: int, at_us: int, records: Sequence[ev.Event]) -> None:
        # Only noted: this is called in the middle of the engine's work, and a sink may fail.
        self._news.append((first_seq, at_us, records))
        if any(type(record) is ev.RunMoved for record in records):
            self._moved()

    async def refresh(self) -> None:
        """Take in what was heard, and what was missed from the journal."""
        while self._news:
            first_seq, at_us, records = self._news.popleft()
            if first_seq > self._translator.seq + 1:
                self._is_behind = True
                continue
            for event in self._translator.take(first_seq, at_us, records):
                self._sink(event)
        if self._is_behind or self._engine.actor(self.run_no) is None:
            self._is_behind = False
            await self._read()

    async def _read(self) -> None:
        while True:
            page = await self._engine.store.events(
                self.run_no, after=self._translator.seq, limit=PAGE
            )
            for record in page:
                for event in self._translator.take_body(record.first_seq, record.body):
                    self._sink(event)
            if len(page) < PAGE:
                return

    def close(self) -> None:
        """Stop listening."""
        self._stop()
