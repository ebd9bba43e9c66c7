"""An answer while it is being written: pieces come in, and at any time it can say what it has."""

import math
from typing import Any

import msgspec

from podium.gateway.tokens import estimate
from podium.ports.models import (
    Finish,
    LimitState,
    Message,
    Part,
    Reply,
    Role,
    Text,
    TextPiece,
    Thinking,
    ThinkingPiece,
    ToolCall,
    ToolCallPiece,
    Usage,
)

__all__ = ["Draft", "called"]

Json = Any


def called(call_id: str, name: str, arguments: str) -> ToolCall:
    """Return a tool call from the text of its arguments; no text means no arguments."""
    try:
        parsed = msgspec.json.decode(arguments) if arguments.strip() else {}
    except (msgspec.DecodeError, UnicodeError):
        return ToolCall(id=call_id, name=name, raw=arguments)
    return ToolCall(id=call_id, name=name, arguments=parsed)


class _Block:
    """One part that grows: texts of one kind, in order."""

    __slots__ = ("call_id", "kind", "name", "number", "signature", "texts")

    def __init__(self, kind: str, number: int) -> None:
        self.kind = kind
        self.number = number
        """Which of its kind this is, from 0."""
        self.texts: list[str] = []
        self.call_id = ""
        self.name = ""
        self.signature = ""

    def part(self) -> Part | None:
        text = "".join(self.texts)
        if self.kind == "call":
            return called(self.call_id, self.name, text)
        if self.kind == "thinking":
            found = text or self.signature
            return Thinking(text=text, signature=self.signature) if found else None
        return Text(text=text) if text else None


class Draft:
    """The answer so far. Blocks are ordered by the index that the protocol gives them."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = {}
        self.usage: Usage | None = None
        """As the provider reported it, so far."""
        self.finish: Finish | None = None
        """Set once the provider said that the answer is whole."""
        self.model = ""
        self.request_id = ""
        self.limits = LimitState()

    @property
    def is_empty(self) -> bool:
        """Return whether nothing came yet, not even usage."""
        return not self._blocks and self.usage is None

    def text(self, index: int, text: str) -> TextPiece:
        """Add text to a block."""
        self._block(index, "text").texts.append(text)
        return TextPiece(text=text)

    def thinking(self, index: int, text: str) -> ThinkingPiece:
        """Add reasoning to a block."""
        self._block(index, "thinking").texts.append(text)
        return ThinkingPiece(text=text)

    def sign(self, index: int, signature: str) -> None:
        """Set what must be sent back with a block of reasoning."""
        self._block(index, "thinking").signature = signature

    def call(
        self, index: int, *, call_id: str = "", name: str = "", arguments: str = ""
    ) -> ToolCallPiece:
        """Add to the arguments of a tool call; the first addition names it."""
        block = self._block(index, "call")
        block.call_id = block.call_id or call_id
        block.name = block.name or name
        block.texts.append(arguments)
        return ToolCallPiece(index=block.number, id=call_id, name=name, arguments=arguments)

    def is_open(self, index: int, kind: str) -> bool:
        """Tell whether the block at this place is there, and of this kind."""
        block = self._blocks.get(index)
        return block is not None and block.kind == kind

    def reply(self) -> Reply:
        """Return the answer; `Finish.INCOMPLETE` unless the provider said that it is whole."""
        usage = self.usage
        is_whole = self.finish is not None
        finish = self.finish or Finish.INCOMPLETE
        if finish is Finish.STOP and self._count("call"):
            finish = Finish.TOOL_CALLS  # some compatible servers say `stop` here
        return Reply(
            message=Message(role=Role.ASSISTANT, parts=self._parts()),
            finish=finish,
            usage=usage if usage is not None and is_whole else self._estimate(usage or Usage()),
            is_estimated=usage is None or not is_whole,
            model=self.model,
            request_id=self.request_id,
            limits=self.limits,
        )

    def _block(self, index: int, kind: str) -> _Block:
        block = self._blocks.get(index)
        if block is None:
            block = self._blocks[index] = _Block(kind, self._count(kind))
        return block

    def _count(self, kind: str) -> int:
        return sum(block.kind == kind for block in self._blocks.values())

    def _parts(self) -> tuple[Part, ...]:
        parts = [block.part() for _, block in sorted(self._blocks.items())]
        return tuple(part for part in parts if part is not None)

    def _estimate(self, reported: Usage) -> Usage:
        """Return what was reported, and no less output than was seen."""
        seen = {"thinking": 0, "written": 0}
        for block in self._blocks.values():
            kind = "thinking" if block.kind == "thinking" else "written"
            seen[kind] += math.ceil(estimate(block.name + "".join(block.texts)))
        return msgspec.structs.replace(
            reported,
            output=max(reported.output, seen["written"]),
            thinking=max(reported.thinking, seen["thinking"]),
        )
