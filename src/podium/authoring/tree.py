"""Builds a document's value and the places of its parts from a stream of tokens.

Shared by the YAML and the JSON reader. Keeps every rule that is about data and not about
syntax: depth, duplicate keys, text that cannot be stored, numbers beyond 64 bits.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from podium.authoring.places import Marks, Place, Places, escape
from podium.errors import Fault

__all__ = ["DEPTH_MAX", "Halt", "TreeBuilder"]

Json = Any

DEPTH_MAX: Final = 32
INT_MIN, INT_MAX = -(2**63), 2**63 - 1


class Halt(Exception):
    """Reading cannot go on; the fault says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _Open:
    """A mapping or list whose end has not been seen yet."""

    __slots__ = ("key", "last", "marks", "value")

    def __init__(self, value: Json, marks: Marks) -> None:
        self.value = value
        self.marks = marks
        self.key: str | None = None
        self.last: str | int = ""
        """The key or position of the value taken last."""


class TreeBuilder:
    """Receives tokens in order; `value`, `root` and `faults` are complete after the last."""

    def __init__(self) -> None:
        self.value: Json = None
        self.root: Marks | Place = (1, 1)
        self.faults: list[Fault] = []
        self.is_complete = True
        self._open: list[_Open] = []

    @property
    def wants_key(self) -> bool:
        """Return whether the next token is a key of a mapping."""
        frame = self._open[-1] if self._open else None
        return frame is not None and frame.key is None and isinstance(frame.value, dict)

    def halt(self, fault: Fault) -> None:
        """Note why reading stopped; what was read so far is only a part."""
        self.faults.append(fault)
        self.is_complete = False

    def begin(self, place: Place, *, is_mapping: bool) -> None:
        """Open a mapping or a list; refuses the one that would be too deep."""
        if self.wants_key:
            raise Halt(_key_fault("a list or an object", place))
        if len(self._open) >= DEPTH_MAX:
            raise Halt(
                Fault(
                    code="PDM-D009",
                    message=f"The document is nested deeper than {DEPTH_MAX} levels.",
                    why="Deep nesting is refused before it can exhaust a reader's stack.",
                    fix="Flatten the data, or let a task produce it.",
                    line=place[0],
                    column=place[1],
                    pointer=self._pointer(),
                )
            )
        value: Json = {} if is_mapping else []
        marks = Marks(place, is_mapping=is_mapping)
        self._put(value, marks)
        self._open.append(_Open(value, marks))

    def end(self) -> None:
        """Close the mapping or list opened last."""
        self._open.pop()

    def key(self, name: Json, place: Place) -> None:
        """Take the key of the next value; a repeated or non-text one is a fault."""
        frame = self._open[-1]
        if not isinstance(name, str):
            self.faults.append(_key_fault(repr(name), place))
            name = str(name)
        elif name in frame.marks.keys:
            self._refuse_duplicate(frame, name, place)
        self._check_text(name, place)
        frame.key = name
        frame.marks.keys.setdefault(name, place)

    def scalar(self, value: Json, place: Place) -> None:
        """Take a value that is not a container."""
        kind = value.__class__
        if kind is str:
            self._check_text(value, place)
        elif kind is int and not INT_MIN <= value <= INT_MAX:
            self._refuse_number("an integer outside 64 bits", place)
            value = 0
        elif kind is float and not math.isfinite(value):
            self._refuse_number("not a finite number", place)
            value = 0
        self._put(value, place)

    def _put(self, value: Json, mark: Marks | Place) -> None:
        if not self._open:
            self.value, self.root = value, mark
            return
        frame = self._open[-1]
        if frame.key is None:
            frame.last = len(frame.value)
            frame.value.append(value)
            frame.marks.inside.append(mark)  # type: ignore[union-attr]
            return
        frame.last = frame.key
        # Of a repeated key the first value stays: it is the one the fault points back to.
        frame.value.setdefault(frame.key, value)
        frame.marks.inside.setdefault(frame.key, mark)  # type: ignore[union-attr]
        frame.key = None

    def _pointer(self) -> str:
        """Return the pointer of the value that comes next."""
        if not self._open:
            return ""
        top = self._open[-1]
        path = [str(frame.last) for frame in self._open[:-1]]
        if top.key is not None:
            path.append(top.key)
        elif isinstance(top.value, list):
            path.append(str(len(top.value)))
        return "".join(f"/{escape(part)}" for part in path)

    def _refuse_duplicate(self, frame: _Open, name: str, place: Place) -> None:
        line, column = frame.marks.keys[name]
        self.faults.append(
            Fault(
                code="PDM-D005",
                message=f"The key {name!r} is repeated; it is already at {line}:{column}.",
                why="Most readers would keep the last one silently.",
                fix="Remove one of the two.",
                line=place[0],
                column=place[1],
                pointer=f"{self._pointer()}/{escape(name)}",
            )
        )

    def _check_text(self, text: str, place: Place) -> None:
        if "\0" in text:
            self._refuse_text("a NUL character", place)
        elif not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                self._refuse_text("a lone surrogate, half of a character", place)

    def _refuse_text(self, what: str, place: Place) -> None:
        self.faults.append(
            Fault(
                code="PDM-D004",
                message=f"A text holds {what}.",
                why="Such text cannot be stored and read back unchanged.",
                fix="Remove the character.",
                line=place[0],
                column=place[1],
                pointer=self._pointer(),
            )
        )

    def _refuse_number(self, what: str, place: Place) -> None:
        self.faults.append(
            Fault(
                code="PDM-D010",
                message=f"A number is {what}.",
                why=f"Integers go from {INT_MIN} to {INT_MAX}; NaN and infinity are no JSON.",
                fix="Use a smaller number, or quote the value to make it text.",
                line=place[0],
                column=place[1],
                pointer=self._pointer(),
            )
        )

    def places(
        self, aliases: Mapping[str, tuple[str, ...]], equivalents: Mapping[str, str]
    ) -> Places:
        """Return the places of everything read; see `Places`."""
        return Places(self.root, aliases, equivalents)


def _key_fault(what: str, place: Place) -> Fault:
    return Fault(
        code="PDM-D016",
        message=f"A key is {what}; keys are text.",
        why="Definitions are JSON data, where every key is text.",
        fix="Quote the key.",
        line=place[0],
        column=place[1],
    )
