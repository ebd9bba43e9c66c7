"""What OpenAI's two protocols share: usage, images, and tool calls as text."""

from typing import Any

import msgspec

from podium.adapters.models.dialect import count_of
from podium.ports.models import Image, ToolResult, Usage

__all__ = ["effort", "image_address", "json_text", "result_text", "usage_of"]

Json = Any


def usage_of(told: Json, names: tuple[str, str]) -> Usage | None:
    """Return usage without overlaps; `names` are those of the tokens read and written.

    OpenAI reports cached tokens inside those read and reasoning inside those written.
    """
    if not isinstance(told, dict):
        return None
    read, written = names
    inside = told.get(f"{read}_details") or {}
    cached, stored = (
        count_of(inside.get(name)) for name in ("cached_tokens", "cache_write_tokens")
    )
    thinking = count_of((told.get(f"{written}_details") or {}).get("reasoning_tokens"))
    return Usage(
        input=max(count_of(told.get(read)) - cached - stored, 0),
        cached=cached,
        cache_write=stored,
        output=max(count_of(told.get(written)) - thinking, 0),
        thinking=thinking,
    )


def effort(thinking_tokens: int) -> str:
    """Return the word for an amount of reasoning, where a protocol takes words only."""
    return "low" if thinking_tokens <= 2_048 else "medium" if thinking_tokens <= 8_192 else "high"


def image_address(image: Image) -> str:
    """Return where an image is, or the image itself as an address."""
    return image.url or f"data:{image.media_type};base64,{image.data}"


def json_text(arguments: Json, *, raw: str = "") -> str:
    """Return the arguments of a tool call as the text a model wrote."""
    return raw if arguments is None and raw else msgspec.json.encode(arguments or {}).decode()


def result_text(result: ToolResult) -> str:
    """Return a tool's answer where a protocol cannot mark it as an error."""
    return f"Error: {result.content}" if result.is_error else result.content
