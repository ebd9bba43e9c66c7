"""The parsed form of an expression, read from the engine's own serialized tree.

The tree is the public protobuf form of CEL (`cel.expr.ParsedExpr`). Reading the few fields
needed here takes a page of code and saves the protobuf runtime as a dependency.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

__all__ = ["Node", "read_tree"]

Json = Any
Wire = bytes | int
Message = dict[int, list[Wire]]

# Field numbers of cel.expr.Expr, and of the constants in it.
EXPR_ID, CONSTANT, IDENT, SELECT, CALL, LIST, STRUCT, FOLD = 2, 3, 4, 5, 6, 7, 8, 9
NULL, BOOLEAN, INTEGER, UNSIGNED, DOUBLE, TEXT, BYTES = 1, 2, 3, 4, 5, 6, 7
PARSED_EXPR, SOURCE_INFO, POSITIONS = 2, 3, 4


@dataclass(slots=True, frozen=True)
class Node:
    """One node of an expression. `column` is 1-based, 0 if unknown.

    kind     text              value           parts
    const                      the value
    ident    variable
    select   member                            operand
    has      member                            operand
    call     function          is a method     arguments, the receiver of a method first
    list                                       items
    map      message type                      key, value, key, value, …
    fold     iteration var     accumulator     range, start, condition, step, result
    """

    kind: str
    column: int = 0
    text: str = ""
    value: Json = None
    parts: tuple["Node", ...] = ()

    @property
    def size(self) -> int:
        """Return the number of nodes from here down."""
        return 1 + sum(part.size for part in self.parts)


def read_tree(serialized: bytes) -> Node:
    """Return the expression in a serialized `Any` that holds a `ParsedExpr`."""
    parsed = _fields(_data(_fields(serialized), 2))
    positions: dict[int, int] = {}
    for source in parsed.get(SOURCE_INFO, ()):
        for entry in _fields(_as_bytes(source)).get(POSITIONS, ()):
            pair = _fields(_as_bytes(entry))
            positions[_number(pair, 1)] = _number(pair, 2)
    return _Reader(positions).node(_data(parsed, PARSED_EXPR))


class _Reader:
    """Turns messages into nodes. The engine's parser has bounded their depth already."""

    def __init__(self, positions: dict[int, int]) -> None:
        self._positions = positions

    def node(self, data: bytes) -> Node:
        """Return the node of one serialized `Expr`."""
        fields = _fields(data)
        column = self._positions.get(_number(fields, EXPR_ID), -1) + 1
        if CONSTANT in fields:
            return Node("const", column, value=_constant(_fields(_data(fields, CONSTANT))))
        if IDENT in fields:
            return Node("ident", column, _text(_fields(_data(fields, IDENT)), 1))
        if SELECT in fields:
            select = _fields(_data(fields, SELECT))
            kind = "has" if _number(select, 3) else "select"
            return Node(kind, column, _text(select, 2), parts=(self.node(_data(select, 1)),))
        return self._compound(fields, column)

    def _compound(self, fields: Message, column: int) -> Node:
        if CALL in fields:
            call = _fields(_data(fields, CALL))
            parts = self._nodes([*call.get(1, ()), *call.get(3, ())])
            return Node("call", column, _text(call, 2), 1 in call, parts)
        if LIST in fields:
            return Node("list", column, parts=self._nodes(_fields(_data(fields, LIST)).get(1, [])))
        if STRUCT in fields:
            built = _fields(_data(fields, STRUCT))
            entries = [_fields(_as_bytes(entry)) for entry in built.get(2, ())]
            parts = self._nodes([e[n][0] for e in entries for n in (3, 4) if n in e])
            return Node("map", column, _text(built, 1), parts=parts)
        fold = _fields(_data(fields, FOLD))
        parts = self._nodes([_data(fold, n) for n in (2, 4, 5, 6, 7)])
        return Node("fold", column, _text(fold, 1), _text(fold, 3), parts)

    def _nodes(self, serialized: list[Wire] | list[bytes]) -> tuple[Node, ...]:
        return tuple(self.node(_as_bytes(data)) for data in serialized)


def _constant(fields: Message) -> Json:
    """Return the value of a constant; a message without any field is null."""
    number = next(iter(fields), NULL)
    return CONSTANT_READERS[number](fields)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _fields(data: bytes) -> Message:
    """Return the fields of one protobuf message by number, in order."""
    fields: Message = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        value: Wire
        if kind == 0:
            value, at = _varint(data, at)
        else:
            size = 8 if kind == 1 else 4
            if kind == 2:
                size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        fields.setdefault(number, []).append(value)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _as_bytes(value: Wire) -> bytes:
    return value if isinstance(value, bytes) else b""


def _data(fields: Message, number: int) -> bytes:
    return _as_bytes(fields.get(number, [b""])[0])


def _text(fields: Message, number: int) -> str:
    return _data(fields, number).decode()


def _number(fields: Message, number: int) -> int:
    value = fields.get(number, [0])[0]
    return value if isinstance(value, int) else 0


CONSTANT_READERS: Final[Mapping[int, Callable[[Message], Json]]] = MappingProxyType(
    {
        NULL: lambda fields: None,
        BOOLEAN: lambda fields: bool(_number(fields, BOOLEAN)),
        INTEGER: lambda fields: _signed(_number(fields, INTEGER)),
        UNSIGNED: lambda fields: _number(fields, UNSIGNED),
        DOUBLE: lambda fields: struct.unpack("<d", _data(fields, DOUBLE))[0],
        TEXT: lambda fields: _text(fields, TEXT),
        BYTES: lambda fields: _data(fields, BYTES),
    }
)
