"""`@task` and `@workflow`: what turns ordinary functions into durable ones.

Outside of a durable function a decorated task is still the function it was, so code stays
testable without an engine.
"""

import hashlib
import inspect
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, overload

import msgspec

from podium.core.definition import (
    OnLost,
    Priority,
    RetryPolicy,
    Settings,
    Task,
    Workflow,
    WorkflowKind,
)
from podium.core.durations import parse_duration
from podium.core.states import StepKind
from podium.errors import RequestError
from podium.runtime.code import Call, Invocation, in_workflow
from podium.runtime.registry import target_of

__all__ = ["DurableTask", "DurableWorkflow", "known_workflows", "task", "workflow"]

_KNOWN: dict[str, "DurableWorkflow[..., Any]"] = {}

P = ParamSpec("P")
R = TypeVar("R")

Duration = str | int | float | timedelta
"""Seconds as a number, text such as "90s" or "PT1H", or a timedelta."""


class DurableTask(Generic[P, R]):
    """A function whose calls inside a workflow are durable steps."""

    def __init__(self, function: Callable[P, R], definition: Task) -> None:
        self.function = function
        self.definition = definition
        self._signature = inspect.signature(function)
        self._plain = _plain_counts(self._signature)
        update_wrapper(self, function)

    @property
    def name(self) -> str:
        """Return the name its steps have."""
        return self.definition.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the task: a durable step inside a workflow, the plain function elsewhere.

        Inside a workflow the result must be awaited, also that of a plain function.
        """
        if not in_workflow():
            return self.function(*args, **kwargs)
        if kwargs or len(args) not in self._plain:
            self._bind(args, kwargs)
        call: Any = Call(
            self.definition.name,
            StepKind.TASK,
            self.definition,
            invocations=(Invocation(self.function, args, kwargs),),
        )
        return call  # type: ignore[no-any-return]

    def options(self, **changes: Any) -> "DurableTask[P, R]":
        """Return this task with other options, as `task` takes them."""
        return DurableTask(self.function, _definition(self.function, self.definition, changes))

    def _bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Fail in the workflow's own line, not in an attempt that would be retried."""
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            name = self.function.__qualname__
            raise RequestError(
                f"{name} cannot be called like that: {error}.",
                why=f"Its signature is {name}{self._signature}.",
                fix="Pass what the parameters ask for.",
                code="PDM-R024",
            ) from error


def _plain_counts(signature: inspect.Signature) -> range:
    """Return how many positional arguments alone make a right call: binding costs 10 µs."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    named = list(signature.parameters.values())
    plain = [each for each in named if each.kind in positional]
    required = [each for each in plain if each.default is inspect.Parameter.empty]
    keyword_only = [each for each in named if each.kind is inspect.Parameter.KEYWORD_ONLY]
    if any(each.default is inspect.Parameter.empty for each in keyword_only):
        return range(0)
    return range(len(required), len(plain) + 1)


@overload
def task(function: Callable[P, R], /) -> DurableTask[P, R]: ...
@overload
def task(
    *,
    name: str | None = None,
    max_retries: int | None = None,
    retry_delay: Duration | None = None,
    retry: RetryPolicy | None = None,
    timeout: Duration | None = None,
    total_timeout: Duration | None = None,
    heartbeat: Duration | None = None,
    priority: int = Priority.NORMAL,
    on_lost: str = "retry",
    verify: Callable[..., Any] | None = None,
    max_recoveries: int = 3,
) -> Callable[[Callable[P, R]], DurableTask[P, R]]: ...
def task(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a durable task.

    `max_retries` and `retry_delay` shape the retries (default: the run's settings), `timeout`
    limits one attempt, `total_timeout` all of them with their waits, `heartbeat` the silence
    between two calls of `podium.context().heartbeat()`. `on_lost="in_doubt"` asks a person
    when an attempt was interrupted by a crash, for effects that must not happen twice.
    `verify` is a function that is asked before every attempt but the first: given the same
    arguments, it returns what an earlier attempt has done, or None if nothing happened yet.
    Sync functions run in threads.
    """

    def decorate(target: Callable[..., Any]) -> DurableTask[..., Any]:
        name = options.pop("name", None) or target.__name__
        base = Task(name=name, uses=f"python:{target_of(target)}")
        return DurableTask(target, _definition(target, base, options))

    return decorate if function is None else decorate(function)


def _definition(function: Callable[..., Any], base: Task, options: dict[str, Any]) -> Task:
    changes: dict[str, Any] = {}
    retry = options.pop("retry", None)
    delay, count = options.pop("retry_delay", None), options.pop("max_retries", None)
    if retry is not None or delay is not None or count is not None:
        changes["retry"] = _retry(retry or base.retry or RetryPolicy(), delay, count)
    limits = {
        "attempt_us": options.pop("timeout", None),
        "total_us": options.pop("total_timeout", None),
        "heartbeat_us": options.pop("heartbeat", None),
    }
    given = {name: duration_us(value) for name, value in limits.items() if value is not None}
    if given:
        changes["timeouts"] = msgspec.structs.replace(base.timeouts, **given)
    if "on_lost" in options:
        changes["on_lost"] = OnLost(options.pop("on_lost"))
    if options.get("verify") is not None:
        changes["verify"] = f"python:{target_of(options.pop('verify'))}"
    for name in ("priority", "max_recoveries", "name"):
        if name in options:
            changes[name] = options.pop(name)
    if options:
        raise RequestError(
            f"Unknown option {next(iter(options))!r} for task {base.name!r}.",
            fix="Known: name, max_retries, retry_delay, retry, timeout, total_timeout, "
            "heartbeat, priority, on_lost, verify, max_recoveries.",
            code="PDM-R025",
        )
    return msgspec.structs.replace(base, **changes)


def _retry(policy: RetryPolicy, delay: Duration | None, count: int | None) -> RetryPolicy:
    changes: dict[str, Any] = {}
    if delay is not None:
        changes["delay_initial_us"] = duration_us(delay)
    if count is not None:
        changes["max_retries"] = count
    return msgspec.structs.replace(policy, **changes)


def duration_us(value: Duration) -> int:
    """Return a duration in microseconds; raises `RequestError` PDM-R026 if it is none."""
    if isinstance(value, timedelta):
        return int(value.total_seconds() * 1e6)
    parsed = parse_duration(value)
    if parsed is None:
        raise RequestError(
            f"{value!r} is not a duration.",
            fix='Write seconds as a number, text such as "90s" or "PT1H", or a timedelta.',
            code="PDM-R026",
        )
    return parsed


class DurableWorkflow(Generic[P, R]):
    """A durable function; start it with `App.start`, or await it inside another workflow."""

    def __init__(self, function: Callable[P, Coroutine[Any, Any, R]], definition: Workflow) -> None:
        self.function = function
        self.definition = definition
        update_wrapper(self, function)

    @property
    def name(self) -> str:
        """Return the workflow's name."""
        return self.definition.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Return the coroutine of the function: inlined in the calling workflow."""
        return self.function(*args, **kwargs)


@overload
def workflow(function: Callable[P, Coroutine[Any, Any, R]], /) -> DurableWorkflow[P, R]: ...
@overload
def workflow(
    *,
    name: str | None = None,
    version: str = "",
    max_retries: int | None = None,
    retry_delay: Duration | None = None,
    timeout: Duration | None = None,
    deadline: Duration | None = None,
    max_parallel_steps: int | None = None,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], DurableWorkflow[P, R]]: ...
def workflow(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make an `async def` function a durable workflow.

    Its code runs again after a crash, fed with the recorded results of its steps, so it must
    do the same thing each time: no clock, chance or I/O outside of tasks. `timeout` limits the
    time spent running, `deadline` the time since the start.
    """

    def decorate(target: Callable[..., Any]) -> DurableWorkflow[..., Any]:
        if not inspect.iscoroutinefunction(target):
            raise RequestError(
                f"{target.__qualname__} is not an `async def` function.",
                why="A durable workflow awaits its steps.",
                fix="Write `async def`, or make it a @podium.task.",
                code="PDM-R027",
            )
        made = DurableWorkflow(target, _workflow(target, options))
        _KNOWN[made.name] = made
        return made

    return decorate if function is None else decorate(function)


def known_workflows() -> dict[str, DurableWorkflow[..., Any]]:
    """Return the decorated workflows of this process by name; the last definition wins."""
    return dict(_KNOWN)


def _workflow(target: Callable[..., Any], options: dict[str, Any]) -> Workflow:
    delay, count = options.get("retry_delay"), options.get("max_retries")
    policy = _retry(RetryPolicy(), delay, count)
    limits: dict[str, Any] = {}
    if options.get("timeout") is not None:
        limits["timeout_us"] = duration_us(options["timeout"])
    if options.get("deadline") is not None:
        limits["deadline_us"] = duration_us(options["deadline"])
    return Workflow(
        name=options.get("name") or target.__name__,
        label=options.get("version", ""),
        description=(inspect.getdoc(target) or "").partition("\n")[0],
        kind=WorkflowKind.CODE,
        entrypoint=target_of(target),
        source_hash=_source_hash(target),
        settings=Settings(
            retry=policy, max_parallel_steps=options.get("max_parallel_steps"), **limits
        ),
    )


def _source_hash(target: Callable[..., Any]) -> str:
    """Return a hash of the function's source: another body is another version."""
    try:
        source = inspect.getsource(target)
    except (OSError, TypeError):
        source = target.__code__.co_code.hex()
    return hashlib.sha256(source.encode()).hexdigest()[:16]
