"""One invocation of the command line: its flags, its settings, its way to the store.

Three ways lead there. `reading` opens the store and nothing else. `driving` runs an engine
that works. `desk` (in desk.py) applies a person's decision without taking work over.
"""

import getpass
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podium.authoring.client import App
    from podium.settings import Settings, Sourced

__all__ = ["Session", "person"]


class Session:
    """See the module docstring. Flags are set while the command line is parsed."""

    def __init__(self) -> None:
        self.store: str | None = None
        self.as_json = False
        self.debug = False
        self._merged: tuple[Settings, dict[str, Sourced]] | None = None

    @property
    def sourced(self) -> "tuple[Settings, dict[str, Sourced]]":
        """Return the settings of this folder, and where each one came from."""
        if self._merged is None:
            from podium.authoring.project import project_settings  # noqa: PLC0415

            self._merged = project_settings(
                flags={"database_url": self.store}, environment=os.environ, folder=Path.cwd()
            )
        return self._merged

    @property
    def settings(self) -> "Settings":
        """Return the settings of this folder."""
        return self.sourced[0]

    @asynccontextmanager
    async def reading(self) -> "AsyncGenerator[App]":
        """Open the store without an engine: verbs on this app only post, and wait for others."""
        from podium.app import open_reader  # noqa: PLC0415

        async with open_reader(self.settings) as app:
            yield app.acting_as(person())

    @asynccontextmanager
    async def starting(self) -> "AsyncGenerator[App]":
        """Open a desk: runs that start there are for other processes to run."""
        from podium.app import connect_desk  # noqa: PLC0415

        async with connect_desk(self.settings) as app:
            yield app.acting_as(person())

    @asynccontextmanager
    async def driving(self, *, alone: bool) -> "AsyncGenerator[App]":
        """Run an engine; `alone`: for the runs it is given, leaving others where they are."""
        from podium.app import connect_alone, connect_recovery, tune_process  # noqa: PLC0415
        from podium.cli.logs import show_logs, show_output  # noqa: PLC0415

        tune_process()
        settings = self.settings
        app = connect_alone(settings) if alone else connect_recovery(settings)
        secrets = app.engine.registry.services.secrets
        # The picture of the run tells which tasks fail.
        quiet = ("podium.tasks",)
        show_logs(settings.log_level, settings.log_format, secrets=secrets, quiet=quiet)
        # Whoever asked for one JSON document gets nothing else from this process.
        show_output(sys.stderr if self.as_json else None)
        async with app:
            yield app.acting_as(person())


def person() -> str:
    """Return who is at the keyboard, for the audit trail."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def is_terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
