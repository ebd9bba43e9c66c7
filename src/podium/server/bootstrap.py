"""The first key of an installation that nobody has a terminal on: a file that a container mounts.

A file that is there holds the key; one that is not gets a new key, unless keys exist.
"""

import asyncio
import os
import secrets
from pathlib import Path
from typing import Final

from podium.authoring.client import App
from podium.core.access import ENTROPY_BYTES, Role, make_key
from podium.errors import RequestError

__all__ = ["register_bootstrap_key"]

KEY_BYTES_MAX: Final = 1024


async def register_bootstrap_key(app: App, path: Path) -> None:
    """Make the key in a file an administrator of this process's organization; safe to repeat.

    Raises `RequestError` PDM-R127 if the file holds no key, PDM-R142 if it cannot be used.
    """
    key = await asyncio.to_thread(_read, path)
    if key is None:
        if await app.keys.needed():
            return
        # Written first: a process that dies here finds its key again.
        key = make_key(secrets.token_bytes(ENTROPY_BYTES))
        await asyncio.to_thread(_write, path, key)
    acting = app.acting_as(str(path), via="server")
    await acting.keys.register(key, Role.ADMIN, name="bootstrap")


def _read(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(KEY_BYTES_MAX).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error


def _write(path: Path, key: str) -> None:
    try:
        # Nobody else may read it, from the first moment on.
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(key + "\n")
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> RequestError:
    return RequestError(
        f"The bootstrap key file {str(path)!r} cannot be used.",
        why=error.strerror or str(error),
        fix="Mount a readable file with a key, or a folder where one can be made; "
        "PODIUM_BOOTSTRAP_KEY_FILE names it.",
        code="PDM-R142",
    )
