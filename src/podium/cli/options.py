"""What every command takes (`--json`, `--store`, `--debug`) and what it gets: a `Session`."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from podium.cli.session import Session

__all__ = ["common", "session"]

F = TypeVar("F", bound=Callable[..., Any])


def session(ctx: click.Context | None = None) -> Session:
    """Return the session of the running command."""
    return (ctx or click.get_current_context()).find_root().ensure_object(Session)


def _keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    if value is not None:
        setattr(session(ctx), str(parameter.name), value)
    return value


def common(command: F) -> F:
    """Add the options that every command has; they may stand before or after its name."""
    for option in (
        click.option("--debug", is_flag=True, default=None, expose_value=False, callback=_keep,
                     help="Show a traceback for an internal error."),
        click.option("--store", metavar="URL", expose_value=False, callback=_keep,
                     help="The store, such as sqlite:///path/podium.db."),
        click.option("--json", "as_json", is_flag=True, default=None, expose_value=False,
                     callback=_keep, help="Print exactly one JSON document."),
    ):  # fmt: skip
        command = option(command)
    return command
