"""Values as bytes: MessagePack, put together without decoding, and errors as records."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

__all__ = ["ErrorRecord", "decode_error", "encode_error", "pack_list", "pack_map", "pack_value"]

_ENCODER: Final = msgspec.msgpack.Encoder()


class ErrorRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a step or a run failed, as kept in the journal and shown to people."""

    code: str
    kind: str
    """The class name of the error, as retry rules match it."""
    message: str
    why: str = ""
    fix: str = ""
    step: str = ""
    """Path of the step it happened in."""
    trace: str = ""
    """The last frames of the traceback in the user's code."""
    retryable: bool = True
    retry_after_us: int = 0
    causes: tuple["ErrorRecord", ...] = ()


_ERROR_DECODER: Final = msgspec.msgpack.Decoder(ErrorRecord)


def encode_error(error: ErrorRecord) -> bytes:
    """Return the bytes of an error record."""
    return _ENCODER.encode(error)


def decode_error(body: bytes) -> ErrorRecord:
    """Return the error record of `body`."""
    return _ERROR_DECODER.decode(body)


def pack_value(value: Any) -> bytes:
    """Return plain JSON data as MessagePack; raises `TypeError` for anything else."""
    return _ENCODER.encode(value)


def pack_list(parts: Sequence[bytes]) -> bytes:
    r"""Return the MessagePack array of already encoded values.

    >>> pack_list([b"\xc0", b"\x01"])
    b'\x92\xc0\x01'
    """
    return _header(len(parts), 0x90, 0xDC) + b"".join(parts)


def pack_map(pairs: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the MessagePack map of text keys and already encoded values."""
    parts: list[bytes] = []
    for key, value in pairs:
        parts.append(_ENCODER.encode(key))
        parts.append(value)
    return _header(len(parts) // 2, 0x80, 0xDE) + b"".join(parts)


def _header(count: int, short: int, long: int) -> bytes:
    if count < 16:
        return bytes((short | count,))
    if count < 1 << 16:
        return bytes((long,)) + count.to_bytes(2, "big")
    return bytes((long + 1,)) + count.to_bytes(4, "big")
