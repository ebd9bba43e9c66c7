"""What response headers say about limits: OpenAI's words, Anthropic's words, and Retry-After.

Times come as durations (`6m0s`), as seconds, or as dates; a date counts from the server's own
`Date` header, never from our clock.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from podium.ports.models import LimitState

__all__ = ["limit_state", "request_id"]

WAIT_MAX_S: Final = 86_400.0
"""Nobody waits longer than a day because of a header."""

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
# Most specific first; Anthropic counts input and output apart where it has no common limit.
_REQUESTS: Final = ("x-ratelimit-{}-requests", "anthropic-ratelimit-requests-{}")
_TOKENS: Final = (
    "x-ratelimit-{}-tokens",
    "anthropic-ratelimit-tokens-{}",
    "anthropic-ratelimit-input-tokens-{}",
)


def limit_state(headers: Mapping[str, str]) -> LimitState:
    """Return what the headers say; what they do not say, or say unreadably, is None."""
    sent = _date(headers.get("date", ""))
    return LimitState(
        requests_limit=_count(headers, _REQUESTS, "limit"),
        requests_left=_count(headers, _REQUESTS, "remaining"),
        requests_reset_s=_wait(_first(headers, _REQUESTS, "reset"), sent),
        tokens_limit=_count(headers, _TOKENS, "limit"),
        tokens_left=_count(headers, _TOKENS, "remaining"),
        tokens_reset_s=_wait(_first(headers, _TOKENS, "reset"), sent),
        retry_after_s=_retry_after(headers, sent),
    )


def request_id(headers: Mapping[str, str]) -> str:
    """Return the provider's name of the request, for people to quote."""
    found = headers.get("x-request-id") or headers.get("request-id") or ""
    return found[:128]


def _retry_after(headers: Mapping[str, str], sent: datetime | None) -> float | None:
    milliseconds = headers.get("retry-after-ms", "").strip()
    if re.fullmatch(r"\d{1,12}(\.\d+)?", milliseconds):
        return _bounded(float(milliseconds) / 1000)
    return _wait(headers.get("retry-after", ""), sent)


def _first(headers: Mapping[str, str], names: tuple[str, ...], what: str) -> str:
    return next((found for name in names if (found := headers.get(name.format(what)))), "")


def _count(headers: Mapping[str, str], names: tuple[str, ...], what: str) -> int | None:
    text = _first(headers, names, what).strip()
    return int(text) if re.fullmatch(r"\d{1,15}", text, re.ASCII) else None


def _wait(text: str, sent: datetime | None) -> float | None:
    text = text.strip()
    if re.fullmatch(r"\d{1,8}(\.\d+)?", text, re.ASCII):  # more digits are a date in seconds
        return _bounded(float(text))
    if re.fullmatch(rf"({_DURATION.pattern})+", text, re.ASCII):
        parts = _DURATION.findall(text)
        return _bounded(sum(float(number) * _UNIT_S[unit] for number, unit in parts))
    due = _date(text)
    return None if due is None or sent is None else _bounded((due - sent).total_seconds())


def _date(text: str) -> datetime | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = read(text)
        except (TypeError, ValueError, OverflowError):
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), WAIT_MAX_S)
