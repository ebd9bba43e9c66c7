"""OpenAI Chat Completions, and the many servers that speak it (Ollama, vLLM, llama.cpp, …).

Those servers leave things out, so little is demanded of an answer: a choice, and that a stream
says why it ended. Reasoning is read where a server sends it and never sent back: the protocol
has no place for it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from podium.adapters.models.dialect import dicts_in, text_of
from podium.adapters.models.draft import Draft
from podium.adapters.models.faults import error_fault, malformed
from podium.adapters.models.openai_words import (
    effort,
    image_address,
    json_text,
    result_text,
    usage_of,
)
from podium.adapters.models.schemas import is_closed, schema_name
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
    ToolCall,
    ToolResult,
)

__all__ = ["OpenAIChat"]

Json = Any

FINISHES: Final = {
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.CONTENT_FILTER,
}
_COUNTS: Final = ("prompt_tokens", "completion_tokens")
# Places of an answer's blocks: reasoning, then text, then tool calls by their own index.
_THINKING: Final = -2
_TEXT: Final = -1
# Models of OpenAI's own that know only the new name of the limit; older servers know the old.
_NEW_LIMIT: Final = re.compile(r"(o\d|gpt-[5-9])")


class OpenAIChat:
    """See the module docstring. `is_own`: the endpoint is OpenAI's, not a compatible one."""

    path = "/chat/completions"

    def __init__(self, *, is_own: bool = False) -> None:
        self._is_own = is_own

    def headers(self, key: str) -> Mapping[str, str]:
        """See `Dialect.headers`."""
        return {"authorization": f"Bearer {key}"} if key else {}

    def body(self, request: ModelRequest, *, stream: bool) -> Json:
        """See `Dialect.body`."""
        new = self._is_own or _NEW_LIMIT.match(request.model)
        body: dict[str, Json] = {
            "model": request.model,
            "messages": [each for message in request.messages for each in _messages(message)],
            "max_completion_tokens" if new else "max_tokens": request.max_tokens,
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.stop:
            body["stop"] = list(request.stop)
        if request.thinking_tokens:
            body["reasoning_effort"] = effort(request.thinking_tokens)
        if request.schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": _format(request)}
        if request.tools:
            body |= _tools(request)
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def reply(self, answer: Json) -> Reply:
        """See `Dialect.reply`."""
        if answer.get("error"):
            raise error_fault(answer["error"])
        draft = Draft()
        draft.model = text_of(answer.get("model"))
        draft.usage = usage_of(answer.get("usage"), _COUNTS)
        choice = answer["choices"][0]
        _add(draft, choice["message"])
        finish = FINISHES.get(choice.get("finish_reason"), Finish.STOP)
        draft.finish = _finish(finish, choice["message"])
        return draft.reply()

    def reader(self, request: ModelRequest) -> "ChatReader":
        """See `Dialect.reader`."""
        return ChatReader()


class ChatReader:
    """Reads chunks; the one with usage may come after the one that says why it ended."""

    def __init__(self) -> None:
        self.draft = Draft()
        self.is_done = False

    def read(self, event: SentEvent) -> Sequence[Piece]:
        """See `Reader.read`."""
        if event.data.strip() == "[DONE]":
            self.is_done = True
            return ()
        chunk = msgspec.json.decode(event.data)
        if chunk.get("error"):
            raise error_fault(chunk["error"])
        draft = self.draft
        draft.model = draft.model or text_of(chunk.get("model"))
        draft.usage = usage_of(chunk.get("usage"), _COUNTS) or draft.usage
        pieces: list[Piece] = []
        for choice in dicts_in(chunk.get("choices"))[:1]:
            delta = choice.get("delta") or {}
            pieces += _add(draft, delta)
            if choice.get("finish_reason"):
                finish = FINISHES.get(choice["finish_reason"], Finish.STOP)
                draft.finish = _finish(finish, delta)
        return pieces


def _add(draft: Draft, delta: Json) -> list[Piece]:
    """Add what a message or a part of one says."""
    pieces: list[Piece] = []
    # Three names that servers use for the same thing; none sends two of them.
    thought = text_of(delta.get("reasoning_content")) or text_of(delta.get("reasoning"))
    if thought:
        pieces.append(draft.thinking(_THINKING, thought))
    if text := text_of(delta.get("content")) or text_of(delta.get("refusal")):
        pieces.append(draft.text(_TEXT, text))
    for position, call in enumerate(dicts_in(delta.get("tool_calls"))):
        function = call.get("function") or {}
        index = call.get("index")
        if not isinstance(index, int):
            index = position
        if index < 0:
            raise malformed("A tool call has a negative index.")
        arguments = function.get("arguments")
        pieces.append(
            draft.call(
                index,
                call_id=text_of(call.get("id")),
                name=text_of(function.get("name")),
                # Some servers send the arguments as an object instead of as its text.
                arguments=json_text(arguments) if isinstance(arguments, dict) else arguments or "",
            )
        )
    return pieces


def _finish(finish: Finish, message: Json) -> Finish:
    return Finish.CONTENT_FILTER if text_of(message.get("refusal")) else finish


# -- requests --------------------------------------------------------------------------------------


def _messages(message: Message) -> Iterator[Json]:
    for part in message.parts:
        if isinstance(part, ToolResult):
            yield {"role": "tool", "tool_call_id": part.call_id, "content": result_text(part)}
    texts = [part.text for part in message.parts if isinstance(part, Text)]
    calls = [_call(part) for part in message.parts if isinstance(part, ToolCall)]
    if message.role is Role.ASSISTANT:
        said: dict[str, Json] = {"role": "assistant", "content": "".join(texts) or None}
        yield said | ({"tool_calls": calls} if calls else {})
    elif any(isinstance(part, Image) for part in message.parts):
        content = [each for part in message.parts if (each := _content(part)) is not None]
        yield {"role": message.role.value, "content": content}
    elif texts:
        yield {"role": message.role.value, "content": "\n".join(texts)}


def _content(part: Part) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        return {"type": "image_url", "image_url": {"url": image_address(part)}}
    return None


def _call(part: ToolCall) -> Json:
    return {
        "id": part.id,
        "type": "function",
        "function": {"name": part.name, "arguments": json_text(part.arguments, raw=part.raw)},
    }


def _format(request: ModelRequest) -> Json:
    return {
        "name": schema_name(request.schema),
        "schema": request.schema,
        "strict": is_closed(request.schema, all_required=True),
    }


def _tools(request: ModelRequest) -> dict[str, Json]:
    tools = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        }
        for tool in request.tools
    ]
    choice: Json = request.tool_choice
    if choice not in {"auto", "none", "required"}:
        choice = {"type": "function", "function": {"name": choice}}
    return {"tools": tools, "tool_choice": choice}
