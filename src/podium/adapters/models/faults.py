"""What a provider's refusal means: its status and error body as one `ProviderFault`.

A code that says more than any status could comes first, then words of the message (compatible
servers often send nothing else), then the HTTP status, then whatever else the code says.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from podium.adapters.models.headers import limit_state, request_id
from podium.ports.models import FaultKind, ProviderFault

__all__ = ["DETAIL_MAX", "error_fault", "kind_of", "malformed", "refusal"]

DETAIL_MAX: Final = 500
"""Characters of a provider's own words that an error repeats."""

K = FaultKind
_CODES: Final = MappingProxyType(
    {
        "context_length_exceeded": K.CONTEXT_WINDOW,
        "model_context_window_exceeded": K.CONTEXT_WINDOW,
        "content_filter": K.CONTENT_POLICY,
        "content_policy_violation": K.CONTENT_POLICY,
        "image_content_policy_violation": K.CONTENT_POLICY,
        "misalignment_policy_violation": K.CONTENT_POLICY,
        "bio_policy": K.CONTENT_POLICY,
        "moderation_blocked": K.CONTENT_POLICY,
        "insufficient_quota": K.QUOTA,
        "billing_hard_limit_reached": K.QUOTA,
        "billing_not_active": K.QUOTA,
        "billing_error": K.QUOTA,
        "enforced_spend_limit_reached": K.QUOTA,
        "contract_spend_limit_reached": K.QUOTA,
        "invalid_api_key": K.AUTH,
        "authentication_error": K.AUTH,
        "permission_error": K.AUTH,
        "model_not_found": K.NOT_FOUND,
        "not_found_error": K.NOT_FOUND,
        "rate_limit_exceeded": K.RATE_LIMITED,
        "rate_limit_error": K.RATE_LIMITED,
        "overloaded_error": K.OVERLOADED,
        "timeout_error": K.TIMEOUT,
        "server_error": K.SERVER,
        "internal_error": K.SERVER,
        "api_error": K.SERVER,
    }
)
_SPECIFIC: Final = frozenset({K.CONTEXT_WINDOW, K.CONTENT_POLICY, K.QUOTA})
_WORDS: Final = (
    (K.CONTEXT_WINDOW, re.compile(r"(?i)prompt is too long|context (length|window|limit|size)")),
    (K.QUOTA, re.compile(r"(?i)credit balance is too low|exceeded your current quota")),
    (K.CONTENT_POLICY, re.compile(r"(?i)content (management |usage )?polic|usage policy")),
)
_STATUSES: Final = MappingProxyType(
    {
        401: K.AUTH,
        402: K.QUOTA,
        403: K.AUTH,
        404: K.NOT_FOUND,
        408: K.TIMEOUT,
        409: K.SERVER,
        425: K.SERVER,
        429: K.RATE_LIMITED,
        503: K.OVERLOADED,
        504: K.TIMEOUT,
        529: K.OVERLOADED,
    }
)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> ProviderFault:
    """Return the fault that an answer with an error status means."""
    if 300 <= status < 400:
        detail = "The provider answered with a redirect, which is not followed: check base_url."
        return ProviderFault(K.BAD_REQUEST, detail, status=status)
    kind, detail = _read(status, body)
    return ProviderFault(
        kind,
        detail,
        status=status,
        limits=limit_state(headers),
        request_id=request_id(headers),
    )


def error_fault(error: Any, *, status: int = 200) -> ProviderFault:
    """Return the fault of an `error` object, as a stream or a failed response carries it."""
    return ProviderFault(kind_of(error, status=status), _message(error), status=status)


def malformed(detail: str) -> ProviderFault:
    """Return the fault of an answer that its protocol does not allow."""
    return ProviderFault(K.MALFORMED, detail[:DETAIL_MAX])


def kind_of(error: Any, *, status: int) -> FaultKind:
    """Return what an `error` object that came with a status means."""
    told = error if isinstance(error, dict) else {}
    details = told.get("details")
    inner = details.get("error_code") if isinstance(details, dict) else None
    named = [_CODES.get(str(name)) for name in (told.get("code"), inner, told.get("type"))]
    words = "" if status >= 500 else _message(error)
    meant = [kind for kind, pattern in _WORDS if pattern.search(words)]
    found = [kind for kind in named if kind in _SPECIFIC] + meant
    found += [_STATUSES[status]] if status in _STATUSES else []
    found += [kind for kind in named if kind is not None]
    return found[0] if found else K.BAD_REQUEST if 400 <= status < 500 else K.SERVER


def _read(status: int, body: bytes) -> tuple[FaultKind, str]:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body[: DETAIL_MAX * 4].decode(errors="replace").strip()
        return kind_of({"message": text}, status=status), _message(text)
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    return kind_of(error, status=status), _message(error)


def _message(error: Any) -> str:
    """Return what the provider says in words: one line, bounded, without control characters."""
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error.get("code") or ""
    text = error if isinstance(error, str) else str(error)
    clean = re.sub(r"[\x00-\x20\x7f-\x9f]+", " ", text[: DETAIL_MAX * 2]).strip()
    return clean[:DETAIL_MAX]
