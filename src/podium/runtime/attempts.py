"""Runs attempts on this node: user code, its limits, its cancellation, its outcome.

Holds no durable state and never retries: an attempt ends in exactly one `AttemptDone`, and
what that means is for `core.attempts` to decide. Coroutines run on the event loop, plain
functions in threads. A thread cannot be stopped: when its limit passes or its run is
cancelled, its result is ignored and it is named in the log.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from functools import lru_cache
from inspect import iscoroutine, iscoroutinefunction
from typing import Any, Final

import msgspec

from podium.core.messages import AttemptDone
from podium.core.payload import ErrorRecord, encode_error
from podium.core.receipts import Appeal
from podium.core.states import AttemptOutcome
from podium.gateway.purse import FREE, Purse
from podium.runtime.code import Invocation
from podium.runtime.failures import record_of
from podium.runtime.payloads import Payloads
from podium.runtime.purses import AttemptPurse, appeal_of
from podium.runtime.services import Services

__all__ = ["Attempt", "AttemptContext", "Attempts", "attempt_context"]

log = logging.getLogger("podium.attempts")

THREADS_MAX: Final = 32
STOP_GRACE_S: Final = 10.0


NO_SERVICES: Final = Services()


class AttemptContext(msgspec.Struct, frozen=True):
    """What an attempt may know about itself; see `podium.context`.

    Tracked by the garbage collector, unlike most values: it stands in a cycle with the task of
    its attempt, and one that never ends would hold the whole engine.
    """

    run_id: str
    step: str
    attempt: int
    generation: int
    fencing_token: int
    """Grows with every new home of the run: let what you write to refuse smaller ones."""
    heartbeat: Callable[[], None] = lambda: None
    chosen_key: str = ""
    services: Services = NO_SERVICES
    """What the process offers to its attempts, such as language models."""
    folder: str = ""
    """Where the definition of the run lies, if it came from a file."""
    purse: Purse = FREE
    """Pays for the calls of this attempt, out of every budget they fall under."""
    rework: int = 0
    """How often a person has sent the result of the step back."""
    feedback: str = ""
    """What that person wrote the last time."""
    organization: str = ""
    store: str = ""
    """What no other store has: run ids are counted in each store from 1."""

    @property
    def idempotency_key(self) -> str:
        """Return the key to hand to what you call: equal for every attempt of the step.

        The task's own `idempotency_key:` if it has one; a `retry` of the run and a rework of the
        step change the default key, because both are meant to have their effects anew. No other
        step, of this store or another, has the same default key.
        """
        again = f".{self.rework}" if self.rework else ""
        default = f"{self.store}/{self.run_id}/{self.step}/{self.generation}{again}"
        return self.chosen_key or default


_CONTEXT: ContextVar[AttemptContext | None] = ContextVar("podium_attempt", default=None)


def attempt_context() -> AttemptContext | None:
    """Return the context of the attempt the caller runs in, or None outside of one."""
    return _CONTEXT.get()


@dataclass(slots=True)
class Attempt:
    """One attempt to run: filled in by the actor once its start is durable."""

    run_no: int
    step_no: int
    number: int
    invocation: Callable[[], Invocation]
    """Gives function and arguments; may raise what makes the attempt fail."""
    context: AttemptContext
    timeout_us: int | None = None
    heartbeat_us: int | None = None
    purse: AttemptPurse | None = None
    task: "asyncio.Task[None] | None" = None
    began: bool = False
    stopping: bool = False
    beat_at: float = 0.0
    was_silent: bool = False

    def record_of(self, failure: BaseException) -> ErrorRecord:
        """Return what is kept of an error that this attempt raised."""
        context = self.context
        return record_of(failure, step=context.step, secrets=context.services.secrets)


class Attempts:
    """See the module docstring. `done` is called on the event loop, once for each attempt."""

    def __init__(
        self,
        *,
        payloads: Payloads,
        dice: Callable[[], float],
        done: Callable[[int, AttemptDone], None],
    ) -> None:
        self._payloads = payloads
        self._dice = dice
        self._done = done
        self._group: asyncio.TaskGroup | None = None
        self._live: dict[tuple[int, int, int], Attempt] = {}
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="podium-task")

    @property
    def live(self) -> int:
        """Return how many attempts run now."""
        return len(self._live)

    async def ended(self, grace_s: float) -> int:
        """Wait until nothing runs, at most `grace_s`; return how many attempts still do."""
        loop = asyncio.get_running_loop()
        until = loop.time() + grace_s
        while tasks := [each.task for each in self._live.values() if each.task is not None]:
            left = until - loop.time()
            if left <= 0:
                break
            await asyncio.wait(tasks, timeout=left)
        return len(self._live)

    def open(self, group: asyncio.TaskGroup) -> None:
        """Run attempts as tasks of `group` from now on."""
        self._group = group

    def close(self) -> None:
        """Give the threads back; what they still run is left to end by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def start(self, attempt: Attempt) -> None:
        """Start an attempt; its end is reported through `done`."""
        if self._group is None:
            raise RuntimeError("attempts are not open")
        self._live[attempt.run_no, attempt.step_no, attempt.number] = attempt
        attempt.task = self._group.create_task(self._run(attempt))

    def cancel_all(self) -> None:
        """Cut off what runs: the node leaves, and the next home of each run counts it as lost."""
        for attempt in list(self._live.values()):
            if attempt.task is not None:
                attempt.task.cancel()

    def stop(self, run_no: int, step_no: int, number: int) -> None:
        """Ask an attempt to stop; after a grace it counts as stopped whether it did or not."""
        attempt = self._live.get((run_no, step_no, number))
        if attempt is None or attempt.task is None or attempt.stopping:
            return
        attempt.stopping = True
        attempt.task.cancel()
        if not attempt.began:
            # A task that is cancelled before its first line never gets to say so.
            self._report(attempt, AttemptOutcome.CANCELLED)
            return
        asyncio.get_running_loop().call_later(STOP_GRACE_S, self._give_up, attempt)

    def _give_up(self, attempt: Attempt) -> None:
        key = (attempt.run_no, attempt.step_no, attempt.number)
        if self._live.get(key) is attempt:
            log.warning("attempt.abandoned", extra={"step": attempt.context.step})
            self._report(attempt, AttemptOutcome.CANCELLED)

    async def _run(self, attempt: Attempt) -> None:
        attempt.began = True
        _CONTEXT.set(attempt.context)
        output: bytes | None = None
        error: ErrorRecord | None = None
        outcome = AttemptOutcome.SUCCEEDED
        appeal: Appeal | None = None
        try:
            output = await self._call(attempt)
        except asyncio.CancelledError as failure:
            outcome = AttemptOutcome.CANCELLED
            if not attempt.stopping and attempt.task is not None and attempt.task.cancelling():
                # Not our doing: the node is shutting down, so the run keeps its attempt open
                # and its next home counts it as lost.
                self._live.pop((attempt.run_no, attempt.step_no, attempt.number), None)
                raise
            if not attempt.stopping:
                # Nobody cancelled the attempt: its body let one of its own awaits through.
                outcome = AttemptOutcome.FAILED
                error = attempt.record_of(failure)
        except _AttemptTimeout as limit:
            outcome, error = AttemptOutcome.TIMED_OUT, limit.record
        # User code may raise anything; this is the only place that catches broadly. A task that
        # asks the program to exit must not take the runs of others along.
        except (Exception, SystemExit) as failure:  # noqa: BLE001
            outcome, error = AttemptOutcome.FAILED, attempt.record_of(failure)
            appeal = appeal_of(failure)
        context = attempt.context
        context.services.streams.end_soon(context.run_id, context.step)
        self._report(attempt, outcome, output, error, appeal)

    def _report(
        self,
        attempt: Attempt,
        outcome: AttemptOutcome,
        output: bytes | None = None,
        error: ErrorRecord | None = None,
        appeal: Appeal | None = None,
    ) -> None:
        key = (attempt.run_no, attempt.step_no, attempt.number)
        if self._live.pop(key, None) is None:
            return
        receipt = None if attempt.purse is None else attempt.purse.close()
        done = AttemptDone(
            attempt.step_no,
            attempt.number,
            outcome,
            output,
            None if error is None else encode_error(error),
            0.0 if error is None else self._dice(),
            receipt,
            appeal,
        )
        self._done(attempt.run_no, done)

    async def _call(self, attempt: Attempt) -> bytes:
        invocation = attempt.invocation()
        if attempt.timeout_us is None and attempt.heartbeat_us is None:
            return self._payloads.encode(await self._invoke(invocation))
        scope = asyncio.timeout(self._limit_s(attempt))
        try:
            async with scope:
                self._watch_heartbeat(attempt, scope)
                return self._payloads.encode(await self._invoke(invocation))
        except TimeoutError as error:
            # A TimeoutError of the user's own code is an ordinary failure.
            if not scope.expired():
                raise
            raise _AttemptTimeout(attempt) from error

    def _limit_s(self, attempt: Attempt) -> float | None:
        return None if attempt.timeout_us is None else attempt.timeout_us / 1e6

    def _watch_heartbeat(self, attempt: Attempt, scope: asyncio.Timeout) -> None:
        if attempt.heartbeat_us is None:
            return
        loop = asyncio.get_running_loop()
        silence = attempt.heartbeat_us / 1e6
        attempt.beat_at = loop.time()
        total = None if attempt.timeout_us is None else loop.time() + attempt.timeout_us / 1e6

        def check() -> None:
            key = (attempt.run_no, attempt.step_no, attempt.number)
            if key not in self._live:
                return
            due = attempt.beat_at + silence
            if loop.time() >= due:
                attempt.was_silent = True
                scope.reschedule(loop.time())
            else:
                scope.reschedule(total)
                loop.call_at(due, check)

        loop.call_later(silence, check)

    async def _invoke(self, invocation: Invocation) -> Any:
        args, kwargs = invocation.args, invocation.kwargs
        if invocation.check is not None:
            known = await self._body(invocation.check, args, kwargs)
            if known is not None:
                return known
        return await self._body(invocation.function, args, kwargs)

    async def _body(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        # The function of a method: the table would keep the object of a method alive.
        if _is_async(getattr(function, "__func__", function)):
            return await function(*args, **kwargs)
        loop = asyncio.get_running_loop()
        context = copy_context()
        result = await loop.run_in_executor(
            self._threads, lambda: context.run(function, *args, **kwargs)
        )
        return await result if iscoroutine(result) else result

    def beat(self, run_no: int, step_no: int, number: int) -> None:
        """Note a sign of life of an attempt; may be called from its thread."""
        attempt = self._live.get((run_no, step_no, number))
        if attempt is not None and attempt.task is not None:
            with suppress(RuntimeError):
                attempt.beat_at = attempt.task.get_loop().time()


@lru_cache(maxsize=256)
def _is_async(function: Callable[..., Any]) -> bool:
    """Return whether a body is a coroutine function; `inspect` unwraps it anew each time."""
    return iscoroutinefunction(function)


class _AttemptTimeout(Exception):
    """An attempt passed its own limit."""

    def __init__(self, attempt: Attempt) -> None:
        silent = attempt.was_silent
        limit_us = attempt.heartbeat_us if silent else attempt.timeout_us
        what = "gave no heartbeat for" if silent else "took longer than"
        self.record = ErrorRecord(
            code="PDM-T002",
            kind="TimeoutError",
            message=f"The attempt {what} {(limit_us or 0) / 1e6:g} s.",
            why="The limit is declared on the task.",
            fix="Raise `timeouts:` of the task, or make the work shorter.",
            step=attempt.context.step,
        )
        super().__init__(self.record.message)
