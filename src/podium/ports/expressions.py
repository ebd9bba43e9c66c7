"""The expression engine behind `${{ … }}`: compile once, evaluate often, always bounded."""

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Expressions", "Program"]


class Program(Protocol):
    """A compiled expression."""

    @property
    def source(self) -> str:
        """Return the text the program was compiled from."""

    @property
    def references(self) -> frozenset[tuple[str, ...]]:
        """Return the variable paths read, such as `("tasks", "list", "output")`.

        A path ends where the expression stops using constant member names, so `tasks[x]` reads
        `("tasks",)`. Used to find unknown names and to pass the engine no more than it needs.
        """

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Return the value over `scope` as plain JSON data; same scope, same value.

        Raises `podium.core.template.ExpressionFailure` on a type error, a missing member or a
        limit (iterations, depth, size of the result).
        """


class Expressions(Protocol):
    """Compiles expression text; holds no state that changes results."""

    def compile(self, source: str) -> Program:
        """Return the program of `source`; raises `ExpressionFailure` naming column and cause."""
