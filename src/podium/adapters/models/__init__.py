"""Wires to language models over HTTP: OpenAI Chat Completions and Responses, Anthropic Messages."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from podium.adapters.models.anthropic import AnthropicMessages
from podium.adapters.models.dialect import Dialect
from podium.adapters.models.http import Http
from podium.adapters.models.openai_chat import OpenAIChat
from podium.adapters.models.openai_responses import OpenAIResponses
from podium.adapters.models.wire import HttpWire
from podium.errors import ModelError
from podium.gateway.catalog import Provider
from podium.ports.models import FaultKind, ModelWire
from podium.settings import expand

__all__ = ["open_wire"]


def open_wire(provider: Provider, *, environment: Mapping[str, str]) -> ModelWire:
    """Return the wire to a provider; it connects with its first request.

    Raises `RequestError` PDM-R073 if a variable its key is taken from is not set.
    """
    setting = f"llm.providers.{provider.name}"
    base_url = expand(provider.base_url, environment, setting=f"{setting}.base_url").rstrip("/")
    key = provider.api_key.reveal(environment, setting=f"{setting}.api_key").strip()
    if not (key.isascii() and key.isprintable()):
        raise ModelError(
            f"The key of the provider {provider.name!r} cannot be sent.",
            why="It holds a line end, or a character that is not ASCII.",
            fix="Look at the variable it is taken from.",
            code="PDM-M004",
            kind=FaultKind.AUTH,
        )
    dialect = _dialect(provider.kind, base_url)
    extra = {
        name: text.reveal(environment, setting=f"{setting}.headers.{name}")
        for name, text in provider.headers.items()
    }
    http = Http(base_url, headers={**dialect.headers(key), **extra})
    # People write the address with or without its version; the official clients differ too.
    version = "" if re.search(r"/v\d+[a-z0-9]*(/|$)", base_url) else "/v1"
    return HttpWire(dialect, http, path=version + dialect.path, key=key)


def _dialect(kind: str, base_url: str) -> Dialect:
    if kind == "anthropic":
        return AnthropicMessages()
    if kind == "openai_responses":
        return OpenAIResponses()
    return OpenAIChat(is_own=(urlsplit(base_url).hostname or "").endswith("openai.com"))
