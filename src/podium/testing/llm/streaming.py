"""An answer on its way out: at the model's pace, and broken where a fault says so.

A stream is billed for what went out before it ended. With an idempotency key the provider goes on
without its client and bills the whole, for whoever asks again.
"""

from collections.abc import AsyncGenerator
from typing import Final

import msgspec

from podium.ports.models import Usage
from podium.testing.llm.asked import Asked
from podium.testing.llm.clock import StubClock
from podium.testing.llm.dialect import Chunk, Outcome
from podium.testing.llm.faults import Fault, FaultRule, refusal_of
from podium.testing.llm.models import StubModel
from podium.testing.llm.production import Meter
from podium.testing.llm.server import Cut, Response
from podium.testing.llm.visit import Visit

__all__ = ["BREAKS", "Pace", "broken", "streamed"]

BREAKS: Final = frozenset({Fault.CUT, Fault.MALFORMED, Fault.ERROR_EVENT})
"""Faults that end a stream before its time."""
NOT_JSON: Final = b'data: {"broken": \n\n'


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a model answers."""

    first_byte_s: float = 0.0
    tokens_per_s: float | None = None
    """None: at once."""

    def slowed(self, rule: FaultRule | None) -> "Pace":
        """Return the pace under a fault."""
        if rule is None or rule.fault is not Fault.SLOW:
            return self
        return msgspec.structs.replace(self, first_byte_s=self.first_byte_s + rule.seconds)

    @property
    def piece_s(self) -> float:
        """Return the time between two pieces of a stream."""
        return 1 / self.tokens_per_s if self.tokens_per_s else 0.0

    def whole(self, usage: Usage) -> float:
        """Return the time a whole answer takes."""
        return self.first_byte_s + self.piece_s * (usage.output + usage.thinking)


async def streamed(
    visit: Visit,
    asked: Asked,
    model: StubModel,
    outcome: Outcome,
    *,
    rule: FaultRule | None,
    pace: Pace,
    clock: StubClock,
) -> AsyncGenerator[bytes, None]:
    """Send an answer as events; bill and leave at the end, whichever end it is."""
    meter = Meter(outcome)
    chunks = list(visit.dialect.events(asked, outcome))
    breaks = rule is not None and rule.fault in BREAKS
    is_whole = is_paid = bool(visit.seen.idempotency_key) and not breaks
    if is_paid and not visit.seen.is_replay:
        visit.charge(model, outcome.usage)
    left = sum(bool(chunk.text) for chunk in chunks)
    try:
        if pace.first_byte_s:
            await clock.sleep(pace.first_byte_s)
        async for chunk in faulty(visit, chunks, rule, clock):
            if chunk.text and pace.piece_s:
                await clock.sleep(pace.piece_s)
            # Counted before it is sent: whoever closes the stream at this piece has received it.
            meter.add(chunk)
            left -= bool(chunk.text)
            if left == 0 and not (is_paid or breaks):
                # Before the end goes out: whoever has the whole answer finds it on the bill.
                visit.charge(model, outcome.usage)
                is_paid = True
            yield chunk.data
        is_whole = not breaks
    finally:
        if not is_paid:
            visit.charge(
                model, outcome.usage if is_whole else meter.usage(), is_partial=not is_whole
            )
        visit.leave()


async def faulty(
    visit: Visit, chunks: list[Chunk], rule: FaultRule | None, clock: StubClock
) -> AsyncGenerator[Chunk, None]:
    """Yield the events of an answer, with a fault in their midst."""
    total = sum(bool(chunk.text) for chunk in chunks)
    at = -1 if rule is None else rule.at(total)
    sent = 0
    for chunk in chunks:
        if rule is not None and sent == at and (chunk.text or sent == total):
            at = -1
            if rule.fault is Fault.CUT:
                raise Cut
            if rule.fault in BREAKS:
                yield Chunk(last_words(visit, rule))
                return
            if rule.fault is Fault.STALL:
                await clock.sleep(rule.seconds)
            elif rule.fault is Fault.DUPLICATE:
                yield Chunk(chunk.data)
        yield chunk
        sent += bool(chunk.text)


def last_words(visit: Visit, rule: FaultRule) -> bytes:
    """Return what a broken stream ends with."""
    if rule.fault is Fault.MALFORMED:
        return NOT_JSON
    refusal = refusal_of(FaultRule(fault=Fault.OVERLOADED))
    assert refusal is not None
    return visit.dialect.error_event(refusal, visit.request_id)


def broken(response: Response, rule: FaultRule | None) -> Response:
    """Return a whole answer, or the half of it that a fault leaves."""
    if rule is None or not isinstance(response.body, bytes):
        return response
    half = response.body[: len(response.body) // 2]
    if rule.fault is Fault.MALFORMED:
        return msgspec.structs.replace(response, body=half)
    if rule.fault is Fault.CUT:
        return msgspec.structs.replace(response, body=cut_after(half))
    return response


async def cut_after(half: bytes) -> AsyncGenerator[bytes, None]:
    """Send something and break off."""
    yield half
    raise Cut
