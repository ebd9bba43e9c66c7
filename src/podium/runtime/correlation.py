"""Which run, step, attempt or request a line of a log belongs to, without passing it around."""

from contextvars import ContextVar
from typing import Final

from podium.runtime.attempts import attempt_context
from podium.runtime.capture import is_of_engine

__all__ = ["bind_request", "correlation"]

_REQUEST: Final[ContextVar[tuple[str, str]]] = ContextVar("podium_request", default=("", ""))


def bind_request(request_id: str, organization: str = "") -> None:
    """Let lines that are logged from here on, in this context, name the request."""
    _REQUEST.set((request_id, organization))


def correlation(source: str = "") -> dict[str, str | int]:
    """Return the ids that belong to a line logged now by the logger `source`.

    Inside an attempt those of the attempt, and nothing of a request: attempts are started by
    ticks, and a tick works for many requests at once. For the same reason a line of the engine
    itself has neither, beside what it names.
    """
    if is_of_engine(source) and not source.startswith("podium.server"):
        return {}
    attempt = attempt_context()
    if attempt is not None:
        return {
            "run_id": attempt.run_id,
            "step": attempt.step,
            "attempt": attempt.attempt,
            **({"organization": attempt.organization} if attempt.organization else {}),
        }
    request_id, organization = _REQUEST.get()
    ids = {"request_id": request_id, "organization": organization}
    return {name: value for name, value in ids.items() if value}
