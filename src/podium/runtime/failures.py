"""Errors of user code as records: what to keep, what to show, what may be retried."""

import traceback
from pathlib import Path
from typing import Final

from podium.core.ids import run_id
from podium.core.payload import ErrorRecord
from podium.errors import BudgetError, InternalError, PodiumError, RequestError, TaskError
from podium.runtime.secrets import Secrets

__all__ = ["NO_SECRETS", "NonRetryable", "RetryAfter", "record_of", "undecidable", "unreadable"]

FRAMES_KEPT: Final = 6
TEXT_MAX: Final = 4000
NO_SECRETS: Final = Secrets()
_OWN: Final = str(Path(__file__).resolve().parent)


class NonRetryable(Exception):
    """Raise this (or a subclass) in a task to fail it without further attempts."""


class RetryAfter(Exception):
    """Raise this in a task to be tried again no sooner than `seconds` from now."""

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.retry_after = seconds


def record_of(
    error: BaseException, *, step: str = "", secrets: Secrets = NO_SECRETS
) -> ErrorRecord:
    """Return the record of `error`, without the secrets; a task error keeps the one it has."""
    known = getattr(error, "record", None)
    if isinstance(known, ErrorRecord):
        return known
    if isinstance(error, PodiumError):
        return ErrorRecord(
            code=error.code,
            kind=error.kind if isinstance(error, TaskError) else type(error).__name__,
            message=_text(error.what, secrets),
            why=_text(error.why, secrets),
            fix=error.fix,
            step=step,
            retryable=not isinstance(error, RequestError | BudgetError),
        )
    return ErrorRecord(
        code="PDM-T001",
        kind=type(error).__name__,
        message=_text(str(error) or type(error).__name__, secrets),
        step=step,
        trace=_trace(error, secrets),
        retryable=not isinstance(error, NonRetryable),
        retry_after_us=_retry_after_us(error),
    )


def _text(text: str, secrets: Secrets) -> str:
    """Return `text` bounded, and without secrets and what cannot be encoded.

    First the secrets: half of one, cut off by the bound, would not be found any more.
    """
    told = secrets.redact(text[: 4 * TEXT_MAX])
    return told[:TEXT_MAX].encode("utf-8", "replace").decode()


def _trace(error: BaseException, secrets: Secrets) -> str:
    """Return the last frames of user code; frames of this package say nothing to its author."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(_OWN)]
    return _text("".join(traceback.format_list(theirs[-FRAMES_KEPT:])), secrets)


def _retry_after_us(error: BaseException) -> int:
    seconds = getattr(error, "retry_after", None)
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0:
        return int(min(seconds, 86_400.0) * 1_000_000)
    return 0


def undecidable(run_no: int, error: Exception) -> InternalError:
    """Return the error of a run that made the engine raise while it decided."""
    return InternalError(
        "Podium could not decide what the run does next.",
        why=f"{type(error).__name__}: {error}",
        fix=f"Please report it, with `podium runs events {run_id(run_no)} --json` and the log.",
        code="PDM-I005",
    )


def unreadable(run_no: int, error: Exception) -> PodiumError:
    """Return the error of a run that cannot be loaded from the store."""
    if isinstance(error, PodiumError):
        return error
    return InternalError(
        f"The run {run_id(run_no)} cannot be loaded.",
        why=f"{type(error).__name__}: {error}",
        fix="Please report it, with the log; `podium runs rerun` starts it anew.",
        code="PDM-I006",
    )
