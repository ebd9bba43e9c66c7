"""Listens to what attempts print and log: `logging`, `sys.stdout` and `sys.stderr`.

Nothing is taken away: a line goes where it went before, and into the logbook of its attempt.
Records are seen where they are made, not by a handler, so that a program may set up its own
logging before or after. The hooks of a process are shared by all its engines.
"""

import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TextIO

from podium.ports.store import Store
from podium.runtime.attempts import AttemptContext, attempt_context
from podium.runtime.logbook import Logbook

__all__ = ["begin_capture", "end_capture", "is_of_engine", "send_output_to"]

LEVELS: Final = {"WARNING": "warn", "CRITICAL": "error"}
OF_ATTEMPTS: Final = ("podium.models",)
"""Loggers of ours that speak for the attempt they are called in."""

Factory = Callable[..., logging.LogRecord]


class _Hooks:
    """What is installed in this process, and for how many engines."""

    def __init__(self) -> None:
        self.engines = 0
        self.former: Factory = logging.LogRecord
        self.streams: dict[str, _Heard] = {}
        self.elsewhere: TextIO | None = None


_HOOKS: Final = _Hooks()


def is_of_engine(source: str) -> bool:
    """Return whether a logger belongs to the engine, which works for all runs at once.

    It may be called from within an attempt, or a request, and still not speak for it.
    """
    return source.startswith("podium.") and not source.startswith(OF_ATTEMPTS)


Spawn = Callable[[Coroutine[Any, Any, None], str], None]


def begin_capture(book: Logbook | None, store: Store, spawn: Spawn) -> None:
    """Keep what attempts print and log in `store`, if there is a book for it."""
    if book is not None:
        book.open(store)
        _listen()
        spawn(book.keep(), "logs")


async def end_capture(book: Logbook | None) -> None:
    """Keep what is left, and listen no more."""
    if book is not None and book.is_open:
        _stop_listening()
        await book.close()


def _listen() -> None:
    _HOOKS.engines += 1
    if _HOOKS.engines > 1:
        return
    _HOOKS.former = logging.getLogRecordFactory()
    logging.setLogRecordFactory(_record)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None:
            _HOOKS.streams[name] = _Heard(stream, name)
            setattr(sys, name, _HOOKS.streams[name])


def _stop_listening() -> None:
    """Put everything back as it was, unless somebody has changed it meanwhile."""
    _HOOKS.engines -= 1
    if _HOOKS.engines:
        return
    if logging.getLogRecordFactory() is _record:
        logging.setLogRecordFactory(_HOOKS.former)
    for name, heard in _HOOKS.streams.items():
        if getattr(sys, name) is heard:
            setattr(sys, name, heard.stream)
    _HOOKS.streams.clear()
    _HOOKS.elsewhere = None


def send_output_to(stream: TextIO | None) -> None:
    """Let what attempts print appear on `stream` instead of the standard output."""
    _HOOKS.elsewhere = stream


def _record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = _HOOKS.former(*args, **kwargs)
    context = attempt_context()
    book = None if context is None else context.services.logbook
    if context is not None and book is not None and not is_of_engine(record.name):
        _write(context, book, record)
    return record


def _write(context: AttemptContext, book: Logbook, record: logging.LogRecord) -> None:
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError):
        # A message that does not fit its arguments: `logging` itself complains about it.
        text = str(record.msg)
    if record.exc_info and record.exc_info[0] is not None:
        text += "\n" + _FORMATTER.formatException(record.exc_info)
    level = LEVELS.get(record.levelname, record.levelname.lower())
    book.write((context.run_id, context.step, context.attempt), level, record.name, text)


_FORMATTER: Final = logging.Formatter()


class _Heard:
    """A standard stream that attempts are heard on; everything else passes through."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self.stream = stream
        self.name = name

    def write(self, text: str) -> int:
        """Write, and note it if an attempt does."""
        context = attempt_context()
        if context is None:
            return self.stream.write(text)
        book = context.services.logbook
        if book is not None:
            book.print((context.run_id, context.step, context.attempt), self.name, text)
        elsewhere = _HOOKS.elsewhere if self.name == "stdout" else None
        return (elsewhere or self.stream).write(text)

    def writelines(self, lines: list[str]) -> None:
        """Write lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
