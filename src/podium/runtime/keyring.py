"""The keys of a store as this process knows them: a second old at most, found by their hash.

All keys are held in memory, so that asking about a key that exists takes as long as asking about
one that does not. What changed elsewhere is read once a second, while anybody asks.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from podium.core.access import KeyStatus, key_hash, key_status
from podium.ports.access import KeyRow
from podium.ports.store import Store

__all__ = ["KeyRing"]

FRESH_US: Final = 1_000_000
"""How long a key that was revoked in another process may still open something here."""
USE_NOTED_EVERY_US: Final = 60_000_000

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class KeyRing:
    """See the module docstring."""

    def __init__(self, store: Store, *, spawn: Spawn) -> None:
        self._store = store
        self._spawn = spawn
        self._keys: dict[str, KeyRow] = {}
        """By hash."""
        self._hashes: dict[str, str] = {}
        """By id."""
        self._version = 0
        self._read_us: int | None = None
        self._reading = asyncio.Lock()
        self._noted_us: dict[str, int] = {}

    async def find(self, text: str) -> KeyRow | None:
        """Return the key with this text, whatever its status."""
        await self._refresh()
        # No constant-time comparison: who asks cannot choose the digits of a hash.
        return self._keys.get(key_hash(text))

    async def is_active(self, key_id: str) -> bool:
        """Return whether the key with this id opens anything now."""
        await self._refresh()
        hashed = self._hashes.get(key_id)
        return hashed is not None and self.status(self._keys[hashed]) is KeyStatus.ACTIVE

    async def is_empty(self) -> bool:
        """Return whether no key was ever made; one that ended still counts."""
        if not self._keys:
            await self._refresh()
        return not self._keys

    async def active(self, organization: str) -> Sequence[KeyRow]:
        """Return the keys of an organization that open something now."""
        await self._refresh()
        ours = [row for row in self._keys.values() if row.organization == organization]
        return [row for row in ours if self.status(row) is KeyStatus.ACTIVE]

    def status(self, row: KeyRow) -> KeyStatus:
        """Return whether a key opens anything now."""
        now_us = self._store.now_us()
        return key_status(expires_us=row.expires_us, revoked_us=row.revoked_us, now_us=now_us)

    def expire(self) -> None:
        """Read the keys anew before the next answer: this process changed one."""
        self._read_us = None

    def note_use(self, row: KeyRow) -> None:
        """Write down that a key was used, once a minute at most."""
        now_us = self._store.now_us()
        known_us = self._noted_us.get(row.key_id, row.last_used_us)
        if known_us is None or now_us - known_us >= USE_NOTED_EVERY_US:
            self._noted_us[row.key_id] = now_us
            self._spawn(self._store.touch_keys({row.key_id: now_us}), "touch-key")

    async def _refresh(self) -> None:
        if self._is_fresh():
            return
        async with self._reading:
            if self._is_fresh():
                return
            now_us = self._store.now_us()
            for row in await self._store.keys_changed(self._version):
                self._keys[row.hash] = row
                self._hashes[row.key_id] = row.hash
                self._version = row.version
            self._read_us = now_us

    def _is_fresh(self) -> bool:
        return self._read_us is not None and self._store.now_us() < self._read_us + FRESH_US
