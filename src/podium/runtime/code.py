"""Runs durable functions: a coroutine driven by recorded results instead of an event loop.

A durable function is ordinary `async def` code that awaits `Call`s. The driver sends it the
result of each call, one at a time, in the order in which the journal recorded them; the same
journal therefore always drives it the same way. Nothing else may be awaited: there is no event
loop underneath, so code that would not survive a crash fails at once and says why.

Step names count per branch (`fetch`, `fetch~1`, …) and each branch of a gather has a prefix of
its own: with one global count per name, two branches that change speed swap their results.
"""

from asyncio import CancelledError
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextvars import ContextVar
from typing import Any

from podium.core.definition import Task
from podium.core.messages import CodeCancel, CodeFinished, CodeStep
from podium.core.payload import ErrorRecord, decode_error, encode_error
from podium.core.states import StepKind
from podium.errors import NondeterminismError, PodiumError, RequestError, TaskError
from podium.runtime.failures import NO_SECRETS, record_of
from podium.runtime.payloads import Payloads, fingerprint
from podium.runtime.secrets import Secrets

__all__ = [
    "Call",
    "CodeRun",
    "Command",
    "ContinueAsNew",
    "Gather",
    "Invocation",
    "in_workflow",
]

Command = CodeStep | CodeCancel | CodeFinished

_CURRENT: ContextVar["CodeRun | None"] = ContextVar("podium_code_run", default=None)


def in_workflow() -> bool:
    """Return whether the caller runs inside a durable function."""
    return _CURRENT.get() is not None


class ContinueAsNew(BaseException):
    """Raised through a durable function to end it and start its next life with `input`."""

    def __init__(self, value: Any) -> None:
        super().__init__("continue as new")
        self.value = value


class Invocation:
    """A function with the arguments of one attempt."""

    __slots__ = ("args", "check", "function", "kwargs")

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        *,
        check: Callable[..., Any] | None = None,
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.check = check
        """Asked first, with the same arguments: what it returns, if anything, is the result."""


class Call:
    """One durable step, awaited inside a durable function; yields its recorded result."""

    __slots__ = ("invocations", "keys", "kind", "name", "options", "task")

    def __init__(
        self,
        name: str,
        kind: StepKind,
        task: Task,
        *,
        invocations: Sequence[Invocation] = (),
        keys: tuple[str, ...] = (),
        options: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.task = task
        self.invocations = invocations
        self.keys = keys
        self.options = options or {}

    def __await__(self) -> Generator["Call", Any, Any]:
        """Hand this call to the driver and return what it sends back."""
        _require_driver(self.name)
        return (yield self)


class Gather:
    """Several coroutines run as branches; yields the list of their results."""

    __slots__ = ("coroutines",)

    def __init__(self, coroutines: Sequence[Coroutine[Any, Any, Any]]) -> None:
        self.coroutines = coroutines

    def __await__(self) -> Generator["Gather", Any, Any]:
        """Hand the branches to the driver and return their results."""
        _require_driver("gather")
        return (yield self)


def _require_driver(name: str) -> None:
    if _CURRENT.get() is None:
        raise RequestError(
            f"{name!r} was awaited outside of a durable function.",
            why="Durable calls need the journal of a run; asyncio.gather, create_task and "
            "TaskGroup run code outside of it.",
            fix="Await it directly in a @podium.workflow, or use podium.gather / podium.map.",
            code="PDM-R020",
        )


class _Branch:
    """One line of execution of a durable function."""

    __slots__ = ("coroutine", "names", "parent", "prefix", "slot")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        prefix: str,
        parent: "_Join | None" = None,
        slot: int = 0,
    ) -> None:
        self.coroutine = coroutine
        self.prefix = prefix
        self.parent = parent
        self.slot = slot
        self.names: dict[str, int] = {}

    def path(self, name: str) -> str:
        """Return the path of the next step called `name` in this branch."""
        count = self.names.get(name, 0)
        self.names[name] = count + 1
        return f"{self.prefix}{name}~{count}" if count else self.prefix + name


class _Join:
    """A gather in progress."""

    __slots__ = ("branches", "missing", "owner", "results")

    def __init__(self, owner: _Branch, count: int) -> None:
        self.owner = owner
        self.missing = count
        self.results: list[Any] = [None] * count
        self.branches: list[_Branch] = []


class CodeRun:
    """Drives one durable function; see the module docstring."""

    __slots__ = (
        "_commands",
        "_context_now",
        "_main",
        "_payloads",
        "_secrets",
        "_waiting",
        "finished",
    )

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        payloads: Payloads,
        secrets: Secrets = NO_SECRETS,
    ) -> None:
        self._payloads = payloads
        self._secrets = secrets
        self._main = _Branch(coroutine, "")
        self._waiting: dict[str, tuple[_Branch, Call]] = {}
        self._commands: list[Command] = []
        self._context_now = 0
        self.finished = False

    def waits_for(self, path: str) -> bool:
        """Return whether the function awaits the step at `path`."""
        return path in self._waiting

    @property
    def waiting(self) -> list[str]:
        """Return the paths the function awaits, in the order it asked."""
        return list(self._waiting)

    def invocation(self, path: str, index: int) -> Invocation:
        """Return what the step at `path` (item `index` of a map) runs."""
        return self._waiting[path][1].invocations[max(index, 0)]

    def start(self, now_us: int) -> list[Command]:
        """Run until the function waits; return what it asked for, in order."""
        return self._drive(self._main, None, None, now_us)

    def deliver(
        self, path: str, *, output: bytes, error: bytes | None, now_us: int
    ) -> list[Command]:
        """Give the function the result of the step at `path`; return what it asks for next."""
        branch, _call = self._waiting.pop(path)
        if error is not None:
            return self._drive(branch, None, _exception(decode_error(error)), now_us)
        return self._drive(branch, self._payloads.decode(output), None, now_us)

    def fail(self, error: BaseException, now_us: int) -> list[Command]:
        """Raise `error` in the main line of the function."""
        return self._drive(self._main, None, error, now_us)

    def close(self) -> None:
        """Throw the function away; its `finally` blocks must not await."""
        for branch, _call in list(self._waiting.values()):
            _close(branch.coroutine)
        _close(self._main.coroutine)
        self._waiting.clear()

    def _drive(
        self, branch: _Branch, value: Any, error: BaseException | None, now_us: int
    ) -> list[Command]:
        token = _CURRENT.set(self)
        self._context_now = now_us
        self._commands = []
        try:
            self._advance(branch, value, error)
        finally:
            _CURRENT.reset(token)
        return self._commands

    def _advance(self, branch: _Branch, value: Any, error: BaseException | None) -> None:
        """Run one branch to its next call, and the branches that wake up because of it."""
        pending: list[tuple[_Branch, Any, BaseException | None]] = [(branch, value, error)]
        while pending and not self.finished:
            current, value, error = pending.pop(0)
            try:
                step = current.coroutine
                asked = step.throw(error) if error is not None else step.send(value)
            except StopIteration as stop:
                self._returned(current, stop.value, pending)
            except ContinueAsNew as again:
                self._live_on(again.value)
            # A durable function is user code and may raise anything. Nobody can have cancelled
            # it: there is no event loop below.
            except (Exception, SystemExit, CancelledError) as failure:  # noqa: BLE001
                self._raised(current, failure, pending)
            else:
                self._asked(current, asked, pending)

    def _asked(
        self,
        branch: _Branch,
        asked: Any,
        pending: list[tuple[_Branch, Any, BaseException | None]],
    ) -> None:
        if isinstance(asked, Call):
            self._call(branch, asked, pending)
        elif isinstance(asked, Gather):
            self._gather(branch, asked, pending)
        else:
            pending.append((branch, None, _not_durable(asked)))

    def _call(
        self, branch: _Branch, call: Call, pending: list[tuple[_Branch, Any, BaseException | None]]
    ) -> None:
        path = branch.path(call.name)
        try:
            command = self._command(path, call)
        except PodiumError as error:
            pending.append((branch, None, error))
            return
        self._waiting[path] = (branch, call)
        self._commands.append(command)

    def _command(self, path: str, call: Call) -> CodeStep:
        options = dict(call.options)
        if "duration_us" in options:
            options["wake_us"] = self._context_now + options.pop("duration_us")
        if options.pop("take_now", False):
            options["value"] = self._context_now
        for name in ("value", "payload"):
            if name in options:
                options[name] = self._payloads.encode(options[name])
        return CodeStep(
            path=path,
            kind=call.kind,
            task=call.task,
            mark=self._mark(call),
            count=len(call.invocations) if call.kind is StepKind.MAP else 0,
            keys=call.keys,
            **options,
        )

    def _mark(self, call: Call) -> int:
        """Return the fingerprint of the arguments; 0 (no check) if they are not plain data."""
        if call.kind is not StepKind.TASK and call.kind is not StepKind.MAP:
            return 0
        try:
            arguments = [(each.args, each.kwargs) for each in call.invocations]
            return fingerprint(self._payloads.encode(arguments))
        except RequestError:
            return 0

    def _gather(
        self,
        branch: _Branch,
        gather: Gather,
        pending: list[tuple[_Branch, Any, BaseException | None]],
    ) -> None:
        prefix = branch.path("gather")
        if not gather.coroutines:
            pending.append((branch, [], None))
            return
        join = _Join(branch, len(gather.coroutines))
        for slot, coroutine in enumerate(gather.coroutines):
            child = _Branch(coroutine, f"{prefix}.{slot}/", join, slot)
            join.branches.append(child)
            pending.append((child, None, None))

    def _returned(
        self,
        branch: _Branch,
        value: Any,
        pending: list[tuple[_Branch, Any, BaseException | None]],
    ) -> None:
        join = branch.parent
        if join is None:
            self._end(value)
            return
        join.results[branch.slot] = value
        join.missing -= 1
        if not join.missing:
            pending.append((join.owner, join.results, None))

    def _live_on(self, value: Any) -> None:
        try:
            self._finish(CodeFinished(continue_input=self._payloads.encode(value)))
        except RequestError as error:
            self._finish(CodeFinished(error=encode_error(record_of(error, secrets=self._secrets))))

    def _end(self, value: Any) -> None:
        try:
            self._finish(CodeFinished(output=self._payloads.encode(value)))
        except RequestError as error:
            self._finish(CodeFinished(error=encode_error(record_of(error, secrets=self._secrets))))

    def _raised(
        self,
        branch: _Branch,
        error: BaseException,
        pending: list[tuple[_Branch, Any, BaseException | None]],
    ) -> None:
        join = branch.parent
        if join is None:
            self._finish(CodeFinished(error=encode_error(record_of(error, secrets=self._secrets))))
            return
        self._abandon(join, pending)
        pending.append((join.owner, None, error))

    def _abandon(
        self, join: _Join, pending: list[tuple[_Branch, Any, BaseException | None]]
    ) -> None:
        """Give up the other branches of a gather, with the steps they wait for."""
        lost = self._below(join)
        paths = tuple(path for path, (branch, _) in self._waiting.items() if branch in lost)
        for path in paths:
            del self._waiting[path]
        for branch in lost:
            _close(branch.coroutine)
        pending[:] = [entry for entry in pending if entry[0] not in lost]
        if paths:
            self._commands.append(CodeCancel(paths))

    def _below(self, join: _Join) -> list[_Branch]:
        found = list(join.branches)
        for branch, _call in self._waiting.values():
            parent = branch.parent
            while parent is not None and parent is not join:
                parent = parent.owner.parent
            if parent is join and branch not in found:
                found.append(branch)
        return found

    def _finish(self, finished: CodeFinished) -> None:
        self.finished = True
        self._commands.append(finished)


def _close(coroutine: Coroutine[Any, Any, Any]) -> None:
    try:
        coroutine.close()
    except RuntimeError:
        # The function awaits inside `finally`: there is nobody left to answer it.
        return


def _exception(record: ErrorRecord) -> TaskError:
    error = TaskError(record.message, kind=record.kind, why=record.why, fix=record.fix)
    error.code = record.code
    error.record = record
    return error


def _not_durable(asked: Any) -> NondeterminismError:
    return NondeterminismError(
        f"A durable function awaited {type(asked).__name__}, which is not durable.",
        why="After a crash the function runs again from its recorded results; an await outside "
        "of the journal would run twice or hang.",
        fix="Move the I/O into a @podium.task, or use podium.sleep, podium.gather and "
        "podium.wait_signal.",
        code="PDM-T011",
    )
