"""Answers that are no success, as the errors of Podium: one tree for programs near and far."""

from collections.abc import Mapping
from typing import Final

import msgspec

from podium.core.states import RunStatus
from podium.errors import (
    AccessError,
    ConflictError,
    DefinitionError,
    Fault,
    InternalError,
    NotFoundError,
    PodiumError,
    RequestError,
    RunError,
    StoreError,
    TaskError,
)
from podium.server.shapes import (
    Acted,
    Run,
    RunStatusShape,
)

__all__ = ["error_of", "foreign", "run_error", "status_of", "unreachable"]

SHOWN_MAX: Final = 200


class _Fault(msgspec.Struct, kw_only=True):
    detail: str = ""
    podium_code: str = ""
    why: str = ""
    fix: str = ""
    path: str = ""
    line: int = 0
    column: int = 0


class _Problem(msgspec.Struct, kw_only=True):
    """A problem document as far as a client reads it; what a later server adds is ignored."""

    code: str
    podium_code: str
    detail: str
    why: str = ""
    fix: str = ""
    request_id: str = ""
    state: str = ""
    allowed: tuple[str, ...] = ()
    faults: tuple[_Fault, ...] = ()


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> PodiumError:
    """Return the error that an answer tells of; the same class that an `App` would have raised.

    `request_id` is set on it: the server's log holds more under that name.
    """
    try:
        told = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return foreign(status, headers, body)
    error = _error(status, told)
    error.code_word = told.code
    error.request_id = told.request_id
    error.retry_after_s = _seconds(headers.get("retry-after", ""))
    return error


def _error(status: int, told: _Problem) -> PodiumError:
    if told.faults and told.podium_code.startswith("PDM-D"):
        return DefinitionError([_fault(each) for each in told.faults])
    parts = {"why": told.why, "fix": told.fix, "code": told.podium_code}
    if status in (401, 403):
        return AccessError(told.detail, **parts, code_word=told.code, status=status)
    if status == 409:
        return ConflictError(told.detail, **parts, state=told.state, allowed=told.allowed)
    kind = _kind(status)
    error = kind(told.detail, **parts)
    error.status = status
    return error


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _kind(status: int) -> type[PodiumError]:
    if status == 404:
        return NotFoundError
    if status < 500:
        return RequestError
    return StoreError if status == 503 else InternalError


def _fault(told: _Fault) -> Fault:
    return Fault(
        code=told.podium_code,
        message=told.detail,
        why=told.why,
        fix=told.fix,
        line=told.line,
        column=told.column,
        pointer=told.path,
    )


def foreign(status: int, headers: Mapping[str, str], body: bytes) -> PodiumError:
    """Return the error for an answer that no podium server gave: a proxy's page, a wrong port."""
    shown = body[:SHOWN_MAX].decode(errors="replace")
    error = StoreError(
        f"The answer {status} is not one of a podium server.",
        why=f"It is {headers.get('content-type', 'text without a type')}: {shown!r}",
        fix="Check the address, and what stands between: a proxy, a gateway.",
        code="PDM-S031",
    )
    error.status = status
    return error


def unreachable(url: str, error: Exception) -> StoreError:
    """Return the error for a server that did not answer."""
    return StoreError(
        f"The server at {url} did not answer: {type(error).__name__}.",
        why=str(error) or "The connection could not be made, or broke.",
        fix="Start one with `podium serve`, or check the address.",
        code="PDM-S030",
    )


def run_error(run: Run) -> RunError:
    """Return the error that a run which did not complete stands for, as `App` raises it."""
    told = run.error
    if told is None:
        what = f"The run {run.run_id} was {run.status}."
        return RunError(what, why=f"Reason: {run.reason or run.status}.", code="PDM-T004")
    error = TaskError(told.detail, kind=told.title, why=told.why, fix=told.fix)
    error.code = told.code
    return error


def status_of(told: Run | RunStatusShape | Acted) -> RunStatus:
    """Return the status that an answer names."""
    return RunStatus[told.status.upper()]
