"""OpenAI Responses, as a client sees it over the wire. Nothing is stored between requests."""

from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import msgspec

from podium.ports.models import (
    Finish,
    Message,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from podium.testing.llm.asked import Asked, Refusal
from podium.testing.llm.dialect import Chunk, Outcome, Source
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

__all__ = ["OpenAiResponses"]

ROLES: Final = {
    "user": Role.USER,
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "assistant": Role.ASSISTANT,
}
OUTPUT_TOKENS_MIN: Final = 16
Item = dict[str, Any]


class OpenAiResponses(OpenAiAccount):
    """POST /v1/responses."""

    name = "openai_responses"

    def read(self, body: dict[str, Any], model: StubModel) -> Asked:
        """See `Dialect.read`."""
        check_options(body, model)
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        check_calls(items)
        tools = tuple(
            tool_spec(tool, f"tools[{i}]") for i, tool in enumerate(body.get("tools") or ())
        )
        said = body.get("instructions")
        system = [Message(role=Role.SYSTEM, parts=(Text(text=said),))] if said else []
        return Asked(
            dialect=self.name,
            model=model.name,
            messages=(
                *system,
                *(message_of(item, i) for i, item in enumerate(items)),
            ),
            max_tokens=body.get("max_output_tokens"),
            tools=tools,
            tool_choice=tool_choice_of(body, tools),
            schema=schema_of((body.get("text") or {}).get("format")),
            is_streamed=bool(body.get("stream")),
            body=body,
        )

    def whole(self, asked: Asked, outcome: Outcome) -> dict[str, Any]:
        """See `Dialect.whole`."""
        output = list(items_of(outcome))
        return response_of(asked, outcome, output)

    def events(self, asked: Asked, outcome: Outcome) -> Iterator[Chunk]:
        """See `Dialect.events`: every event is named and numbered."""
        numbers = count()

        def event(kind: str, **fields: Any) -> bytes:
            body = {"type": kind, "sequence_number": next(numbers), **fields}
            return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(body))

        begun = response_of(asked, outcome, [], status="in_progress")
        yield Chunk(event("response.created", response=begun))
        yield Chunk(event("response.in_progress", response=begun))
        output = []
        for i, item in enumerate(items_of(outcome)):
            output.append(item)
            place = {"output_index": i}
            announced = event("response.output_item.added", **place, item=empty(item))
            yield Chunk(announced, *carried(item))
            place["item_id"] = item["id"]
            for kind, fields, source, text in steps_of(item):
                yield Chunk(event(f"response.{kind}", **place, **fields), source, text)
            yield Chunk(event("response.output_item.done", output_index=i, item=item))
        ended = response_of(asked, outcome, output)
        yield Chunk(event(f"response.{ended['status']}", response=ended))

    def error_event(self, refusal: Refusal, request_id: str) -> bytes:
        """See `Dialect.error_event`."""
        body = {
            "type": "error",
            "sequence_number": 0,
            "code": refusal.code or "server_error",
            "message": refusal.message,
            "param": refusal.param,
        }
        return b"event: error\ndata: %b\n\n" % msgspec.json.encode(body)

    def too_long(self, tokens: int, asked: Asked, window: int) -> Refusal:
        """See `Dialect.too_long`."""
        return invalid(
            "Your input exceeds the context window of this model. Please adjust your input and "
            f"try again. ({tokens} tokens, {window} at most)",
            param="input",
            code="context_length_exceeded",
        )


def check_options(body: dict[str, Any], model: StubModel) -> None:
    """Refuse a request without input, or that builds on an answer this stub does not keep."""
    if not body.get("input"):
        raise invalid(
            "Missing required parameter: 'input'.", param="input", code="missing_required_parameter"
        )
    if body.get("previous_response_id"):
        raise invalid(
            f"Previous response with id '{body['previous_response_id']}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    wanted = body.get("max_output_tokens")
    check_limit(wanted, "max_output_tokens", model)
    if wanted is not None and wanted < OUTPUT_TOKENS_MIN:
        raise invalid(
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= "
            f"{OUTPUT_TOKENS_MIN}, but got {wanted} instead.",
            param="max_output_tokens",
            code="integer_below_min_value",
        )


def check_calls(items: list[Item]) -> None:
    """Refuse results without calls, and calls without results."""
    called: dict[str, bool] = {}
    for item in items:
        kind, call_id = item.get("type"), str(item.get("call_id"))
        if kind == "function_call":
            called[call_id] = False
        elif kind == "function_call_output":
            if call_id not in called:
                raise invalid(
                    f"No tool call found for function call output with call_id {call_id}.",
                    param="input",
                )
            called[call_id] = True
    for call_id, is_answered in called.items():
        if not is_answered:
            raise invalid(f"No tool output found for function call {call_id}.", param="input")


def message_of(item: Item, i: int) -> Message:
    """Read one item of the input."""
    kind = item.get("type", "message")
    if kind == "function_call":
        call = ToolCall(
            id=item.get("call_id", ""), name=item.get("name", ""), raw=item.get("arguments") or ""
        )
        return Message(role=Role.ASSISTANT, parts=(call,))
    if kind == "function_call_output":
        output = item.get("output")
        text = (
            output if isinstance(output, str) else "".join(p.get("text", "") for p in output or ())
        )
        result = ToolResult(call_id=item["call_id"], content=text)
        return Message(role=Role.USER, parts=(result,))
    if kind == "reasoning":
        shown = "".join(part.get("text", "") for part in item.get("summary") or ())
        return Message(role=Role.ASSISTANT, parts=(Thinking(text=shown),))
    role = item.get("role")
    if kind != "message" or role not in ROLES:
        raise invalid(
            f"Invalid value: '{role if kind == 'message' else kind}'. Supported values are: "
            "'assistant', 'system', 'developer', and 'user'.",
            param=f"input[{i}]",
            code="invalid_value",
        )
    return Message(role=ROLES[role], parts=tuple(parts_of(item.get("content"), i)))


def parts_of(content: Any, i: int) -> Iterator[Part]:
    """Read what a message says."""
    if isinstance(content, str):
        yield Text(text=content)
        return
    for j, part in enumerate(content or ()):
        kind, place = part.get("type"), f"input[{i}].content[{j}]"
        if kind in ("input_text", "output_text", "text"):
            yield Text(text=part.get("text") or "")
        elif kind == "input_image":
            yield image_of(part.get("image_url"), f"{place}.image_url")
        else:
            raise invalid(
                f"Invalid value: '{kind}'. Supported values are: 'input_text', 'input_image', "
                "'output_text'.",
                param=place,
                code="invalid_value",
            )


def schema_of(wanted: Any) -> Any:
    """Read the schema of the answer."""
    kind = wanted.get("type") if isinstance(wanted, dict) else "text"
    if kind == "text":
        return None
    return {"type": "object"} if kind == "json_object" else output_schema(wanted, "text.format")


def items_of(outcome: Outcome) -> Iterator[Item]:
    """Return what the model produced, as items."""
    number = outcome.number
    if outcome.thinking:
        shown = [{"type": "summary_text", "text": outcome.thinking}]
        yield {"id": f"rs_{number}", "type": "reasoning", "summary": shown}
    if outcome.text or not outcome.calls:
        content = [output_text(outcome.text)]
        yield {
            "id": f"msg_{number}",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": content,
        }
    for i, call in enumerate(outcome.calls):
        yield {
            "id": f"fc_{number}_{i}",
            "type": "function_call",
            "status": "completed",
            "arguments": call.raw,
            "call_id": call.id,
            "name": call.name,
        }


def output_text(text: str) -> Item:
    """Return a part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def empty(item: Item) -> Item:
    """Return an item as it is announced: without what is still to come."""
    hollow = {"content": [], "summary": [], "arguments": "", "status": "in_progress"}
    return {key: hollow.get(key, value) for key, value in item.items()}


Step = tuple[str, Item, Source, str]
NOTHING: Final[tuple[Source, str]] = (("", 0), "")


def carried(item: Item) -> tuple[Source, str]:
    """Return what the announcement of an item already says: the name of a tool."""
    if item["type"] != "function_call":
        return NOTHING
    return ("name", call_index(item)), item["name"]


def call_index(item: Item) -> int:
    """Return which of the tool calls an item is."""
    return int(item["id"].rpartition("_")[2])


def steps_of(item: Item) -> Iterator[Step]:
    """Yield the events between the announcement of an item and its end."""
    if item["type"] == "message":
        yield from text_steps(item["content"][0])
    elif item["type"] == "reasoning":
        yield from summary_steps(item["summary"][0])
    else:
        source = ("arguments", call_index(item))
        for piece in pieces(item["arguments"], 1):
            yield "function_call_arguments.delta", {"delta": piece}, source, piece
        done = {"arguments": item["arguments"]}
        yield "function_call_arguments.done", done, *NOTHING


def text_steps(part: Item) -> Iterator[Step]:
    """Yield the events of a text."""
    place = {"content_index": 0}
    yield "content_part.added", place | {"part": part | {"text": ""}}, *NOTHING
    for piece in pieces(part["text"], 1):
        delta = place | {"delta": piece, "logprobs": []}
        yield "output_text.delta", delta, ("text", 0), piece
    yield "output_text.done", place | {"text": part["text"], "logprobs": []}, *NOTHING
    yield "content_part.done", place | {"part": part}, *NOTHING


def summary_steps(part: Item) -> Iterator[Step]:
    """Yield the events of reasoning that is shown."""
    place = {"summary_index": 0}
    yield "reasoning_summary_part.added", place | {"part": part | {"text": ""}}, *NOTHING
    for piece in pieces(part["text"], 1):
        yield "reasoning_summary_text.delta", place | {"delta": piece}, ("thinking", 0), piece
    yield "reasoning_summary_text.done", place | {"text": part["text"]}, *NOTHING
    yield "reasoning_summary_part.done", place | {"part": part}, *NOTHING


def response_of(
    asked: Asked, outcome: Outcome, output: list[Item], *, status: str = ""
) -> dict[str, Any]:
    """Return the whole object; with `status`, as it is before the end."""
    reasons = {Finish.LENGTH: "max_output_tokens", Finish.CONTENT_FILTER: "content_filter"}
    reason = None if status else reasons.get(outcome.finish)
    body = asked.body
    return {
        "id": f"resp_{outcome.number}",
        "object": "response",
        "created_at": outcome.created,
        "status": status or ("incomplete" if reason else "completed"),
        "background": False,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": asked.max_tokens,
        "model": asked.model,
        "output": output,
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "store": bool(body.get("store", True)),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": None if status else usage_of(outcome),
        "user": None,
        "metadata": body.get("metadata") or {},
    }


def usage_of(outcome: Outcome) -> dict[str, Any]:
    """Return usage as OpenAI counts: cached in the input, reasoning in the output."""
    usage = outcome.usage
    read = usage.input + usage.cached + usage.cache_write
    written = usage.output + usage.thinking
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": usage.thinking},
        "total_tokens": read + written,
    }
