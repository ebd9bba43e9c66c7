"""`podium config`: the settings in force and where each one came from."""

import re
from typing import Any, Final, cast

import click

from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session
from podium.cli.output import cut, emit, emit_json, table

__all__ = ["config"]

SECRET_WORDS: Final = ("key", "password", "secret", "token")
REFERENCE_RE: Final = re.compile(r"\$\{\w+\}")


@click.group(cls=LazyGroup, short_help="Show every setting with its source.")
def config() -> None:
    """Settings: flag, then environment, then podium.yaml, then default."""


@config.command()
@common
def show() -> int:
    """Show every setting with its source; secrets are hidden."""
    here = session()
    found = {
        name: {"value": hide(each.value, name), "source": each.source}
        for name, each in here.sourced[1].items()
    }
    if here.as_json:
        emit_json(found)
        return 0
    rows = [(name, cut(str(each["value"]), 60), each["source"]) for name, each in found.items()]
    emit(table(("setting", "value", "source"), rows))
    return 0


def hide(value: Any, name: str) -> Any:
    """Return a value without its secrets: passwords in URLs, and keys that are no reference."""
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        # A header may hold a key whatever its name is.
        return {key: hide(inner, "secret" if name == "headers" else key) for key, inner in pairs}
    if isinstance(value, list | tuple):
        return [hide(inner, name) for inner in cast("list[Any]", value)]
    return _hide_text(value, name) if isinstance(value, str) else value


def _hide_text(value: str, name: str) -> str:
    is_secret = any(word in name.lower().split("_") for word in SECRET_WORDS)
    if is_secret and not REFERENCE_RE.fullmatch(value):
        return "•••"
    head, separator, tail = value.partition("://")
    user, at, place = tail.rpartition("@")
    if separator and at and ":" in user:
        return f"{head}://{user.partition(':')[0]}:•••@{place}"
    return value
