"""The runs of a node that lack room for an attempt, the most urgent first.

Tens of thousands may wait while every tick asks whether one of them is more urgent than the run
whose turn it is: no question here looks at all of them.
"""

from collections.abc import Iterator

from podium.runtime.actor import Actor

__all__ = ["Starved"]


class Starved:
    """Actors by priority; those of one priority in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: dict[int, dict[int, Actor]] = {}
        self._priorities: dict[int, int] = {}

    def __bool__(self) -> bool:
        """Return whether anybody waits."""
        return bool(self._priorities)

    def add(self, actor: Actor) -> None:
        """Let an actor wait; one that does keeps its place."""
        priority = self._priorities.setdefault(actor.run_no, actor.row.priority)
        self._waiting.setdefault(priority, {})[actor.run_no] = actor

    def remove(self, run_no: int) -> None:
        """Let an actor wait no longer; one that does not wait is left alone."""
        priority = self._priorities.pop(run_no, None)
        if priority is not None:
            same = self._waiting[priority]
            del same[run_no]
            if not same:
                del self._waiting[priority]

    def outranks(self, priority: int) -> bool:
        """Return whether somebody waits who is more urgent than `priority`."""
        return any(each < priority for each in self._waiting)

    def in_order(self) -> Iterator[Actor]:
        """Yield all who wait, the most urgent first; they may be removed meanwhile."""
        for priority in sorted(self._waiting):
            yield from list(self._waiting.get(priority, {}).values())
