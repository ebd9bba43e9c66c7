"""A parsed expression compiled to closures over plain JSON data.

The engine's own evaluator copies all data in, cuts text at NUL, appends to lists in quadratic
time and has no limit on memory. Here data is read in place, and everything is paid for from a
budget; what is rare (time, patterns, formats) is left to the engine, value by value.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from podium.adapters.expressions.operators import (
    FUNCTIONS,
    METHODS,
    Budget,
    OverBudget,
    Unsuited,
    kind_of,
)
from podium.adapters.expressions.syntax import Node
from podium.core.template import ExpressionFailure

__all__ = ["Delegate", "compile_tree"]

Json = Any
Scope = Mapping[str, Json]
Evaluate = Callable[[Scope, Budget], Json]
Delegate = Callable[[str, list[Json]], Json]
"""Calls a function of the engine by name, or a method by name with a dot before it."""

DELEGATED_STEPS: Final = 100
"""A call of the engine costs what about a hundred nodes cost."""

SYMBOLS: Final = {"@in": "in", "_[_]": "[]"}


def compile_tree(tree: Node, source: str, delegate: Delegate) -> Evaluate:
    """Return a function that evaluates `tree` over a scope within a budget."""
    return _TreeCompiler(source, delegate).compile(tree)


class _TreeCompiler:
    """Compiles the nodes of one expression."""

    def __init__(self, source: str, delegate: Delegate) -> None:
        self._source = source
        self._delegate = delegate

    def compile(self, node: Node) -> Evaluate:
        """Return the closure of one node."""
        by_kind: dict[str, Callable[[Node], Evaluate]] = {
            "const": self._const,
            "ident": self._ident,
            "select": self._member,
            "has": self._member,
            "list": self._list,
            "map": self._map,
            "fold": self._fold,
            "call": self._call,
        }
        return by_kind[node.kind](node)

    def _const(self, node: Node) -> Evaluate:
        value = node.value
        return lambda scope, budget: value

    def _list(self, node: Node) -> Evaluate:
        items = [self.compile(part) for part in node.parts]
        return lambda scope, budget: [item(scope, budget) for item in items]

    def _failure(
        self, node: Node, what: str, *, fix: str = "", code: str = "PDM-D307"
    ) -> ExpressionFailure:
        return ExpressionFailure(
            f"Expression {self._source[:200]!r}: {what}.",
            fix=fix,
            code=code,
            source=self._source,
            column=node.column,
        )

    def _missing(self, node: Node, what: str) -> ExpressionFailure:
        fix = "Test it first: has(x.y) ? x.y : null"
        return self._failure(node, what, fix=fix, code="PDM-D304")

    def _ident(self, node: Node) -> Evaluate:
        name = node.text

        def variable(scope: Scope, budget: Budget) -> Json:
            try:
                return scope[name]
            except KeyError:
                raise self._missing(node, f"{name!r} has no value here") from None

        return variable

    def _member(self, node: Node) -> Evaluate:
        name, owner = node.text, self.compile(node.parts[0])

        def member(scope: Scope, budget: Budget) -> Json:
            value = owner(scope, budget)
            if not isinstance(value, Mapping):
                raise self._missing(node, f"a {kind_of(value)} has no member {name!r}")
            if name not in value:
                raise self._missing(node, f"there is no member {name!r}")
            return value[name]

        def has(scope: Scope, budget: Budget) -> bool:
            value = owner(scope, budget)
            if not isinstance(value, Mapping):
                raise self._missing(node, f"a {kind_of(value)} has no members")
            return name in value

        return has if node.kind == "has" else member

    def _map(self, node: Node) -> Evaluate:
        entries = [
            (self.compile(key), self.compile(value))
            for key, value in zip(node.parts[::2], node.parts[1::2], strict=True)
        ]

        def build(scope: Scope, budget: Budget) -> dict[str, Json]:
            built: dict[str, Json] = {}
            for key, value in entries:
                name = key(scope, budget)
                if not isinstance(name, str):
                    raise self._failure(node, f"a key is {kind_of(name)}; keys are strings")
                if name in built:
                    raise self._failure(node, f"the key {name!r} is repeated")
                built[name] = value(scope, budget)
            return built

        return build

    def _call(self, node: Node) -> Evaluate:
        special = {
            "_&&_": self._logic,
            "_||_": self._logic,
            "_?_:_": self._choice,
            "_[_]": self._index,
        }.get(node.text)
        if special is not None:
            return special(node)
        parts = [self.compile(part) for part in node.parts]
        table = METHODS if node.value else FUNCTIONS
        function = table.get((node.text, len(parts)), _left_to_engine)

        def call(scope: Scope, budget: Budget) -> Json:
            values = [part(scope, budget) for part in parts]
            try:
                return function(*values, budget)
            except NotImplementedError:
                return self._delegated(node, values, budget)
            except Unsuited as unsuited:
                if any(_is_engine_value(value) for value in values):
                    return self._delegated(node, values, budget)
                raise self._unsuited(node, values, str(unsuited)) from None
            except OverBudget as over:
                raise self._limit(node, str(over)) from None

        return call

    def _delegated(self, node: Node, values: list[Json], budget: Budget) -> Json:
        sized = sum(len(value) for value in values if isinstance(value, str | list))
        try:
            budget.spend(DELEGATED_STEPS + sized // 10)
            return self._delegate(f".{node.text}" if node.value else node.text, values)
        except OverBudget as over:
            raise self._limit(node, str(over)) from None
        except Unsuited as unsuited:
            raise self._unsuited(node, values, str(unsuited)) from None

    def _unsuited(self, node: Node, values: list[Json], why: str) -> ExpressionFailure:
        kinds = " and ".join(kind_of(value) for value in values) or "nothing"
        symbol = SYMBOLS.get(node.text, node.text.strip("_"))
        return self._failure(
            node,
            why or f"{symbol} does not take {kinds}",
            fix="" if why else "Make the types agree: string(x), int(x) and double(x) convert.",
        )

    def _limit(self, node: Node, what: str) -> ExpressionFailure:
        return self._failure(
            node,
            what,
            fix="Compute it in a python: task and read that task's output.",
            code="PDM-D310",
        )

    def _logic(self, node: Node) -> Evaluate:
        left, right = (self.compile(part) for part in node.parts)
        decisive = node.text == "_||_"

        def logic(scope: Scope, budget: Budget) -> bool:
            # One decisive side settles the matter, even if the other side fails.
            try:
                first = self._truth(node, left(scope, budget))
            except ExpressionFailure:
                if self._truth(node, right(scope, budget)) is decisive:
                    return decisive
                raise
            return first if first is decisive else self._truth(node, right(scope, budget))

        return logic

    def _truth(self, node: Node, value: Json) -> bool:
        if value is True or value is False:
            return value
        raise self._failure(node, f"a condition is {kind_of(value)}, not bool")

    def _choice(self, node: Node) -> Evaluate:
        condition, yes, no = (self.compile(part) for part in node.parts)

        def choose(scope: Scope, budget: Budget) -> Json:
            is_yes = self._truth(node, condition(scope, budget))
            return yes(scope, budget) if is_yes else no(scope, budget)

        return choose

    def _index(self, node: Node) -> Evaluate:
        owner, index = (self.compile(part) for part in node.parts)

        def item(scope: Scope, budget: Budget) -> Json:
            value, at = owner(scope, budget), index(scope, budget)
            if isinstance(value, Mapping):
                if isinstance(at, str) and at in value:
                    return value[at]
                raise self._missing(node, f"there is no member {at!r}")
            if not isinstance(value, list):
                raise self._missing(node, f"a {kind_of(value)} has no items")
            return value[self._position(node, at, len(value))]

        return item

    def _position(self, node: Node, at: Json, count: int) -> int:
        position = int(at) if isinstance(at, float) and at.is_integer() else at
        if type(position) is not int:
            raise self._failure(node, f"a position is {kind_of(at)}, not int")
        if not 0 <= position < count:
            raise self._missing(node, f"there is no item {at} of {count}")
        return position

    def _fold(self, node: Node) -> Evaluate:
        """Compile one of the macros all, exists, exists_one, map and filter."""
        items, start, _, step, _ = node.parts
        cost = step.size
        listed = self.compile(items)
        body = self._fold_body(node, start, step)

        def fold(scope: Scope, budget: Budget) -> Json:
            value = listed(scope, budget)
            if not isinstance(value, list | Mapping):
                raise self._failure(node, f"a {kind_of(value)} has no items to go through")
            try:
                budget.spend(cost * len(value))
            except OverBudget as over:
                raise self._limit(node, str(over)) from None
            return body(value, dict(scope), budget)

        return fold

    def _fold_body(
        self, node: Node, start: Node, step: Node
    ) -> Callable[[Any, dict[str, Json], Budget], Json]:
        if step.text == "_&&_":
            return self._any_all(node, step.parts[1], decisive=False)
        if step.text == "_||_":
            return self._any_all(node, step.parts[1], decisive=True)
        test = self.compile(step.parts[0]) if step.text == "_?_:_" else None
        grown = step.parts[1] if step.text == "_?_:_" else step
        if start.kind == "list":
            return self._collect(node, test, self.compile(grown.parts[1].parts[0]))
        return self._exactly_one(node, test)

    def _any_all(
        self, node: Node, test: Node, *, decisive: bool
    ) -> Callable[[Any, dict[str, Json], Budget], Json]:
        name, holds = node.text, self.compile(test)

        def decide(items: Any, scope: dict[str, Json], budget: Budget) -> bool:
            failure: ExpressionFailure | None = None
            for scope[name] in items:
                try:
                    if self._truth(node, holds(scope, budget)) is decisive:
                        return decisive
                except ExpressionFailure as error:
                    failure = failure or error
            if failure:
                raise failure
            return not decisive

        return decide

    def _collect(
        self, node: Node, test: Evaluate | None, item: Evaluate
    ) -> Callable[[Any, dict[str, Json], Budget], Json]:
        name = node.text

        def collect(items: Any, scope: dict[str, Json], budget: Budget) -> list[Json]:
            collected: list[Json] = []
            for scope[name] in items:
                if test is None or self._truth(node, test(scope, budget)):
                    collected.append(item(scope, budget))
            return collected

        return collect

    def _exactly_one(
        self, node: Node, test: Evaluate | None
    ) -> Callable[[Any, dict[str, Json], Budget], Json]:
        name = node.text

        def count(items: Any, scope: dict[str, Json], budget: Budget) -> bool:
            found = 0
            for scope[name] in items:
                found += test is not None and self._truth(node, test(scope, budget))
            return found == 1

        return count


def _left_to_engine(*values: Json) -> Json:
    raise NotImplementedError


def _is_engine_value(value: Json) -> bool:
    """Return whether a value is one that only the engine computes with, such as a time."""
    return not isinstance(value, str | int | float | list | Mapping | None)
