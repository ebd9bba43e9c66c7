"""Large payloads, by content."""

from typing import Protocol

__all__ = ["Blobs"]


class Blobs(Protocol):
    """Keeps bytes under the SHA-256 of their content; a blob never changes."""

    def put(self, data: bytes) -> str:
        """Store `data` durably and return its hash (64 hex digits); repeatable."""

    def get(self, digest: str) -> bytes:
        """Return the bytes of `digest`; raises `StoreError` PDM-S022 if missing or damaged."""
