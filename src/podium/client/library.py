"""The HTTP library behind both clients: an extra, so that programs near the store go without."""

from importlib import import_module
from typing import Any

from podium.errors import RequestError

__all__ = ["credentials", "library"]


def library() -> Any:
    """Return the module; raises `RequestError` PDM-R052 if it is not installed."""
    try:
        return import_module("httpx2")
    except ImportError as error:
        raise RequestError(
            "podium.client needs an HTTP client that is not installed.",
            fix="pip install 'podium[http]'",
            code="PDM-R052",
        ) from error


def credentials(key: str) -> dict[str, str]:
    """Return the headers that say who asks; raises `RequestError` PDM-R127 for what is no key."""
    if not key.isascii() or not key.isprintable() or " " in key:
        # Without showing it: it may be a key after all, with a line end behind it.
        raise RequestError(
            "The key holds a space, a line end or a letter that no key has.",
            fix="Give it as `podium keys create` printed it, without anything around it.",
            code="PDM-R127",
        )
    return {"authorization": f"Bearer {key}"} if key else {}
