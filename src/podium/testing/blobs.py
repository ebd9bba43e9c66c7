"""Large payloads in memory, for tests."""

import hashlib

from podium.errors import StoreError

__all__ = ["MemoryBlobs"]


class MemoryBlobs:
    """A blob store that forgets everything with its process; see `podium.ports.blobs.Blobs`."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        """See `Blobs.put`."""
        digest = hashlib.sha256(data).hexdigest()
        self._bodies[digest] = data
        return digest

    def get(self, digest: str) -> bytes:
        """See `Blobs.get`."""
        if digest not in self._bodies:
            raise StoreError(f"The blob {digest} does not exist.", code="PDM-S010")
        return self._bodies[digest]
