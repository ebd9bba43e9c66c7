"""What can be asked: providers, the models people name, and what may stand in for what."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from podium.errors import ModelError, did_you_mean
from podium.settings import LlmSettings, ProviderSettings, Secret

__all__ = ["PROVIDER_KINDS", "Catalog", "Fallbacks", "Model", "Provider", "catalog_of"]

PROVIDER_KINDS: Final = ("openai", "openai_responses", "anthropic")
"""The protocols that can be spoken; most other servers speak the first."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint, the protocol it speaks, and the key it wants."""

    name: str
    kind: str
    """One of `PROVIDER_KINDS`."""
    base_url: str
    """With the version: `https://api.openai.com/v1`."""
    api_key: Secret = Secret()
    headers: dict[str, Secret] = {}
    """Sent with every request."""
    timeout_s: float = 120.0


class Fallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """Models to ask instead, in order, by what went wrong."""

    on_error: tuple[str, ...] = ()
    """The provider fails, refuses the key, has no quota left, or its breaker is open."""
    on_context_window: tuple[str, ...] = ()
    """The request is too long for the model."""
    on_content_policy: tuple[str, ...] = ()
    """The provider refuses the content."""
    on_budget: tuple[str, ...] = ()
    """A budget says `downgrade`; when empty, the cheaper ones of `on_error`."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model as people name it here."""

    alias: str
    provider: str
    name: str
    """The provider's own name of it."""
    context_window: int | None = None
    """Tokens it can read and write in one call; None: not known, the provider checks."""
    max_output: int | None = None
    """Tokens it can write in one call."""
    fallbacks: Fallbacks = Fallbacks()

    @property
    def key(self) -> str:
        """Return what the provider counts: aliases of one model share its limits and breaker."""
        return f"{self.provider}/{self.name}"


class Catalog:
    """All providers and models; complete and consistent, or not made at all.

    A name `provider/model` is a model of a known provider even if nobody declared it.
    Raises `ModelError` PDM-M002 for a provider that cannot be used, PDM-M001 for a model that
    names an unknown provider or an unknown model as its fallback.
    """

    def __init__(self, providers: Iterable[Provider] = (), models: Iterable[Model] = ()) -> None:
        self.providers: Mapping[str, Provider] = {each.name: each for each in providers}
        self.models: Mapping[str, Model] = {each.alias: each for each in models}
        for provider in self.providers.values():
            _check(provider)
        for model in self.models.values():
            self.provider_of(model)
            for lists in msgspec.structs.astuple(model.fallbacks):
                for alias in lists:
                    self.model(alias)

    def model(self, alias: str) -> Model:
        """Return a model; raises `ModelError` PDM-M001 with what there is."""
        found = self.models.get(alias)
        provider, slash, name = alias.partition("/")
        if found is None and slash and name and provider in self.providers:
            found = Model(alias=alias, provider=provider, name=name)
        if found is None:
            raise ModelError(
                f"There is no model {alias!r}.",
                fix=did_you_mean(alias, list(self.models), what="model")
                + " Models are declared under `llm: models:` in podium.yaml.",
                code="PDM-M001",
                kind="not_configured",
            )
        return found

    def provider_of(self, model: Model) -> Provider:
        """Return the provider of a model; raises `ModelError` PDM-M001 if there is none."""
        found = self.providers.get(model.provider)
        if found is None:
            raise ModelError(
                f"The model {model.alias!r} names the provider {model.provider!r}, which is"
                " not there.",
                fix=did_you_mean(model.provider, list(self.providers), what="provider")
                + " Providers are declared under `llm: providers:` in podium.yaml.",
                code="PDM-M001",
                kind="not_configured",
            )
        return found


def catalog_of(settings: LlmSettings) -> Catalog:
    """Return the catalog that an `llm:` block declares, built-in providers included."""
    named = {model.provider for model in settings.models.values()}
    names = sorted({"openai", "anthropic", *settings.providers, *named})
    known = {name: found for name in names if (found := settings.provider(name)) is not None}
    return Catalog(
        [_provider(name, declared) for name, declared in known.items()],
        [
            Model(
                alias=alias,
                provider=model.provider,
                name=model.model or alias,
                context_window=model.context_window,
                max_output=model.max_output,
                fallbacks=Fallbacks(
                    on_error=model.fallbacks,
                    on_context_window=model.context_window_fallbacks,
                    on_content_policy=model.content_policy_fallbacks,
                    on_budget=(model.downgrade,) if model.downgrade else (),
                ),
            )
            for alias, model in settings.models.items()
        ],
    )


def _provider(name: str, declared: ProviderSettings) -> Provider:
    kind = declared.kind
    return Provider(
        name=name,
        kind="openai_responses" if kind == "openai" and declared.api == "responses" else kind,
        base_url=declared.url,
        api_key=declared.key,
        headers=declared.headers,
        timeout_s=float(declared.timeout),
    )


def _check(provider: Provider) -> None:
    if provider.kind not in PROVIDER_KINDS:
        raise ModelError(
            f"The provider {provider.name!r} is of kind {provider.kind!r}, which is not supported.",
            why=f"Supported: {', '.join(PROVIDER_KINDS)}.",
            fix="Many providers, Google among them, also offer an endpoint of kind `openai`.",
            code="PDM-M002",
            kind="not_configured",
        )
    address = urlsplit(provider.base_url)
    if "${" not in provider.base_url and (
        address.scheme not in {"http", "https"} or not address.hostname or "@" in address.netloc
    ):
        raise ModelError(
            f"The provider {provider.name!r} has a `base_url` that cannot be used.",
            why="It has to be http:// or https://, with a host, and without a password in it.",
            fix="Write the address only, and the key as `api_key`.",
            code="PDM-M002",
            kind="not_configured",
        )
