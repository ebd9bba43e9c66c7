"""Finds out who asks, by the key in the header `Authorization`.

While no key was ever made, whoever reaches the server is trusted: it then only listens to its
own machine. From the first key on, every request that is not public needs one.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from litestar.datastructures import Headers

from podium.authoring.client import App
from podium.core.access import Role
from podium.errors import AccessError, StoreError
from podium.server.access import Caller
from podium.server.bootstrap import register_bootstrap_key
from podium.server.rates import Rates
from podium.settings import Settings

__all__ = ["KeyAuthenticator", "open_authenticator", "read_authorization"]

SCHEME: Final = "Bearer"


class KeyAuthenticator:
    """See the module docstring. Keys are those of all organizations of the store."""

    def __init__(self, app: App, *, requests_per_second: float = 0.0) -> None:
        self._app = app
        self._rates = Rates(requests_per_second, clock=time.monotonic)
        self._local = Caller(organization=app.organization, role=Role.ADMIN, name="local")
        self._is_open = True

    @property
    def is_open(self) -> bool:
        """See `Authenticator.is_open`; as of the last `look`."""
        return self._is_open

    async def look(self) -> None:
        """See `Authenticator.look`."""
        # Without a store a probe must still learn that this process is alive.
        with suppress(StoreError):
            await self._ask()

    async def _ask(self) -> None:
        # A key is never deleted: what was closed once stays closed.
        if self._is_open:
            self._is_open = not await self._app.keys.needed()

    async def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """See `Authenticator.authenticate`; raises `StoreError` rather than trust anybody."""
        await self._ask()
        if self._is_open:
            return self._local
        row = await self._app.keys.whose(read_authorization(_only(headers)))
        self._rates.take(row.key_id)
        return Caller(
            organization=row.organization, role=row.role, key_id=row.key_id, name=row.name
        )


async def open_authenticator(app: App, settings: Settings) -> KeyAuthenticator:
    """Return an authenticator that knows whether keys are needed, bootstrap key included."""
    if settings.bootstrap_key_file:
        await register_bootstrap_key(app, Path(settings.bootstrap_key_file))
    authenticator = KeyAuthenticator(app, requests_per_second=settings.requests_per_second)
    await authenticator.look()
    return authenticator


def _only(headers: Mapping[str, str]) -> str:
    # With two of them, whoever stands before us may have looked at the other one.
    if isinstance(headers, Headers) and len(headers.getall("authorization", [])) > 1:
        raise _malformed("The header Authorization was sent twice.")
    given = headers.get("authorization")
    if given is None:
        raise _missing()
    return given


def read_authorization(header: str) -> str:
    """Return the key in `Bearer sk_…`; raises `AccessError` 401 that says what is wrong with it."""
    scheme, space, rest = header.partition(" ")
    if scheme.lower() != SCHEME.lower():
        raise _malformed(
            "The header Authorization has another scheme than `Bearer`."
            if space
            else "The header Authorization is one word."
        )
    if not rest.strip():
        raise _malformed("The header Authorization has no key after `Bearer`.")
    if rest.startswith((" ", "\t")):
        raise _malformed("There is more than one space between `Bearer` and the key.")
    if rest != rest.strip() or any(char.isspace() for char in rest):
        raise _malformed("There is a space within or after the key.")
    return rest


def _malformed(what: str) -> AccessError:
    return AccessError(
        what,
        why="The header is the word Bearer, exactly one space, and the key.",
        fix="Send it as `Authorization: Bearer sk_…`.",
        code="PDM-R113",
        code_word="malformed_authorization",
        status=401,
    )


def _missing() -> AccessError:
    return AccessError(
        "The request has no key.",
        why="Keys were made for this server, so every request needs one.",
        fix="Send the header `Authorization: Bearer sk_…`; `podium keys create` makes a key.",
        code="PDM-R112",
        code_word="missing_credentials",
        status=401,
    )
