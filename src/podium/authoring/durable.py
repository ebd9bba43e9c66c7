"""What a durable function awaits besides its tasks: maps, branches, time, people, messages.

Every function here is deterministic on replay: what happened once is what happens again.
"""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID, uuid4

import msgspec

from podium.authoring.decorators import DurableTask, DurableWorkflow, Duration, duration_us
from podium.core.definition import ApprovalPolicy, ClosePolicy, Task, Tolerance
from podium.core.states import StepKind
from podium.errors import RequestError
from podium.runtime.attempts import AttemptContext, attempt_context
from podium.runtime.code import Call, ContinueAsNew, Gather, Invocation

__all__ = [
    "Decision",
    "approval",
    "child",
    "context",
    "continue_as_new",
    "gather",
    "map_items",
    "now",
    "sleep",
    "uuid",
    "wait_signal",
]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_SLEEP: Final = Task(name="sleep", uses="sleep")
_SIGNAL: Final = Task(name="signal", uses="signal")
_APPROVAL: Final = Task(name="approval", uses="approval")
_VALUE: Final = Task(name="value", uses="noop")


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A person's answer to `approval`."""

    approved: bool
    decision: str
    """approve, reject or edit."""
    by: str = ""
    comment: str = ""
    payload: Any = None
    """The edited payload, if it was edited."""


async def map_items(
    task: DurableTask[..., Any],
    items: Iterable[Any],
    /,
    *,
    key: Callable[[Any], str] | None = None,
    max_parallel: int | None = None,
    tolerate: int | None = None,
    name: str | None = None,
) -> list[Any]:
    """Run `task` on every item, each as a durable step, and return the results in order.

    Items are named by `key`, by themselves if they are short text or numbers, else by number.
    At most `max_parallel` run at once. More failures than `tolerate` fail the map; a tolerated
    failure gives None. Inside a workflow only.
    """
    values = list(items)
    options: dict[str, Any] = {"name": name or task.name, "max_parallel": max_parallel}
    if tolerate is not None:
        options["tolerate"] = Tolerance(failures=tolerate)
    results: list[Any] = await Call(
        name or task.name,
        StepKind.MAP,
        msgspec.structs.replace(task.definition, **options),
        invocations=[Invocation(task.function, (value,), {}) for value in values],
        keys=_keys(values, key),
    )
    return results


def _keys(values: Sequence[Any], key: Callable[[Any], str] | None) -> tuple[str, ...]:
    if key is not None:
        keys = tuple(str(key(value)) for value in values)
    elif all(isinstance(value, str) and 0 < len(value) <= 128 for value in values):
        keys = tuple(values)
    else:
        return ()
    if len(set(keys)) == len(keys):
        return keys
    if key is None:
        return ()
    raise RequestError(
        "Two items of a map have the same key.",
        why="A key names the step of an item for good.",
        fix="Let `key` return something that differs for each item.",
        code="PDM-R028",
    )


async def gather(*branches: Coroutine[Any, Any, Any] | Call) -> list[Any]:
    """Run several lines of durable code side by side and return their results in order.

    When one raises, the steps of the others are cancelled and the error is raised here.
    """
    results: list[Any] = await Gather([_as_coroutine(branch) for branch in branches])
    return results


async def _wrap(call: Any) -> Any:
    return await call


def _as_coroutine(branch: Any) -> Coroutine[Any, Any, Any]:
    return branch if isinstance(branch, Coroutine) else _wrap(branch)


async def sleep(duration: Duration) -> None:
    """Wait without holding anything, over restarts; a sleep costs a row, not a thread."""
    options = {"duration_us": duration_us(duration)}
    await Call("sleep", StepKind.SLEEP, _SLEEP, options=options)


async def wait_signal(
    name: str,
    *,
    timeout: Duration | None = None,  # noqa: ASYNC109 - a durable limit, not a scope
) -> Any:
    """Wait for a signal by name and return its payload.

    Signals sent before are kept and delivered in order. Raises `TaskError` of kind
    `TimeoutError` when `timeout` passes.
    """
    options: dict[str, Any] = {"signal": name}
    if timeout is not None:
        options["duration_us"] = duration_us(timeout)
    return await Call(f"signal:{name}", StepKind.SIGNAL, _SIGNAL, options=options)


async def approval(
    name: str,
    *,
    payload: Any = None,
    prompt: str = "",
    expires_in: Duration | None = None,
    escalate_after: Duration | None = None,
    escalate_to: str = "",
    four_eyes: bool = False,
) -> Decision:
    """Ask a person and return the decision, which is bound to exactly this payload.

    Holds nothing while it waits. Raises `TaskError` of kind `TimeoutError` after `expires_in`.
    If nobody answers, `escalate_to` is told `escalate_after`. With `four_eyes`, whoever asked
    for the run cannot approve.
    """
    options: dict[str, Any] = {"prompt": prompt or f"Approve {name!r}?", "payload": payload}
    if expires_in is not None:
        options["duration_us"] = duration_us(expires_in)
    policy = ApprovalPolicy(
        escalate_us=None if escalate_after is None else duration_us(escalate_after),
        escalate_to=escalate_to,
        four_eyes=four_eyes,
    )
    definition = msgspec.structs.replace(_APPROVAL, approval=policy)
    answer = await Call(name, StepKind.APPROVAL, definition, options=options)
    return msgspec.convert(answer, Decision)


async def child(
    workflow: DurableWorkflow[..., Any] | str,
    value: Any = None,
    /,
    *,
    name: str | None = None,
    close_policy: Literal["cancel", "abort", "abandon"] = "cancel",
) -> Any:
    """Run another workflow as a run of its own and return its output.

    A published workflow is named by text, with an optional `@version`. Raises `TaskError` if
    the child fails. `close_policy` says what becomes of it when this run is stopped.
    """
    target = workflow if isinstance(workflow, str) else workflow.name
    label = name or target.partition("@")[0]
    options = {"workflow": target, "payload": {} if value is None else value}
    policy = ClosePolicy(close_policy)
    definition = Task(name=label, uses=f"workflow:{target}", close_policy=policy)
    return await Call(label, StepKind.CHILD, definition, options=options)


async def now() -> datetime:
    """Return the time, recorded: a replay gets the same one."""
    at_us = await Call("now", StepKind.VALUE, _VALUE, options={"take_now": True})
    return EPOCH + timedelta(microseconds=at_us)


async def uuid() -> UUID:
    """Return a random UUID, recorded: a replay gets the same one."""
    options = {"value": str(uuid4())}
    return UUID(await Call("uuid", StepKind.VALUE, _VALUE, options=options))


def continue_as_new(value: Any = None) -> None:
    """End this run and start its next life with `value` as input; never returns.

    For loops without end: each life has a short journal of its own.
    """
    raise ContinueAsNew(value)


def context() -> AttemptContext:
    """Return run, step, attempt, idempotency key and fencing token of the running attempt.

    Raises `RequestError` PDM-R029 outside of a task.
    """
    found = attempt_context()
    if found is None:
        raise RequestError(
            "podium.context() was called outside of a task.",
            fix="Call it in the body of a @podium.task, or of a function named by `uses:`.",
            code="PDM-R029",
        )
    return found
