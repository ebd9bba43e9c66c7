"""Keys, roles and the chain of the audit log, as values and pure functions.

A key is a secret that is shown once; what is kept is its SHA-256. The digits carry 200 random
bits, so a slow hash would protect nothing. An audit log is a chain: each row's hash covers the
row before it, so that a row that was changed, taken out or moved breaks every hash after it.
"""

import hashlib
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from podium.core.ids import ALPHABET

__all__ = [
    "CHAIN_START",
    "ENTROPY_BYTES",
    "AuditEntry",
    "AuditRow",
    "ChainCheck",
    "ChainFault",
    "KeyStatus",
    "Role",
    "chained",
    "check_chain",
    "is_intact",
    "is_key",
    "is_slug",
    "key_hash",
    "key_hint",
    "key_id_of",
    "key_status",
    "make_key",
]

KEY_PREFIX: Final = "sk_"
ENTROPY_BYTES: Final = 25
CHECK_DIGITS: Final = 4
BODY_DIGITS: Final = ENTROPY_BYTES * 8 // 5
KEY_TEXT: Final = re.compile(r"sk_[A-Za-z0-9_-]{32,200}")
SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")


class Role(StrEnum):
    """What a key may do; each is a set of permissions, told in the guide to access."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    AUTHOR = "author"
    ADMIN = "admin"


class KeyStatus(StrEnum):
    """Whether a key opens anything."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


# --- keys ---------------------------------------------------------------------------------------


def make_key(entropy: bytes) -> str:
    """Return the text of a key from random bytes; its last digits check the others.

    >>> make_key(bytes(25))
    'sk_0000000000000000000000000000000000000000xdwf'
    """
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"A key takes {ENTROPY_BYTES} random bytes.")
    body = _digits(int.from_bytes(entropy), BODY_DIGITS)
    return KEY_PREFIX + body + _check_digits(body)


def is_intact(text: str) -> bool:
    """Return whether a key has all its digits, unchanged; says nothing about who made it."""
    prefix, body, check = text[:3], text[3:-CHECK_DIGITS], text[-CHECK_DIGITS:]
    return (prefix, len(body), check) == (KEY_PREFIX, BODY_DIGITS, _check_digits(body))


def is_key(text: str) -> bool:
    """Return whether a text can serve as a key: one of ours, or a long one of the same form."""
    return KEY_TEXT.fullmatch(text) is not None


def key_hash(text: str) -> str:
    """Return what the store keeps of a key."""
    # A header may hold any bytes; a lone surrogate must not be our error.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def key_id_of(hashed: str) -> str:
    """Return the public id of the key with this hash: the same for the same key."""
    number = int.from_bytes(hashlib.sha256(b"key id of " + hashed.encode()).digest())
    return "key_" + _digits(number, 10)


def key_hint(text: str) -> str:
    """Return the beginning of a key, by which its owner recognises it."""
    return text[:7] + "…"


def key_status(*, expires_us: int | None, revoked_us: int | None, now_us: int) -> KeyStatus:
    """Return whether a key opens anything now; what was revoked stays revoked when it expires."""
    if revoked_us is not None:
        return KeyStatus.REVOKED
    if expires_us is not None and expires_us <= now_us:
        return KeyStatus.EXPIRED
    return KeyStatus.ACTIVE


def is_slug(text: str) -> bool:
    """Return whether a text can name an organization."""
    return SLUG.fullmatch(text) is not None


def _digits(number: int, count: int) -> str:
    """Return the last `count` digits of a number in Crockford's base 32."""
    return "".join(ALPHABET[number >> 5 * at & 31] for at in range(count - 1, -1, -1))


def _check_digits(body: str) -> str:
    found = int.from_bytes(hashlib.sha256(body.encode("utf-8", "surrogateescape")).digest())
    return _digits(found, CHECK_DIGITS)


# --- the audit log ------------------------------------------------------------------------------

CHAIN_START: Final = "0" * 64
"""What stands for the hash before the first row."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody did; not yet a row of a chain."""

    organization: str
    at_us: int
    by: str
    """The name of the key, or the person at the terminal."""
    action: str
    """A noun and a verb, such as `run.cancel`."""
    subject: str
    """The id of what it was done to."""
    via: str = ""
    """`http`, `cli` or `server`."""
    key_id: str = ""
    request_id: str = ""
    detail: str = ""
    """JSON; never a secret, never a payload."""


class AuditRow(AuditEntry, frozen=True, kw_only=True):
    """A row of an organization's chain; `seq` counts from 1 without gaps."""

    seq: int
    hash: str


def chained(entry: AuditEntry, *, seq: int, previous: str) -> AuditRow:
    """Return the row that continues a chain whose last hash is `previous`."""
    facts = {name: getattr(entry, name) for name in AuditEntry.__struct_fields__}
    # A list in the order of the declaration: no separator that a text could forge.
    body = msgspec.json.encode([previous, seq, *facts.values()])
    return AuditRow(seq=seq, hash=hashlib.sha256(body).hexdigest(), **facts)


class ChainFault(StrEnum):
    """How a chain is broken."""

    CHANGED = "changed"
    """This row, or the one before it, is not what was written, or not where."""
    MISSING = "missing"
    """A row before this one was taken out."""
    CUT = "cut"
    """The chain ends before its known head."""


class ChainCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How far a chain is whole: up to `seq` with the hash `hash`; `fault` is at the next row."""

    seq: int = 0
    hash: str = CHAIN_START
    fault: ChainFault | None = None


def check_chain(rows: Iterable[AuditRow], *, so_far: ChainCheck | None = None) -> ChainCheck:
    """Follow a chain from `so_far` over more rows, in the order of their `seq`."""
    at = so_far or ChainCheck()
    if at.fault is not None:
        return at
    for row in rows:
        if row.seq != at.seq + 1:
            return msgspec.structs.replace(at, fault=ChainFault.MISSING)
        if chained(row, seq=row.seq, previous=at.hash) != row:
            return msgspec.structs.replace(at, fault=ChainFault.CHANGED)
        at = ChainCheck(seq=row.seq, hash=row.hash)
    return at
