"""What the rules ask about one parsed file, and what an expression surely stands for."""

import ast
from dataclasses import dataclass, field
from typing import Final

from .source import Source

__all__ = ["DEPTH_MAX", "Class", "Function", "FunctionNode", "Module", "Unparsable"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

DEPTH_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Unparsable:
    """Why Python cannot parse a file, and where."""

    line: int
    offset: int
    reason: str


@dataclass(slots=True)
class Function:
    """A function with the measures of its own body; nested functions are measured apart."""

    node: FunctionNode
    name: str
    public: bool
    """Importable under a public name: not private, not inside a function."""
    is_method: bool
    branches: int = 1
    depth: int = 0
    too_deep: ast.stmt | None = None
    """The first statement nested deeper than `DEPTH_MAX`."""


@dataclass(slots=True)
class Class:
    """A class and whether it can be imported under a public name."""

    node: ast.ClassDef
    name: str
    public: bool


@dataclass(slots=True)
class Module:
    """The parts of one file the rules look at, in no particular order."""

    source: Source
    tree: ast.Module
    names: dict[str, str] = field(default_factory=dict[str, str])
    """What an imported name stands for: `{"sp": "subprocess", "run": "subprocess.run"}`."""
    shadowed: set[str] = field(default_factory=set[str])
    """Names of functions and parameters, which therefore may not be the library's."""
    functions: list[Function] = field(default_factory=list[Function])
    classes: list[Class] = field(default_factory=list[Class])
    calls: list[ast.Call] = field(default_factory=list[ast.Call])
    handlers: list[ast.ExceptHandler] = field(default_factory=list[ast.ExceptHandler])
    finals: list[list[ast.stmt]] = field(default_factory=list[list[ast.stmt]])
    """The bodies of `finally`."""
    asserts: list[ast.Assert] = field(default_factory=list[ast.Assert])
    assignments: list[tuple[ast.expr, ast.expr]] = field(
        default_factory=list[tuple[ast.expr, ast.expr]]
    )
    """Pairs of target and value."""
    dicts: list[ast.Dict] = field(default_factory=list[ast.Dict])

    def imports(self, name: str) -> bool:
        """Return whether the file imports the module `name` or something from it."""
        return any(full.partition(".")[0] == name for full in self.names.values())

    def qualified(self, node: ast.expr) -> str:
        """Return the dotted name an expression surely stands for, or an empty text.

        Only imported names and builtins count: `requests.get` of a local variable does not.
        """
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        if node.id in self.shadowed:
            return ""
        known = self.names.get(node.id)
        if known is None:
            return "" if parts else node.id
        return ".".join([known, *reversed(parts)])
