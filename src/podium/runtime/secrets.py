"""Takes known secrets out of text, in every form they are likely to be written in."""

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote, quote_plus

import msgspec

__all__ = ["Secrets"]

LENGTH_MIN: Final = 6
"""Shorter ones would be found in ordinary words."""
SHOWN: Final = "[secret]"
SHAPES: Final = (r"\bsk_[A-Za-z0-9_-]{32,200}", r"\bwhsec_[A-Za-z0-9+/=_-]{24,200}")
"""Keys and webhook secrets of podium itself: known by their shape, whosever they are."""


class Secrets:
    """The secrets this process knows: what leaves it as text is cleared of them first.

    >>> Secrets(["hunter22"]).redact("key=hunter22 or aHVudGVyMjI=")
    'key=[secret] or [secret]='
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = {form for value in values if len(value) >= LENGTH_MIN for form in _forms(value)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join([*map(re.escape, longest_first), *SHAPES]))

    def redact(self, text: str) -> str:
        """Return `text` without the secrets."""
        return self._pattern.sub(SHOWN, text)

    def redact_all(self, value: Any) -> Any:
        """Return JSON data with the secrets taken out of every text, keys included."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            return {self.redact_all(key): self.redact_all(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.redact_all(each) for each in value]
        return value


def _forms(value: str) -> Iterator[str]:
    yield value
    yield msgspec.json.encode(value).decode()[1:-1]
    yield quote(value, safe="")
    yield quote_plus(value)
    yield value.encode().hex()
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(value.encode()).decode().rstrip("=")
        for shift in range(3):
            yield _inside(encode, value.encode(), shift)


def _inside(encode: Any, data: bytes, shift: int) -> str:
    """Return what base64 makes of `data` at this offset of a longer text, whatever is around."""
    text: str = encode(b"\0" * shift + data).decode().rstrip("=")
    whole = (shift + len(data)) * 8 // 6
    return text[-(-shift * 8 // 6) : whole]
