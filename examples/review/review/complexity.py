"""The reviewer for complexity: branches, length, nesting and parameters of each function."""

from collections.abc import Iterator
from typing import Final

from .findings import FileEntry, Hit, Review
from .reviewer import review
from .tree import DEPTH_MAX, Function, Module

__all__ = ["complexity"]

BRANCHES_MAX: Final = 10
LINES_MAX: Final = 60
PARAMETERS_MAX: Final = 6


def complexity(file: FileEntry) -> Review:
    """Review one file for functions that are hard to follow; each finding has its measure."""
    return review(file, reviewer="complexity", rules=_rules)


def _rules(module: Module) -> Iterator[Hit]:
    for function in module.functions:
        yield from _measure(function)


def _measure(function: Function) -> Iterator[Hit]:
    node = function.node
    line, offset, name = node.lineno, node.col_offset, function.name
    if function.branches > BRANCHES_MAX:
        text = f"{name} has a cyclomatic complexity of {function.branches}"
        yield Hit("C001", line, offset, f"{text} (limit {BRANCHES_MAX}).")
    length = (node.end_lineno or line) - line + 1
    if length > LINES_MAX:
        yield Hit("C002", line, offset, f"{name} has {length} lines (limit {LINES_MAX}).")
    deep = function.too_deep
    if deep is not None:
        text = f"{name} nests {function.depth} levels deep (limit {DEPTH_MAX})."
        yield Hit("C003", deep.lineno, deep.col_offset, text)
    parameters = _parameters(function)
    if parameters > PARAMETERS_MAX:
        text = f"{name} takes {parameters} parameters (limit {PARAMETERS_MAX})."
        yield Hit("C004", line, offset, text)


def _parameters(function: Function) -> int:
    """Count what a caller may pass: not the instance or class, not `*args` and `**kwargs`."""
    arguments = function.node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    bound = function.is_method and positional and positional[0].arg in {"self", "cls"}
    return len(positional) + len(arguments.kwonlyargs) - bool(bound)
