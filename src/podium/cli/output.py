"""What goes where: data to stdout, everything said to a person to stderr."""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from podium.errors import DefinitionError, Fault, PodiumError

__all__ = [
    "ago",
    "cut",
    "duration",
    "emit",
    "emit_json",
    "error_document",
    "moment",
    "note",
    "plain",
    "show_error",
    "styled",
    "table",
]

STYLES: Final = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}


def emit(text: str) -> None:
    """Print data."""
    print(text)


def emit_json(document: Any) -> None:
    """Print one JSON document: indented for a person, on one line for a program."""
    body = msgspec.json.encode(document, enc_hook=str)
    if sys.stdout.isatty():
        body = msgspec.json.format(body, indent=2)
    print(body.decode())


def note(text: str = "") -> None:
    """Tell a person something that is not data."""
    print(text, file=sys.stderr, flush=True)


def has_colour(stream: TextIO) -> bool:
    """Return whether `stream` shows colours and nobody asked for none (NO_COLOR)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, style: str, *, stream: TextIO | None = None) -> str:
    """Return `text` in a style where the stream can show it."""
    if not has_colour(stream or sys.stdout):
        return text
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m"


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return aligned columns under their headers; the last column may be long."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[at]) for line in [headers, *cells]) for at in range(len(headers))]
    head = "  ".join(name.upper().ljust(width) for name, width in zip(headers, widths, strict=True))
    lines = [styled(head.rstrip(), "dim")]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(line.rstrip())
    return "\n".join(lines)


def plain(text: str) -> str:
    """Return text whose control characters, but line ends and tabs, are replaced.

    What a task or a model wrote must not steer the terminal.
    """
    return "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in text)


def cut(text: str, length: int) -> str:
    """Return `text` on one line, at most `length` characters long, without control characters."""
    flat = plain(" ".join(text.split()))
    return flat if len(flat) <= length else flat[: max(0, length - 1)] + "…"


def duration(us: int | None) -> str:
    """Return a duration as people say it: 0.2 s, 12 s, 3:07, 1:02:03.

    >>> [duration(us) for us in (4_000, 210_000, 12_300_000, 187_000_000, 3_723_000_000)]
    ['4 ms', '0.2 s', '12 s', '3:07', '1:02:03']
    """
    if us is None:
        return ""
    if us < 100_000:
        return f"{us // 1000} ms"
    seconds = us / 1e6
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def moment(us: int | None) -> str:
    """Return a time in the local time zone, to the second."""
    if us is None:
        return ""
    return f"{datetime.fromtimestamp(us / 1e6, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def ago(us: int | None, now_us: int) -> str:
    """Return how long ago something was, such as `3:07 ago`."""
    return "" if us is None else f"{duration(max(0, now_us - us))} ago"


def error_document(error: PodiumError) -> dict[str, Any]:
    """Return an error as programs read it; the same words as the three lines."""
    document: dict[str, Any] = {
        "code": error.code,
        "title": type(error).__name__,
        "detail": error.what,
        "why": error.why,
        "fix": error.fix,
        "docs": f"docs/errors/{error.code}.md",
    }
    if isinstance(error, DefinitionError):
        document["source"] = error.source
        document["faults"] = fault_documents(error.faults)
    return document


def fault_documents(faults: Sequence[Fault]) -> list[dict[str, Any]]:
    """Return faults as programs read them."""
    return [msgspec.structs.asdict(fault) for fault in faults]


def show_error(error: PodiumError, *, as_json: bool) -> int:
    """Print an error as what, why and fix; return its exit code."""
    text = plain(str(error))
    note(styled(error.code, "red", stream=sys.stderr) + text.removeprefix(error.code))
    if as_json:
        emit_json({"error": error_document(error)})
    return error.exit_code
