"""OpenAI Responses: a conversation as a list of items, and a stream of numbered events.

Nothing is kept at the provider (`store: false`), so reasoning comes back encrypted and travels
in `Thinking.signature`.
"""

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
    FaultKind,
    Finish,
    Image,
    Message,
    ModelRequest,
    Part,
    Piece,
    ProviderFault,
    Reply,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

__all__ = ["OpenAIResponses"]

Json = Any

_COUNTS: Final = ("input_tokens", "output_tokens")
_INCOMPLETE: Final = {
    "max_output_tokens": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
}
_ARGUMENTS: Final = "response.function_call_arguments.delta"
_THOUGHTS: Final = frozenset(
    {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}
)
_DELTAS: Final = _THOUGHTS | {
    "response.output_text.delta",
    "response.refusal.delta",
    _ARGUMENTS,
}
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_MARK: Final = "openai:"


class OpenAIResponses:
    """See the module docstring."""

    path = "/responses"

    def headers(self, key: str) -> Mapping[str, str]:
        """See `Dialect.headers`."""
        return {"authorization": f"Bearer {key}"} if key else {}

    def body(self, request: ModelRequest, *, stream: bool) -> Json:
        """See `Dialect.body`."""
        if request.stop:
            raise ProviderFault(
                FaultKind.BAD_REQUEST, "The Responses interface has no stop sequences."
            )
        body: dict[str, Json] = {
            "model": request.model,
            "input": [item for message in request.messages for item in _items(message)],
            "max_output_tokens": request.max_tokens,
            "store": False,
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.thinking_tokens:
            body["reasoning"] = {"effort": effort(request.thinking_tokens), "summary": "auto"}
            body["include"] = ["reasoning.encrypted_content"]
        if request.schema is not None:
            body["text"] = {"format": _format(request)}
        if request.tools:
            body |= _tools(request)
        if stream:
            body["stream"] = True
        return body

    def reply(self, answer: Json) -> Reply:
        """See `Dialect.reply`."""
        if not answer.get("error") and "output" not in answer:
            raise malformed("The answer has no output.")
        draft = Draft()
        _read_answer(draft, answer)
        return draft.reply()

    def reader(self, request: ModelRequest) -> "ResponseReader":
        """See `Dialect.reader`."""
        return ResponseReader()


class ResponseReader:
    """Reads numbered events; one that comes twice counts once."""

    def __init__(self) -> None:
        self.draft = Draft()
        self.is_done = False
        self._last = -1

    def read(self, event: SentEvent) -> Sequence[Piece]:
        """See `Reader.read`."""
        if event.data.strip() == "[DONE]":
            return ()
        told = msgspec.json.decode(event.data)
        number = told.get("sequence_number")
        if isinstance(number, int):
            if number <= self._last:
                return ()
            self._last = number
        return self._read(text_of(told["type"]), told)

    def _read(self, kind: str, told: Json) -> Sequence[Piece]:
        if kind in _DELTAS:
            return self._delta(kind, told["output_index"], told["delta"])
        if kind == "response.output_item.added":
            return self._item(told["output_index"], told["item"])
        if kind in _ENDS:
            return self._end(told["response"])
        if kind == "error":
            raise error_fault(told.get("error") or told)
        return ()

    def _delta(self, kind: str, index: int, delta: str) -> Sequence[Piece]:
        if kind == _ARGUMENTS:
            return [self.draft.call(index, arguments=delta)]
        if kind in _THOUGHTS:
            return [self.draft.thinking(index, delta)]
        return [self.draft.text(index, delta)]

    def _item(self, index: int, item: Json) -> Sequence[Piece]:
        if item.get("type") != "function_call":
            return ()
        return [self.draft.call(index, call_id=item["call_id"], name=item["name"])]

    def _end(self, answer: Json) -> Sequence[Piece]:
        """Take the last event's own copy of the answer, which is the whole of it."""
        before, whole = self.draft, Draft()
        whole.request_id, whole.limits = before.request_id, before.limits
        draft = whole if dicts_in(answer.get("output")) else before
        try:
            _read_answer(draft, answer)
        except ProviderFault:
            before.usage = usage_of(answer.get("usage"), _COUNTS)
            raise
        self.draft = draft
        self.is_done = True
        return ()


def _read_answer(draft: Draft, answer: Json) -> None:
    if answer.get("error") or answer.get("status") == "failed":
        raise error_fault(answer.get("error"))
    draft.model = text_of(answer.get("model"))
    draft.usage = usage_of(answer.get("usage"), _COUNTS)
    refused = False
    for index, item in enumerate(dicts_in(answer.get("output"))):
        refused |= _read_item(draft, index, item)
    reason = text_of((answer.get("incomplete_details") or {}).get("reason"))
    finish = _INCOMPLETE.get(reason, Finish.STOP)
    if answer.get("status") == "incomplete" and finish is Finish.STOP:
        finish = Finish.LENGTH
    draft.finish = Finish.CONTENT_FILTER if refused else finish


def _read_item(draft: Draft, index: int, item: Json) -> bool:
    """Add one finished item; return whether it is a refusal."""
    kind, refused = item["type"], False
    if kind == "message":
        for part in dicts_in(item.get("content")):
            refused |= part.get("type") == "refusal"
            draft.text(index, text_of(part.get("text")) or text_of(part.get("refusal")))
    elif kind == "function_call":
        arguments = text_of(item.get("arguments"))
        draft.call(index, call_id=item["call_id"], name=item["name"], arguments=arguments)
    elif kind == "reasoning":
        told = dicts_in(item.get("summary")) or dicts_in(item.get("content"))
        draft.thinking(index, "\n\n".join(text_of(part.get("text")) for part in told))
        if sealed := text_of(item.get("encrypted_content")):
            draft.sign(index, f"{_MARK}{text_of(item.get('id'))}:{sealed}")
    return refused


# -- requests --------------------------------------------------------------------------------------


def _items(message: Message) -> Iterator[Json]:
    """Return a message as items: its words, and its calls and results beside them, in order."""
    content: list[Json] = []
    for part in message.parts:
        item = _item(part)
        if item is None:
            content += _content(part, message.role)
            continue
        if content:
            yield {"role": message.role.value, "content": content}
            content = []
        yield item
    if content:
        yield {"role": message.role.value, "content": content}


def _item(part: Part) -> Json:
    if isinstance(part, ToolCall):
        arguments = json_text(part.arguments, raw=part.raw)
        named = {"call_id": part.id, "name": part.name}
        return {"type": "function_call", **named, "arguments": arguments}
    if isinstance(part, ToolResult):
        output = result_text(part)
        return {"type": "function_call_output", "call_id": part.call_id, "output": output}
    if isinstance(part, Thinking) and part.signature.startswith(_MARK):
        name, _, sealed = part.signature.removeprefix(_MARK).partition(":")
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        return {"type": "reasoning", "id": name, "summary": summary, "encrypted_content": sealed}
    return None


def _content(part: Part, role: Role) -> list[Json]:
    if isinstance(part, Text):
        kind = "output_text" if role is Role.ASSISTANT else "input_text"
        return [{"type": kind, "text": part.text}]
    if isinstance(part, Image):
        return [{"type": "input_image", "image_url": image_address(part), "detail": "auto"}]
    return []  # reasoning of another provider, which this one could not read


def _format(request: ModelRequest) -> Json:
    return {
        "type": "json_schema",
        "name": schema_name(request.schema),
        "schema": request.schema,
        "strict": is_closed(request.schema, all_required=True),
    }


def _tools(request: ModelRequest) -> dict[str, Json]:
    tools = [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
            "strict": False,
        }
        for tool in request.tools
    ]
    choice: Json = request.tool_choice
    if choice not in {"auto", "none", "required"}:
        choice = {"type": "function", "name": choice}
    return {"tools": tools, "tool_choice": choice}
