"""Keys of the caller's organization: who may call, and for how long."""

from typing import Any, Final

from litestar import get, post
from litestar.params import FromPath, JSONBody

from podium.core.durations import DURATION_EXAMPLES, parse_duration
from podium.errors import RequestError
from podium.server.access import Permission
from podium.server.access_shapes import (
    CreatedKey,
    CreateKey,
    Key,
    KeyPage,
    RotateKey,
    created_key,
    key_shape,
)
from podium.server.dependencies import CallersApp
from podium.server.parameters import Cursor, Limit

__all__ = ["ROUTES"]

ADMIN: Final = {"needs": Permission.ADMIN}
NEVER: Final = "never"

CREATE: Final = {**ADMIN, "example": {"role": "operator", "name": "ci", "expires_in": "30d"}}
ROTATE: Final = {**ADMIN, "example": {"overlap": "1d"}}

KeyId = FromPath[str]


@get("/v1/keys", opt=ADMIN, summary="List keys")
async def list_keys(app: CallersApp, limit: Limit = 50, cursor: Cursor = "") -> KeyPage:
    """List keys by id, also those that ended; never their secrets."""
    rows = await app.keys.list(after=cursor, limit=limit)
    more = rows[-1].key_id if len(rows) == limit else None
    return KeyPage(items=[key_shape(app.keys, row) for row in rows], next_cursor=more)


@post("/v1/keys", status_code=201, opt=CREATE, summary="Make a key")
async def create_key(app: CallersApp, data: JSONBody[CreateKey]) -> CreatedKey:
    """Make a key; its secret is in this answer and nowhere else."""
    never = data.expires_in == NEVER
    made = await app.keys.create(
        data.role,
        name=data.name,
        expires_in_us=None if never else _span("expires_in", data.expires_in),
    )
    return created_key(app.keys, made)


@get("/v1/keys/{key_id:str}", opt=ADMIN, summary="Get a key")
async def get_key(key_id: KeyId, app: CallersApp) -> Key:
    """Return one key, without its secret."""
    return key_shape(app.keys, await app.keys.get(key_id))


@post("/v1/keys/{key_id:str}/rotate", status_code=201, opt=ROTATE, summary="Rotate a key")
async def rotate_key(
    key_id: KeyId, app: CallersApp, data: JSONBody[RotateKey | None] = None
) -> CreatedKey:
    """Make a key that takes the place of another one; both work during the overlap."""
    overlap_us = _span("overlap", (data or RotateKey()).overlap)
    return created_key(app.keys, await app.keys.rotate(key_id, overlap_us=overlap_us))


@post("/v1/keys/{key_id:str}/revoke", status_code=200, opt=ADMIN, summary="Revoke a key")
async def revoke_key(key_id: KeyId, app: CallersApp) -> Key:
    """End a key for good, on every server within two seconds; repeating it is harmless."""
    return key_shape(app.keys, await app.keys.revoke(key_id))


def _span(name: str, value: str | float) -> int:
    span_us = None if isinstance(value, bool) else parse_duration(value)
    # A key that ends as it begins would only lock the door.
    if span_us is None or (span_us <= 0 and name == "expires_in"):
        raise RequestError(
            f"`{name}`: {value!r} is not a duration that lasts.",
            fix=f"For example {DURATION_EXAMPLES}.",
            code="PDM-R127",
        )
    return span_us


ROUTES: Final[tuple[Any, ...]] = (list_keys, create_key, get_key, rotate_key, revoke_key)
