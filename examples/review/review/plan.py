"""The first step: decide, once, which files are reviewed and what they contain right now.

Everything later works on this list, so a run that is continued next week reviews the same files
and can tell which of them have changed.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .findings import FileEntry, Plan, Skipped
from .source import Unreadable, read

__all__ = ["plan"]

SKIPPED_MAX: Final = 100
_NOT_OURS: Final = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
_SAMPLE: Final = Path(__file__).resolve().parent.parent / "fixtures" / "planted"


def plan(path: str = "", limit: int = 0, output_dir: str = ".") -> Plan:
    """List the Python files below `path` in a fixed order, with size and hash.

    Links are not followed; hidden folders, environments and installed packages are left out.
    Raises `ValueError` for a path, limit or output folder that cannot work.
    """
    if limit < 0:
        raise ValueError(f"limit is {limit}; give 0 for all files, or how many to review.")
    chosen = _chosen(path)
    target = _writable(output_dir)
    root, names = _listing(chosen)
    files, skipped = _entries(root, names, limit or len(names))
    return Plan(
        path=path or _short(chosen),
        root=str(root),
        output_dir=str(target),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        files=files,
        files_found=len(names),
        skipped=skipped[:SKIPPED_MAX],
        skipped_count=len(skipped),
    )


def _chosen(path: str) -> Path:
    """Return what to review: the given path, else `src` here, else the sample beside us."""
    if path:
        chosen = Path(path).expanduser()
        if not chosen.exists():
            raise ValueError(f"There is no {path!r} in {Path.cwd()}. Give a folder or a file.")
        return chosen
    return Path("src") if Path("src").is_dir() else _SAMPLE


def _short(path: Path) -> str:
    full = path.resolve()
    return str(full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else full)


def _writable(output_dir: str) -> Path:
    """Check at the start what the last step needs: reviewing for an hour in vain is worse."""
    target = Path(output_dir).expanduser().resolve()
    existing = next(each for each in (target, *target.parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"The report cannot be written below {existing}: choose an output_dir.")
    return target


def _listing(chosen: Path) -> tuple[Path, list[str]]:
    full = chosen.resolve()
    if not str(full).isprintable():
        raise ValueError(f"The name of {str(full)!a} is not plain text. Rename or copy the folder.")
    if full.is_file():
        return full.parent, [full.name]
    # Not every name is text; as bytes all of them have an order.
    return full, sorted(_walk(full), key=os.fsencode)


def _walk(root: Path) -> Iterator[str]:
    """Yield the path of each Python file relative to `root`."""
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = [name for name in folders if _is_ours(here / name)]
        for name in names:
            if name.endswith(".py") and not name.startswith("."):
                yield (here / name).relative_to(root).as_posix()


def _is_ours(folder: Path) -> bool:
    if folder.name.startswith(".") or folder.name in _NOT_OURS:
        return False
    return not (folder / "pyvenv.cfg").exists()


def _entries(root: Path, names: list[str], limit: int) -> tuple[list[FileEntry], list[Skipped]]:
    files: list[FileEntry] = []
    skipped: list[Skipped] = []
    for name in names:
        if len(files) == limit:
            break
        try:
            files.append(_entry(root, name))
        except Unreadable as error:
            path = name.encode("utf-8", errors="backslashreplace").decode()
            skipped.append(Skipped(path=path, reason=str(error)))
    return files, skipped


def _entry(root: Path, path: str) -> FileEntry:
    if not path.isprintable():
        raise Unreadable("the name is not plain text")
    if (root / path).is_symlink():
        raise Unreadable("a symbolic link")
    source = read(str(root), path)
    return FileEntry(root=str(root), path=path, size=source.size, sha256=source.sha256)
