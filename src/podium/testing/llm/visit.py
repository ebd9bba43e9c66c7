"""One request while it is inside: who asks, what it holds of the limits, what it is billed."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from podium.ports.models import Usage
from podium.testing.llm.asked import Refusal, Why
from podium.testing.llm.bill import Line
from podium.testing.llm.dialect import Dialect
from podium.testing.llm.limits import Gate, LimitReached
from podium.testing.llm.models import StubModel
from podium.testing.llm.openai_account import OpenAiAccount
from podium.testing.llm.server import Response

__all__ = ["Seen", "Visit"]

SECRET_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "cookie"})


class Seen(msgspec.Struct, kw_only=True):
    """A request that came in, and how it went. Headers are without keys."""

    no: int
    at: float
    """Seconds since 1970, by the stub's clock."""
    path: str
    headers: Mapping[str, str]
    body: Any = None
    dialect: str = ""
    account: str = ""
    model: str = ""
    idempotency_key: str = ""
    is_streamed: bool = False
    status: int = 0
    """0: the connection was closed without an answer."""
    error: str = ""
    """Why it was refused."""
    fault: str = ""
    """The fault that struck it."""
    is_replay: bool = False
    """Answered from what was kept under its idempotency key; not billed."""


class Visit:
    """What one request holds; `leave` gives it back."""

    def __init__(
        self, seen: Seen, dialect: Dialect, *, now: Callable[[], float], bill: list[Line]
    ) -> None:
        self.seen = seen
        self.dialect = dialect
        self.request_id = f"req_{seen.no:06}"
        self.is_streaming = False
        self._now = now
        self._bill = bill
        self._gate: Gate | None = None
        self._reserved = 0
        self._used = 0
        self._leavings: list[Callable[[], None]] = []

    def admit(self, gate: Gate, tokens: int) -> None:
        """Take room in the limits; raises `Refusal` if there is none."""
        self._gate = gate
        try:
            gate.admit(tokens, self._now())
        except LimitReached as reached:
            raise over_limit(reached, self.seen.model) from None
        self._reserved = tokens
        self.at_leave(lambda: gate.leave(max(0, self._reserved - self._used)))

    def charge(self, model: StubModel, usage: Usage, *, is_partial: bool = False) -> None:
        """Write a line of the bill."""
        self._used = usage.total
        line = Line(
            no=self.seen.no,
            request_id=self.request_id,
            account=self.seen.account,
            model=model.name,
            usage=usage,
            cost_nano=model.prices.cost_nano(usage),
            idempotency_key=self.seen.idempotency_key,
            is_partial=is_partial,
        )
        self._bill.append(line)

    def at_leave(self, deed: Callable[[], None]) -> None:
        """Do something when the request ends, however it does."""
        self._leavings.append(deed)

    def leave(self) -> None:
        """Give back what the request held; safe to repeat."""
        while self._leavings:
            self._leavings.pop()()

    def headers(self) -> dict[str, str]:
        """Return the headers of every answer."""
        now = self._now()
        rooms = self._gate.rooms(now) if self._gate else {}
        return self.dialect.headers(self.request_id, rooms, now)

    def answered(self, value: Any, *, status: int = 200) -> Response:
        """Return an answer as one JSON value."""
        self.seen.status = status
        headers = self.headers() | {"content-type": "application/json"}
        return Response(status=status, headers=headers, body=msgspec.json.encode(value))

    def refused(self, refusal: Refusal) -> Response:
        """Return a refusal as this provider says it."""
        status, body = self.dialect.error(refusal, self.request_id)
        self.seen.error = refusal.message
        response = self.answered(body, status=status)
        return msgspec.structs.replace(
            response, headers={**response.headers, **self._wait(refusal)}
        )

    def _wait(self, refusal: Refusal) -> dict[str, str]:
        seconds = refusal.retry_after_s
        if seconds is None:
            return {}
        told = {"retry-after": str(math.ceil(seconds))}
        if isinstance(self.dialect, OpenAiAccount):
            told["retry-after-ms"] = str(math.ceil(seconds * 1000))
        return told


def over_limit(reached: LimitReached, model: str) -> Refusal:
    """Return how a provider says that there is no room."""
    unit = "at the same time" if reached.what == "concurrency" else "per minute"
    what = "requests" if reached.what == "concurrency" else reached.what
    limit = f"{reached.limit} {what} {unit}"
    if reached.retry_after_s is None:
        return Refusal(
            Why.TOO_LARGE,
            f"Request too large for {model}: the limit is {limit}, requested {reached.asked}.",
            code="rate_limit_exceeded",
            kind=what,
        )
    return Refusal(
        Why.RATE_LIMITED,
        f"Rate limit reached for {model}: the limit is {limit}. Please try again in "
        f"{reached.retry_after_s:.3f}s.",
        code="rate_limit_exceeded",
        kind=what,
        retry_after_s=reached.retry_after_s,
    )
