"""Values to bytes and back: the one codec of inputs, outputs and recorded results.

Bytes are MessagePack. A value above `INLINE_MAX` goes to the blob store and is replaced by an
extension type, which no JSON data can imitate. Live results make the same round trip as
replayed ones, so a workflow never sees a tuple today and a list tomorrow.
"""

from hashlib import blake2b
from typing import Any, Final

import msgspec

from podium.errors import RequestError
from podium.ports.blobs import Blobs

__all__ = ["INLINE_MAX", "Payloads", "fingerprint"]

INLINE_MAX: Final = 64 * 1024
BLOB: Final = 1


class Payloads:
    """Encodes and decodes values; see the module docstring."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
        self._decoder = msgspec.msgpack.Decoder(ext_hook=self._fetch)

    def encode(self, value: Any) -> bytes:
        """Return the bytes of `value`; raises `RequestError` PDM-R015 if it is not data."""
        try:
            body = self._encoder.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise RequestError(
                f"A value of type {type(value).__name__} cannot be stored.",
                why=str(error),
                fix="Return plain data (dict, list, text, numbers, dataclasses, models), or a "
                "path or URL to the rest.",
                code="PDM-R015",
            ) from error
        return self.offload(body)

    def offload(self, body: bytes) -> bytes:
        """Return `body`, or a reference to it in the blob store if it is large."""
        if len(body) <= INLINE_MAX:
            return body
        digest = self._blobs.put(body)
        return msgspec.msgpack.encode(msgspec.msgpack.Ext(BLOB, bytes.fromhex(digest)))

    def decode(self, body: bytes) -> Any:
        """Return the plain data of `body`, fetching what was stored apart."""
        return self._decoder.decode(body)

    def _fetch(self, code: int, data: memoryview) -> Any:
        if code != BLOB:
            raise ValueError(f"unknown payload extension {code}")
        return self._decoder.decode(self._blobs.get(bytes(data).hex()))


def _plain(value: Any) -> Any:
    """Return plain data for what MessagePack does not know; models by duck typing."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    if hasattr(value, "__fspath__"):
        return value.__fspath__()
    raise TypeError(f"objects of type {type(value).__name__} are not plain data")


def fingerprint(body: bytes) -> int:
    """Return a number that differs for different arguments: 48 bits of BLAKE2b."""
    return int.from_bytes(blake2b(body, digest_size=6).digest(), "big")
