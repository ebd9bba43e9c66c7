"""One ask on its way to an answer: tries, waits, and models that step in.

for each model:  quote → breaker → purse → rate limits → wire → charge
a fault that may pass      → wait, and again from the breaker on
a fault that will not      → the next model of the list for it, from the quote on
a part was passed on       → the error says `incomplete`; never a silent second beginning
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from podium.core.charges import Charge
from podium.core.definition import SECOND_US, RetryPolicy
from podium.core.retry import delay_before_us
from podium.errors import BudgetError, ModelError, PodiumError
from podium.gateway.asking import Answer, Ask, Tell, Tried
from podium.gateway.catalog import Catalog, Model, Provider
from podium.gateway.failures import broken, failure, incomplete, unpriced, why_of
from podium.gateway.fallbacks import Reason, next_model, reason_of
from podium.gateway.payment import Books, Payment
from podium.gateway.purse import Hold, Purse
from podium.gateway.quotes import Quote, Quotes
from podium.ports.models import FaultKind, Finish, ModelWire, Piece, ProviderFault, Reply

__all__ = ["Journey", "Patience", "Place"]


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long faults that may pass are waited for."""

    retries: int = 3
    """After the first try, for each model."""
    total_s: float = 180.0
    """From the first fault to the last try, over all models."""
    delay_initial_s: float = 1.0
    delay_max_s: float = 60.0

    def policy(self) -> RetryPolicy:
        """Return it in the words of `core.retry`."""
        return RetryPolicy(
            max_retries=self.retries,
            delay_initial_us=round(self.delay_initial_s * SECOND_US),
            delay_max_us=round(self.delay_max_s * SECOND_US),
        )


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What all journeys share."""

    catalog: Catalog
    quotes: Quotes
    books: Books
    wire_to: Callable[[Provider], ModelWire]
    clock_us: Callable[[], int]
    dice: Callable[[], float]
    patience: Patience


class Journey:
    """See the module docstring; made for one ask, run once."""

    def __init__(
        self, place: Place, ask: Ask, *, key: str, purse: Purse, tell: Tell, streams: bool
    ) -> None:
        self._place = place
        self._ask = ask
        self._key = key
        self._purse = purse
        self._tell = tell
        self._streams = streams
        self._asked: list[str] = []
        self._tried: list[Tried] = []
        self._charges: list[Charge] = []
        self._requests = 0
        self._fault_us: int | None = None
        self._has_shown = False

    async def run(self) -> AsyncGenerator[Piece | Answer]:
        """Yield pieces if it streams, and then the answer; raises what nobody could mend."""
        model = self._place.catalog.model(self._ask.model)
        while True:
            self._asked.append(model.alias)
            try:
                async with aclosing(self._ask_model(model)) as items:
                    async for item in items:
                        yield item
            except (ModelError, BudgetError) as error:
                model = self._instead(model, error)
            else:
                return

    # -- one model -----------------------------------------------------------------------------

    async def _ask_model(self, model: Model) -> AsyncGenerator[Piece | Answer]:
        key = self._key if len(self._asked) == 1 else f"{self._key}:{model.alias}"
        quote = self._place.quotes.quote(self._ask, model, key=key)
        retries = 0
        while True:
            try:
                async with aclosing(self._ask_once(quote)) as items:
                    async for item in items:
                        yield item
            except ProviderFault as fault:
                retries += 1
                delay_s = self._delay_s(quote, fault, retries)
            else:
                return
            await asyncio.sleep(delay_s)

    def _delay_s(self, quote: Quote, fault: ProviderFault, retries: int) -> float:
        """Return how long to wait for another try; raises the error if there is none."""
        error = failure(fault, quote.model, quote.provider)
        if self._has_shown:
            raise incomplete(error) from None
        patience, now_us = self._place.patience, self._place.clock_us()
        self._fault_us = now_us if self._fault_us is None else self._fault_us
        asked_us = round((fault.limits.retry_after_s or 0.0) * SECOND_US)
        dice = self._place.dice()
        delay_us = delay_before_us(
            retries, policy=patience.policy(), dice=dice, retry_after_us=asked_us
        )
        over_us = now_us + delay_us - self._fault_us > patience.total_s * SECOND_US
        if not fault.kind.is_transient or retries > patience.retries or over_us:
            raise error from None
        self._tried.append(Tried(model=quote.model.alias, why=fault.kind, detail=fault.detail))
        what = _WAITING.get(fault.kind, "{} did not answer.").format(quote.provider.name)
        self._tell(f"{what} Retrying in {math.ceil(delay_us / SECOND_US)} s …")
        return delay_us / SECOND_US

    # -- one request ---------------------------------------------------------------------------

    async def _ask_once(self, quote: Quote) -> AsyncGenerator[Piece | Answer]:
        wire = self._place.wire_to(quote.provider)
        payment = await self._reserved(quote)
        try:
            async with aclosing(_pieces(wire, quote, streams=self._streams)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Reply):
                        reply = payment.settle(piece)
                        break
                    payment.saw(piece)
                    self._has_shown = True
                    yield piece
                else:
                    raise AssertionError("A wire ends with a reply or a fault.")
        except ProviderFault as fault:
            payment.fail(fault)
            raise
        except PodiumError:
            payment.withdraw()
            raise
        finally:
            payment.abandon()
            if payment.charge is not None:
                self._charges.append(payment.charge)
        yield self._answer(quote, reply)

    async def _reserved(self, quote: Quote) -> Payment:
        """Return what has to be had before a request is sent, all of it or nothing."""
        books, breaker = self._place.books, quote.model.key
        if books.health.opens_in_s(breaker) > 0:  # before anybody queues for nothing
            raise self._broken(quote, breaker)
        hold = await self._held(quote)
        try:
            lease = await books.limiter.acquire(
                quote.model.key,
                tokens=quote.tokens_expected,
                priority=self._ask.priority,
                owner=self._ask.owner or self._ask.agent,
                tell=self._tell,
            )
        except BaseException:
            hold.release()
            raise
        ticket = books.health.admit(breaker)
        if ticket is None:
            hold.release()
            lease.release()
            raise self._broken(quote, breaker)
        self._requests += 1
        return Payment(
            books,
            quote,
            key=f"{self._key}/{self._ask.attempt}.{self._requests}",
            agent=self._ask.agent,
            hold=hold,
            lease=lease,
            ticket=ticket,
            breaker=breaker,
        )

    async def _held(self, quote: Quote) -> Hold:
        try:
            return await self._purse.reserve(
                cost_nano=quote.reserved_nano,
                tokens=quote.tokens_max,
                model=quote.model.alias,
                agent=self._ask.agent,
            )
        except BudgetError as error:
            raise (unpriced(quote.model, error) if quote.cost_nano_max is None else error) from None

    def _broken(self, quote: Quote, breaker: str) -> ModelError:
        opens_in_s = self._place.books.health.opens_in_s(breaker)
        return broken(quote.model, quote.provider, opens_in_s=opens_in_s)

    def _answer(self, quote: Quote, reply: Reply) -> Answer:
        """Return the answer; a refused one counts as a failure while there is a fallback for it."""
        refused = reply.finish is Finish.CONTENT_FILTER and not self._has_shown
        if refused and self._next(Reason.CONTENT_POLICY) is not None:
            fault = ProviderFault(FaultKind.CONTENT_POLICY, "The model refused to answer.")
            raise failure(fault, quote.model, quote.provider)
        return Answer(
            reply=reply,
            model=quote.model.alias,
            charges=tuple(self._charges),
            tried=tuple(self._tried),
        )

    # -- another model -------------------------------------------------------------------------

    def _instead(self, model: Model, error: ModelError | BudgetError) -> Model:
        """Return the model that is asked instead; raises the error if there is none."""
        reason = reason_of(error)
        found = None if reason is None or self._has_shown else self._next(reason)
        if found is None:
            raise error
        self._tried.append(Tried(model=model.alias, why=why_of(error), detail=error.what))
        self._tell(f"{error.what} Asking {found.alias} instead …")
        return found

    def _next(self, reason: Reason) -> Model | None:
        return next_model(self._place.catalog, self._asked, reason, is_cheaper=self._is_cheaper)

    def _is_cheaper(self, model: Model) -> bool:
        quotes, last = self._place.quotes, self._place.catalog.model(self._asked[-1])
        try:
            return quotes.quote(self._ask, model).reserved_nano < (
                quotes.quote(self._ask, last).reserved_nano
            )
        except ModelError:
            return False


_WAITING = {
    FaultKind.RATE_LIMITED: "Rate limit reached.",
    FaultKind.OVERLOADED: "{} is overloaded.",
    FaultKind.SERVER: "{} failed.",
    FaultKind.CONNECTION: "{} cannot be reached.",
}


async def _pieces(wire: ModelWire, quote: Quote, *, streams: bool) -> AsyncGenerator[Piece]:
    if not streams:
        yield await wire.send(quote.request)
        return
    pieces = wire.stream(quote.request)
    try:
        async for piece in pieces:
            yield piece
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
