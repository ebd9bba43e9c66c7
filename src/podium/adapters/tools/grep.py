"""The tool `grep`: lines that match a pattern, below the folders an agent was given.

Patterns are matched in linear time by the engine that also checks schemas: a model may write
any pattern, and one that takes for ever must not exist.
"""

import os
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from importlib import import_module
from pathlib import PurePosixPath
from typing import Annotated, Any, Final

from msgspec import Meta

from podium.adapters.tools.beneath import (
    FILE,
    FILE_BYTES_MAX,
    is_hidden,
    lines_of,
    open_beneath,
    read_text,
)
from podium.agents.tools import Grant, ToolRefused, tool

__all__ = ["grep"]

FILES_MAX: Final = 5000
SECONDS_MAX: Final = 10.0
LINE_CHARS_MAX: Final = 2000
SHOWN_CHARS_MAX: Final = 300
MATCHES_MAX: Final = 200


@tool(effect="read")
def grep(
    pattern: Annotated[str, Meta(max_length=500, description="A regular expression.")],
    path: Annotated[str, Meta(description="The folder or file to search.")] = ".",
    files: Annotated[str, Meta(max_length=200, description="Names to look at: `*.py`.")] = "*",
    matches: Annotated[int, Meta(ge=1, le=MATCHES_MAX, description="How many to show.")] = 50,
    *,
    grant: Grant,
) -> str:
    """Find lines in text files that match a regular expression, as `file:line: text`."""
    is_match = _matcher(pattern)
    found: list[str] = []
    for name, text in _texts(path, files, grant):
        for number, line in enumerate(lines_of(text), 1):
            if is_match(line[:LINE_CHARS_MAX]):
                found.append(f"{name}:{number}: {line.strip()[:SHOWN_CHARS_MAX]}")
                if len(found) == matches:
                    return "\n".join([*found, f"[the first {matches}; there may be more]"])
    return "\n".join(found) or "No line matches."


def _matcher(pattern: str) -> Callable[[str], bool]:
    # Imported here: it is large.
    rules: Any = import_module("jsonschema_rs")
    try:
        validator = rules.validator_for(
            {"type": "string", "pattern": pattern}, pattern_options=rules.RegexOptions()
        )
    except (rules.ValidationError, ValueError) as error:
        raise ToolRefused(f"The pattern cannot be used: {str(error)[:200]}") from None
    is_match: Callable[[str], bool] = validator.is_valid
    return is_match


def _texts(path: str, files: str, grant: Grant) -> Iterator[tuple[str, str]]:
    """Yield name and text of each file to look at; what is no text is passed over."""
    is_file = _is_file(path, grant)
    if is_file:
        with open_beneath(grant.roots, path) as descriptor:
            yield path, read_text(descriptor, path)
        return
    deadline = time.monotonic() + SECONDS_MAX
    with open_beneath(grant.roots, path, is_folder=True) as top:
        for seen, (name, descriptor) in enumerate(_files(top, files)):
            if seen == FILES_MAX or time.monotonic() > deadline:
                raise ToolRefused(f"{path!r} holds too much to search; name a folder inside it.")
            try:
                yield str(PurePosixPath(path) / name), read_text(descriptor, name)
            except ToolRefused:
                continue


def _is_file(path: str, grant: Grant) -> bool:
    try:
        with open_beneath(grant.roots, path):
            return True
    except ToolRefused:
        return False


def _files(top: int, pattern: str) -> Iterator[tuple[str, int]]:
    """Yield files below an open folder, open; links, devices and hidden names are left out."""
    for folder, names, inside, here in os.fwalk(".", dir_fd=top, follow_symlinks=False):
        names[:] = sorted(name for name in names if not is_hidden(name))
        for name in sorted(inside):
            if is_hidden(name) or not fnmatch(name, pattern) or not _is_small(name, here):
                continue
            try:
                descriptor = os.open(name, FILE, dir_fd=here)
            except OSError:
                continue
            try:
                yield str(PurePosixPath(folder) / name), descriptor
            finally:
                os.close(descriptor)


def _is_small(name: str, folder: int) -> bool:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    is_plain = (found.st_mode & 0o170000) == 0o100000
    return is_plain and found.st_size <= FILE_BYTES_MAX
