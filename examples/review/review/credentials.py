"""Secrets in the source: a telling name bound to a literal that looks like a real secret."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from .findings import Hit
from .tree import FunctionNode, Module

__all__ = ["secret_hits"]

_SECRET_NAME: Final = re.compile(
    r"(?:^|_)(?:password|passwd|pwd|passphrase|secret|token|api_?key|secret_?key|access_?key"
    r"|private_?key)$",
    re.IGNORECASE,
)
_LENGTHS: Final = range(8, 257)
# What stands for a secret without being one: a path, a template, the name of a variable.
_PLACEHOLDER: Final = re.compile(r"[\s{}<>$%]|://|^[./~]|^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$")


def secret_hits(module: Module) -> Iterator[Hit]:
    """Yield each literal secret; the message names the variable and never the value."""
    for name, value in _named_values(module):
        if _SECRET_NAME.search(name) and _looks_real(value):
            text = f"The value of {name} is written in the source."
            yield Hit("R013", value.lineno, value.col_offset, text)


def _looks_real(value: ast.expr) -> bool:
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        return False
    text = value.value
    if len(text) not in _LENGTHS or not text.isascii() or _PLACEHOLDER.search(text):
        return False
    # Words alone are labels ("password", "access-token"); keys mix letters and digits.
    return any(c.isdigit() for c in text) and any(c.isalpha() for c in text)


def _named_values(module: Module) -> Iterator[tuple[str, ast.expr]]:
    for target, value in module.assignments:
        yield _name(target), value
    for call in module.calls:
        yield from ((word.arg, word.value) for word in call.keywords if word.arg)
    for display in module.dicts:
        pairs = zip(display.keys, display.values, strict=True)
        yield from ((_text(key), value) for key, value in pairs if key is not None)
    for function in module.functions:
        yield from _defaults(function.node)


def _defaults(node: FunctionNode) -> Iterator[tuple[str, ast.expr]]:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    last = positional[len(positional) - len(arguments.defaults) :]
    yield from ((arg.arg, value) for arg, value in zip(last, arguments.defaults, strict=True))
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    yield from ((arg.arg, value) for arg, value in pairs if value is not None)


def _name(target: ast.expr) -> str:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case _:
            return ""


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
