"""`app.keys`: who may call the service, and for how long."""

import secrets
from collections.abc import Sequence
from typing import Final

import msgspec

from podium.authoring.standpoint import Facet, check_name, unknown_organization
from podium.core.access import (
    ENTROPY_BYTES,
    KeyStatus,
    Role,
    is_key,
    key_hash,
    key_hint,
    key_id_of,
    make_key,
)
from podium.core.cloudevents import rfc3339
from podium.errors import AccessError, ConflictError, NotFoundError, RequestError, did_you_mean
from podium.ports.access import KeyRow

__all__ = ["Keys", "NewKey"]

DAY_US: Final = 86_400_000_000
EXPIRES_IN_US: Final = 90 * DAY_US
EXPIRES_IN_MAX_US: Final = 3650 * DAY_US
OVERLAP_US: Final = DAY_US
"""How long a key lives on after it was rotated."""
KEYS_MAX: Final = 1000
"""Active keys of one organization."""


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key with its secret, which is shown this once."""

    key: str
    row: KeyRow


class Keys(Facet):
    """The keys of the service: make, list, rotate and revoke them, and find out whose one is."""

    async def create(
        self,
        role: str,
        *,
        name: str = "",
        organization: str = "",
        expires_in_us: int | None = EXPIRES_IN_US,
    ) -> NewKey:
        """Make a key; its secret is in the answer and nowhere else.

        Without `organization`, for that of this app. `expires_in_us=None` makes one that does not
        expire. Raises `RequestError` for what does not fit, `NotFoundError` PDM-R413 for an
        organization that does not exist, `ConflictError` PDM-C043 for a name that is in use.
        """
        chosen = _role(role)
        owner = await self._owner(organization)
        check_name(name, of="a key")
        _check_span("expires_in", expires_in_us)
        _check_room(await self._desk.ring.active(owner), owner, name)
        made = self._made(owner, chosen, name, expires_in_us)
        await self._add(made.row)
        return made

    async def register(self, key: str, role: str, *, name: str = "") -> KeyRow:
        """Let a secret that was made elsewhere be a key of this app's organization.

        Safe to repeat: a key that is known stays as it is. Raises `RequestError` PDM-R127 for a
        text that is too short or has other characters than `sk_` and those of base64url.
        """
        if not is_key(key):
            raise _not_a_key()
        row = self._row(key, self._at.scope or self._at.home, _role(role), name, None)
        await self._add(row)
        found = await self._store.key(row.key_id)
        return found or row

    def _made(self, owner: str, role: Role, name: str, life_us: int | None) -> NewKey:
        key = make_key(secrets.token_bytes(ENTROPY_BYTES))
        return NewKey(key=key, row=self._row(key, owner, role, name, life_us))

    def _row(self, key: str, owner: str, role: Role, name: str, life_us: int | None) -> KeyRow:
        hashed, now_us = key_hash(key), self._store.now_us()
        return KeyRow(
            key_id=key_id_of(hashed),
            organization=owner,
            role=role,
            # Two keys without a name are two callers, in journals and for four eyes.
            name=name or f"{role}-{key_id_of(hashed)[4:8]}",
            hash=hashed,
            hint=key_hint(key),
            created_us=now_us,
            created_by=self._at.by,
            expires_us=None if life_us is None else now_us + life_us,
        )

    async def _add(self, row: KeyRow) -> None:
        facts = {"role": row.role, "name": row.name, "expires_at": _moment(row.expires_us)}
        entry = self._entry("key.create", row.key_id, row.organization, facts)
        await self._store.add_key(row, entry)
        self._desk.ring.expire()

    async def _owner(self, organization: str) -> str:
        owner = organization or self._at.scope or self._at.home
        if not owner or not self._at.sees(owner):
            raise unknown_organization(owner, ())
        known = {row.slug for row in await self._store.organizations()}
        if owner not in {self._at.home, self._at.scope} and owner not in known:
            raise unknown_organization(owner, sorted(known))
        return owner

    async def list(self, *, after: str = "", limit: int = 100) -> Sequence[KeyRow]:
        """Return keys by id, those after `after`, also the ones that ended."""
        return await self._store.keys(organization=self._at.scope, after=after, limit=limit)

    async def get(self, key_id: str) -> KeyRow:
        """Return one key; raises `NotFoundError` PDM-R416."""
        row = await self._store.key(key_id)
        if row is None or not self._at.sees(row.organization):
            raise NotFoundError(
                f"The key {key_id!r} does not exist.",
                fix="List the keys with `podium keys list`; ids look like key_4t0zq8k2ma.",
                code="PDM-R416",
            )
        return row

    def status(self, row: KeyRow) -> KeyStatus:
        """Return whether a key opens anything now."""
        return self._desk.ring.status(row)

    async def rotate(self, key_id: str, *, overlap_us: int = OVERLAP_US) -> NewKey:
        """Make a key that takes the place of another one, which lives on for `overlap_us`.

        The new one has the same name and role, and lives as long as the old one was to live.
        Raises `ConflictError` PDM-C041 if the old one is revoked or was rotated before: two
        living keys are enough.
        """
        old = await self.get(key_id)
        _check_span("overlap", overlap_us)
        life_us = None if old.expires_us is None else old.expires_us - old.created_us
        made = self._made(old.organization, Role(old.role), old.name, life_us)
        entry = self._entry("key.rotate", key_id, old.organization, {"to": made.row.key_id})
        until_us = made.row.created_us + overlap_us
        if not await self._store.rotate_key(key_id, made.row, expires_us=until_us, entry=entry):
            raise await self._not_rotated(key_id)
        self._desk.ring.expire()
        return made

    async def _not_rotated(self, key_id: str) -> ConflictError:
        row = await self.get(key_id)
        state = self.status(row)
        if row.successor:
            why, fix = f"It was rotated to {row.successor}.", f"Rotate {row.successor} instead."
        else:
            why, fix = f"It is {state}.", "Make a new one: `podium keys create`."
        return ConflictError(
            f"The key {key_id} cannot be rotated.", why=why, fix=fix, code="PDM-C041", state=state
        )

    async def revoke(self, key_id: str) -> KeyRow:
        """End a key for good, in all processes within two seconds; safe to repeat."""
        old = await self.get(key_id)
        now_us = self._store.now_us()
        entry = self._entry("key.revoke", key_id, old.organization)
        await self._store.revoke_key(key_id, at_us=now_us, entry=entry)
        self._desk.ring.expire()
        return await self.get(key_id)

    # -- asking --------------------------------------------------------------------------------

    async def needed(self) -> bool:
        """Return whether callers need a key: from the first one on, for ever."""
        return not await self._desk.ring.is_empty()

    async def is_admitted(self) -> bool:
        """Return whether the key that this app acts for still opens anything.

        For what lasts longer than a request; always, where no key was needed.
        """
        key_id = self._at.key_id
        return not key_id or await self._desk.ring.is_active(key_id)

    async def whose(self, key: str) -> KeyRow:
        """Return the key with this secret if it opens anything; raises `AccessError` (401).

        Takes as long for one that exists as for one that does not.
        """
        ring = self._desk.ring
        row = await ring.find(key)
        if row is None:
            raise _unknown_key()
        status = ring.status(row)
        if status is not KeyStatus.ACTIVE:
            raise _ended_key(row, status)
        ring.note_use(row)
        return row


def _role(role: str) -> Role:
    try:
        return Role(role)
    except ValueError:
        raise RequestError(
            f"There is no role {role!r}.",
            fix=did_you_mean(role, [each.value for each in Role], what="role"),
            code="PDM-R127",
        ) from None


def _check_room(active: Sequence[KeyRow], owner: str, name: str) -> None:
    if len(active) >= KEYS_MAX:
        raise ConflictError(
            f"The organization {owner!r} has {KEYS_MAX:,} active keys.",
            why="Keys that nobody can count are keys that nobody revokes.",
            fix="Revoke those that are not used: `podium keys list` shows when each one was.",
            code="PDM-C042",
        )
    same = next((row for row in active if name and row.name == name), None)
    if same is not None:
        raise ConflictError(
            f"The name {name!r} is in use by the key {same.key_id}.",
            why="Journals and the audit log tell callers apart by the names of their keys.",
            fix=f"Rotate that key (`podium keys rotate {same.key_id}`), or choose another name.",
            code="PDM-C043",
        )


def _check_span(name: str, span_us: int | None) -> None:
    if span_us is not None and not 0 <= span_us <= EXPIRES_IN_MAX_US:
        raise RequestError(
            f"`{name}` is out of range.",
            why="It is from 0 to ten years.",
            fix='For example "90d", or "never" for a key that does not expire.',
            code="PDM-R127",
        )


def _moment(us: int | None) -> str | None:
    return None if us is None else rfc3339(us)


def _not_a_key() -> RequestError:
    return RequestError(
        "This is not a key.",
        why="A key is `sk_` and at least 32 letters, digits, hyphens or underscores.",
        fix="Make one with `podium keys create`.",
        code="PDM-R127",
    )


def _unknown_key() -> AccessError:
    return AccessError(
        "The key is not known here.",
        why="It was never made on this store, or not all of it arrived.",
        fix="Compare its beginning with `podium keys list`, or make one: `podium keys create`.",
        code="PDM-R122",
        code_word="unknown_key",
        status=401,
    )


def _ended_key(row: KeyRow, status: KeyStatus) -> AccessError:
    if status is KeyStatus.REVOKED:
        return AccessError(
            f"The key {row.key_id} was revoked.",
            why=f"Since {rfc3339(row.revoked_us or 0)} it opens nothing, and it never will again.",
            fix="Ask an administrator for a new key: `podium keys create`.",
            code="PDM-R124",
            code_word="revoked_key",
            status=401,
        )
    return AccessError(
        f"The key {row.key_id} has expired.",
        why=f"It was good until {rfc3339(row.expires_us or 0)}.",
        fix="Make a new one: `podium keys create`. Rotate it the next time before it expires.",
        code="PDM-R123",
        code_word="expired_key",
        status=401,
    )
