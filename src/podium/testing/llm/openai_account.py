"""What OpenAI's protocols share: keys, errors, headers of limits, tools and schemas."""

import re
from collections.abc import Mapping
from typing import Any, Final

from podium.ports.models import Image, ToolSpec
from podium.testing.llm.asked import Asked, Refusal, Why
from podium.testing.llm.checks import image_fault, schema_fault, strictness_faults
from podium.testing.llm.jsons import compact
from podium.testing.llm.limits import Room
from podium.testing.llm.models import StubModel

__all__ = [
    "OpenAiAccount",
    "check_limit",
    "image_of",
    "invalid",
    "output_schema",
    "tool_choice_of",
    "tool_spec",
]

TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
STATUS: Final = {
    Why.INVALID: (400, "invalid_request_error"),
    Why.AUTH: (401, "invalid_request_error"),
    Why.NOT_FOUND: (404, "invalid_request_error"),
    Why.CONFLICT: (409, "idempotency_error"),
    Why.TOO_LARGE: (429, "tokens"),
    Why.RATE_LIMITED: (429, "requests"),
    Why.QUOTA: (429, "insufficient_quota"),
    Why.SERVER: (500, "server_error"),
    Why.OVERLOADED: (503, "service_unavailable_error"),
}


class OpenAiAccount:
    """Keys, errors and headers as OpenAI has them in all its protocols."""

    def account_of(self, headers: Mapping[str, str], accounts: Mapping[str, str]) -> str:
        """See `Dialect.account_of`."""
        kind, _, key = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not key.strip():
            raise Refusal(
                Why.AUTH,
                "You didn't provide an API key. Provide it in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            )
        account = accounts.get(key.strip())
        if account is None:
            raise Refusal(
                Why.AUTH,
                f"Incorrect API key provided: {key.strip()[:3]}***.",
                code="invalid_api_key",
            )
        return account

    def error(self, refusal: Refusal, request_id: str) -> tuple[int, dict[str, Any]]:
        """See `Dialect.error`."""
        status, kind = STATUS[refusal.why]
        body = {
            "message": refusal.message,
            "type": refusal.kind or kind,
            "param": refusal.param,
            "code": refusal.code,
        }
        return refusal.status or status, {"error": body}

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """See `Dialect.error_event`."""
        return f"data: {compact(self.error(refusal, request_id)[1])}\n\n".encode()

    def headers(self, request_id: str, rooms: Mapping[str, Room], now: float) -> dict[str, str]:
        """See `Dialect.headers`."""
        told = {
            "x-request-id": request_id,
            "openai-version": "2020-10-01",
            "openai-organization": "org-stub",
        }
        for what, room in rooms.items():
            told[f"x-ratelimit-limit-{what}"] = str(room.limit)
            told[f"x-ratelimit-remaining-{what}"] = str(room.left)
            told[f"x-ratelimit-reset-{what}"] = duration(room.reset_s)
        return told

    def too_long(self, tokens: int, asked: Asked, window: int) -> Refusal:
        """See `Dialect.too_long`."""
        words = f"your messages resulted in {tokens} tokens"
        if tokens <= window:
            words = f"you requested {tokens} tokens of messages and {asked.max_tokens} of answer"
        return invalid(
            f"This model's maximum context length is {window} tokens. However, {words}. Please "
            "reduce the length of the messages or the completion.",
            param="messages",
            code="context_length_exceeded",
        )


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> Refusal:
    """Return the refusal of a malformed request."""
    return Refusal(Why.INVALID, message, param=param, code=code)


def check_limit(limit: Any, param: str, model: StubModel) -> None:
    """Refuse to write more than the model can, or nothing."""
    if limit is None:
        return
    if not isinstance(limit, int) or limit < 1:
        raise invalid(
            f"Invalid '{param}': integer below minimum value. Expected a value >= 1, but got "
            f"{limit!r} instead.",
            param=param,
            code="integer_below_min_value",
        )
    if limit > model.output_max:
        raise invalid(
            f"{param} is too large: {limit}. This model supports at most {model.output_max} "
            f"completion tokens, whereas you provided {limit}.",
            param=param,
            code="invalid_value",
        )


def duration(seconds: float) -> str:
    """Return a time as OpenAI writes it: 120ms, 1.5s, 6m0s, 1h2m3s."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    shown = f"{left:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours:.0f}h{minutes:.0f}m{shown}"
    return f"{minutes:.0f}m{shown}" if minutes else shown


def image_of(url: Any, param: str) -> Image:
    """Read a picture from its address or its data URL."""
    image = Image(url=url if isinstance(url, str) else "")
    if image.url.startswith("data:"):
        head, _, data = image.url.partition(";base64,")
        image = Image(media_type=head.removeprefix("data:"), data=data)
    fault = image_fault(image)
    if fault in ("type", "base64"):
        raise invalid(
            f"Invalid '{param}'. Expected a valid URL or a base64-encoded data URL with an image "
            f"MIME type, but got unsupported MIME type '{image.media_type}'."
            if fault == "type"
            else f"Invalid '{param}'. Expected a base64-encoded data URL.",
            param=param,
            code="invalid_value" if fault == "type" else "invalid_base64",
        )
    if fault:
        raise invalid(
            "You uploaded an unsupported image. It must be one of png, jpeg, gif, webp.",
            param=None,
            code="invalid_image_format",
        )
    return image


def tool_spec(function: Any, place: str) -> ToolSpec:
    """Read a function as a tool; `place` is its path in the request."""
    function = function if isinstance(function, dict) else {}
    name = function.get("name")
    if not isinstance(name, str):
        raise invalid(
            f"Missing required parameter: '{place}.name'.",
            param=f"{place}.name",
            code="missing_required_parameter",
        )
    if not TOOL_NAME.fullmatch(name):
        raise invalid(
            f"Invalid '{place}.name': string does not match pattern. Expected a string that "
            "matches the pattern '^[a-zA-Z0-9_-]+$'.",
            param=f"{place}.name",
            code="invalid_value",
        )
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    check_schema(
        parameters,
        label=f"function '{name}'",
        param=f"{place}.parameters",
        code="invalid_function_parameters",
        strict=bool(function.get("strict")),
    )
    return ToolSpec(name=name, description=function.get("description") or "", parameters=parameters)


def check_schema(schema: Any, *, label: str, param: str, code: str | None, strict: bool) -> None:
    """Refuse what is no schema, or is too free where it must be strict."""
    fault = schema_fault(schema)
    if fault:
        raise invalid(f"Invalid schema for {label}: {fault}.", param=param, code=code)
    for place, what in strictness_faults(schema) if strict else ():
        wanted = (
            "'additionalProperties' is required to be supplied and to be false"
            if what == "additionalProperties"
            else "'required' is required to be supplied and to be an array including every key in "
            f"properties. Missing '{what}'"
        )
        raise invalid(
            f"Invalid schema for {label}: In context={place}, {wanted}.", param=param, code=code
        )


def output_schema(wanted: Any, param: str) -> Any:
    """Read the schema an answer must follow; `wanted` has name, schema and strict."""
    if not isinstance(wanted, dict) or not isinstance(wanted.get("name"), str):
        raise invalid(
            f"Missing required parameter: '{param}.name'.",
            param=f"{param}.name",
            code="missing_required_parameter",
        )
    schema = wanted.get("schema")
    check_schema(
        schema,
        label=f"response_format '{wanted['name']}'",
        param=param,
        code=None,
        strict=bool(wanted.get("strict")),
    )
    return schema


def tool_choice_of(body: dict[str, Any], tools: tuple[ToolSpec, ...]) -> str:
    """Read whether, or which, tool must be called."""
    choice = body.get("tool_choice")
    if choice is None:
        return "auto"
    if not tools:
        raise invalid(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are "
            "specified.",
            param="tool_choice",
        )
    if isinstance(choice, str):
        wanted = choice
    else:
        wanted = (choice.get("function") or choice).get("name", "")
    if wanted not in {"auto", "none", "required"} | {tool.name for tool in tools}:
        raise invalid(
            f"Tool choice '{wanted}' not found in 'tools' parameter.", param="tool_choice"
        )
    return wanted
