"""Parameters that several routes take: pages, times, statuses, labels, and how they are read."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, HeaderParameter, QueryParameter

from podium.core.states import RunStatus
from podium.errors import RequestError, did_you_mean
from podium.server.access import NEEDS, Permission

__all__ = [
    "Cursor",
    "IfMatch",
    "Limit",
    "RunId",
    "known_only",
    "moment_us",
    "name_and_value",
    "place_of",
    "seen",
    "statuses_of",
]

Place = TypeVar("Place")
RunId: TypeAlias = FromPath[str]
PAGE_MAX: Final = 1000
SEQ_RE: Final = re.compile(r"[1-9][0-9]{0,9}")
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="How many at most.")]
Cursor = Annotated[
    str,
    QueryParameter(max_length=255, description="`next_cursor` of the page before; empty: begin."),
]

IfMatch = Annotated[
    str,
    HeaderParameter(
        name="If-Match",
        max_length=64,
        description="The `seq` that the caller saw: refused as `stale` if the run went on since.",
    ),
]

_STATUSES: Final = {status.label: status for status in RunStatus} | {
    "success": RunStatus.COMPLETED,
    "succeeded": RunStatus.COMPLETED,
}


def place_of(cursor: str, parse: Callable[[str], Place]) -> Place:
    """Return what a cursor of ours names; raises `RequestError` for one that is not ours."""
    try:
        return parse(cursor)
    except RequestError:
        error = RequestError(
            f"cursor: {cursor[:80]!r} is not one that this list has given.",
            fix="Send `next_cursor` of the page before as it came, or none to begin.",
            code="PDM-R132",
        )
        error.code_word = "invalid_cursor"
        raise error from None


def statuses_of(words: Iterable[str]) -> tuple[RunStatus, ...]:
    """Return the statuses named by words, each perhaps several with commas."""
    names = [name.strip() for word in words for name in word.split(",")]
    for name in names:
        if name not in _STATUSES:
            raise RequestError(
                f"{name!r} is not a status of a run.",
                fix=did_you_mean(name, [status.label for status in RunStatus], what="status"),
                code="PDM-R067",
            )
    return tuple(_STATUSES[name] for name in names)


def name_and_value(text: str) -> tuple[str, str] | None:
    """Return a label written as `name=value`; None for no text."""
    if not text:
        return None
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise RequestError(
            f"The label {text!r} is not written as name=value.",
            fix="For example ?label=team=billing",
            code="PDM-R065",
        )
    return name, value


def moment_us(name: str, text: str) -> int | None:
    """Return a time of RFC 3339 in microseconds; None for no text."""
    if not text:
        return None
    try:
        # A plus sign in a query is a space to those who decode it.
        at = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise _no_moment(name, text) from None
    if at.tzinfo is None:
        raise _no_moment(name, text)
    return (at - EPOCH) // timedelta(microseconds=1)


def _no_moment(name: str, text: str) -> RequestError:
    return RequestError(
        f"{name}: {text!r} is no time with its zone.",
        fix="Write RFC 3339, such as 2026-11-21T16:00:00Z.",
        code="PDM-R132",
    )


def seen(if_match: str) -> int:
    """Return the `seq` that an If-Match header names; 0 for none."""
    text = if_match.strip().removeprefix("W/").strip('"')
    if text in ("", "*"):
        return 0
    if not SEQ_RE.fullmatch(text):
        raise RequestError(
            f"If-Match: {if_match!r} is not the `seq` of a run.",
            fix='Send the `seq` of the run as you saw it, such as "12".',
            code="PDM-R132",
        )
    return int(text)


def known_only(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse parameters that the route does not know: a misspelt filter would filter nothing."""
    if not connection.query_params or handler.opt[NEEDS] is Permission.PUBLIC:
        return
    if connection.scope["type"] != ScopeType.HTTP:
        return
    known = _query_names(handler)
    for name in connection.query_params:
        if name not in known:
            raise RequestError(
                f"There is no parameter {name!r} here.",
                fix=did_you_mean(name, sorted(known), what="parameter"),
                code="PDM-R132",
            )


def _query_names(handler: BaseRouteHandler) -> set[str]:
    fields = handler.parsed_fn_signature.parameters.items()
    return {
        field.kwarg_definition.name or name
        for name, field in fields
        if isinstance(field.kwarg_definition, QueryParameter)
    }
