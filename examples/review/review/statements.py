"""Statements that hide failures: swallowed exceptions, shared defaults, assertions in vain."""

import ast
from collections.abc import Iterator
from typing import Final

from .findings import Hit
from .tree import Function, Module

__all__ = ["statement_hits"]

_ALL_ERRORS: Final = frozenset({"Exception", "BaseException"})
_NEW_CONTAINERS: Final = frozenset(
    {"list", "dict", "set", "bytearray"}
    | {"collections.defaultdict", "collections.deque", "collections.OrderedDict"}
)
_CONTAINER_DISPLAYS: Final = (
    ast.List,
    ast.Dict,
    ast.Set,
    ast.ListComp,
    ast.DictComp,
    ast.SetComp,
)
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def statement_hits(module: Module) -> Iterator[Hit]:
    """Yield the statements of one file that hide or misplace a failure."""
    for handler in module.handlers:
        yield from _handler(module, handler)
    for body in module.finals:
        yield from (_at("R016", node, "return in finally.") for node in _returns(body))
    for assertion in module.asserts:
        if isinstance(assertion.test, ast.Tuple) and assertion.test.elts:
            yield _at("R017", assertion, "The assertion tests a tuple, which is always true.")
    for function in module.functions:
        yield from _shared_defaults(module, function)


def _shared_defaults(module: Module, function: Function) -> Iterator[Hit]:
    arguments = function.node.args
    for default in [*arguments.defaults, *arguments.kw_defaults]:
        if default is not None and _is_mutable(module, default):
            text = f"{function.name} shares a mutable default between its calls."
            yield _at("R009", default, text)


def _at(rule: str, node: ast.stmt | ast.expr | ast.ExceptHandler, message: str) -> Hit:
    return Hit(rule, node.lineno, node.col_offset, message)


def _handler(module: Module, handler: ast.ExceptHandler) -> Iterator[Hit]:
    if handler.type is None:
        if not _reraises(handler):
            yield _at("R007", handler, "A bare except catches everything, also an interrupt.")
    elif module.qualified(handler.type) in _ALL_ERRORS and all(map(_does_nothing, handler.body)):
        name = module.qualified(handler.type)
        yield _at("R008", handler, f"Every {name} is swallowed without a trace.")


def _reraises(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) for node in handler.body)


def _does_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Pass | ast.Continue)


def _returns(body: list[ast.stmt]) -> Iterator[ast.Return]:
    """Yield the return statements of a block, not those of functions defined in it."""
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, _SCOPES):
            pending.extend(ast.iter_child_nodes(node))


def _is_mutable(module: Module, default: ast.expr) -> bool:
    if isinstance(default, ast.Call):
        return module.qualified(default.func) in _NEW_CONTAINERS
    return isinstance(default, _CONTAINER_DISPLAYS)
