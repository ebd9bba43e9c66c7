"""Settings without their secrets, to be shown or passed on."""

import re
from typing import Any, Final, cast

__all__ = ["hide"]

SECRET_WORDS: Final = ("key", "password", "secret", "token")
REFERENCE_RE: Final = re.compile(r"\$\{\w+\}")


def hide(value: Any, name: str) -> Any:
    """Return a value without its secrets: passwords in URLs, and keys that are no reference."""
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        # A header may hold a key whatever its name is.
        return {key: hide(inner, "secret" if name == "headers" else key) for key, inner in pairs}
    if isinstance(value, list | tuple):
        return [hide(inner, name) for inner in cast("list[Any]", value)]
    return _hide_text(value, name) if isinstance(value, str) else value


def _hide_text(value: str, name: str) -> str:
    is_secret = any(word in name.lower().split("_") for word in SECRET_WORDS)
    if is_secret and not REFERENCE_RE.fullmatch(value):
        return "•••"
    head, separator, tail = value.partition("://")
    user, at, place = tail.rpartition("@")
    if separator and at and ":" in user:
        return f"{head}://{user.partition(':')[0]}:•••@{place}"
    return value
