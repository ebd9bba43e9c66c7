"""Reading one source file safely: inside the root, bounded, decoded as Python would decode it.

The reviewers and the verifier share this reading, so a quote means the same to both.
"""

import hashlib
import io
import stat
import tokenize
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .findings import QUOTE_CHARS_MAX

__all__ = ["FILE_BYTES_MAX", "Source", "Unreadable", "read"]

FILE_BYTES_MAX: Final = 1_000_000


class Unreadable(Exception):
    """The file cannot be read as part of the reviewed folder; the text says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """The content of one file; equal path and hash mean equal content.

    `fault` is the line and the reason if the bytes cannot be decoded and `text` is a guess.
    """

    path: str
    sha256: str
    size: int = field(compare=False)
    text: str = field(compare=False, repr=False)
    lines: tuple[str, ...] = field(compare=False, repr=False)
    fault: tuple[int, str] | None = field(compare=False)

    def quote(self, line: int) -> str:
        """Return the text of a line as findings quote it; empty if there is no such line."""
        return self.lines[line - 1][:QUOTE_CHARS_MAX] if 0 < line <= len(self.lines) else ""

    def column(self, line: int, offset: int) -> int:
        """Return the column in characters, from 1, of a byte offset given by the parser."""
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        if text.isascii():
            return offset + 1
        return len(text.encode()[:offset].decode(errors="replace")) + 1


def read(root: str, path: str) -> Source:
    """Read the file at `path` below `root`; raises `Unreadable`, never follows a link out."""
    data = _bytes(Path(root), path)
    digest = hashlib.sha256(data).hexdigest()
    text, fault = _decode(data)
    lines = tuple(text.replace("\0", "\ufffd").split("\n"))
    return Source(path, digest, len(data), text, lines, fault)


def _bytes(root: Path, path: str) -> bytes:
    try:
        full = (root / path).resolve(strict=True)
        if not full.is_relative_to(root.resolve()):
            raise Unreadable("outside the reviewed folder")
        # Opening a pipe would wait for ever, so the kind is checked on the path first.
        status = full.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable("not a regular file")
        with full.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except (OSError, RuntimeError, ValueError) as error:
        raise Unreadable(f"cannot be read ({type(error).__name__})") from error
    if len(data) > FILE_BYTES_MAX:
        raise Unreadable(f"larger than {FILE_BYTES_MAX:,} bytes")
    return data


def _decode(data: bytes) -> tuple[str, tuple[int, str] | None]:
    """Return the text with one kind of line end and, if it had to be guessed, where and why."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
        # Some declared encodings give lone surrogates, which no JSON document can carry.
        text.encode()
    except UnicodeDecodeError as error:
        return _guess(data), (data.count(b"\n", 0, error.start) + 1, _reason(error))
    except (SyntaxError, LookupError, ValueError) as error:
        return _guess(data), (1, _reason(error))
    return _one_line_end(text), None


def _guess(data: bytes) -> str:
    return _one_line_end(data.decode("utf-8", errors="replace"))


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "the text does not match its encoding"
    return "the declared encoding is not usable"


def _one_line_end(text: str) -> str:
    # Only these three end a line for Python; str.splitlines() knows more and would miscount.
    return text.replace("\r\n", "\n").replace("\r", "\n")
