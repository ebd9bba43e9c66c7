"""Opens files below a folder and nowhere else: no `..`, no link, no hidden name, no device.

Every part of a path is opened by itself, relative to the one before and without following
links, so nothing that is swapped in between can lead outside.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Final

from podium.agents.tools import ToolRefused

__all__ = ["FILE_BYTES_MAX", "is_hidden", "lines_of", "open_beneath", "read_text"]

FILE_BYTES_MAX: Final = 8 * 1024 * 1024
BINARY_LOOK: Final = 8192
PATH_MAX: Final = 1024

FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_hidden(name: str) -> bool:
    """Return whether a name is one that people hide: `.env`, `.git`, `.ssh`."""
    return name.startswith(".")


@contextmanager
def open_beneath(roots: Sequence[Path], path: str, *, is_folder: bool = False) -> Iterator[int]:
    """Open `path` below the first root that has it; raises `ToolRefused` for anything else."""
    parts = _parts(path, roots)
    descriptor: int | None = None
    for root in roots:
        with suppress(FileNotFoundError, NotADirectoryError):
            descriptor = _walk(root, _below(parts, root), path, is_folder=is_folder)
            break
    if descriptor is None:
        raise ToolRefused(f"There is no {'folder' if is_folder else 'file'} {path!r} here.")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _parts(path: str, roots: Sequence[Path]) -> PurePosixPath:
    if "\0" in path or len(path) > PATH_MAX:
        raise ToolRefused("That is no path.")
    pure = PurePosixPath(path)
    if ".." in pure.parts:
        raise ToolRefused(f"{path!r} leads upwards; name a path below the folder.")
    if pure.is_absolute() and not any(pure.is_relative_to(root) for root in roots):
        raise ToolRefused(f"{path!r} lies outside of the folders that may be read.")
    return pure


def _below(pure: PurePosixPath, root: Path) -> tuple[str, ...]:
    if not pure.is_absolute():
        return pure.parts
    if not pure.is_relative_to(root):
        raise FileNotFoundError
    return pure.relative_to(root).parts


def _walk(root: Path, parts: tuple[str, ...], path: str, *, is_folder: bool) -> int:
    if any(is_hidden(part) for part in parts):
        raise ToolRefused(f"{path!r} is hidden, and hidden files are not read.")
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for at, part in enumerate(parts):
            is_last = at == len(parts) - 1
            flags = FILE if is_last and not is_folder else FOLDER
            inner = os.open(part, flags, dir_fd=here)
            os.close(here)
            here = inner
        _check_kind(here, path, is_folder=is_folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        os.close(here)
        if _is_link(root, parts):
            raise ToolRefused(f"{path!r} is a link, and links are not followed.") from error
        raise
    except OSError as error:
        os.close(here)
        raise ToolRefused(f"{path!r} cannot be read: {_why(error)}.") from error
    except ToolRefused:
        os.close(here)
        raise
    return here


def _why(error: OSError) -> str:
    is_loop = error.errno == 40  # ELOOP: a link where none may be
    return "links are not followed" if is_loop else (error.strerror or "it cannot be opened")


def _is_link(root: Path, parts: tuple[str, ...]) -> bool:
    return any(root.joinpath(*parts[: at + 1]).is_symlink() for at in range(len(parts)))


def _check_kind(descriptor: int, path: str, *, is_folder: bool) -> None:
    kind = os.fstat(descriptor)
    if is_folder != stat.S_ISDIR(kind.st_mode):
        raise ToolRefused(f"{path!r} is {'no' if is_folder else 'a'} folder.")
    if not is_folder and not stat.S_ISREG(kind.st_mode):
        raise ToolRefused(f"{path!r} is no ordinary file.")
    if not is_folder and kind.st_size > FILE_BYTES_MAX:
        raise ToolRefused(
            f"{path!r} has {kind.st_size:,} bytes; at most {FILE_BYTES_MAX:,} are read."
        )


def read_text(descriptor: int, path: str) -> str:
    """Return the text of an open file; raises `ToolRefused` if it is not text."""
    pieces: list[bytes] = []
    size = 0
    while piece := os.read(descriptor, 1 << 20):
        size += len(piece)
        if size > FILE_BYTES_MAX:
            raise ToolRefused(f"{path!r} has more than {FILE_BYTES_MAX:,} bytes.")
        pieces.append(piece)
    data = b"".join(pieces)
    if b"\0" in data[:BINARY_LOOK]:
        raise ToolRefused(f"{path!r} is no text.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ToolRefused(f"{path!r} is no UTF-8 text.") from None


def lines_of(text: str) -> list[str]:
    """Return the lines as editors and compilers number them.

    `str.splitlines` also ends lines at form feeds and at separators of Unicode.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if not lines[-1] else lines
