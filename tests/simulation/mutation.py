"""Takes one guard out of the code: its function is compiled again without it, everywhere."""

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, NamedTuple

import pytest

__all__ = ["Mutant", "mutate"]


class Mutant(NamedTuple):
    """One guard, and what stands in its place without it."""

    name: str
    place: Any
    """The module or class with the function that holds the guard."""
    old: str
    new: str

    def __str__(self) -> str:
        return self.name


def mutate(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the guarded function by its mutant wherever somebody holds it."""
    [(name, original)] = guarded(mutant)
    source = source_of(original)
    made: dict[str, Any] = {}
    changed = source.replace(mutant.old, mutant.new)
    exec(changed, vars(sys.modules[original.__module__]), made)
    monkeypatch.setattr(mutant.place, name, made[original.__name__])
    for table, key in holders(original):
        monkeypatch.setitem(table, key, made[original.__name__])


def guarded(mutant: Mutant) -> list[tuple[str, FunctionType]]:
    """Return the function that holds the guard; it must stand there once."""
    found = [
        (name, each)
        for name, each in vars(mutant.place).items()
        if isinstance(each, FunctionType) and mutant.old in source_of(each)
    ]
    assert len(found) == 1, f"{mutant.name}: {mutant.old!r} stands in {[n for n, _ in found]}"
    assert source_of(found[0][1]).count(mutant.old) == 1
    return found


def source_of(function: FunctionType) -> str:
    """Return the text of a function as if it stood in the first column."""
    return textwrap.dedent(inspect.getsource(function))


def holders(function: Callable[..., Any]) -> Iterator[tuple[dict[Any, Any], Any]]:
    """Yield the module tables, and the tables in them, that hold a function."""
    for name in sorted(sys.modules):
        if not name.startswith("podium"):
            continue
        names = vars(sys.modules[name])
        for table in [names, *(each for each in names.values() if type(each) is dict)]:
            yield from ((table, key) for key, value in list(table.items()) if value is function)
