"""A command group that knows its commands by name and loads one only when it is called.

`podium --help` must not pay for an engine, and a misspelt command must still get a suggestion.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from podium.errors import RequestError, did_you_mean

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """Commands as `name: (section, "module:attribute", one-line help)`."""

    def __init__(
        self, *args: Any, lazy: Mapping[str, tuple[str, str, str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order they were declared."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command by its name."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name][1].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise RequestError(
                f"There is no command `{ctx.command_path} {name}`.",
                fix=did_you_mean(name, self.list_commands(ctx), what="command"),
                code="PDM-R061",
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by section without loading them."""
        if not self._lazy:
            super().format_commands(ctx, formatter)
            return
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, (section, _, text) in self._lazy.items():
            sections.setdefault(section, []).append((name, text))
        width = max(map(len, self._lazy)) + 2
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows, col_max=width)
