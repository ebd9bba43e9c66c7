"""An event loop whose clock moves only when nothing else can happen.

Sleeping costs no time, and the order of everything is the same in every process: tasks hash by
their number, timers fire in the order of their time and then of their creation. Threads and
sockets still work; the clock waits while a thread does. Where nothing is left to happen, the
loop raises `DeadlockError` and names who waits for what.
"""

import asyncio
import heapq
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

__all__ = ["DeadlockError", "VirtualLoop", "VirtualTask", "run_virtual"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


SOCKET_GRACE_S: Final = 0.02
"""Real time that open sockets get to say something before the clock jumps."""
THREAD_GRACE_S: Final = 1.0
"""Real time that unknown threads get to call back before the loop is called dead."""
WAITERS_SHOWN: Final = 12
DRAIN_TURNS_MAX: Final = 1000


class DeadlockError(RuntimeError):
    """Nothing is scheduled, and somebody waits."""


class VirtualTask(asyncio.Task[T]):
    """A task that hashes by its number, so that sets of tasks have one order."""

    def __init__(
        self, number: int, work: Coroutine[Any, Any, T] | Generator[Any, None, T], **options: Any
    ) -> None:
        self.number = number
        super().__init__(work, **options)

    def __hash__(self) -> int:
        return self.number


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module docstring; `VirtualLoop` is a `loop_factory` for `asyncio.Runner`."""

    _ready: deque[asyncio.Handle]
    _timers: list[tuple[float, int, "_Timer"]]
    _selector: Any

    def __init__(self) -> None:
        super().__init__()
        self._timers = []
        self._now = 0.0
        self._timer_no = 0
        self._task_no = 0
        self._jobs = 0

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._now

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        """Schedule a coroutine as a task with the next number."""
        self._task_no += 1
        return VirtualTask(self._task_no, coro, loop=self, **options)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back at a virtual time; equal times keep the order of their calls."""
        self._timer_no += 1
        timer = _Timer(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, self._timer_no, timer))
        return timer

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back after a virtual delay."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run a function in a thread; the clock stands still until it is back."""
        future = super().run_in_executor(executor, func, *args)
        self._jobs += 1
        future.add_done_callback(self._job_ended)
        return future

    def _job_ended(self, future: object) -> None:
        self._jobs -= 1

    def ready(self, handles: Iterable[asyncio.Handle]) -> None:
        """Run these callbacks soon, in order."""
        self._ready.extend(handles)

    def drain(self) -> None:
        """Run what is ready, and what becomes ready by that, without letting time pass."""
        for _ in range(DRAIN_TURNS_MAX):
            if not self._ready:
                return
            self.call_soon(self.stop)
            self.run_forever()

    # -- one turn of the loop ------------------------------------------------------------------

    def _run_once(self) -> None:
        if self._jobs or len(self._selector.get_map()) > 1:
            self._poll(0.0)
        if not self._ready:
            self._let_time_pass()
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                self._run_handle(handle)

    def _run_handle(self, handle: Any) -> None:
        """Run one callback; a simulation overrides this to freeze or drop it."""
        handle._run()

    def _poll(self, real_seconds: float | None) -> bool:
        events = self._selector.select(real_seconds)
        process: Any = getattr(self, "_process_events")  # noqa: B009 - private to asyncio
        process(events)
        return bool(events)

    def _let_time_pass(self) -> None:
        if self._jobs:
            self._poll(None)
            return
        if len(self._selector.get_map()) > 1 and self._poll(SOCKET_GRACE_S):
            return
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not timers:
            self._give_up()
            return
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            timer = heapq.heappop(timers)[2]
            if not timer.cancelled():
                self._ready.append(timer)

    def _give_up(self) -> None:
        if threading.active_count() > 1 and self._poll(THREAD_GRACE_S):
            return
        waiting = sorted(asyncio.all_tasks(self), key=hash)
        shown = "\n".join(f"  {_describe(task)}" for task in waiting[:WAITERS_SHOWN])
        more = len(waiting) - WAITERS_SHOWN
        raise DeadlockError(
            f"Nothing is scheduled at {self._now:g} s, and {len(waiting)} tasks wait:\n{shown}"
            + (f"\n  and {more} more" if more > 0 else "")
        )


class _Timer(asyncio.TimerHandle):
    """A timer that tells nobody when it is cancelled: the loop drops it when its time comes."""

    def cancel(self) -> None:
        """Cancel the call."""
        asyncio.Handle.cancel(self)


def _describe(task: "asyncio.Task[Any]") -> str:
    frames = task.get_stack(limit=1)
    where = f" at {frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else ""
    return f"{task.get_name()}: {getattr(task.get_coro(), '__qualname__', '?')}{where}"


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time and return what it returns.

    >>> async def main():
    ...     await asyncio.sleep(3600)
    ...     return asyncio.get_running_loop().time()
    >>> run_virtual(main())
    3600.0
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
