"""Anthropic Messages, as a client sees it over the wire."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from podium.ports.models import Finish, Message, Role, Text, ToolSpec
from podium.testing.llm.anthropic_turns import check_turns, message_of
from podium.testing.llm.asked import Asked, Refusal, Why
from podium.testing.llm.checks import schema_fault, strictness_faults
from podium.testing.llm.dialect import Chunk, Outcome
from podium.testing.llm.limits import Room
from podium.testing.llm.models import StubModel
from podium.testing.llm.tokens import pieces

__all__ = ["AnthropicMessages"]

TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
THINKING_TOKENS_MIN: Final = 1024
TOKENS_PER_EVENT: Final = 4
STATUS: Final = {
    Why.INVALID: (400, "invalid_request_error"),
    Why.AUTH: (401, "authentication_error"),
    Why.NOT_FOUND: (404, "not_found_error"),
    Why.CONFLICT: (409, "invalid_request_error"),
    Why.TOO_LARGE: (429, "rate_limit_error"),
    Why.RATE_LIMITED: (429, "rate_limit_error"),
    Why.QUOTA: (400, "invalid_request_error"),
    Why.SERVER: (500, "api_error"),
    Why.OVERLOADED: (529, "overloaded_error"),
}
FINISH: Final = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_CALLS: "tool_use",
    Finish.CONTENT_FILTER: "refusal",
    Finish.INCOMPLETE: "max_tokens",
}
Block = dict[str, Any]


class AnthropicMessages:
    """POST /v1/messages, and /v1/messages/count_tokens."""

    name = "anthropic"

    def account_of(self, headers: Mapping[str, str], accounts: Mapping[str, str]) -> str:
        """See `Dialect.account_of`."""
        key = headers.get("x-api-key") or headers.get("authorization", "").partition(" ")[2]
        if not key:
            raise Refusal(Why.AUTH, "x-api-key header is required")
        if "anthropic-version" not in headers:
            raise invalid("anthropic-version: header is required")
        if key not in accounts:
            raise Refusal(Why.AUTH, "invalid x-api-key")
        return accounts[key]

    def read(self, body: dict[str, Any], model: StubModel) -> Asked:
        """See `Dialect.read`."""
        limit = limit_of(body, model)
        return msgspec.structs.replace(self.read_prompt(body, model), max_tokens=limit)

    def read_prompt(self, body: dict[str, Any], model: StubModel) -> Asked:
        """Understand a request without its limits, as for counting tokens."""
        turns = body.get("messages")
        if not isinstance(turns, list):
            raise invalid("messages: Field required")
        check_turns(turns)
        tools = tuple(tool_spec(tool, i) for i, tool in enumerate(body.get("tools") or ()))
        said = system_of(body.get("system"))
        return Asked(
            dialect=self.name,
            model=model.name,
            messages=(*said, *(message_of(turn, i) for i, turn in enumerate(turns))),
            tools=tools,
            tool_choice=tool_choice_of(body.get("tool_choice"), tools),
            schema=schema_of(body),
            is_streamed=bool(body.get("stream")),
            stop=tuple(body.get("stop_sequences") or ()),
            body=body,
        )

    def whole(self, asked: Asked, outcome: Outcome) -> dict[str, Any]:
        """See `Dialect.whole`."""
        content = [*blocks_of(outcome)]
        message = message_head(asked, outcome) | {"content": content}
        return message | ending_of(outcome) | {"usage": usage_of(outcome)}

    def events(self, asked: Asked, outcome: Outcome) -> Iterator[Chunk]:
        """See `Dialect.events`: every event is named, blocks open and close."""
        head = message_head(asked, outcome) | {"usage": usage_of(outcome) | {"output_tokens": 1}}
        yield Chunk(event("message_start", message=head))
        for i, block in enumerate(blocks_of(outcome)):
            opening, *rest = block_events(i, block, outcome)
            yield opening
            if i == 0:
                yield Chunk(event("ping"))
            yield from rest
        ended = event("message_delta", delta=ending_of(outcome), usage=usage_of(outcome))
        yield Chunk(ended)
        yield Chunk(event("message_stop"))

    def error(self, refusal: Refusal, request_id: str) -> tuple[int, dict[str, Any]]:
        """See `Dialect.error`."""
        status, kind = STATUS[refusal.why]
        error = {"type": kind, "message": refusal.message}
        body = {"type": "error", "error": error, "request_id": request_id}
        return refusal.status or status, body

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """See `Dialect.error_event`."""
        _, body = self.error(refusal, request_id)
        return b"event: error\ndata: %b\n\n" % msgspec.json.encode(body)

    def headers(self, request_id: str, rooms: Mapping[str, Room], now: float) -> dict[str, str]:
        """See `Dialect.headers`."""
        told = {"request-id": request_id, "anthropic-organization-id": "stub"}
        for what, room in rooms.items():
            name = f"anthropic-ratelimit-{what}"
            full = datetime.fromtimestamp(now + room.reset_s, UTC)
            told[f"{name}-limit"] = str(room.limit)
            told[f"{name}-remaining"] = str(room.left)
            told[f"{name}-reset"] = full.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return told

    def too_long(self, tokens: int, asked: Asked, window: int) -> Refusal:
        """See `Dialect.too_long`."""
        if tokens > window:
            return invalid(f"prompt is too long: {tokens} tokens > {window} maximum")
        return invalid(
            f"input length and `max_tokens` exceed context limit: {tokens} + {asked.max_tokens} > "
            f"{window}, decrease input length or `max_tokens` and try again"
        )


def invalid(message: str) -> Refusal:
    """Return the refusal of a malformed request."""
    return Refusal(Why.INVALID, message)


def limit_of(body: dict[str, Any], model: StubModel) -> int:
    """Read how much may be written, thinking included."""
    limit = body.get("max_tokens")
    if not isinstance(limit, int):
        raise invalid("max_tokens: Field required")
    if limit < 1:
        raise invalid("max_tokens: Input should be greater than or equal to 1")
    if limit > model.output_max:
        raise invalid(
            f"max_tokens: {limit} > {model.output_max}, which is the maximum allowed number of "
            f"output tokens for {model.name}"
        )
    check_thinking(body.get("thinking") or {}, limit)
    return limit


def check_thinking(thinking: dict[str, Any], limit: int) -> None:
    """Refuse to think too little, or more than may be written."""
    if thinking.get("type") == "enabled":
        wanted = thinking.get("budget_tokens", 0)
        if wanted < THINKING_TOKENS_MIN:
            raise invalid(
                "thinking.enabled.budget_tokens: Input should be greater than or equal to "
                f"{THINKING_TOKENS_MIN}"
            )
        if limit <= wanted:
            raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`")


def system_of(system: Any) -> Iterator[Message]:
    """Read the system prompt: a text or a list of texts."""
    if isinstance(system, str):
        system = [{"text": system}] if system else []
    parts = tuple(Text(text=block.get("text") or "") for block in system or ())
    if parts:
        yield Message(role=Role.SYSTEM, parts=parts)


def tool_spec(tool: Any, i: int) -> ToolSpec:
    """Read one tool."""
    name = tool.get("name") if isinstance(tool, dict) else None
    if not isinstance(name, str):
        raise invalid(f"tools.{i}.custom.name: Field required")
    if not TOOL_NAME.fullmatch(name):
        raise invalid(
            f"tools.{i}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        )
    schema = tool.get("input_schema")
    if schema is None:
        raise invalid(f"tools.{i}.custom.input_schema: Field required")
    if schema_fault(schema):
        raise invalid(
            f"tools.{i}.custom.input_schema: JSON schema is invalid. It must match JSON Schema "
            f"draft 2020-12. ({schema_fault(schema)})"
        )
    return ToolSpec(name=name, description=tool.get("description") or "", parameters=schema)


def tool_choice_of(choice: Any, tools: tuple[ToolSpec, ...]) -> str:
    """Read whether, or which, tool must be called."""
    if not choice:
        return "auto"
    kind = choice.get("type")
    if kind in ("auto", "none"):
        return str(kind)
    if not tools:
        raise invalid("tool_choice: `tool_choice` may only be specified while providing `tools`")
    if kind == "any":
        return "required"
    name = str(choice.get("name"))
    if name not in {tool.name for tool in tools}:
        raise invalid(f"tool_choice: Tool '{name}' not found in provided tools")
    return name


def schema_of(body: dict[str, Any]) -> Any:
    """Read the schema of the answer: `output_config.format`, or `output_format` as it began."""
    wanted = (body.get("output_config") or {}).get("format") or body.get("output_format")
    if not wanted:
        return None
    schema = wanted.get("schema")
    fault = schema_fault(schema)
    loose = (
        [] if fault else [w for _, w in strictness_faults(schema) if w == "additionalProperties"]
    )
    if loose:
        fault = "For 'object' type, 'additionalProperties' must be explicitly set to false"
    if fault:
        raise invalid(f"output_config.format.schema: {fault}")
    return schema


def blocks_of(outcome: Outcome) -> Iterator[Block]:
    """Return what the model produced, as content blocks."""
    if outcome.thinking:
        signature = f"sig-{outcome.number}"
        yield {"type": "thinking", "thinking": outcome.thinking, "signature": signature}
    if outcome.text:
        yield {"type": "text", "text": outcome.text, "citations": None}
    for call in outcome.calls:
        try:
            arguments = msgspec.json.decode(call.raw)
        except msgspec.DecodeError:
            # Cut at max_tokens: a whole message carries only arguments that are a value.
            arguments = {}
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def block_events(i: int, block: Block, outcome: Outcome) -> Iterator[Chunk]:
    """Yield the events of one block."""
    kind = block["type"]
    hollow = {"thinking": "", "signature": "", "text": "", "input": {}}
    opened = {key: hollow.get(key, value) for key, value in block.items()} | {"type": kind}
    start = event("content_block_start", index=i, content_block=opened)
    if kind == "tool_use":
        place, call = next(
            (n, call) for n, call in enumerate(outcome.calls) if call.id == block["id"]
        )
        yield Chunk(start, ("name", place), call.name)
        yield from deltas(i, "input_json_delta", "partial_json", call.raw, ("arguments", place))
    else:
        yield Chunk(start)
        yield from deltas(i, f"{kind}_delta", kind, block[kind], (kind, 0))
    if kind == "thinking":
        signed = {"type": "signature_delta", "signature": block["signature"]}
        yield Chunk(event("content_block_delta", index=i, delta=signed))
    yield Chunk(event("content_block_stop", index=i))


def deltas(i: int, kind: str, field: str, text: str, source: tuple[str, int]) -> Iterator[Chunk]:
    """Yield a text in pieces."""
    for piece in pieces(text, TOKENS_PER_EVENT):
        delta = {"type": kind, field: piece}
        yield Chunk(event("content_block_delta", index=i, delta=delta), source, piece)


def message_head(asked: Asked, outcome: Outcome) -> Block:
    """Return a message before it says anything."""
    return {
        "id": f"msg_{outcome.number}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def ending_of(outcome: Outcome) -> Block:
    """Return why a message ended."""
    reason = "stop_sequence" if outcome.stop else FINISH[outcome.finish]
    return {"stop_reason": reason, "stop_sequence": outcome.stop or None}


def usage_of(outcome: Outcome) -> Block:
    """Return usage as Anthropic counts: cached apart from the input, thinking in the output."""
    usage = outcome.usage
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output + usage.thinking,
        "output_tokens_details": {"thinking_tokens": usage.thinking},
        "service_tier": "standard",
    }


def event(kind: str, **fields: Any) -> bytes:
    """Return one event of a stream."""
    body = msgspec.json.encode({"type": kind, **fields})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), body)
