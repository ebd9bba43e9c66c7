"""Files that appear whole or not at all: the draft a person reads, then the report itself.

A draft lies in a folder named after its hash, below the output folder, so that it can be read
before it is approved and nothing else can be published in its place.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypedDict

__all__ = ["NAMES", "Draft", "digest", "discard", "save", "take", "write_whole"]

NAMES: Final = ("report.md", "report.json")


class Draft(TypedDict):
    """Where a draft is, and the hash that an approval is bound to."""

    summary: Any
    report_sha256: str
    output_dir: str
    draft_md: str
    draft_json: str


def save(output_dir: str, *, markdown: bytes, document: bytes, summary: Mapping[str, Any]) -> Draft:
    """Write a draft below `output_dir` and describe it; the same content has the same place."""
    sha256 = digest(document)
    folder = _folder(output_dir, sha256)
    for name, data in zip(NAMES, (markdown, document), strict=True):
        write_whole(folder / name, data)
    return Draft(
        summary=summary,
        report_sha256=sha256,
        output_dir=output_dir,
        draft_md=str(folder / NAMES[0]),
        draft_json=str(folder / NAMES[1]),
    )


def take(draft: Draft, name: str) -> bytes:
    """Return a file of the draft, or the published one if an earlier attempt moved it there."""
    folder = _folder(draft["output_dir"], draft["report_sha256"])
    for path in (folder / name, Path(draft["output_dir"]) / name):
        if path.is_file():
            return path.read_bytes()
    raise FileNotFoundError(f"The draft of {name} is gone from {folder}. Run the edit step again.")


def discard(draft: Draft) -> None:
    """Remove a draft and the folders that are empty without it; it may be gone already."""
    folder = _folder(draft["output_dir"], draft["report_sha256"])
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)
    # Other drafts, or the store of Podium, may be in the outer folders: then they stay.
    with contextlib.suppress(OSError):
        for empty in (folder, folder.parent, folder.parent.parent):
            empty.rmdir()


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that readers and crashes see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Named after the content: an attempt that was killed leaves nothing for the next to trip on.
    temporary = path.with_name(f".{path.name}.{digest(data)[:16]}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _folder(output_dir: str, sha256: str) -> Path:
    return Path(output_dir) / ".podium" / "drafts" / sha256[:16]
