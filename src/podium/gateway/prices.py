"""What usage costs, in whole nano-dollars; an unknown price is told as unknown, never as zero.

A price comes from the `price:` of a model in podium.yaml, else from the table of the package
genai-prices (extra `podium[llm]`), which is read from the package only: nothing is fetched.
Arithmetic is exact, and one charge is rounded once, half up.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cached_property
from importlib import import_module
from time import monotonic
from typing import Any, Final

import msgspec

from podium.core.charges import NANO
from podium.ports.models import Usage
from podium.settings import LlmSettings, PriceSettings

__all__ = ["UNKNOWN", "PriceTable", "Rates", "cost_of"]

UNKNOWN: Final = "unknown"
"""The version of a charge whose price nobody knows."""
EXACT: Final = Context(prec=60, rounding=ROUND_HALF_UP)
LOOKED_UP_S: Final = 60.0
NANO_PER_MTOK: Final = Decimal(NANO // 1_000_000)
"""Nano-dollars for a token that costs one dollar per million."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Dollars for a million tokens of each class."""

    input: Decimal
    cached: Decimal
    cache_write: Decimal
    output: Decimal
    thinking: Decimal


def cost_of(usage: Usage, rates: Rates) -> int:
    """Return nano-dollars, rounded half up.

    >>> half = Decimal("0.0005")
    >>> rates = Rates(input=half, cached=half, cache_write=half, output=half, thinking=half)
    >>> cost_of(Usage(input=1), rates), cost_of(Usage(input=3), rates)
    (1, 2)
    """
    dollars_per_mtok = sum(
        (
            EXACT.multiply(getattr(rates, name), getattr(usage, name))
            for name in Rates.__struct_fields__
        ),
        start=Decimal(0),
    )
    return int(EXACT.multiply(dollars_per_mtok, NANO_PER_MTOK).to_integral_value(context=EXACT))


class PriceTable:
    """The prices of every model; one for a process.

    `llm` declares prices and says where providers are: a model has the table's price only at
    the address the table knows, so that the same name on one's own machine costs nothing it
    was not said to cost.
    """

    def __init__(self, llm: LlmSettings, *, clock: Callable[[], float] = monotonic) -> None:
        self._llm = llm
        self._clock = clock
        self._looked_up: dict[tuple[str, str], tuple[float, Any]] = {}
        self._declared: Mapping[tuple[str, str], PriceSettings] = {
            (model.provider, model.model or alias): model.price
            for alias, model in llm.models.items()
            if model.price is not None
        }

    def cost_nano(self, provider: str, model: str, usage: Usage) -> tuple[int | None, str]:
        """Return nano-dollars and the version of the prices they come from.

        Without a known price the cost is None and the version `UNKNOWN`; with
        `llm.unknown_price` it is what that assumes, and the version says `assumed`. A budget
        in money must refuse what costs None: it cannot tell whether it fits.
        """
        rates = self.rates(provider, model, usage)
        if rates is not None:
            return cost_of(usage, rates), self.version
        if self._llm.unknown_price is not None:
            return cost_of(usage, _declared(self._llm.unknown_price)), f"assumed+{self.version}"
        return None, UNKNOWN

    def rates(self, provider: str, model: str, usage: Usage) -> Rates | None:
        """Return the prices for this usage (long prompts may cost more); None: not known."""
        declared = self._declared.get((provider, model))
        if declared is not None:
            return _declared(declared)
        found = self._llm.provider(provider)
        if found is None or self._package is None:
            return None
        listed = self._listed(found.url, model)
        return None if listed is None else _at_length(listed, usage)

    def _listed(self, url: str, model: str) -> Any:
        """Return the package's prices; asked anew each minute: some depend on date or hour."""
        until, listed = self._looked_up.get((url, model), (-math.inf, None))
        if until <= self._clock():
            listed = _look_up(self._package, url, model)
            self._looked_up[url, model] = (self._clock() + LOOKED_UP_S, listed)
        return listed

    @cached_property
    def version(self) -> str:
        """Name the package's version and a hash of the declared prices."""
        parts = []
        if self._package is not None:
            parts.append(f"genai-prices/{self._package.__version__}")
        told = [(*key, price) for key, price in sorted(self._declared.items())]
        if told or self._llm.unknown_price is not None:
            text = msgspec.json.encode([told, self._llm.unknown_price])
            parts.append(f"settings/{hashlib.sha256(text).hexdigest()[:8]}")
        return "+".join(parts) or UNKNOWN

    @cached_property
    def _package(self) -> Any:
        """Return the package, loaded now (0.3 s), or None if it is not installed."""
        try:
            return import_module("genai_prices")
        except ImportError:
            return None


def _declared(price: PriceSettings) -> Rates:
    return _rates(
        price.input_per_mtok,
        price.output_per_mtok,
        price.cached_per_mtok,
        price.cache_write_per_mtok,
        price.thinking_per_mtok,
    )


def _rates(
    into: Decimal,
    out: Decimal,
    cached: Decimal | None,
    cache_write: Decimal | None,
    thinking: Decimal | None,
) -> Rates:
    return Rates(
        input=into,
        cached=into if cached is None else cached,
        cache_write=into if cache_write is None else cache_write,
        output=out,
        thinking=out if thinking is None else thinking,
    )


def _look_up(package: Any, url: str, model: str) -> Any:
    try:
        return package.calc_price(package.Usage(), model, provider_api_url=url).model_price
    except LookupError:
        return None


def _at_length(listed: Any, usage: Usage) -> Rates | None:
    """Return the package's prices for a prompt of this length; None: not priced by tokens."""
    read = usage.input + usage.cached + usage.cache_write

    def price(name: str) -> Decimal | None:
        value = getattr(listed, name)
        for tier in reversed(getattr(value, "tiers", ())):
            if read > tier.start:
                return Decimal(tier.price)
        value = getattr(value, "base", value)
        return None if value is None else Decimal(value)

    into, out = price("input_mtok"), price("output_mtok")
    if into is None or out is None:
        return None
    return _rates(
        into,
        out,
        price("cache_read_mtok"),
        price("cache_write_mtok"),
        price("output_reasoning_mtok"),
    )
