"""Ctrl-C, counted: once means leave, twice means cancel, three times means now."""

import asyncio
import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupts"]


class Interrupts:
    """Counts the wishes to stop; `told` is called on the event loop after each."""

    def __init__(self) -> None:
        self.count = 0
        self.told: Callable[[], None] = _nobody
        self._is_catching = False

    @contextmanager
    def caught(self) -> Generator["Interrupts", None, None]:
        """Count SIGINT and SIGTERM inside the block instead of dying of them; it may be nested."""
        if self._is_catching:
            yield self
            return
        loop = asyncio.get_running_loop()

        # A plain handler, not the loop's: it must also work while a task blocks the loop.
        def note(number: int, frame: FrameType | None) -> None:
            self.count += 1
            if self.count > 2:
                os._exit(130)
            loop.call_soon_threadsafe(self._tell)

        self._is_catching = True
        before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
            self._is_catching = False

    def _tell(self) -> None:
        self.told()


def _nobody() -> None:
    """Tell nobody: whoever comes looks at the count."""
