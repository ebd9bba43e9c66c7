"""Every error as a problem document (RFC 9457): the words of the command line, and a code.

`code` is the machine word of the contract, `podium_code` the number under which the error is
explained in `docs/errors`. What is our own fault is told without its inside: the text of an
unexpected exception goes to the log, never to the caller.
"""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, NotFoundException, ValidationException

from podium.errors import (
    ConflictError,
    DefinitionError,
    Fault,
    InternalError,
    NotFoundError,
    PodiumError,
    RequestError,
    RunError,
    StoreError,
)

__all__ = [
    "MEDIA_TYPE",
    "BadParts",
    "Problem",
    "ProblemFault",
    "answer",
    "problem",
    "refusal",
    "request_id_of",
]

log = logging.getLogger("podium.server")

MEDIA_TYPE: Final = "application/problem+json"

WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "PDM-D001": "syntax_error",
        "PDM-D002": "syntax_error",
        "PDM-D003": "too_large",
        "PDM-D004": "invalid_text",
        "PDM-D005": "duplicate_key",
        "PDM-D006": "alias_not_allowed",
        "PDM-D007": "tag_not_allowed",
        "PDM-D009": "too_deep",
        "PDM-D010": "number_out_of_range",
        "PDM-D011": "unknown_field",
        "PDM-D012": "wrong_type",
        "PDM-D013": "missing_field",
        "PDM-D101": "unknown_dependency",
        "PDM-D102": "cycle",
        "PDM-D103": "duplicate_name",
        "PDM-D104": "invalid_identifier",
        "PDM-D105": "graph_too_large",
        "PDM-D106": "unknown_field",
        "PDM-D201": "out_of_range",
        "PDM-D202": "out_of_range",
        "PDM-D203": "unknown_choice",
        "PDM-R001": "invalid_id",
        "PDM-R010": "unknown_field",
        "PDM-R011": "missing_field",
        "PDM-R012": "invalid_input",
        "PDM-R053": "invalid_budget",
        "PDM-R065": "invalid_label",
        "PDM-R067": "unknown_status",
        "PDM-R127": "out_of_range",
        "PDM-R128": "invalid_identifier",
        "PDM-R132": "invalid_parameter",
        "PDM-R138": "conflicting_fields",
        "PDM-R160": "invalid_identifier",
        "PDM-R196": "invalid_decision",
        "PDM-C001": "wrong_state",
        "PDM-C010": "idempotency_key_reuse",
        "PDM-C020": "already_decided",
    }
)
"""The machine word of an error code, where the contract or a whole class has no better one."""

STATUSES: Final[Mapping[str, int]] = MappingProxyType(
    {
        # Broken text has no shape that could be judged: 400, as for any broken request.
        "PDM-D001": 400,
        "PDM-D002": 400,
        "PDM-D003": 413,
        # Input that was read and does not fit.
        "PDM-R010": 422,
        "PDM-R011": 422,
        "PDM-R012": 422,
        "PDM-R053": 422,
        "PDM-R127": 422,
        "PDM-R128": 422,
        "PDM-R138": 422,
        "PDM-R160": 422,
        "PDM-R196": 422,
        # The key is used for something else, whatever state the run is in.
        "PDM-C010": 422,
    }
)
"""The status of an error over HTTP, where it is not that of its class."""

_CLASSES: Final = (
    (NotFoundError, "not_found"),
    (DefinitionError, "invalid_definition"),
    (ConflictError, "wrong_state"),
    (StoreError, "store_unavailable"),
    (RequestError, "invalid_request"),
    (RunError, "run_failed"),
)

SERVER_FAULT: Final = 500
RETRY_AFTER_S: Final = 5


class ProblemFault(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One thing wrong in what was sent."""

    code: str
    detail: str
    podium_code: str = ""
    why: str = ""
    fix: str = ""
    path: str = ""
    """JSON pointer."""
    line: int = 0
    column: int = 0


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What went wrong, why, and what to do (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    """For programs: `wrong_state`, `missing_credentials`, …"""
    podium_code: str
    detail: str
    why: str = ""
    fix: str = ""
    path: str = ""
    """JSON pointer into what was sent, or the name of the parameter."""
    docs: str = ""
    request_id: str = ""
    state: str | msgspec.UnsetType = msgspec.UNSET
    """With 409: where the run or the approval stands now."""
    allowed: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    """With 409: the verbs it takes now; none of them is an answer, too."""
    faults: tuple[ProblemFault, ...] = ()
    """Everything wrong in a definition or a body, at most 50."""


def problem(error: PodiumError, *, request_id: str = "") -> Problem:
    """Return the document of an error."""
    code = error.code
    word = _word(error)
    told = Problem(
        type=f"urn:podium:error:{word}",
        title=_title(word),
        status=STATUSES.get(code, error.status if error.status >= 400 else 500),
        code=word,
        podium_code=code,
        detail=error.what,
        why=error.why,
        fix=error.fix,
        docs=f"docs/errors/{code}.md",
        request_id=request_id,
    )
    if isinstance(error, ConflictError) and error.state:
        told.state, told.allowed = error.state, error.allowed
    if isinstance(error, DefinitionError):
        _add_faults(told, error.faults)
    if isinstance(error, BadParts):
        told.faults, told.path = error.parts, error.parts[0].path
    return told


def _word(error: PodiumError) -> str:
    by_class = (word for kind, word in _CLASSES if isinstance(error, kind))
    return error.code_word or WORDS.get(error.code, "") or next(by_class, "internal_error")


def _title(word: str) -> str:
    return word.replace("_", " ").capitalize()


def _add_faults(told: Problem, faults: tuple[Fault, ...]) -> None:
    told.faults = tuple(
        ProblemFault(
            code=WORDS.get(fault.code, "invalid_definition"),
            podium_code=fault.code,
            detail=fault.message,
            why=fault.why,
            fix=fault.fix,
            path=fault.pointer,
            line=fault.line,
            column=fault.column,
        )
        for fault in faults
    )
    first = faults[0]
    told.path = first.pointer
    if len(faults) == 1:
        told.detail, told.why, told.fix = first.message, first.why, first.fix


class BadParts(RequestError):
    """Parts of a request, its body or its parameters, that are not what they should be."""

    def __init__(self, parts: tuple[ProblemFault, ...], *, code: str, status: int) -> None:
        super().__init__(parts[0].detail, why=parts[0].why, fix=parts[0].fix, code=code)
        self.parts = parts
        self.status = status
        self.code_word = parts[0].code


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Return the answer to a request that raised `error`."""
    ours = readable(error)
    told = problem(ours, request_id=request_id_of(request.scope))
    if told.status == 503:
        log.warning("request.refused", extra={"error": ours.what, "request_id": told.request_id})
    elif told.status >= SERVER_FAULT:
        log.error("request.failed", exc_info=error, extra={"request_id": told.request_id})
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if told.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if told.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    headers |= getattr(ours, "headers", {})
    return Response(
        msgspec.json.encode(told),
        status_code=told.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def request_id_of(scope: Mapping[str, Any]) -> str:
    """Return the id of a request, as its answer and the log name it."""
    state: dict[str, Any] = scope.get("state") or {}
    return str(state.get("request_id", ""))


def readable(error: Exception) -> PodiumError:
    """Return an error as one of ours."""
    match error:
        case PodiumError():
            return error
        case ValidationException():
            return _bad_parameters(error)
        case NotFoundException():
            fix = "GET /openapi.json lists every path."
            return NotFoundError("There is no such path.", fix=fix, code="PDM-R414")
        case HTTPException() if error.status_code < SERVER_FAULT:
            return refusal(error.status_code, error.detail)
        case _:
            return InternalError(
                "The server failed to answer this request.",
                why="This is a fault of podium, not yours; what was acknowledged is safe.",
                fix="Report it with the request_id: the server's log holds the details.",
            )


_REFUSALS: Final[Mapping[int, tuple[str, str, str]]] = MappingProxyType(
    {
        405: ("PDM-R134", "method_not_allowed", "The header Allow lists the methods of this path."),
        408: ("PDM-R137", "too_slow", "Send the body at once after the headers."),
        413: ("PDM-R135", "too_large", "Send less: the limits are in docs/reference/http.md."),
        415: ("PDM-R136", "unsupported_media_type", "Send JSON as application/json, in UTF-8."),
        431: ("PDM-R139", "headers_too_large", "Send fewer and shorter headers."),
    }
)


def refusal(status: int, detail: str, *, fix: str = "") -> RequestError:
    """Return the error for a request that was refused before anybody looked into it."""
    code, word, known = _REFUSALS.get(status, ("PDM-R131", "", ""))
    error = RequestError(detail, fix=fix or known, code=code)
    error.status, error.code_word = status, word
    return error


def _bad_parameters(error: ValidationException) -> BadParts:
    """Return what is wrong with the parameters of a request, each by its name."""
    found: Any = error.extra if isinstance(error.extra, list) else [{"message": error.detail}]
    if found[0].get("key") == "data":
        fix = "Send a JSON object: /openapi.json describes its fields."
        part = ProblemFault(code="syntax_error", detail="The body is empty.", fix=fix)
        return BadParts((part,), code="PDM-R131", status=400)
    parts = tuple(
        ProblemFault(
            code="invalid_parameter",
            detail=f"{each.get('key', 'A parameter')}: {each['message']}.",
            path=each.get("key", ""),
        )
        for each in found
    )
    return BadParts(parts, code="PDM-R132", status=400)
