"""Log lines of a process: on stderr, as text for people and as JSON for collectors.

Text keeps one shape, `WARN [Scheduler] High memory usage detected: 85%`: level, component,
message, details. JSON has one object on each line, with the ids of the run, step, attempt or
request the line belongs to. Either way known secrets are taken out of the whole line.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from podium.runtime.capture import send_output_to
from podium.runtime.correlation import correlation
from podium.runtime.secrets import Secrets

__all__ = ["show_logs", "show_output"]

WORDS: Final = {"WARNING": "WARN", "CRITICAL": "ERROR"}
COMPONENTS: Final = {
    "podium.tasks": "TaskExecutor",
    "podium.database": "Database",
    "podium.runs": "OrchestrationExecutionService",
    "podium.scheduler": "Scheduler",
    "podium.approvals": "OrchestrationCheckpointService",
    "podium.webhooks": "OrchestrationProgressEventsService",
}
"""What operators of earlier systems search their logs for; other parts keep their own names."""
BELOW: Final = ("asyncio", "uvicorn.error")
"""Libraries whose errors are ours to tell: without a handler they would print them raw."""
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

Details = dict[str, Any]


def _details(record: logging.LogRecord) -> Details:
    return {key: value for key, value in vars(record).items() if key not in _OWN}


def _level(record: logging.LogRecord) -> str:
    return WORDS.get(record.levelname, record.levelname)


class _Text(logging.Formatter):
    """`WARN [pump] tick.resent tries=1`: level, component, what, and details."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        part = COMPONENTS.get(record.name, record.name.removeprefix("podium."))
        ids = correlation(record.name)
        details = [f"{key}={value}" for key, value in {**ids, **_details(record)}.items()]
        line = " ".join([f"{_level(record)} [{part}] {record.getMessage()}", *details])
        if record.exc_info and record.exc_info[0] is not None:
            line += "\n" + self.formatException(record.exc_info)
        return self._secrets.redact(line)


class _Json(logging.Formatter):
    """One object on each line; `message` never spans lines, and fields have one type."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        at = datetime.fromtimestamp(record.created, UTC)
        line: Details = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": _level(record).lower(),
            "component": COMPONENTS.get(record.name, record.name.removeprefix("podium.")),
            "message": record.getMessage(),
            **correlation(record.name),
        }
        line |= {name: value for name, value in _details(record).items() if name not in line}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = self.formatException(record.exc_info)
        return self._secrets.redact(msgspec.json.encode(line, enc_hook=str).decode())


def show_logs(
    level: str,
    style: str = "auto",
    *,
    secrets: Secrets | None = None,
    quiet: tuple[str, ...] = (),
) -> None:
    """Print what podium logs from `level` on; safe to repeat.

    `style` is text, json, or auto: text on a terminal. `quiet` names loggers whose lines are
    told otherwise, such as by the live picture of a run. What attempts log with `logging` from
    `info` on is captured for their run in any case, and printed only if the program says so.
    """
    handler = logging.StreamHandler(sys.stderr)
    is_text = style == "text" or (style == "auto" and sys.stderr.isatty())
    known = secrets or Secrets()
    handler.setFormatter(_Text(known) if is_text else _Json(known))
    handler.addFilter(lambda record: record.name not in quiet)
    known_level = level.upper() in logging.getLevelNamesMapping()
    _show("podium", handler, level.upper() if known_level else "WARNING")
    for name in BELOW:
        # Only errors: what strangers send to a server is no news to its operator.
        _show(name, handler, "ERROR")
    root = logging.getLogger()
    if root.level == logging.WARNING and not root.handlers:
        # Nobody set it up: without handlers it prints warnings only, and lets attempts speak.
        root.setLevel(logging.INFO)


def _show(name: str, handler: logging.Handler, level: str) -> None:
    log = logging.getLogger(name)
    log.handlers[:] = [handler]
    log.setLevel(level)
    log.propagate = False


def show_output(stream: TextIO | None) -> None:
    """Let what attempts print appear on `stream`; None: where they print it."""
    send_output_to(stream)
