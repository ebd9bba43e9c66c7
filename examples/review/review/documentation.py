"""The reviewer for documentation: public modules, classes and functions without docstring."""

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from .findings import FileEntry, Hit, Review
from .reviewer import review
from .tree import Function, Module

__all__ = ["documentation"]

_TEST_FOLDERS: Final = frozenset({"test", "tests"})
# Their contract is that of what they belong to, which carries the docstring.
_DOCUMENTED_ELSEWHERE: Final = frozenset({"overload", "override", "setter", "deleter"})


def documentation(file: FileEntry) -> Review:
    """Review one file for missing docstrings; tests and private names need none."""
    return review(file, reviewer="documentation", rules=_rules)


def _rules(module: Module) -> Iterator[Hit]:
    path = PurePosixPath(module.source.path)
    if not _is_test(path) and not _is_private(path):
        yield from _undocumented(module, path.name)


def _undocumented(module: Module, name: str) -> Iterator[Hit]:
    if module.tree.body and not ast.get_docstring(module.tree, clean=False):
        yield Hit("D001", 1, 0, f"The module {name} has no docstring.")
    for found in module.classes:
        if found.public and not ast.get_docstring(found.node, clean=False):
            yield _missing("D002", found.node, f"class {found.name}")
    for function in module.functions:
        if function.public and _needs_docstring(function):
            kind = "method" if function.is_method else "function"
            yield _missing("D003", function.node, f"{kind} {function.name}")


def _missing(rule: str, node: ast.stmt, what: str) -> Hit:
    return Hit(rule, node.lineno, node.col_offset, f"The {what} has no docstring.")


def _is_test(path: PurePosixPath) -> bool:
    if not _TEST_FOLDERS.isdisjoint(path.parts[:-1]):
        return True
    return path.stem == "conftest" or path.stem.startswith("test_") or path.stem.endswith("_test")


def _is_private(path: PurePosixPath) -> bool:
    names = [*path.parts[:-1], path.stem]
    return any(name.startswith("_") and name != "__init__" for name in names)


def _needs_docstring(function: Function) -> bool:
    decorators = {_last_name(each) for each in function.node.decorator_list}
    if not decorators.isdisjoint(_DOCUMENTED_ELSEWHERE):
        return False
    return not ast.get_docstring(function.node, clean=False)


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""
