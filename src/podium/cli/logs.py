"""Log lines of the command line: on stderr, in the level of the settings."""

import logging
import sys
from typing import Final

__all__ = ["show_logs"]

WORDS: Final = {"WARNING": "WARN", "CRITICAL": "ERROR"}
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Lines(logging.Formatter):
    """`WARN [pump] tick.resent tries=1`: level, part of the engine, what, and details."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        level = WORDS.get(record.levelname, record.levelname)
        details = [f"{key}={value}" for key, value in vars(record).items() if key not in _OWN]
        part = record.name.removeprefix("podium.")
        return " ".join([f"{level} [{part}] {record.getMessage()}", *details])


def show_logs(level: str) -> None:
    """Print what the engine logs from `level` on; safe to repeat."""
    log = logging.getLogger("podium")
    log.handlers.clear()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    log.addHandler(handler)
    log.setLevel(level.upper() if level.upper() in logging.getLevelNamesMapping() else "WARNING")
    log.propagate = False
