"""The steps of a run as lines of a tree: pure, bounded, and the same for any number of steps.

Maps are one line with counts; below it stand the items that run or failed. What does not fit
is left out from the dullest on: steps skipped, pending, completed long ago.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from podium.cli.output import cut, duration
from podium.core.payload import decode_error
from podium.core.plan import Plan
from podium.core.state import ROOT, RunState, Step
from podium.core.states import StepKind, StepStatus

__all__ = ["Line", "remaining_us", "tree_lines"]

S: Final = StepStatus
ITEMS_SHOWN: Final = 6
FAILURES_SHOWN: Final = 3
ACTIVE: Final = (S.CHECKPOINT_PENDING, S.RUNNING, S.RETRYING, S.WAITING, S.QUEUED)


@dataclass(slots=True, frozen=True)
class Line:
    """One line of the tree; a step that was not opened has the status `pending`."""

    status: StepStatus
    depth: int
    name: str
    note: str = ""
    is_gap: bool = False
    """Stands for lines that were left out."""


def tree_lines(state: RunState, plan: Plan, now_us: int, *, room: int = 1000) -> list[Line]:
    """Return at most `room` lines that say most about the run."""
    below: dict[int, list[Step]] = {}
    for step in state.steps.values():
        if step.no != ROOT:
            below.setdefault(step.scope, []).append(step)
    drawing = _Drawing(state, plan, now_us, below)
    return _bounded(list(drawing.level(ROOT, -1, 0)), room)


class _Drawing:
    """What drawing needs at every level."""

    def __init__(
        self, state: RunState, plan: Plan, now_us: int, below: dict[int, list[Step]]
    ) -> None:
        self.state = state
        self.plan = plan
        self.now_us = now_us
        self.below = below

    def level(self, scope: int, block: int, depth: int) -> Iterator[Line]:
        """Yield the lines of one graph: its tasks in the order of the definition."""
        if self.plan.is_code:
            for step in self.below.get(scope, ()):
                yield from self.step(step, depth)
            return
        parent = self.state.steps.get(scope)
        members = parent.graph.members if parent is not None and parent.graph else {}
        for task in self.plan.by_block.get(block, ()):
            member = self.state.steps.get(members.get(task, -1))
            if member is None:
                yield Line(S.PENDING, depth, self.plan.tasks[task].name)
            else:
                yield from self.step(member, depth)

    def step(self, step: Step, depth: int) -> Iterator[Line]:
        """Yield a step and what is worth seeing below it."""
        yield Line(step.status, depth, self.name(step), self.note(step))
        if step.fan is not None:
            yield from self.items(step, depth + 1)
        elif step.graph is not None and step.status.is_open:
            yield from self.level(step.no, step.task, depth + 1)

    def items(self, step: Step, depth: int) -> Iterator[Line]:
        """Yield the items of a map or loop that failed or are at work."""
        items = self.below.get(step.no, [])
        failed = [item for item in items if item.status is S.FAILED][-FAILURES_SHOWN:]
        active = [item for item in items if item.status in _AT_WORK][:ITEMS_SHOWN]
        for item in failed + active:
            yield Line(item.status, depth, self.name(item), self.note(item))

    def name(self, step: Step) -> str:
        """Return the last part of a path; the parts above it stand above it."""
        above = self.state.steps.get(step.scope)
        return step.path.removeprefix(above.path if above is not None else "").removeprefix("/")

    def note(self, step: Step) -> str:
        """Return what stands beside the name of a step."""
        parts = [self.count(step), self.time(step), self.trouble(step)]
        return " · ".join(part for part in parts if part)

    def count(self, step: Step) -> str:
        """Return how far a map or loop is: `3/7 · 1 failed · eta 2s`; "" for other steps."""
        fan = step.fan
        if fan is None or step.kind is not StepKind.MAP:
            return f"{fan.done} iterations" if fan is not None else self.inner(step)
        parts = [f"{fan.done + fan.failures}/{fan.count}"]
        if fan.failures:
            parts.append(f"{fan.failures} failed")
        left = _map_left_us(step, self.now_us)
        if left is not None:
            parts.append(f"eta {duration(left)}")
        return " · ".join(parts)

    def inner(self, step: Step) -> str:
        """Return which tasks of a block run in one item of a map."""
        if step.graph is None or not step.status.is_open or step.index < 0:
            return ""
        inside = [self.state.steps[no] for no in step.graph.members.values()]
        return ", ".join(self.name(each) for each in inside if each.status in _AT_WORK)

    def time(self, step: Step) -> str:
        """Return how long a step has taken, or how long until it goes on by itself."""
        if step.status is S.RUNNING:
            return duration(self.now_us - (step.started_us or step.opened_us))
        if step.status in _TIMED and step.ended_us:
            return duration(step.ended_us - (step.started_us or step.opened_us))
        # For a child run the clock only sets a limit: it is not what the step waits for.
        is_timed = step.status is S.WAITING and step.wake_us and step.kind is not StepKind.CHILD
        if step.status is S.RETRYING or is_timed:
            return f"{step.reason or 'again'} in {duration(max(0, step.wake_us - self.now_us))}"
        return ""

    def trouble(self, step: Step) -> str:
        """Return what a person should know: attempts, the error, the reason of a wait."""
        parts: list[str] = []
        if step.attempts > 1:
            parts.append(f"attempt {step.attempts}")
        if step.error is not None and step.status is not S.COMPLETED:
            parts.append(cut(decode_error(step.error).message, 60))
        elif step.status in _EXPLAINED and step.reason and not self.time(step):
            parts.append(_REASONS.get(step.reason, step.reason))
        return " · ".join(parts)


_AT_WORK: Final = frozenset({S.RUNNING, S.RETRYING, S.WAITING, S.CHECKPOINT_PENDING})
_TIMED: Final = frozenset({S.COMPLETED, S.FAILED, S.CANCELLED})
_EXPLAINED: Final = frozenset({S.SKIPPED, S.WAITING, S.CHECKPOINT_PENDING, S.CANCELLED})
_REASONS: Final = {
    "checkpoint": "waits for approval",
    "in_doubt": "interrupted: a person decides",
    "budget": "over budget: a person decides",
    "child": "waits for its child run",
    "condition": "condition is false",
    "upstream": "not reached",
}


def _map_left_us(step: Step, now_us: int) -> int | None:
    fan = step.fan
    if fan is None or step.status is not S.RUNNING:
        return None
    done = fan.done + fan.failures
    if done in (0, fan.count):
        return None
    return (now_us - (step.started_us or step.opened_us)) * (fan.count - done) // done


def remaining_us(
    state: RunState, plan: Plan, now_us: int, history: Mapping[str, int]
) -> int | None:
    """Estimate the time to the end: maps by their pace, other tasks by an earlier run.

    None if nothing is known about what is left.
    """
    if plan.is_code or ROOT not in state.steps:
        return None
    graph = state.root.graph
    members = graph.members if graph is not None else {}
    total, known = 0, False
    for task in plan.roots:
        step = state.steps.get(members.get(task, -1))
        if step is not None and not step.status.is_open:
            continue
        name = plan.tasks[task].name
        left = None if step is None else _map_left_us(step, now_us)
        if left is None and name in history:
            spent = now_us - step.started_us if step is not None and step.started_us else 0
            left = max(0, history[name] - spent)
        known = known or left is not None
        total += left or 0
    return total if known else None


_DULL: Final = {S.SKIPPED: 4, S.PENDING: 3, S.COMPLETED: 2, S.CANCELLED: 2}


def _bounded(lines: list[Line], room: int) -> list[Line]:
    """Leave out the dullest lines, and say how many were left out where."""
    if len(lines) <= room:
        return lines
    # Each gap costs a line of its own, so somewhat fewer are kept than there is room for.
    last = len(lines)
    order = sorted(
        range(last),
        key=lambda at: (
            _DULL.get(lines[at].status, 0),
            at if lines[at].status is S.PENDING else last - at,
        ),
    )
    kept = set(order[: max(1, room * 2 // 3)])
    result: list[Line] = []
    gap = 0
    for at, line in enumerate(lines):
        if at not in kept:
            gap += 1
            continue
        if gap:
            result.append(_gap(gap, line.depth))
            gap = 0
        result.append(line)
    return [*result, _gap(gap, 0)][:room] if gap else result[:room]


def _gap(count: int, depth: int) -> Line:
    return Line(S.PENDING, depth, f"… {count} more", is_gap=True)
