"""`uses: http`: one HTTP request, with its idempotency key and honest errors.

Needs the extra `podium[http]`; the client library is imported by the first request.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from podium.errors import RequestError
from podium.ports.egress import Egress
from podium.runtime.attempts import attempt_context
from podium.runtime.failures import NonRetryable, RetryAfter

__all__ = ["HttpError", "HttpRefused", "run_http"]

BODY_MAX: Final = 10 * 1024 * 1024
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
TRANSIENT: Final = frozenset({408, 425, 429})


class HttpError(RetryAfter):
    """The server failed or asked to come back later: worth another attempt."""


class HttpRefused(NonRetryable):
    """The server refused this request; it would refuse it again."""


async def run_http(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    body: str | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109 - the word of the definition language
    check: bool = True,
) -> dict[str, Any]:
    """Send one request and return `{status, headers, body}`; JSON bodies are decoded.

    Redirects are not followed. Under a server, only public addresses are asked, and those that
    `egress_allow` opens: definitions may come from anybody there. Requests that change something
    carry the step's idempotency key in `Idempotency-Key`, the same for every attempt. With
    `check`, 408, 425, 429 and 5xx raise `HttpError` (retried, no sooner than `Retry-After`
    says) and other 4xx `HttpRefused` (final). A body above 10 MiB is refused.
    """
    client_library = _library()
    sent = dict(headers or {})
    context = attempt_context()
    if context is not None and method.upper() not in SAFE_METHODS:
        sent.setdefault("Idempotency-Key", context.idempotency_key)
    request = {"headers": sent, "params": params, "json": json, "content": body}
    given = {name: value for name, value in request.items() if value is not None}
    gate = None if context is None or not context.services.is_guarded else context.services.egress
    target = url if gate is None else await _pass(gate, url, given)
    async with (
        # Where callers from outside write URLs, a proxy would be a way around the gate.
        client_library.AsyncClient(
            timeout=timeout, follow_redirects=False, trust_env=gate is None
        ) as client,
        client.stream(method.upper(), target, **given) as response,
    ):
        text = await _read(response)
    result = {
        "status": response.status_code,
        "headers": {name.lower(): value for name, value in response.headers.items()},
        "body": _decoded(text, response.headers.get("content-type", "")),
    }
    if check and response.status_code >= 400:
        raise _failure(method, url, result)
    return result


async def _pass(gate: Egress, url: str, given: dict[str, Any]) -> str:
    """Return the URL to connect to, and name the host in `given`; raises `HttpRefused`."""
    try:
        way = await gate.way_to(url)
    except ValueError as error:
        raise HttpRefused(f"egress_denied: {url[:200]!r} may not be asked: {error}.") from error
    except OSError as error:
        raise HttpError(
            f"{url[:200]!r} cannot be found: {error.strerror or error}.", seconds=0.0
        ) from error
    plain = {name: value for name, value in given["headers"].items() if name.lower() != "host"}
    given["headers"] = {**plain, "Host": way.netloc}
    given["extensions"] = {"sni_hostname": way.host}
    return way.url


def _library() -> Any:
    try:
        import httpx2  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise RequestError(
            "`uses: http` needs an HTTP client that is not installed.",
            fix="pip install 'podium[http]'",
            code="PDM-R052",
        ) from error
    return httpx2


async def _read(response: Any) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > BODY_MAX:
            raise HttpRefused(f"The answer is larger than {BODY_MAX:,} bytes.")
        parts.append(part)
    return b"".join(parts)


def _decoded(body: bytes, content_type: str) -> Any:
    text = body.decode(errors="replace")
    if "json" not in content_type:
        return text
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return text


def _failure(method: str, url: str, result: dict[str, Any]) -> Exception:
    status = result["status"]
    message = f"{method.upper()} {url} answered {status}."
    if status < 500 and status not in TRANSIENT:
        return HttpRefused(message)
    return HttpError(message, seconds=_seconds(result["headers"]))


def _seconds(headers: Mapping[str, str]) -> float:
    """Return `Retry-After` in seconds; a date counts from the server's own `Date`, not ours."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        due = parsedate_to_datetime(text)
        sent = parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (due - sent).total_seconds())
    except (TypeError, ValueError):
        return 0.0
