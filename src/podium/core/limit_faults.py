"""Limits of time on tasks that could never keep them: refused, for an ignored limit is a trap."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from podium.core.definition import Task
from podium.core.plan import KINDS
from podium.core.states import StepKind
from podium.errors import Fault

__all__ = ["limit_faults"]

OWN_ENDS: Final[Mapping[StepKind, str]] = MappingProxyType(
    {
        StepKind.SLEEP: "with: {duration: 5m}",
        StepKind.SIGNAL: "with: {name: …, timeout: 5m}",
        StepKind.APPROVAL: "with: {expires_in: 5m}",
    }
)
"""What ends the waiting of these kinds: a second limit beside it would only contradict it."""

WITHOUT_ATTEMPTS: Final = frozenset({*OWN_ENDS, StepKind.BLOCK, StepKind.CHILD})


def limit_faults(task: Task, place: str) -> Iterator[Fault]:
    """Yield the limits of `task` that nothing could enforce, each at its JSON pointer.

    In a group they are warnings: the limit may be the group's, meant for its other tasks.
    """
    kind = StepKind.BLOCK if task.tasks else KINDS.get(task.uses.partition(":")[0], StepKind.TASK)
    timeouts = task.timeouts
    what = "is a block" if task.tasks else f"uses {task.uses!r}"
    if kind in WITHOUT_ATTEMPTS:
        for key, value in (("attempt", timeouts.attempt_us), ("heartbeat", timeouts.heartbeat_us)):
            if value is not None:
                yield Fault(
                    code="PDM-D210",
                    message=f"Task {task.name!r} {what} and has the limit {key!r}.",
                    why=f"{key!r} limits attempts, and this task makes none of its own.",
                    fix=f"Write {OWN_ENDS.get(kind, 'timeouts: {total: 5m}')} instead.",
                    pointer=f"{place}/timeouts/{key}",
                    warning=task.group is not None,
                )
    if kind in OWN_ENDS and timeouts.total_us is not None and task.loop is None:
        yield Fault(
            code="PDM-D210",
            message=f"Task {task.name!r} {what} and has the limit 'total'.",
            why="How long it waits is an argument of it.",
            fix=f"Write {OWN_ENDS[kind]} instead.",
            pointer=f"{place}/timeouts/total",
            warning=task.group is not None,
        )
