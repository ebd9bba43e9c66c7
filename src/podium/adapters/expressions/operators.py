"""The operators and functions of expressions over plain JSON data.

They follow CEL: no implicit conversion, 64-bit integers that never wrap, equality across all
types. Work that grows with the data is paid for from a `Budget`.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

__all__ = ["FUNCTIONS", "METHODS", "Budget", "OverBudget", "Unsuited", "equal", "kind_of"]

Json = Any

STEPS_MAX: Final = 1_000_000
"""Nodes evaluated and items compared; a million take about a quarter of a second."""
CHARS_MAX: Final = 8_000_000
"""Characters that evaluation may produce in all."""
INT_MIN, INT_MAX = -(2**63), 2**63 - 1


class Unsuited(Exception):
    """An operator or function does not take these values; the text says why."""


class OverBudget(Exception):
    """Evaluation was cut off; the text says which limit."""


class Budget:
    """What one evaluation may still spend."""

    __slots__ = ("chars", "steps")

    def __init__(self) -> None:
        self.steps = STEPS_MAX
        self.chars = CHARS_MAX

    def spend(self, steps: int) -> None:
        """Pay for work; raises `OverBudget`."""
        self.steps -= steps
        if self.steps < 0:
            raise OverBudget(f"it takes more than {STEPS_MAX:,} steps")

    def produce(self, chars: int) -> None:
        """Pay for text, before it is built; raises `OverBudget`."""
        self.chars -= chars
        if self.chars < 0:
            raise OverBudget(f"it produces more than {CHARS_MAX:,} characters")


def kind_of(value: Json) -> str:
    """Return the name of a value's type, as people and the language call it."""
    names = {bool: "bool", int: "int", float: "double", str: "string", list: "list"}
    if value is None:
        return "null"
    return names.get(type(value), "map" if isinstance(value, Mapping) else type(value).__name__)


def equal(left: Json, right: Json, budget: Budget) -> bool:
    """Return whether two values are equal: numbers by value, never across other types."""
    if isinstance(left, list) and isinstance(right, list):
        budget.spend(min(len(left), len(right)))
        return len(left) == len(right) and all(
            equal(a, b, budget) for a, b in zip(left, right, strict=True)
        )
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        budget.spend(len(left))
        return left.keys() == right.keys() and all(
            equal(value, right[key], budget) for key, value in left.items()
        )
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _integer(value: int) -> int:
    if INT_MIN <= value <= INT_MAX:
        return value
    raise Unsuited("the result does not fit a 64-bit integer")


def _are(kind: type, left: Json, right: Json) -> bool:
    return type(left) is kind and type(right) is kind


def add(left: Json, right: Json, budget: Budget) -> Json:
    """Return the sum of two numbers of one type, or two texts or lists joined."""
    if _are(int, left, right):
        return _integer(left + right)
    if _are(float, left, right):
        return left + right
    if _are(str, left, right):
        budget.produce(len(left) + len(right))
        return left + right
    if _are(list, left, right):
        budget.spend(len(left) + len(right))
        return left + right
    raise Unsuited


def subtract(left: Json, right: Json, budget: Budget) -> Json:
    """Return the difference of two numbers of one type."""
    if _are(int, left, right):
        return _integer(left - right)
    if _are(float, left, right):
        return left - right
    raise Unsuited


def multiply(left: Json, right: Json, budget: Budget) -> Json:
    """Return the product of two numbers of one type."""
    if _are(int, left, right):
        return _integer(left * right)
    if _are(float, left, right):
        return left * right
    raise Unsuited


def divide(left: Json, right: Json, budget: Budget) -> Json:
    """Return the quotient; integers are cut towards zero."""
    if _are(int, left, right):
        if right == 0:
            raise Unsuited("it divides by zero")
        quotient = abs(left) // abs(right)
        return _integer(quotient if (left < 0) == (right < 0) else -quotient)
    if _are(float, left, right):
        return _double_quotient(left, right)
    raise Unsuited


def _double_quotient(left: float, right: float) -> float:
    if right:
        return left / right
    if not left or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1, right)


def remainder(left: Json, right: Json, budget: Budget) -> Json:
    """Return the remainder of two integers, with the sign of the first."""
    if not _are(int, left, right):
        raise Unsuited
    if right == 0:
        raise Unsuited("it divides by zero")
    if right == -1:
        # The quotient would not fit, and the language refuses the remainder with it.
        _integer(-left)
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def _comparison(holds: Callable[[Json, Json], bool]) -> Callable[[Json, Json, Budget], bool]:
    def compare(left: Json, right: Json, budget: Budget) -> bool:
        numbers = (int, float)
        if type(left) in numbers and type(right) in numbers:
            return holds(left, right)
        if _are(str, left, right) or _are(bool, left, right):
            return holds(left, right)
        raise Unsuited

    return compare


def contains(container: Json, item: Json, budget: Budget) -> bool:
    """Return whether `item` is in a list, or is a key of a map."""
    if isinstance(container, list):
        budget.spend(len(container))
        return any(equal(item, member, budget) for member in container)
    if isinstance(container, Mapping):
        if not isinstance(item, str | int | float):
            raise Unsuited
        return isinstance(item, str) and item in container
    raise Unsuited


def size(value: Json, budget: Budget) -> int:
    """Return how many characters, items or members a value has."""
    if isinstance(value, str | list | Mapping):
        return len(value)
    raise Unsuited


def negate(value: Json, budget: Budget) -> Json:
    """Return the number with the other sign."""
    if type(value) is int:
        return _integer(-value)
    if type(value) is float:
        return -value
    raise Unsuited


def invert(value: Json, budget: Budget) -> bool:
    """Return the other truth."""
    if type(value) is bool:
        return not value
    raise Unsuited


def _text_test(holds: Callable[[str, str], bool]) -> Callable[[Json, Json, Budget], bool]:
    def test(text: Json, part: Json, budget: Budget) -> bool:
        if not _are(str, text, part):
            raise Unsuited
        budget.spend(len(text) // 100)
        return holds(text, part)

    return test


def join(items: Json, separator: Json, budget: Budget) -> str:
    """Return the texts of a list with `separator` between them."""
    if not isinstance(items, list) or not isinstance(separator, str):
        raise Unsuited
    if not all(isinstance(item, str) for item in items):
        raise Unsuited("every item must be text")
    budget.produce(sum(map(len, items)) + len(separator) * len(items))
    return separator.join(items)


def split(text: Json, separator: Json, budget: Budget) -> list[str]:
    """Return the parts of `text` between separators; with an empty one, its characters."""
    if not _are(str, text, separator):
        raise Unsuited
    budget.produce(len(text))
    budget.spend(text.count(separator) + 1)
    return text.split(separator) if separator else list(text) or [""]


def replace(text: Json, old: Json, new: Json, count: Json, budget: Budget) -> str:
    """Return `text` with `old` replaced, at most `count` times; a negative count is all."""
    if not (_are(str, text, old) and isinstance(new, str) and type(count) is int):
        raise Unsuited
    budget.produce(len(text) + text.count(old) * len(new))
    return str(text.replace(old, new, max(count, -1)))


def _ascii(change: Callable[[bytes], bytes]) -> Callable[[Json, Budget], str]:
    def changed(text: Json, budget: Budget) -> str:
        if not isinstance(text, str):
            raise Unsuited
        budget.produce(len(text))
        # Bytes change only ASCII letters, as the language says; text would change all.
        return change(text.encode()).decode()

    return changed


def to_text(value: Json, budget: Budget) -> str:
    """Return a scalar as text; doubles are left to the engine, which knows their format."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | str):
        return str(value)
    raise NotImplementedError


def to_double(value: Json, budget: Budget) -> float:
    """Return a number as a double."""
    if type(value) in (int, float):
        return float(value)
    raise NotImplementedError


Function = Callable[..., Json]

FUNCTIONS: Final[Mapping[tuple[str, int], Function]] = MappingProxyType(
    {
        ("_+_", 2): add,
        ("_-_", 2): subtract,
        ("_*_", 2): multiply,
        ("_/_", 2): divide,
        ("_%_", 2): remainder,
        ("_==_", 2): equal,
        ("_!=_", 2): lambda left, right, budget: not equal(left, right, budget),
        ("_<_", 2): _comparison(lambda a, b: a < b),
        ("_<=_", 2): _comparison(lambda a, b: a <= b),
        ("_>_", 2): _comparison(lambda a, b: a > b),
        ("_>=_", 2): _comparison(lambda a, b: a >= b),
        ("@in", 2): lambda item, container, budget: contains(container, item, budget),
        ("-_", 1): negate,
        ("!_", 1): invert,
        ("size", 1): size,
        ("dyn", 1): lambda value, budget: value,
        ("string", 1): to_text,
        ("double", 1): to_double,
    }
)

METHODS: Final[Mapping[tuple[str, int], Function]] = MappingProxyType(
    {
        ("size", 1): size,
        ("contains", 2): _text_test(lambda text, part: part in text),
        ("startsWith", 2): _text_test(str.startswith),
        ("endsWith", 2): _text_test(str.endswith),
        ("join", 1): lambda items, budget: join(items, "", budget),
        ("join", 2): join,
        ("split", 2): split,
        ("replace", 3): lambda text, old, new, budget: replace(text, old, new, -1, budget),
        ("replace", 4): replace,
        ("lowerAscii", 1): _ascii(bytes.lower),
        ("upperAscii", 1): _ascii(bytes.upper),
    }
)
