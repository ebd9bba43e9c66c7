"""The turns of a conversation as Anthropic wants them: alternating duties, results after calls."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from podium.ports.models import (
    Image,
    Message,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from podium.testing.llm.asked import Refusal, Why
from podium.testing.llm.checks import image_fault

__all__ = ["check_turns", "message_of"]

Turn = dict[str, Any]
Block = dict[str, Any]


def check_turns(turns: list[Turn]) -> None:
    """Refuse wrong roles, empty turns, results without calls and calls without results."""
    if not turns:
        raise refused("messages: at least one message is required")
    for i, turn in enumerate(turns):
        check_role(turn.get("role"), i)
    if turns[0]["role"] != "user":
        raise refused('messages: first message must use the "user" role')
    for i, turn in enumerate(turns):
        check_content(turn, i, is_last=i == len(turns) - 1)
    waiting: tuple[str, ...] = ()
    for i, turn in enumerate(turns):
        check_results(turn, i, waiting)
        waiting = ids_of(turn, "tool_use", "id")
    if waiting:
        raise unanswered(len(turns) - 1, waiting)


def check_role(role: Any, i: int) -> None:
    """Refuse who does not speak here."""
    if role == "system":
        raise refused(
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` '
            'parameter, not "system" as an input message role.'
        )
    if role not in ("user", "assistant"):
        raise refused(f"messages.{i}.role: Input should be 'user' or 'assistant'")


def check_content(turn: Turn, i: int, *, is_last: bool) -> None:
    """Refuse turns that say nothing, and a beginning of an answer that ends in a space."""
    content = turn.get("content")
    if not content and not (is_last and turn["role"] == "assistant"):
        raise refused(
            f"messages.{i}: all messages must have non-empty content except for the optional "
            "final assistant message"
        )
    texts = [content] if isinstance(content, str) else []
    texts += [str(b.get("text") or "") for b in blocks_of(turn) if b.get("type") == "text"]
    if any(not text.strip() for text in texts):
        raise refused("messages: text content blocks must be non-empty")
    if is_last and turn["role"] == "assistant" and texts and texts[-1] != texts[-1].rstrip():
        raise refused("messages: final assistant content cannot end with trailing whitespace")


def check_results(turn: Turn, i: int, waiting: tuple[str, ...]) -> None:
    """Refuse results without calls, and calls without results at once."""
    given = ids_of(turn, "tool_result", "tool_use_id")
    for number, call_id in enumerate(given):
        if call_id not in waiting:
            raise refused(
                f"messages.{i}.content.{number}: unexpected `tool_use_id` found in `tool_result` "
                f"blocks: {call_id}. Each `tool_result` block must have a corresponding "
                "`tool_use` block in the previous message."
            )
    first = [block.get("type") for block in blocks_of(turn)][: len(given)]
    missing = tuple(call_id for call_id in waiting if call_id not in given)
    if missing or (waiting and set(first) != {"tool_result"}):
        raise unanswered(i - 1, missing or waiting)


def unanswered(i: int, call_ids: tuple[str, ...]) -> Refusal:
    """Return the refusal of calls without results."""
    return refused(
        f"messages.{i}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(call_ids)}. Each `tool_use` block must have a corresponding `tool_result` "
        "block in the next message."
    )


def ids_of(turn: Turn, kind: str, field: str) -> tuple[str, ...]:
    """Return the ids in all blocks of one kind."""
    return tuple(str(b.get(field)) for b in blocks_of(turn) if b.get("type") == kind)


def blocks_of(turn: Turn) -> list[Block]:
    """Return the blocks of a turn; a turn that is plain text has none."""
    content = turn.get("content")
    return content if isinstance(content, list) else []


def message_of(turn: Turn, i: int) -> Message:
    """Read one turn that was checked."""
    role = Role(turn["role"])
    if isinstance(turn.get("content"), str):
        return Message(role=role, parts=(Text(text=turn["content"]),))
    return Message(role=role, parts=tuple(parts_of(turn, i)))


def parts_of(turn: Turn, i: int) -> Iterator[Part]:
    """Read the blocks of a turn."""
    for j, block in enumerate(blocks_of(turn)):
        kind = str(block.get("type"))
        if kind not in PARTS:
            raise refused(
                f"messages.{i}.content.{j}: Input tag '{kind}' found using 'type' does not match "
                f"any of the expected tags: {', '.join(map(repr, PARTS))}"
            )
        yield PARTS[kind](block, f"messages.{i}.content.{j}")


def image_of(block: Block, place: str) -> Image:
    """Read a picture."""
    source = block.get("source") or {}
    image = Image(
        media_type=source.get("media_type", ""),
        data=source.get("data", ""),
        url=source.get("url", ""),
    )
    fault = image_fault(image)
    if fault == "type":
        raise refused(
            f"{place}.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', "
            "'image/gif' or 'image/webp'"
        )
    if fault == "base64":
        raise refused(f"{place}.image.source.base64: invalid base64 data")
    if fault:
        raise refused("Could not process image")
    return image


def result_of(block: Block, place: str) -> ToolResult:
    """Read what a tool answered."""
    content = block.get("content") or ""
    text = content if isinstance(content, str) else "".join(b.get("text", "") for b in content)
    return ToolResult(
        call_id=block["tool_use_id"], content=text, is_error=bool(block.get("is_error"))
    )


PARTS: Final[Mapping[str, Callable[[Block, str], Part]]] = {
    "text": lambda block, place: Text(text=block.get("text") or ""),
    "image": image_of,
    "thinking": lambda block, place: Thinking(
        text=block.get("thinking", ""), signature=block.get("signature", "")
    ),
    "redacted_thinking": lambda block, place: Thinking(signature=block.get("data", "")),
    "tool_use": lambda block, place: ToolCall(
        id=block["id"], name=block["name"], arguments=block.get("input")
    ),
    "tool_result": result_of,
}


def refused(message: str) -> Refusal:
    """Return the refusal of malformed turns."""
    return Refusal(Why.INVALID, message)
