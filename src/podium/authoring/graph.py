"""`Graph`: a workflow built in Python, the same model that YAML and JSON give."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from podium.authoring.agents import known_agents, with_agents
from podium.authoring.decorators import DurableTask, Duration, duration_us
from podium.core.definition import (
    Checkpoint,
    Join,
    JoinKind,
    Loop,
    Settings,
    Task,
    Tolerance,
    Workflow,
)
from podium.core.template import Compiler
from podium.core.validation import validate
from podium.errors import DefinitionError, RequestError
from podium.runtime.registry import target_of

__all__ = ["Graph"]


class Graph:
    """Collects tasks and their edges; `build` gives the definition, which `start` validates.

    >>> graph = Graph("greet")
    >>> _ = graph.add("hello", uses="noop", with_={"text": "hello"})
    >>> _ = graph.add("shout", uses="noop", depends_on=["hello"])
    >>> [task.name for task in graph.build().tasks]
    ['hello', 'shout']
    """

    def __init__(
        self,
        name: str,
        *,
        inputs: dict[str, Any] | None = None,
        output: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.name = name
        self.functions: dict[str, Callable[..., Any]] = {}
        """Functions given as objects, by the target their tasks name."""
        self._inputs = inputs
        self._output = output
        self._settings = settings or Settings()
        self._tasks: list[Task] = []

    def add(
        self,
        name: str,
        uses: str | Callable[..., Any] | DurableTask[..., Any] = "noop",
        *,
        with_: Any = None,
        depends_on: Sequence[str] = (),
        for_each: Any = None,
        when: str | None = None,
        join: str | int | None = None,
        checkpoint: str = "none",
        loop: Loop | None = None,
        tolerate: int | None = None,
        timeout: Duration | None = None,
        **options: Any,
    ) -> "Graph":
        """Add a task and return the graph.

        `uses` is text as in YAML, a function, or a `@task` (whose options it keeps). `join` is
        `all`, `any`, `all_done`, or a number of dependencies. Other keyword options are the
        fields of `podium.core.definition.Task`.
        """
        base = self._base(name, uses)
        changes: dict[str, Any] = {
            "with_": with_,
            "depends_on": tuple(depends_on),
            "for_each": for_each,
            "when": when,
            "checkpoint": Checkpoint(checkpoint),
            "loop": loop,
            **options,
        }
        if join is not None:
            changes["join"] = _join(join)
        if tolerate is not None:
            changes["tolerate"] = Tolerance(failures=tolerate)
        if timeout is not None:
            limit = duration_us(timeout)
            changes["timeouts"] = msgspec.structs.replace(base.timeouts, attempt_us=limit)
        try:
            self._tasks.append(msgspec.structs.replace(base, **changes))
        except TypeError as error:
            raise RequestError(
                f"Task {name!r} was given an unknown option: {error}.",
                fix=f"Known: {', '.join(Task.__struct_fields__)}.",
                code="PDM-R025",
            ) from error
        return self

    def _base(self, name: str, uses: str | Callable[..., Any] | DurableTask[..., Any]) -> Task:
        if isinstance(uses, str):
            return Task(name=name, uses=uses)
        if isinstance(uses, DurableTask):
            self.functions[uses.definition.uses.partition(":")[2]] = uses.function
            return msgspec.structs.replace(uses.definition, name=name)
        target = target_of(uses)
        self.functions[target] = uses
        return Task(name=name, uses=f"python:{target}")

    def build(self, *, expressions: Compiler | None = None) -> Workflow:
        """Return the definition.

        With an expression engine it is validated here: raises `DefinitionError` with
        everything that is wrong. `App.start` validates in any case.
        """
        workflow = Workflow(
            name=self.name,
            inputs=self._inputs,
            output=self._output,
            settings=self._settings,
            tasks=tuple(self._tasks),
        )
        workflow = with_agents(workflow, known_agents())
        if expressions is None:
            return workflow
        found = validate(workflow, expressions=expressions)
        faults = [fault for fault in found if not fault.warning]
        if faults:
            raise DefinitionError(faults, source=f"graph {self.name!r}")
        return workflow


def _join(value: str | int) -> Join:
    if isinstance(value, int):
        return Join(kind=JoinKind.AT_LEAST, count=value)
    return Join(kind=JoinKind(value))
