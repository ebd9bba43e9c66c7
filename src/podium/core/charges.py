"""What a call of a model cost: one line of the ledger, in exact integers."""

from typing import Final

import msgspec

__all__ = ["NANO", "Charge"]

NANO: Final = 1_000_000_000
"""Nano-dollars in a dollar: a token of $0.0375 per million costs 37.5 of them."""


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ledger; written in the transaction that ends the attempt it belongs to."""

    key: str
    """Unique for each billed request: a charge that is written again changes nothing."""
    provider: str
    model: str
    agent: str = ""
    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    thinking: int = 0
    """Tokens by class, without overlap."""
    cost_nano: int = 0
    """Nano-dollars, rounded half up once for each charge."""
    is_estimated: bool = False
    """The provider did not report usage: the figures are ours."""
    prices: str = ""
    """Version of the price table the cost was computed with."""

    @property
    def tokens(self) -> int:
        """Return all tokens."""
        return self.input + self.cached + self.cache_write + self.output + self.thinking
