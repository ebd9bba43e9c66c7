"""OpenAI Chat Completions, as a client sees it over the wire."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from podium.ports.models import Finish, Image, Message, Part, Role, Text, ToolCall, ToolResult
from podium.testing.llm.asked import Asked
from podium.testing.llm.dialect import Chunk, Outcome
from podium.testing.llm.models import StubModel
from podium.testing.llm.openai_account import (
    OpenAiAccount,
    check_limit,
    image_of,
    invalid,
    output_schema,
    tool_choice_of,
    tool_spec,
)
from podium.testing.llm.tokens import pieces

__all__ = ["OpenAiChat", "call_of"]

ROLES: Final = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.USER,
}
FINISH: Final = {
    Finish.STOP: "stop",
    Finish.LENGTH: "length",
    Finish.TOOL_CALLS: "tool_calls",
    Finish.CONTENT_FILTER: "content_filter",
    Finish.INCOMPLETE: "length",
}


class OpenAiChat(OpenAiAccount):
    """POST /v1/chat/completions."""

    name = "openai_chat"

    def read(self, body: dict[str, Any], model: StubModel) -> Asked:
        """See `Dialect.read`."""
        raw = messages_of(body)
        check_options(body, model)
        check_order(raw)
        tools = tuple(
            tool_spec(tool.get("function"), f"tools[{i}].function")
            for i, tool in enumerate(body.get("tools") or ())
        )
        stop = body.get("stop") or ()
        return Asked(
            dialect=self.name,
            model=model.name,
            messages=tuple(message_of(each, i) for i, each in enumerate(raw)),
            max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            tools=tools,
            tool_choice=tool_choice_of(body, tools),
            schema=schema_of(body.get("response_format")),
            is_streamed=bool(body.get("stream")),
            wants_usage=bool((body.get("stream_options") or {}).get("include_usage")),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            body=body,
        )

    def whole(self, asked: Asked, outcome: Outcome) -> dict[str, Any]:
        """See `Dialect.whole`."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": outcome.text or (None if outcome.calls else ""),
            "refusal": None,
            "annotations": [],
        }
        if outcome.calls:
            message["tool_calls"] = [call_of(call, call.raw) for call in outcome.calls]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": FINISH[outcome.finish],
        }
        head = head_of(asked, outcome, "chat.completion")
        return {**head, "choices": [choice], "usage": usage_of(outcome), "service_tier": "default"}

    def events(self, asked: Asked, outcome: Outcome) -> Iterator[Chunk]:
        """See `Dialect.events`: a token at a time."""
        head = head_of(asked, outcome, "chat.completion.chunk")
        if asked.wants_usage:
            head["usage"] = None

        def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return line(head | {"choices": [choice]})

        opening = {"role": "assistant", "content": "" if outcome.text else None, "refusal": None}
        yield Chunk(event(opening))
        for piece in pieces(outcome.text, 1):
            yield Chunk(event({"content": piece}), ("text", 0), piece)
        for i, call in enumerate(outcome.calls):
            begun = {"index": i, **call_of(call, "")}
            yield Chunk(event({"tool_calls": [begun]}), ("name", i), call.name)
            for piece in pieces(call.raw, 1):
                more = {"index": i, "function": {"arguments": piece}}
                yield Chunk(event({"tool_calls": [more]}), ("arguments", i), piece)
        yield Chunk(event({}, FINISH[outcome.finish]))
        if asked.wants_usage:
            yield Chunk(line(head | {"choices": [], "usage": usage_of(outcome)}))
        yield Chunk(b"data: [DONE]\n\n")


def messages_of(body: dict[str, Any]) -> list[Any]:
    """Return the messages; raises `Refusal` if there are none."""
    raw = body.get("messages")
    if not isinstance(raw, list):
        raise invalid(
            "Missing required parameter: 'messages'.",
            param="messages",
            code="missing_required_parameter",
        )
    if not raw:
        raise invalid(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an "
            "empty array instead.",
            param="messages",
            code="empty_array",
        )
    return raw


def check_options(body: dict[str, Any], model: StubModel) -> None:
    """Refuse limits over the model's, and what models that think do not take."""
    for param in ("max_tokens", "max_completion_tokens"):
        check_limit(body.get(param), param, model)
    if body.get("n") not in (None, 1):
        raise invalid("This stub gives one choice only.", param="n", code="unsupported_value")
    if not model.thinks:
        return
    if body.get("max_tokens") is not None:
        raise invalid(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    if body.get("temperature") not in (None, 1):
        raise invalid(
            f"Unsupported value: 'temperature' does not support {body['temperature']} with this "
            "model. Only the default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        )


def check_order(messages: list[Any]) -> None:
    """Refuse results without calls, and calls without results."""
    waiting: dict[str, None] = {}
    for i, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES:
            raise invalid(
                f"Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', "
                "'function', 'tool', and 'developer'.",
                param=f"messages[{i}].role",
                code="invalid_value",
            )
        if role == "tool":
            check_answered(message, i, waiting)
            waiting.pop(message["tool_call_id"])
            continue
        check_nothing_waits(waiting, i)
        waiting = {call.get("id", ""): None for call in message.get("tool_calls") or ()}
    check_nothing_waits(waiting, len(messages))


def check_answered(message: dict[str, Any], i: int, waiting: dict[str, None]) -> None:
    """Refuse the result of a call that nobody made."""
    if not waiting:
        raise invalid(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
            "message with 'tool_calls'.",
            param=f"messages.[{i}].role",
        )
    if message.get("tool_call_id") not in waiting:
        raise invalid(
            f"Invalid parameter: 'tool_call_id' of '{message.get('tool_call_id')}' not found in "
            "'tool_calls' of previous message.",
            param=f"messages.[{i}].tool_call_id",
        )


def check_nothing_waits(waiting: dict[str, None], i: int) -> None:
    """Refuse calls that nobody answered."""
    if waiting:
        raise invalid(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(waiting),
            param=f"messages.[{i}].role",
        )


def message_of(raw: dict[str, Any], i: int) -> Message:
    """Read one message whose role is known to be good."""
    content, role = raw.get("content"), raw["role"]
    if role == "tool":
        text = content if isinstance(content, str) else joined(content)
        result = ToolResult(call_id=raw["tool_call_id"], content=text)
        return Message(role=Role.USER, parts=(result,))
    calls = tuple(read_call(call) for call in raw.get("tool_calls") or ())
    if content is None and not calls:
        raise invalid(
            f"Invalid value for 'content': expected a string, got null. (messages[{i}].content)",
            param=f"messages.[{i}].content",
        )
    return Message(role=ROLES[role], parts=(*parts_of(content, i, role), *calls))


def parts_of(content: Any, i: int, role: str) -> Iterator[Part]:
    """Read what a message says."""
    if isinstance(content, str):
        yield Text(text=content)
        return
    for j, part in enumerate(content or ()):
        kind = part.get("type")
        place = f"messages[{i}].content[{j}]"
        if kind in ("text", "refusal"):
            yield Text(text=str(part.get(kind) or ""))
        elif kind == "image_url" and role == "user":
            yield picture_of(part.get("image_url"), f"{place}.image_url.url")
        else:
            raise invalid(
                f"Invalid value: '{kind}'. Supported values are: 'text', 'image_url'.",
                param=place,
                code="invalid_value",
            )


def picture_of(given: Any, param: str) -> Image:
    """Read the picture of a message."""
    return image_of(given.get("url") if isinstance(given, dict) else given, param)


def joined(content: Any) -> str:
    """Return the text of a result that came in parts."""
    return "".join(part.get("text", "") for part in content or ())


def read_call(raw: dict[str, Any]) -> ToolCall:
    """Read a tool call that the model made before."""
    function = raw.get("function") or {}
    arguments = function.get("arguments") or ""
    return ToolCall(id=raw.get("id", ""), name=function.get("name", ""), raw=arguments)


def schema_of(wanted: Any) -> Any:
    """Read the schema of the answer."""
    if not isinstance(wanted, dict) or wanted.get("type") == "text":
        return None
    if wanted.get("type") == "json_object":
        return {"type": "object"}
    return output_schema(wanted.get("json_schema"), "response_format.json_schema")


def call_of(call: ToolCall, arguments: str) -> dict[str, Any]:
    """Return a tool call as Chat writes it."""
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def head_of(asked: Asked, outcome: Outcome, kind: str) -> dict[str, Any]:
    """Return what every object of one answer carries."""
    return {
        "id": f"chatcmpl-{outcome.number}",
        "object": kind,
        "created": outcome.created,
        "model": asked.model,
        "system_fingerprint": "fp_stub",
    }


def usage_of(outcome: Outcome) -> dict[str, Any]:
    """Return usage as OpenAI counts: cached in the prompt, reasoning in the completion."""
    usage = outcome.usage
    prompt = usage.input + usage.cached + usage.cache_write
    completion = usage.output + usage.thinking
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.thinking,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def line(value: dict[str, Any]) -> bytes:
    """Return one event of a stream."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
