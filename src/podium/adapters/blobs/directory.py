"""Blobs as files in a directory, named by content hash and written whole or not at all."""

import hashlib
import os
import zlib
from pathlib import Path
from typing import Final

from podium.errors import StoreError

__all__ = ["DirectoryBlobs", "MemoryBlobs"]

PLAIN: Final = b"\0"
ZLIB: Final = b"\1"


class DirectoryBlobs:
    """See `ports.blobs.Blobs`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, data: bytes) -> str:
        """See `Blobs.put`. A crash leaves a `.part` file at worst, never half a blob."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        if path.exists():
            return digest
        packed = zlib.compress(data, 1)
        body = ZLIB + packed if len(packed) < len(data) else PLAIN + data
        part = path.with_name(f"{digest}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with part.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise StoreError(
                f"A payload of {len(data):,} bytes could not be written.",
                why=str(error),
                fix="Free space, or check the permissions of the blob directory.",
                code="PDM-S011",
            ) from error
        return digest

    def get(self, digest: str) -> bytes:
        """See `Blobs.get`."""
        path = self._path(digest)
        try:
            body = path.read_bytes()
            data = zlib.decompress(body[1:]) if body[:1] == ZLIB else body[1:]
        except (OSError, zlib.error) as error:
            raise _missing(digest, str(error)) from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise _missing(digest, f"The content of {path} does not match its name.")
        return data

    def _path(self, digest: str) -> Path:
        return self._directory / digest[:2] / digest


def _missing(digest: str, why: str) -> StoreError:
    return StoreError(
        f"The payload {digest[:12]}… cannot be read.",
        why=why,
        fix="Restore the blob directory from the same backup as the database.",
        code="PDM-S022",
    )


class MemoryBlobs:
    """Blobs in a dictionary, for tests and simulation."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        """See `Blobs.put`."""
        digest = hashlib.sha256(data).hexdigest()
        self._blobs[digest] = data
        return digest

    def get(self, digest: str) -> bytes:
        """See `Blobs.get`."""
        if digest not in self._blobs:
            raise _missing(digest, "It was never stored.")
        return self._blobs[digest]
