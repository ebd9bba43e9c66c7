"""Which variables an expression reads and which functions it calls."""

from podium.adapters.expressions.syntax import Node

__all__ = ["Path", "calls_of", "references_of"]

Path = tuple[str, ...]


def references_of(tree: Node) -> frozenset[Path]:
    """Return the free variable paths of `tree`; a path ends where names stop being constant."""
    found: set[Path] = set()
    waiting: list[tuple[Node, frozenset[str]]] = [(tree, frozenset())]
    while waiting:
        node, bound = waiting.pop()
        path, outside = _path(node)
        if path:
            if path[0] not in bound:
                found.add(path)
            waiting.extend((part, bound) for part in outside)
        elif node.kind == "fold":
            inner = bound | {node.text, node.value}
            waiting.extend(zip(node.parts, (bound, bound, inner, inner, inner), strict=True))
        else:
            waiting.extend((part, bound) for part in node.parts)
    return frozenset(found)


def calls_of(tree: Node) -> dict[str, Node]:
    """Return the functions and operators that `tree` calls, each with its first place."""
    calls: dict[str, Node] = {}
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node.kind == "call":
            calls.setdefault(node.text, node)
        waiting.extend(node.parts)
    return calls


def _path(node: Node) -> tuple[Path, tuple[Node, ...]]:
    """Return the constant path that `node` is or begins with, and what it reads besides."""
    if node.kind == "ident":
        return (node.text,), ()
    if node.kind in ("select", "has"):
        owner, outside = _path(node.parts[0])
        return ((*owner, node.text) if owner and not _is_cut(node.parts[0]) else owner), outside
    if node.kind == "call" and node.text == "_[_]":
        return _indexed_path(node)
    return (), ()


def _indexed_path(node: Node) -> tuple[Path, tuple[Node, ...]]:
    owner, outside = _path(node.parts[0])
    key = node.parts[1]
    if owner and key.kind == "const":
        is_name = isinstance(key.value, str) and not _is_cut(node.parts[0])
        return ((*owner, key.value) if is_name else owner), outside
    return owner, (*outside, key) if owner else ()


def _is_cut(node: Node) -> bool:
    """Return whether the path of `node` ended at a position or a computed member."""
    if node.kind == "call" and node.text == "_[_]":
        key = node.parts[1]
        is_name = key.kind == "const" and isinstance(key.value, str)
        return not is_name or _is_cut(node.parts[0])
    return node.kind in ("select", "has") and _is_cut(node.parts[0])
