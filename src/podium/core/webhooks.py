"""Webhooks as rules: what is signed and how, who hears of what, when a delivery is tried again.

Pure. The wire format is Standard Webhooks 1.0: three headers, an HMAC over id, time and body,
several signatures while a secret is being replaced.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final

import msgspec

__all__ = [
    "ATTEMPTS_MAX",
    "DEFAULT_EVENTS",
    "FAMILIES",
    "ROTATION_US",
    "SECRET_BYTES",
    "TOLERANCE_S",
    "Secret",
    "Verdict",
    "VerdictKind",
    "decode_secret",
    "encode_secret",
    "fault_in_pattern",
    "is_wanted",
    "judge",
    "live_secrets",
    "next_try_us",
    "signature_headers",
    "verification_fault",
]

SECOND_US: Final = 1_000_000
HOUR_US: Final = 3600 * SECOND_US

# --- who hears of what --------------------------------------------------------------------------

FAMILIES: Final = ("run", "step", "child", "approval", "budget", "agent", "breaker")
DEFAULT_EVENTS: Final = (
    "orchestration.run.*",
    "orchestration.approval.*",
    "orchestration.child.failed",
    "orchestration.budget.exceeded",
)
"""What a webhook hears that names no events: what people want to know, not every step."""

_PREFIX: Final = "orchestration."


def fault_in_pattern(pattern: str) -> str:
    """Return what is wrong with a pattern of event types, in words; empty if nothing is.

    >>> fault_in_pattern("orchestration.step.*")
    ''
    >>> fault_in_pattern("orchestration.steps.*")
    "'steps' is no family of events (run, step, child, approval, budget, agent, breaker)"
    """
    if pattern in {"*", "orchestration.*"}:
        return ""
    if not pattern.startswith(_PREFIX):
        return f"it does not begin with {_PREFIX!r}"
    family, dot, word = pattern.removeprefix(_PREFIX).partition(".")
    if family not in FAMILIES:
        return f"{family!r} is no family of events ({', '.join(FAMILIES)})"
    if not dot or not (word == "*" or word.replace("_", "").isalpha()):
        return "after the family comes a word, or * for all of them"
    return ""


def is_wanted(patterns: Sequence[str], event_type: str) -> bool:
    """Return whether one of the patterns covers an event type.

    >>> is_wanted(["orchestration.run.*"], "orchestration.run.failed")
    True
    """
    family = event_type.rpartition(".")[0] + ".*"
    return any(each in {"*", "orchestration.*", family, event_type} for each in patterns)


# --- signatures ---------------------------------------------------------------------------------

TOLERANCE_S: Final = 300
"""How far the time of a message may be from ours: what is older may be a replay."""
SECRET_BYTES: Final = 32
SECRET_BYTES_MIN: Final = 24
SECRET_BYTES_MAX: Final = 64
ROTATION_US: Final = 24 * HOUR_US
"""How long the secret that was replaced still signs beside the new one."""
SIGNATURES_MAX: Final = 16

_MARK: Final = "whsec_"
_VERSION: Final = "v1"


class Secret(msgspec.Struct, frozen=True):
    """A key of a webhook in its text form `whsec_…`, and how long it holds."""

    text: str
    until_us: int | None = None
    """None: until it is replaced."""


def encode_secret(key: bytes) -> str:
    """Return the text form of a key."""
    return _MARK + base64.b64encode(key).decode()


def decode_secret(text: str) -> bytes:
    """Return the key of a text form; raises `ValueError` that says what is wrong with it."""
    if not text.startswith(_MARK):
        raise ValueError(f"a secret begins with {_MARK!r}")
    try:
        key = base64.b64decode(text.removeprefix(_MARK), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows {_MARK!r} is not base64") from None
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise ValueError(
            f"the key has {len(key)} bytes; it takes {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}"
        )
    return key


def live_secrets(secrets: Sequence[Secret], now_us: int) -> list[Secret]:
    """Return the secrets that hold now, the newest first."""
    return [each for each in secrets if each.until_us is None or now_us < each.until_us]


def _signature(key: bytes, *, message_id: str, at_s: int, body: bytes) -> bytes:
    told = f"{message_id}.{at_s}.".encode() + body
    return hmac.new(key, told, hashlib.sha256).digest()


def signature_headers(
    secrets: Sequence[Secret], *, message_id: str, at_s: int, body: bytes
) -> dict[str, str]:
    """Return the three headers of a message; without secrets it carries no signature."""
    headers = {"webhook-id": message_id, "webhook-timestamp": str(at_s)}
    signatures = [
        _signature(decode_secret(each.text), message_id=message_id, at_s=at_s, body=body)
        for each in secrets
    ]
    if signatures:
        encoded = [f"{_VERSION},{base64.b64encode(each).decode()}" for each in signatures]
        headers["webhook-signature"] = " ".join(encoded)
    return headers


def verification_fault(
    secrets: Sequence[Secret], headers: Mapping[str, str], *, body: bytes, now_s: int
) -> str:
    """Return why a message is not to be believed, in words; empty if it is genuine.

    The names of `headers` are in lower case.
    """
    message_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "")
    if not (message_id and at and given):
        return "it lacks one of webhook-id, webhook-timestamp and webhook-signature"
    if not at.isascii() or not at.isdecimal() or len(at) > 12:
        return "its webhook-timestamp is no number of seconds"
    if abs(now_s - int(at)) > TOLERANCE_S:
        return f"its webhook-timestamp is more than {TOLERANCE_S} s away from our clock"
    expected = [
        _signature(decode_secret(each.text), message_id=message_id, at_s=int(at), body=body)
        for each in secrets
    ]
    candidates = [_decoded(part) for part in given.split(" ")[:SIGNATURES_MAX]]
    # Every pair is compared, so that the time it takes tells nothing.
    matches = [hmac.compare_digest(a, b) for a in expected for b in candidates]
    return "" if any(matches) else "no signature matches"


def _decoded(part: str) -> bytes:
    version, _, text = part.partition(",")
    if version != _VERSION:
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


# --- trying again -------------------------------------------------------------------------------

DELAYS_US: Final = tuple(
    seconds * SECOND_US
    for seconds in (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""Before each attempt: at once, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""
ATTEMPTS_MAX: Final = len(DELAYS_US)
JITTER: Final = 0.1
RETRY_AFTER_MAX_US: Final = 24 * HOUR_US


def next_try_us(attempts: int, *, dice: float, at_least_us: int = 0) -> int | None:
    """Return how long to wait after so many attempts failed; None: there is no next one.

    `at_least_us` is what the receiver asked for. Chance only adds, at most a tenth: receivers
    that came back together are not asked together.
    """
    if attempts >= ATTEMPTS_MAX:
        return None
    asked = min(at_least_us, RETRY_AFTER_MAX_US)
    return round(max(DELAYS_US[attempts], asked) * (1 + JITTER * dice))


class VerdictKind(IntEnum):
    """What an answer means for a delivery."""

    DELIVERED = 0
    RETRY = 1
    THROTTLE = 2
    """Try again, and leave the receiver alone meanwhile."""
    GONE = 3
    """The receiver wants nothing more: the webhook is switched off."""


class Verdict(msgspec.Struct, frozen=True):
    """What an answer means, and how long the receiver wants to be left alone."""

    kind: VerdictKind
    wait_us: int = 0


def judge(code: int, retry_after_s: float | None = None) -> Verdict:
    """Return what a status code means; 0 stands for no answer at all.

    Only 2xx is success. A redirect is a failure: it is never followed.
    """
    if 200 <= code < 300:
        return Verdict(VerdictKind.DELIVERED)
    if code == 410:
        return Verdict(VerdictKind.GONE)
    wait_us = int(min(retry_after_s or 0.0, RETRY_AFTER_MAX_US / SECOND_US) * SECOND_US)
    if code in {429, 502, 503, 504}:
        return Verdict(VerdictKind.THROTTLE, wait_us)
    return Verdict(VerdictKind.RETRY, wait_us)
