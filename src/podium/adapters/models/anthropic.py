"""Anthropic Messages: blocks of content, thinking that is signed, usage without overlaps.

A schema whose objects are all closed is sent as `output_config.format`; any other becomes the
input of a tool that the model must call, and its call becomes the text of the answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec

from podium.adapters.models.dialect import count_of, dicts_in, text_of
from podium.adapters.models.draft import Draft
from podium.adapters.models.faults import error_fault
from podium.adapters.models.schemas import is_closed
from podium.adapters.models.sse import SentEvent
from podium.ports.models import (
    Finish,
    Image,
    Message,
    ModelRequest,
    Part,
    Piece,
    Reply,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)

__all__ = ["ANSWER_TOOL", "AnthropicMessages"]

Json = Any

VERSION: Final = "2023-06-01"
ANSWER_TOOL: Final = "podium_answer"
"""The tool that stands for a structured answer; no tool of a user may have this name."""
THINKING_MIN: Final = 1_024
"""The smallest amount of thinking the provider accepts."""
FINISHES: Final = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "refusal": Finish.CONTENT_FILTER,
}
# Signatures travel with a mark: another provider's would be refused.
_SIGNED: Final = "anthropic:"
_REDACTED: Final = "anthropic-redacted:"


class AnthropicMessages:
    """See the module docstring."""

    path = "/messages"

    def headers(self, key: str) -> Mapping[str, str]:
        """See `Dialect.headers`."""
        return {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {})

    def body(self, request: ModelRequest, *, stream: bool) -> Json:
        """See `Dialect.body`."""
        body: dict[str, Json] = {
            "model": request.model,
            "max_tokens": request.max_tokens,
            "messages": list(_turns(request.messages)),
        }
        if system := list(_system(request.messages)):
            body["system"] = system
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.stop:
            body["stop_sequences"] = list(request.stop)
        if request.thinking_tokens:
            amount = max(request.thinking_tokens, THINKING_MIN)
            body["thinking"] = {"type": "enabled", "budget_tokens": amount}
        body |= _tools(request)
        if request.schema is not None and not _by_tool(request):
            body["output_config"] = {"format": {"type": "json_schema", "schema": request.schema}}
        if stream:
            body["stream"] = True
        return body

    def reply(self, answer: Json) -> Reply:
        """See `Dialect.reply`."""
        if answer.get("type") == "error":
            raise error_fault(answer.get("error"))
        draft = Draft()
        draft.model = text_of(answer.get("model"))
        draft.usage = _usage(answer.get("usage"), Usage())
        for index, block in enumerate(dicts_in(answer["content"])):
            _open(draft, index, block)
        draft.finish = _finish(draft, answer["stop_reason"])
        return draft.reply()

    def reader(self, request: ModelRequest) -> "MessageReader":
        """See `Dialect.reader`."""
        return MessageReader()


class MessageReader:
    """Reads events: a message starts, its blocks come one after another, then why it ended."""

    def __init__(self) -> None:
        self.draft = Draft()
        self.is_done = False

    def read(self, event: SentEvent) -> Sequence[Piece]:
        """See `Reader.read`."""
        told = msgspec.json.decode(event.data)
        kind = told["type"]
        if kind == "content_block_delta":
            return self._delta(told["index"], told["delta"])
        if kind == "content_block_start":
            return _open(self.draft, told["index"], told["content_block"])
        if kind == "message_start":
            self.draft.model = text_of(told["message"].get("model"))
            self.draft.usage = _usage(told["message"].get("usage"), Usage())
        elif kind == "message_delta":
            self.draft.usage = _usage(told.get("usage"), self.draft.usage or Usage())
            if reason := told["delta"].get("stop_reason"):
                self.draft.finish = _finish(self.draft, reason)
        elif kind == "message_stop":
            self.is_done = True
        elif kind == "error":
            raise error_fault(told.get("error"))
        return ()

    def _delta(self, index: int, delta: Json) -> Sequence[Piece]:
        draft, kind = self.draft, delta["type"]
        if kind == "text_delta":
            return [draft.text(index, delta["text"])]
        if kind == "thinking_delta":
            return [draft.thinking(index, delta["thinking"])]
        if kind == "input_json_delta":
            if draft.is_open(index, "text"):  # the call that stands for a structured answer
                return [draft.text(index, delta["partial_json"])]
            return [draft.call(index, arguments=delta["partial_json"])]
        if kind == "signature_delta":
            draft.sign(index, _SIGNED + delta["signature"])
        return ()


def _open(draft: Draft, index: int, block: Json) -> list[Piece]:
    """Begin a block, or take a whole one."""
    kind = block["type"]
    if kind == "text":
        return [draft.text(index, block["text"])]
    if kind == "thinking":
        if signature := text_of(block.get("signature")):
            draft.sign(index, _SIGNED + signature)
        return [draft.thinking(index, block["thinking"])]
    if kind == "redacted_thinking":
        draft.sign(index, _REDACTED + block["data"])
    elif kind == "tool_use":
        arguments = msgspec.json.encode(block["input"]).decode() if block.get("input") else ""
        if block["name"] == ANSWER_TOOL:
            return [draft.text(index, arguments)]
        return [draft.call(index, call_id=block["id"], name=block["name"], arguments=arguments)]
    return []


def _finish(draft: Draft, reason: str) -> Finish:
    finish = FINISHES.get(reason, Finish.STOP)
    # A call of the answer tool is the answer; the draft knows whether there are others.
    return Finish.STOP if finish is Finish.TOOL_CALLS else finish


def _usage(told: Json, before: Usage) -> Usage | None:
    """Return cumulative usage; what an event leaves out stays as it was."""
    if not isinstance(told, dict):
        return before if before.total else None

    def count(name: str, known: int) -> int:
        return known if told.get(name) is None else count_of(told[name])

    details = told.get("output_tokens_details") or {}
    thinking = count_of(details.get("thinking_tokens")) or before.thinking
    written = count("output_tokens", before.output + before.thinking)
    return Usage(
        input=count("input_tokens", before.input),
        cached=count("cache_read_input_tokens", before.cached),
        cache_write=count("cache_creation_input_tokens", before.cache_write),
        output=max(written - thinking, 0),
        thinking=thinking,
    )


# -- requests --------------------------------------------------------------------------------------


def _system(messages: Sequence[Message]) -> Iterator[Json]:
    for message in messages:
        if message.role is Role.SYSTEM:
            blocks = (_content(part) for part in message.parts if isinstance(part, Text))
            yield from (block for block in blocks if block is not None)


def _turns(messages: Sequence[Message]) -> Iterator[Json]:
    """Return the conversation; turns of one speaker in a row become one, as the provider wants."""
    spoken = [message for message in messages if message.role is not Role.SYSTEM]
    for role, turns in groupby(spoken, key=lambda message: message.role):
        parts = [part for message in turns for part in message.parts]
        # Results of tools have to come first.
        parts.sort(key=lambda part: not isinstance(part, ToolResult))
        content = [each for part in parts if (each := _content(part)) is not None]
        if content:
            yield {"role": role.value, "content": content}


def _content(part: Part) -> Json:
    """Return a block, or None for what this provider does not take."""
    if isinstance(part, Text):
        return {"type": "text", "text": part.text} if part.text.strip() else None
    if isinstance(part, Image):
        return {"type": "image", "source": _source(part)}
    if isinstance(part, ToolCall):
        # The provider takes objects only; a call that was no JSON goes back as what it was.
        arguments = part.arguments if isinstance(part.arguments, dict) else {"raw": part.raw}
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments}
    if isinstance(part, ToolResult):
        told = {"tool_use_id": part.call_id, "content": part.content}
        return {"type": "tool_result", **told, "is_error": part.is_error}
    return _thought(part)


def _thought(part: Thinking) -> Json:
    if part.signature.startswith(_REDACTED):
        return {"type": "redacted_thinking", "data": part.signature.removeprefix(_REDACTED)}
    if part.signature.startswith(_SIGNED):
        signature = part.signature.removeprefix(_SIGNED)
        return {"type": "thinking", "thinking": part.text, "signature": signature}
    return None  # reasoning of another provider, which this one could not check


def _source(image: Image) -> Json:
    if image.url:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": image.media_type, "data": image.data}


def _by_tool(request: ModelRequest) -> bool:
    return request.schema is not None and not is_closed(request.schema, all_required=False)


def _tools(request: ModelRequest) -> dict[str, Json]:
    tools = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
        for tool in request.tools
    ]
    choice: Json = {"none": {"type": "none"}, "required": {"type": "any"}}.get(request.tool_choice)
    if choice is None and request.tool_choice != "auto":
        choice = {"type": "tool", "name": request.tool_choice}
    if _by_tool(request):
        choice = {"type": "any"} if tools else {"type": "tool", "name": ANSWER_TOOL}
        told = {"name": ANSWER_TOOL, "description": "Give the answer by calling this tool."}
        tools.append({**told, "input_schema": request.schema})
    if not tools:
        return {}
    return {"tools": tools, "tool_choice": choice or {"type": "auto"}}
