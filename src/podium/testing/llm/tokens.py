"""Counting tokens, without the gateway's help: the stub's bill is a second opinion.

With `toktok-rs` installed (extra `podium[testing]`) counts are those of OpenAI's o200k vocabulary.
Anthropic's is not public; its models are counted alike. Without it a word counts one token for
every six letters: the same figures everywhere, but nobody's vocabulary.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib import import_module
from itertools import islice
from typing import Final, Protocol

from podium.ports.models import Image, Json, Message, Part, Text, Thinking, ToolCall, ToolSpec
from podium.testing.llm.jsons import compact

__all__ = ["Tokenizer", "call_text", "prompt_tokens", "tokenizer"]

PER_MESSAGE: Final = 3
"""What a message costs beside its words."""
PER_PROMPT: Final = 3
PER_IMAGE: Final = 765
"""Each image costs the same: a picture of 1024 x 1024 as OpenAI counts it."""
WORD: Final = re.compile(r" ?[^\W_]{1,6}|\s+|.", re.DOTALL)
LETTERS_PER_TOKEN_MAX: Final = 64


class Tokenizer(Protocol):
    """A vocabulary."""

    name: str

    def count(self, texts: Iterable[str]) -> int:
        """Return the tokens of all texts together."""

    def keep(self, text: str, tokens: int) -> str:
        """Return what the first `tokens` tokens of a text spell."""


class Vocabulary:
    """OpenAI's o200k, exactly."""

    name = "o200k_base"

    def __init__(self) -> None:
        # Optional: it comes with the extra `podium[testing]`.
        toktok = import_module("toktok")
        self._count, self._truncate = toktok.batch_count, toktok.truncate

    def count(self, texts: Iterable[str]) -> int:
        """See `Tokenizer.count`."""
        counts: list[int] = self._count(texts, self.name, 1)
        return sum(counts)

    def keep(self, text: str, tokens: int) -> str:
        """See `Tokenizer.keep`."""
        kept: str = self._truncate(text, max(0, tokens), self.name)[0]
        return kept


class Words:
    """No vocabulary at all: pieces of words, spaces and signs."""

    name = "words"

    def count(self, texts: Iterable[str]) -> int:
        """See `Tokenizer.count`."""
        return sum(len(WORD.findall(text)) for text in texts)

    def keep(self, text: str, tokens: int) -> str:
        """See `Tokenizer.keep`."""
        return "".join(found[0] for found in islice(WORD.finditer(text), max(0, tokens)))


@lru_cache(maxsize=1)
def tokenizer() -> Tokenizer:
    """Return the exact vocabulary if it is installed, else the words."""
    try:
        return Vocabulary()
    except ImportError:
        return Words()


def pieces(text: str, tokens: int) -> Iterator[str]:
    """Cut a text into chunks of about `tokens` tokens, as providers stream them."""
    counted = tokenizer()
    start = 0
    while start < len(text):
        window = text[start : start + tokens * LETTERS_PER_TOKEN_MAX]
        # A character can be several tokens: it is sent whole.
        piece = counted.keep(window, tokens) or window[0]
        yield piece
        start += len(piece)


def prompt_tokens(messages: Iterable[Message], tools: Iterable[ToolSpec], schema: Json) -> int:
    """Return what a prompt costs: its words, its tools and schema as JSON, its pictures."""
    texts = [compact(schema)] if schema is not None else []
    extra = PER_PROMPT
    for tool in tools:
        texts += [tool.name, tool.description, compact(tool.parameters)]
        extra += PER_MESSAGE
    for message in messages:
        extra += PER_MESSAGE
        for part in message.parts:
            if isinstance(part, Image):
                extra += PER_IMAGE
            else:
                texts += part_texts(part)
    return extra + tokenizer().count(texts)


def part_texts(part: Part) -> list[str]:
    """Return the words of a part of a message."""
    if isinstance(part, Text | Thinking):
        return [part.text]
    if isinstance(part, ToolCall):
        return [part.name, call_text(part)]
    return [] if isinstance(part, Image) else [part.content]


def call_text(call: ToolCall) -> str:
    """Return the arguments of a tool call as a model writes them."""
    return call.raw or compact({} if call.arguments is None else call.arguments)
