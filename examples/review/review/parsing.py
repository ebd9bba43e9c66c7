"""From text to `Module`: one parse and one walk, shared by the three reviewers of a file.

The walk does not recurse, because a hostile file may nest deeper than the interpreter's stack;
and it is the only one, because 1,500 files make four million nodes.
"""

import ast
import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeGuard, cast

from .source import Source
from .tree import DEPTH_MAX, Class, Function, FunctionNode, Module, Unparsable

__all__ = ["parse"]

_FILENAME: Final = "<reviewed>"

# The reviewers of a file run in parallel threads: the first one parses, the others share.
_parsing = threading.Lock()


def parse(source: Source) -> Module | Unparsable:
    """Return the collected tree of a file, or why there is none. Safe in parallel threads."""
    with _parsing:
        return _parse(source)


@functools.lru_cache(maxsize=8)
def _parse(source: Source) -> Module | Unparsable:
    if source.fault:
        return Unparsable(source.fault[0], 0, source.fault[1])
    if "\0" in source.text:
        line = source.text.count("\n", 0, source.text.index("\0")) + 1
        return Unparsable(line, 0, "the text contains a null byte")
    # Python warns about invalid escapes in old files; that is not our output. The filter names
    # only our file name, and is set again each time because test runners reset the list.
    warnings.filterwarnings("ignore", module=_FILENAME)
    try:
        tree = ast.parse(source.text, filename=_FILENAME)
    except SyntaxError as error:
        line = min(max(error.lineno or 1, 1), len(source.lines))
        return Unparsable(line, 0, error.msg)
    except (RecursionError, MemoryError):
        return Unparsable(1, 0, "the code is nested too deeply for the parser")
    module = Module(source, tree)
    _Walk(module).run()
    return module


class _Scope(NamedTuple):
    """Where a node stands: the dotted name around it and the function it counts for."""

    name: str = ""
    public: bool = True
    in_class: bool = False
    function: Function | None = None
    depth: int = 0


class _Walk:
    """Visits every node once and files it under what the rules ask for."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.elifs: set[int] = set()

    def run(self) -> None:
        """Fill the module."""
        stack: list[tuple[ast.AST, _Scope]] = [(self.module.tree, _Scope())]
        while stack:
            node, scope = stack.pop()
            visit = _VISITS.get(type(node))
            if visit is not None:
                scope = visit(self, node, scope)
            stack.extend((child, scope) for child in _children(node))

    def function(self, node: FunctionNode, scope: _Scope) -> _Scope:
        """Start a function; its body counts for it alone."""
        name = f"{scope.name}.{node.name}" if scope.name else node.name
        public = scope.public and scope.function is None and not node.name.startswith("_")
        found = Function(node, name, public, scope.in_class)
        self.module.functions.append(found)
        if not scope.in_class:
            self.module.shadowed.add(node.name)
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        self.module.shadowed.update(argument.arg for argument in every)
        return _Scope(name, public, function=found)

    def class_(self, node: ast.ClassDef, scope: _Scope) -> _Scope:
        """Start a class; its functions are methods."""
        name = f"{scope.name}.{node.name}" if scope.name else node.name
        public = scope.public and scope.function is None and not node.name.startswith("_")
        self.module.classes.append(Class(node, name, public))
        return _Scope(name, public, in_class=True)

    def import_(self, node: ast.Import, scope: _Scope) -> _Scope:
        """Remember what the imported names stand for."""
        for alias in node.names:
            first = alias.name.partition(".")[0]
            self.module.names[alias.asname or first] = alias.name if alias.asname else first
        return scope

    def import_from(self, node: ast.ImportFrom, scope: _Scope) -> _Scope:
        """Remember what the names stand for; relative imports are never a known library."""
        for alias in node.names:
            origin = f".{node.module or ''}" if node.level else str(node.module)
            self.module.names[alias.asname or alias.name] = f"{origin}.{alias.name}"
        return scope

    def block(self, node: ast.stmt, scope: _Scope) -> _Scope:
        """Count a compound statement as a branch where it is one, and as a level."""
        function = scope.function
        depth = scope.depth if id(node) in self.elifs else scope.depth + 1
        if isinstance(node, ast.If) and _is_elif(node):
            self.elifs.add(id(node.orelse[0]))
        if isinstance(node, ast.Try | ast.TryStar) and node.finalbody:
            self.module.finals.append(node.finalbody)
        if function is not None:
            function.branches += isinstance(node, ast.If | ast.For | ast.AsyncFor | ast.While)
            function.depth = max(function.depth, depth)
            first = function.too_deep
            if depth > DEPTH_MAX and (first is None or node.lineno < first.lineno):
                function.too_deep = node
        return scope._replace(depth=depth)

    def branch(self, node: ast.AST, scope: _Scope) -> _Scope:
        """Count a decision that is not a block: `and`, `x if y else z`, `case`, `except`."""
        if isinstance(node, ast.ExceptHandler):
            self.module.handlers.append(node)
        if scope.function is not None:
            scope.function.branches += _decisions(node)
        return scope

    def call(self, node: ast.Call, scope: _Scope) -> _Scope:
        """Collect a call."""
        self.module.calls.append(node)
        return scope

    def assert_(self, node: ast.Assert, scope: _Scope) -> _Scope:
        """Collect an assertion."""
        self.module.asserts.append(node)
        return scope

    def assign(self, node: ast.Assign, scope: _Scope) -> _Scope:
        """Collect an assignment to each of its targets."""
        self.module.assignments.extend((target, node.value) for target in node.targets)
        return scope

    def annotated(self, node: ast.AnnAssign, scope: _Scope) -> _Scope:
        """Collect an annotated assignment that has a value."""
        if node.value is not None:
            self.module.assignments.append((node.target, node.value))
        return scope

    def dict_(self, node: ast.Dict, scope: _Scope) -> _Scope:
        """Collect a dictionary display."""
        self.module.dicts.append(node)
        return scope


def _is_elif(node: ast.If) -> bool:
    # The tree holds `elif` as an `if` in `else`; only the column tells them apart.
    first = node.orelse[0] if len(node.orelse) == 1 else None
    return isinstance(first, ast.If) and first.col_offset == node.col_offset


def _decisions(node: ast.AST) -> int:
    match node:
        case ast.BoolOp():
            return len(node.values) - 1
        case ast.comprehension():
            return 1 + len(node.ifs)
        case ast.match_case(pattern=ast.MatchAs(pattern=None), guard=None):
            return 0
        case _:
            return 1


_Visit = Callable[[_Walk, Any, _Scope], _Scope]

_VISITS: Final[dict[type[ast.AST], _Visit]] = {
    ast.FunctionDef: _Walk.function,
    ast.AsyncFunctionDef: _Walk.function,
    ast.ClassDef: _Walk.class_,
    ast.Import: _Walk.import_,
    ast.ImportFrom: _Walk.import_from,
    ast.Call: _Walk.call,
    ast.Assert: _Walk.assert_,
    ast.Assign: _Walk.assign,
    ast.AnnAssign: _Walk.annotated,
    ast.Dict: _Walk.dict_,
    **dict.fromkeys((ast.If, ast.For, ast.AsyncFor, ast.While, ast.Match), _Walk.block),
    **dict.fromkeys((ast.Try, ast.TryStar, ast.With, ast.AsyncWith), _Walk.block),
    **dict.fromkeys((ast.BoolOp, ast.IfExp, ast.comprehension), _Walk.branch),
    **dict.fromkeys((ast.match_case, ast.ExceptHandler), _Walk.branch),
}

# Names, constants and operators have no children and interest no rule on their own; most
# nodes of a tree are one of these.
_LEAVES: Final = (ast.Name, ast.Constant, ast.operator, ast.cmpop, ast.expr_context)
_TEXT_FIELDS: Final = frozenset(
    "id ctx op ops arg attr name names type_comment type_ignores kind module level asname "
    "simple is_async conversion rest".split()
)


def _has_parts(value: object) -> TypeGuard[ast.AST]:
    return isinstance(value, ast.AST) and not isinstance(value, _LEAVES)


_FIELDS: Final[dict[type[ast.AST], tuple[str, ...]]] = {
    kind: tuple(name for name in kind._fields if name not in _TEXT_FIELDS)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}


def _children(node: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    for name in _FIELDS[type(node)]:
        value = getattr(node, name, None)
        if isinstance(value, list):
            items = cast(list[object], value)
            found.extend(item for item in items if _has_parts(item))
        elif _has_parts(value):
            found.append(value)
    return found
