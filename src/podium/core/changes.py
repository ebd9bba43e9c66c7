"""What an edit changed, value by value: the difference of two JSON values."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

__all__ = ["Change", "changes"]

CHANGES_MAX: Final = 200
"""More are not listed one by one: the two values stand beside them."""


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change, in the words of JSON Patch (RFC 6902), with what was there before."""

    op: str
    """add, remove or replace."""
    path: str
    """JSON pointer."""
    old: Any = None
    new: Any = None


def changes(before: Any, after: Any) -> list[Change]:
    """Return what leads from `before` to `after`, at most 200 changes.

    >>> [(c.op, c.path, c.old, c.new) for c in changes({"a": [1, 2]}, {"a": [1, 3], "b": 4})]
    [('replace', '/a/1', 2, 3), ('add', '/b', None, 4)]
    """
    found: list[Change] = []
    for change in _compare(before, after, ""):
        found.append(change)
        if len(found) == CHANGES_MAX:
            break
    return found


def _compare(before: Any, after: Any, path: str) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(before, after, path)
    # True equals 1 in Python, and is another value in JSON.
    elif before != after or isinstance(before, bool) is not isinstance(after, bool):
        yield Change(op="replace", path=path, old=before, new=after)


def _objects(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[Change]:
    for key, value in before.items():
        at = f"{path}/{_escaped(key)}"
        if key in after:
            yield from _compare(value, after[key], at)
        else:
            yield Change(op="remove", path=at, old=value)
    for key, value in after.items():
        if key not in before:
            yield Change(op="add", path=f"{path}/{_escaped(key)}", new=value)


def _lists(before: list[Any], after: list[Any], path: str) -> Iterator[Change]:
    for index, (old, new) in enumerate(zip(before, after, strict=False)):
        yield from _compare(old, new, f"{path}/{index}")
    # From the end, so that the pointers stay right while one follows them.
    for index in range(len(before) - 1, len(after) - 1, -1):
        yield Change(op="remove", path=f"{path}/{index}", old=before[index])
    for index in range(len(before), len(after)):
        yield Change(op="add", path=f"{path}/{index}", new=after[index])


def _escaped(key: Any) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")
