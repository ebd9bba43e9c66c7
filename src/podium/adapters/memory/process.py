"""The process behind a view of the reference store, as a simulation treats it."""

import asyncio
from collections.abc import Callable

__all__ = ["CallLater", "Process", "loop_call_later"]

Call = Callable[[], None]
CallLater = Callable[[float, Call], object]


def loop_call_later(delay_s: float, call: Call) -> object:
    """Call after a delay on the running event loop."""
    return asyncio.get_running_loop().call_later(delay_s, call)


class Process:
    """Something that can be stopped, continued and ended; its calls to come obey."""

    def __init__(self, call_later: CallLater) -> None:
        self._call_later = call_later
        self._backlog: list[Call] | None = None
        self.is_alive = True

    def pause(self) -> None:
        """Stop: no commit, no answer and no renewal until `resume`."""
        if self._backlog is None:
            self._backlog = []

    def resume(self) -> None:
        """Continue: what fell due meanwhile happens now, in order."""
        backlog, self._backlog = self._backlog or [], None
        for call in backlog:
            self.later(0.0, call)

    def end(self) -> None:
        """End without a word: nothing of it happens any more."""
        self.is_alive = False

    def later(self, delay_s: float, call: Call) -> None:
        """Call after a delay, if the process runs then."""

        def run() -> None:
            if not self.is_alive:
                return
            if self._backlog is not None:
                self._backlog.append(call)
            else:
                call()

        self._call_later(delay_s, run)

    async def wait(self, delay_s: float) -> None:
        """Return after a delay."""
        if delay_s > 0:
            over = asyncio.Event()
            self.later(delay_s, over.set)
            await over.wait()
