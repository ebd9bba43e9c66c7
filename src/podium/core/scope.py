"""What an expression can see from its place in a run, built no larger than it is read."""

from collections.abc import Iterable
from typing import Any, Final

from podium.core.ids import run_id
from podium.core.payload import decode_error, pack_list, pack_map
from podium.core.plan import NO_BLOCK
from podium.core.state import NULL, ROOT, RunState, Scope, Step
from podium.core.states import StepKind, StepStatus
from podium.core.template import Template
from podium.core.turn import Turn

__all__ = [
    "expand",
    "items_of",
    "output_of",
    "render_arguments",
    "render_effect_key",
    "scope_at",
    "value_of",
]

VALUES_KEPT: Final = 256
"""Decoded outputs an actor keeps; beyond it, the oldest is decoded again when asked for."""


def output_of(turn: Turn, step: Step) -> bytes:
    """Return the output of an ended step; of maps, loops and blocks put together from below."""
    if step.output is not None:
        return step.output
    if step.fan is not None:
        outputs = step.fan.outputs
        if step.kind is StepKind.LOOP:
            return outputs[-1] if outputs else NULL
        return pack_list(outputs)
    if step.graph is not None:
        return _block_output(turn, step, step.graph)
    return NULL


def _block_output(turn: Turn, step: Step, graph: Scope) -> bytes:
    steps = turn.state.steps
    names = [(turn.plan.tasks[task].name, no) for task, no in graph.members.items()]
    chosen = turn.plan.tasks[step.task].task.output if step.task >= 0 else None
    if chosen is not None:
        number = dict(names).get(chosen)
        return NULL if number is None else output_of(turn, steps[number])
    return pack_map((name, output_of(turn, steps[no])) for name, no in names)


def value_of(turn: Turn, step: Step) -> Any:
    """Return the decoded output of an ended step; do not change it, it is shared."""
    values = turn.facts.values
    if step.no in values:
        return values[step.no]
    value = turn.plan.decode(output_of(turn, step))
    if len(values) >= VALUES_KEPT:
        del values[next(iter(values))]
    values[step.no] = value
    return value


def items_of(turn: Turn, step: Step) -> tuple[list[Any], list[str]]:
    """Return items and keys of a graph map: its expression, evaluated again after a reload.

    Expressions are pure and recorded outputs never change, so the answer is the one the map
    was opened with.
    """
    known = turn.facts.items.get(step.no)
    if known is None:
        parent = turn.state.steps[step.scope]
        known = expand(turn, parent, step.index, step.task)
        turn.facts.items[step.no] = known
    return known


def expand(turn: Turn, parent: Step, index: int, task: int) -> tuple[list[Any], list[str]]:
    """Evaluate `for_each` and the keys of its items; a map gives items `{key, value}`."""
    planned = turn.plan.tasks[task]
    if planned.for_each is None:
        return [], []
    value = planned.for_each.render(scope_at(turn, parent, index, planned.for_each.references))
    if isinstance(value, dict):
        items: list[Any] = [{"key": key, "value": member} for key, member in value.items()]
        return items, list(value)
    if not isinstance(value, list):
        return [value], ["\0"]
    if planned.key is None:
        return value, [_default_key(item, at) for at, item in enumerate(value)]
    return value, _keys(turn, parent, index, planned.key, value)


def _keys(turn: Turn, parent: Step, index: int, key: Template, items: list[Any]) -> list[str]:
    """Return the declared key of each item; around it, `parent` is the enclosing map's item."""
    around = scope_at(turn, parent, index, key.references)
    enclosing = {name: around.pop(name) for name in _ITEM_NAMES if name in around}
    keys = []
    for at, item in enumerate(items):
        own = {"item": item, "index": at, "key": _default_key(item, at), "parent": enclosing}
        keys.append(str(key.render({**around, **own})))
    return keys


def _default_key(item: Any, at: int) -> str:
    if isinstance(item, str) and 0 < len(item) <= 128 and item.isprintable():
        return item
    if isinstance(item, int) and not isinstance(item, bool):
        return str(item)
    return str(at)


def scope_at(
    turn: Turn, parent: Step, index: int, references: Iterable[tuple[str, ...]]
) -> dict[str, Any]:
    """Return the variables for a step opened under `parent` at `index` of its fan.

    Only what `references` names is decoded: an expression over one member of a large run costs
    what that member costs.
    """
    wanted = list(references)
    roots = {path[0] for path in wanted if path}
    scope: dict[str, Any] = {}
    if "inputs" in roots:
        scope["inputs"] = turn.facts.inputs
    if "run" in roots:
        state = turn.state
        scope["run"] = {"id": run_id(state.run_no), "workflow": state.workflow}
    blocks = _surround(turn, parent, index, roots, scope)
    if "tasks" in roots:
        names = {path[1] if len(path) > 1 else "" for path in wanted if path[0] == "tasks"}
        scope["tasks"] = _tasks(turn, blocks, names)
    return scope


def _surround(
    turn: Turn, parent: Step, index: int, roots: set[str], scope: dict[str, Any]
) -> list[Step]:
    """Fill in maps and loops around the place, innermost first; return the blocks around it."""
    steps = turn.state.steps
    blocks: list[Step] = []
    frame = scope
    wants_items = not roots.isdisjoint(_ITEM_NAMES)
    step, position = parent, index
    while True:
        if step.graph is not None:
            blocks.append(step)
        elif wants_items and step.kind is StepKind.MAP and step.task >= 0:
            frame = _add_item(turn, step, position, frame)
        elif step.kind is StepKind.LOOP and "iteration" not in scope:
            scope["iteration"] = position
            outputs = step.fan.outputs if step.fan is not None else []
            previous = outputs[position - 1] if 0 < position <= len(outputs) else NULL
            scope["previous"] = turn.plan.decode(previous)
        if step.no == ROOT:
            return blocks
        position = step.index
        step = steps[step.scope]


_ITEM_NAMES: Final = frozenset({"item", "index", "key", "parent"})


def _add_item(turn: Turn, step: Step, position: int, frame: dict[str, Any]) -> dict[str, Any]:
    if "item" in frame:
        frame["parent"] = {}
        frame = frame["parent"]
    items, keys = items_of(turn, step)
    frame["item"], frame["index"], frame["key"] = items[position], position, keys[position]
    return frame


def _tasks(turn: Turn, blocks: list[Step], names: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for block in reversed(blocks):
        number = NO_BLOCK if block.no == ROOT else block.task
        for index in turn.plan.by_block.get(number, ()):
            name = turn.plan.tasks[index].name
            if name in names or "" in names:
                found[name] = _task_view(turn, block, index)
    return found


def _task_view(turn: Turn, block: Step, index: int) -> dict[str, Any]:
    state: RunState = turn.state
    number = block.graph.members.get(index) if block.graph is not None else None
    if number is None:
        return {"output": None, "status": StepStatus.PENDING.label, "error": None}
    step = state.steps[number]
    output = None if step.status.is_open else value_of(turn, step)
    return {"output": output, "status": step.status.label, "error": _error_view(step)}


def _error_view(step: Step) -> dict[str, str] | None:
    if step.error is None:
        return None
    record = decode_error(step.error)
    return {"code": record.code, "kind": record.kind, "message": record.message}


def render_effect_key(turn: Turn, step: Step) -> str:
    """Return the idempotency key declared for a graph step, or "" if none is."""
    template = turn.plan.tasks[step.task].effect_key if step.task >= 0 else None
    if template is None:
        return ""
    scope = scope_at(turn, turn.state.steps[step.scope], step.index, template.references)
    return str(template.render(scope))


def render_arguments(turn: Turn, step: Step) -> Any:
    """Return the arguments of a graph step: its `with`, rendered where it stands.

    An open step with an output was given edited arguments by the person who let it start.
    """
    if step.output is not None and step.status.is_open:
        return turn.plan.decode(step.output)
    planned = turn.plan.tasks[step.task]
    parent = turn.state.steps[step.scope]
    scope = scope_at(turn, parent, step.index, planned.arguments.references)
    arguments = planned.arguments.render(scope)
    edit = turn.state.edits.get(step.path)
    return arguments if edit is None else _edited(arguments, turn.plan.decode(edit))


def _edited(arguments: Any, edit: Any) -> Any:
    """Return arguments as an operator changed them: an object is merged, the rest replaced."""
    both = isinstance(arguments, dict) and isinstance(edit, dict)
    return {**arguments, **edit} if both else edit
