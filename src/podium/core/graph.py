"""Pure questions about the graph of one level of tasks: cycles, order, depth, width.

Nothing here recurses, so a chain of ten thousand tasks is as safe as a chain of three.
Dependencies on names that do not exist are ignored, except by the function that lists them.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from podium.core.definition import Task

__all__ = [
    "Ancestry",
    "all_tasks",
    "find_cycle",
    "graph_depth",
    "graph_levels",
    "graph_width",
    "topological_order",
    "unknown_dependencies",
]


def all_tasks(tasks: Sequence[Task]) -> Iterator[Task]:
    """Yield tasks with those inside of their blocks, each block before what is in it."""
    waiting = list(reversed(tasks))
    while waiting:
        task = waiting.pop()
        yield task
        waiting.extend(reversed(task.tasks))


def _edges(tasks: Sequence[Task]) -> dict[str, tuple[str, ...]]:
    """Return the known dependencies of each task; of two tasks of one name the first counts."""
    edges: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        edges.setdefault(task.name, task.depends_on)
    return {name: tuple(dep for dep in needs if dep in edges) for name, needs in edges.items()}


def unknown_dependencies(tasks: Sequence[Task]) -> list[tuple[int, int, str]]:
    """Return (task index, position in `depends_on`, name) of each unknown dependency."""
    known = {task.name for task in tasks}
    return [
        (index, position, name)
        for index, task in enumerate(tasks)
        for position, name in enumerate(task.depends_on)
        if name not in known
    ]


def topological_order(tasks: Sequence[Task]) -> tuple[str, ...]:
    """Return the names so that each follows its dependencies; declared order breaks ties.

    Tasks on a cycle, and those behind one, are left out.
    """
    edges = _edges(tasks)
    waiting = {name: len(needs) for name, needs in edges.items()}
    followers: dict[str, list[str]] = {name: [] for name in edges}
    for name, needs in edges.items():
        for dep in needs:
            followers[dep].append(name)
    ready = deque(name for name, count in waiting.items() if not count)
    order: list[str] = []
    while ready:
        name = ready.popleft()
        order.append(name)
        for follower in followers[name]:
            waiting[follower] -= 1
            if not waiting[follower]:
                ready.append(follower)
    return tuple(order)


def find_cycle(tasks: Sequence[Task]) -> tuple[str, ...]:
    """Return one cycle as a path that ends where it began, or () if there is none.

    The path follows execution: in ("A", "B", "A"), B waits for A and A waits for B.
    """
    edges = _edges(tasks)
    stuck = edges.keys() - set(topological_order(tasks))
    if not stuck:
        return ()
    # Every stuck task has a stuck dependency, so walking backwards must meet itself.
    walk: dict[str, None] = {}
    name = next(task.name for task in tasks if task.name in stuck)
    while name not in walk:
        walk[name] = None
        name = next(dep for dep in edges[name] if dep in stuck)
    path = list(walk)
    cycle = path[path.index(name) :][::-1]
    declared = {name: position for position, name in enumerate(edges)}
    first = min(range(len(cycle)), key=lambda at: declared[cycle[at]])
    return (*cycle[first:], *cycle[:first], cycle[first])


def graph_levels(tasks: Sequence[Task]) -> dict[str, int]:
    """Return the level of each task: 1 without dependencies, else one below the deepest."""
    edges = _edges(tasks)
    levels: dict[str, int] = {}
    for name in topological_order(tasks):
        levels[name] = 1 + max((levels[dep] for dep in edges[name]), default=0)
    return levels


def graph_depth(tasks: Sequence[Task]) -> int:
    """Return how many tasks the longest chain has; a block counts as deep as its inside."""
    edges = _edges(tasks)
    own = {task.name: max(graph_depth(task.tasks), 1) for task in tasks if task.tasks}
    ends: dict[str, int] = {}
    for name in topological_order(tasks):
        ends[name] = own.get(name, 1) + max((ends[dep] for dep in edges[name]), default=0)
    return max(ends.values(), default=0)


def graph_width(tasks: Sequence[Task]) -> int:
    """Return the largest number of tasks on one level: 1 means that all run in one line."""
    counts: dict[int, int] = {}
    for level in graph_levels(tasks).values():
        counts[level] = counts.get(level, 0) + 1
    return max(counts.values(), default=0)


class Ancestry:
    """Which tasks come before which, by any number of dependencies."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        edges = _edges(tasks)
        self._bits = {name: 1 << i for i, name in enumerate(edges)}
        self._before = dict.fromkeys(edges, 0)
        for name in topological_order(tasks):
            for dep in edges[name]:
                self._before[name] |= self._before[dep] | self._bits[dep]

    def precedes(self, earlier: str, later: str) -> bool:
        """Return whether `later` can only start after `earlier` ended."""
        return bool(self._before.get(later, 0) & self._bits.get(earlier, 0))
