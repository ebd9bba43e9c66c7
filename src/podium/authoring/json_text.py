"""JSON text → data with places: strict syntax, read without recursion."""

import re
from bisect import bisect_right
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final

from podium.authoring.places import Place
from podium.authoring.tree import Halt, TreeBuilder
from podium.errors import Fault

__all__ = ["read_json"]

Json = Any

SPACE_RE: Final = re.compile(r"[ \t\n\r]*")
NUMBER_RE: Final = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
WORD_RE: Final = re.compile(r"-?[A-Za-z_][A-Za-z0-9_]*")
CONSTANTS: Final[dict[str, Json]] = {"null": None, "true": True, "false": False}
DECODER: Final = JSONDecoder()
DIGITS_MAX: Final = 40
CLOSERS: Final = {"{": "}", "[": "]"}


def read_json(text: str) -> TreeBuilder:
    """Return the data of a JSON text, its places, and every fault found on the way."""
    reader = _Reader(text)
    try:
        reader.read()
    except Halt as halt:
        reader.builder.halt(halt.fault)
    return reader.builder


class _Reader:
    """Walks the text once; `_closers` is the stack of the brackets still open."""

    def __init__(self, text: str) -> None:
        self.builder = TreeBuilder()
        self._text = text
        self._at = 0
        self._closers: list[str] = []
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def read(self) -> None:
        """Read the whole text: one value and nothing after it."""
        self._value()
        while self._closers:
            self._member()
        self._skip()
        if self._at < len(self._text):
            raise self._syntax("there is more text after the end of the value")

    def _value(self) -> None:
        """Read a scalar, or open a container."""
        self._skip()
        char = self._text[self._at : self._at + 1]
        place = self._place(self._at)
        if char and char in CLOSERS:
            self.builder.begin(place, is_mapping=char == "{")
            self._closers.append(CLOSERS[char])
            self._at += 1
            self._first_member()
        elif char == '"':
            self.builder.scalar(self._string(), place)
        else:
            self.builder.scalar(self._plain(), place)

    def _first_member(self) -> None:
        """Read what follows an opening bracket, where no comma stands yet."""
        self._skip()
        if self._text.startswith(self._closers[-1], self._at):
            self._close()
        else:
            self._element()

    def _member(self) -> None:
        """Read a comma and what follows, or the closing bracket."""
        self._skip()
        if self._text.startswith(self._closers[-1], self._at):
            self._close()
            return
        self._expect(",")
        self._element()

    def _element(self) -> None:
        if self._closers[-1] == "}":
            self._skip()
            place = self._place(self._at)
            if not self._text.startswith('"', self._at):
                raise self._syntax('a key in double quotes, such as "name", is missing here')
            self.builder.key(self._string(), place)
            self._skip()
            self._expect(":")
        self._value()

    def _close(self) -> None:
        self._closers.pop()
        self._at += 1
        self.builder.end()

    def _expect(self, char: str) -> None:
        if not self._text.startswith(char, self._at):
            raise self._syntax(f"{char!r} is missing here")
        self._at += 1

    def _skip(self) -> None:
        match = SPACE_RE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _string(self) -> str:
        try:
            text, self._at = DECODER.raw_decode(self._text, self._at)
        except JSONDecodeError as error:
            self._at = error.pos
            raise self._syntax(error.msg[0].lower() + error.msg[1:]) from None
        return str(text)

    def _plain(self) -> Json:
        number = NUMBER_RE.match(self._text, self._at)
        if number:
            self._at = number.end()
            if number[1] or number[2]:
                return float(number[0])
            return int(number[0]) if len(number[0]) <= DIGITS_MAX else 10**DIGITS_MAX
        word = WORD_RE.match(self._text, self._at)
        if word and word[0] in CONSTANTS:
            self._at = word.end()
            return CONSTANTS[word[0]]
        if word and word[0].lstrip("-") in ("NaN", "Infinity"):
            self._at = word.end()
            return float(word[0])
        raise self._syntax("a value is missing here")

    def _place(self, at: int) -> Place:
        line = bisect_right(self._lines, at)
        return line, at - self._lines[line - 1] + 1

    def _syntax(self, what: str) -> Halt:
        line, column = self._place(self._at)
        near = self._text[self._at : self._at + 20].split("\n")[0]
        return Halt(
            Fault(
                code="PDM-D001",
                message=f"The text is not JSON: {what}"
                + (f", before {near!r}." if near else ", at the end of the text."),
                why="JSON has no comments, no trailing commas and no single quotes.",
                fix="Correct it, or write the definition in YAML.",
                line=line,
                column=column,
            )
        )
