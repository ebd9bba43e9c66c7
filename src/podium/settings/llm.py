"""The `llm:` and `budgets:` blocks of podium.yaml, as typed structs.

What a key means is said at its field; that a block as a whole makes sense is checked in
reading.py. Nothing here is resolved: secrets stay `${NAME}` until the provider is used.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Final, Literal

import msgspec

from podium.settings.secret import Secret, variables_in

__all__ = [
    "BUILT_IN_PROVIDERS",
    "BudgetSettings",
    "LlmSettings",
    "ModelSettings",
    "PriceSettings",
    "ProviderSettings",
    "Seconds",
]

Count = Annotated[int, msgspec.Meta(ge=1)]
Dollars = Annotated[Decimal, msgspec.Meta(description="0 or more")]


class Seconds(float):
    """A duration; podium.yaml may write it as a number of seconds or as text such as "90s"."""


class _Block(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """A block of podium.yaml: each field is a key."""


class ProviderSettings(_Block, frozen=True):
    """Where models are asked, and with which key."""

    kind: Literal["openai", "anthropic"]
    """The protocol. Whatever speaks OpenAI's (Ollama, vLLM, …) is `openai`."""
    api: Literal["chat", "responses"] = "chat"
    """Which of OpenAI's two interfaces; other kinds have one."""
    base_url: str = ""
    """Where it is, with the version: `http://127.0.0.1:11434/v1`. Default: the kind's own."""
    api_key: Secret = Secret()
    """`"${NAME}"`. Default: the kind's own variable, but only for the kind's own `base_url`."""
    headers: dict[str, Secret] = {}
    """Sent with every request."""
    timeout: Seconds = Seconds(120)
    """Longest time for one request."""

    @property
    def url(self) -> str:
        """Return `base_url`, or the address the kind is at by default."""
        return self.base_url or _HOMES[self.kind]

    @property
    def key(self) -> Secret:
        """Return `api_key`, or the kind's own: a key is never sent to somebody else's address."""
        if self.api_key or self.base_url:
            return self.api_key
        return Secret(f"${{{_KEYS[self.kind]}}}")

    def missing(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        """Return the variables this provider needs that are not set: empty if it can be used."""
        needed = [*variables_in(self.base_url), *self.key.variables]
        needed += [name for header in self.headers.values() for name in header.variables]
        return tuple(sorted({name for name in needed if not environment.get(name)}))


_HOMES: Final = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
}
_KEYS: Final = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}

BUILT_IN_PROVIDERS: Final = MappingProxyType(
    {"openai": ProviderSettings(kind="openai"), "anthropic": ProviderSettings(kind="anthropic")}
)
"""Providers that need no declaration, only their key in the environment."""


class PriceSettings(_Block, frozen=True):
    """Dollars for a million tokens, by class. What is not given costs as `input` or `output`."""

    input_per_mtok: Dollars
    output_per_mtok: Dollars
    cached_per_mtok: Dollars | None = None
    """Tokens read from the provider's prompt cache."""
    cache_write_per_mtok: Dollars | None = None
    thinking_per_mtok: Dollars | None = None


class ModelSettings(_Block, frozen=True):
    """A model that workflows and agents name by its alias."""

    provider: str
    model: str = ""
    """The provider's own name of it; default: the alias."""
    context_window: Count | None = None
    """Tokens it can read and write in one call."""
    max_output: Count | None = None
    """Tokens it can write in one call."""
    price: PriceSettings | None = None
    """Default: the price table of the `llm` extra."""
    rpm: Count | None = None
    """Requests per minute."""
    tpm: Count | None = None
    """Tokens per minute, read and written together."""
    concurrency: Count | None = None
    """Requests at once."""
    fallbacks: tuple[str, ...] = ()
    """Models to try, in order, when this one fails for good."""
    context_window_fallbacks: tuple[str, ...] = ()
    """Models to try when the request is too long for this one."""
    content_policy_fallbacks: tuple[str, ...] = ()
    """Models to try when the provider refuses the content."""
    downgrade: str = ""
    """The model used instead when a budget says `downgrade`."""
    tokenizer: str = ""
    """`o200k_base`, `cl100k_base`, or the path of a `tokenizer.json`. Default: by its name."""


class LlmSettings(_Block, frozen=True):
    """The `llm:` block."""

    providers: dict[str, ProviderSettings] = {}
    """Besides `openai` and `anthropic`, which are there once their key is in the environment."""
    models: dict[str, ModelSettings] = {}
    """By alias. `provider/model` names a model that is not declared here."""
    default: str = ""
    """The model of agents that name none; default: the only one."""
    unknown_price: PriceSettings | None = None
    """What a model of unknown price is taken to cost. Default: a money budget refuses it."""
    queue: Count = 1000
    """Calls that may wait for one model's rate limit; one more is refused."""

    def provider(self, name: str) -> ProviderSettings | None:
        """Return a declared or built-in provider."""
        return self.providers.get(name) or BUILT_IN_PROVIDERS.get(name)


class BudgetSettings(_Block, frozen=True):
    """One limit on what calls of models may use."""

    scope: Literal["organization", "user", "workflow", "run", "step", "agent"]
    name: str = ""
    """Which one, such as a workflow's name; default: each of them by itself."""
    limit_usd: Dollars | None = None
    limit_tokens: Count | None = None
    limit_calls: Count | None = None
    limit_s: Seconds | None = None
    """Time spent in calls."""
    per: Literal["run", "hour", "day", "month", "total"] = "total"
    on_limit: Literal["deny", "downgrade", "pause", "partial"] = "deny"
