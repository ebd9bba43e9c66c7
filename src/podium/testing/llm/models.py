"""The models the stub plays: their windows, habits and prices, all to be overridden by tests."""

from typing import Final

import msgspec

from podium.testing.llm.bill import Prices

__all__ = ["MODELS", "StubModel"]


class StubModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model. Prices are those of the day this was written; tests state the ones they need."""

    name: str
    dialects: frozenset[str] = frozenset({"openai_chat", "openai_responses"})
    """Who may ask for it: openai_chat, openai_responses, anthropic, embeddings."""
    window: int = 128_000
    """Tokens of prompt and answer together."""
    output_max: int = 16_384
    thinks: bool = False
    """Refuses `max_tokens` and other temperatures than 1 in OpenAI Chat."""
    prices: Prices = Prices()
    dimensions: int = 0
    """Length of its vectors; 0: it makes none."""


_CLAUDE: Final = frozenset({"anthropic"})
_VECTORS: Final = frozenset({"embeddings"})

MODELS: Final = (
    StubModel(
        name="gpt-4o-mini",
        prices=Prices(input="0.15", cached="0.075", output="0.60"),
    ),
    StubModel(name="gpt-4o", prices=Prices(input="2.50", cached="1.25", output="10")),
    StubModel(
        name="gpt-5-mini",
        window=400_000,
        output_max=128_000,
        thinks=True,
        prices=Prices(input="0.25", cached="0.025", output="2"),
    ),
    StubModel(
        name="claude-haiku-4-5",
        dialects=_CLAUDE,
        window=200_000,
        output_max=64_000,
        prices=Prices(input="1", cached="0.10", cache_write="1.25", output="5"),
    ),
    StubModel(
        name="claude-sonnet-4-5",
        dialects=_CLAUDE,
        window=200_000,
        output_max=64_000,
        prices=Prices(input="3", cached="0.30", cache_write="3.75", output="15"),
    ),
    StubModel(
        name="text-embedding-3-small",
        dialects=_VECTORS,
        window=8_191,
        dimensions=1_536,
        prices=Prices(input="0.02"),
    ),
)
"""What a stub knows unless it is told otherwise."""
