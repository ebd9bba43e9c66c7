"""What a request to a model would take: counted and priced before anything is sent."""

from typing import Final, Protocol

import msgspec

from podium.core.charges import NANO
from podium.gateway.asking import Ask
from podium.gateway.catalog import Catalog, Model, Provider
from podium.gateway.failures import too_long
from podium.gateway.tokens import TokenCounter
from podium.ports.models import ModelRequest, Usage

__all__ = ["Prices", "Quote", "Quotes"]

MARGIN: Final = 1.2
"""What is expected to be written is reserved with 20 % on top."""
UNPRICED_NANO: Final = 1_000_000 * NANO
"""A million dollars: a budget in money has no room for it, and the others do not look at it."""


class Prices(Protocol):
    """Knows what usage costs."""

    def cost_nano(self, provider: str, model: str, usage: Usage) -> tuple[int | None, str]:
        """Return nano-dollars, None if nobody knows, and the version of the prices."""


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """A request that could be sent, and what to reserve for it."""

    model: Model
    provider: Provider
    request: ModelRequest
    prompt_tokens: int
    tokens_expected: int
    """For the rate limits: what will probably be used."""
    tokens_max: int
    """For budgets: what can be used."""
    cost_nano_max: int | None
    """For budgets: what it can cost; None: the price is not known."""
    prices: str

    @property
    def reserved_nano(self) -> int:
        """Return what to set aside: for an unknown price more than any budget has."""
        return UNPRICED_NANO if self.cost_nano_max is None else self.cost_nano_max


class Quotes:
    """Makes quotes; asks nobody outside."""

    def __init__(self, *, catalog: Catalog, counter: TokenCounter, prices: Prices) -> None:
        self._catalog = catalog
        self._counter = counter
        self._prices = prices

    def quote(self, ask: Ask, model: Model, *, key: str = "") -> Quote:
        """Return what asking this model takes.

        Raises `ModelError` PDM-M007 if the request and its answer do not fit the model's window.
        """
        provider = self._catalog.provider_of(model)
        most = min(ask.max_tokens, model.max_output or ask.max_tokens)
        request = ModelRequest(
            model=model.name,
            messages=ask.messages,
            max_tokens=most,
            temperature=ask.temperature,
            tools=ask.tools,
            tool_choice=ask.tool_choice,
            schema=ask.schema,
            stop=ask.stop,
            thinking_tokens=ask.thinking_tokens,
            idempotency_key=key,
            timeout_s=ask.timeout_s or provider.timeout_s,
        )
        prompt = self._counter.count(request)
        if model.context_window is not None and prompt + most > model.context_window:
            raise too_long(model, prompt_tokens=prompt, max_tokens=most)
        bound = Usage(input=self._counter.bound(request), output=most)
        cost, version = self._prices.cost_nano(provider.name, model.name, bound)
        expected = min(round(ask.expected_tokens * MARGIN), most) if ask.expected_tokens else most
        return Quote(
            model=model,
            provider=provider,
            request=request,
            prompt_tokens=prompt,
            tokens_expected=prompt + expected,
            tokens_max=bound.total,
            cost_nano_max=cost,
            prices=version,
        )
