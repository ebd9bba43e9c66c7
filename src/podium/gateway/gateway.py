"""The way to language models: one call in, limits, budgets, retries and fallbacks around it."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from uuid import uuid4

from podium.core.breaker import Breaker, BreakerPolicy
from podium.gateway.asking import Answer, Ask, Estimate, Tell, silent
from podium.gateway.catalog import Catalog, Provider
from podium.gateway.health import Health
from podium.gateway.journey import Journey, Patience, Place
from podium.gateway.limits import Limiter
from podium.gateway.payment import Books
from podium.gateway.purse import FREE, Purse
from podium.gateway.quotes import Prices, Quotes
from podium.gateway.tokens import TokenCounter
from podium.ports.models import ModelWire, Piece, Reply

__all__ = ["Gateway"]


class Gateway:
    """Asks models for everybody in this process; belongs to one event loop.

    `wires` opens the wire to a provider, at its first call. `clock_us` is the time of the
    breakers and of patience, `dice` the chance of waiting times.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        wires: Callable[[Provider], ModelWire],
        limiter: Limiter,
        counter: TokenCounter,
        prices: Prices,
        clock_us: Callable[[], int],
        dice: Callable[[], float],
        breaker: BreakerPolicy | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.catalog = catalog
        self._open_wire = wires
        self._wires: dict[str, ModelWire] = {}
        self._quotes = Quotes(catalog=catalog, counter=counter, prices=prices)
        self._health = health = Health(breaker or BreakerPolicy(), clock_us=clock_us)
        self._place = Place(
            catalog=catalog,
            quotes=self._quotes,
            books=Books(counter=counter, prices=prices, limiter=limiter, health=health),
            wire_to=self._wire,
            clock_us=clock_us,
            dice=dice,
            patience=patience or Patience(),
        )

    async def call(self, ask: Ask, *, purse: Purse = FREE, tell: Tell = silent) -> Answer:
        """Return the answer to `ask`; `tell` hears what is waited for.

        Retries what may pass, asks the declared fallbacks, and books every request that was or
        may have been billed with `purse`, also if the call fails or is cancelled.

        Raises:
            ModelError: nobody answered; the code says why, `is_transient` whether to ask again.
            BudgetError: a budget has too little left; nothing more was sent.
        """
        async with aclosing(self._journey(ask, purse, tell, streams=False)) as items:
            async for item in items:
                if isinstance(item, Answer):
                    return item
        raise AssertionError("A journey ends with an answer or an error.")

    async def stream(
        self, ask: Ask, *, purse: Purse = FREE, tell: Tell = silent
    ) -> AsyncGenerator[Piece | Answer]:
        """Yield the answer as it comes, the `Answer` last; closing it early ends the request.

        Raises as `call`, and `ModelError` PDM-M023 if the stream breaks after a first piece: that
        is never retried here, because the pieces are already out.
        """
        async with aclosing(self._journey(ask, purse, tell, streams=True)) as items:
            async for item in items:
                if not isinstance(item, Reply):
                    yield item

    def estimate(self, ask: Ask) -> Estimate:
        """Return what one request for `ask` would take at most; nothing is sent.

        Raises `ModelError` PDM-M001 for an unknown model, PDM-M007 if its window is too small.
        """
        quote = self._quotes.quote(ask, self.catalog.model(ask.model))
        return Estimate(
            model=quote.model.alias,
            prompt_tokens=quote.prompt_tokens,
            output_tokens_max=quote.request.max_tokens,
            cost_nano_max=quote.cost_nano_max,
            prices=quote.prices,
        )

    def breakers(self) -> Mapping[str, Breaker]:
        """Return the breakers of models that were asked, by `provider/model`."""
        return self._health.breakers()

    async def close(self) -> None:
        """Close every connection; safe to repeat."""
        wires, self._wires = self._wires, {}
        for wire in wires.values():
            await wire.close()

    def _journey(
        self, ask: Ask, purse: Purse, tell: Tell, *, streams: bool
    ) -> AsyncGenerator[Piece | Answer]:
        key = ask.key or uuid4().hex
        place = self._place
        return Journey(place, ask, key=key, purse=purse, tell=tell, streams=streams).run()

    def _wire(self, provider: Provider) -> ModelWire:
        wire = self._wires.get(provider.name)
        if wire is None:
            wire = self._wires[provider.name] = self._open_wire(provider)
        return wire
