"""`podium config`: the settings in force and where each one came from."""

import click

from podium.cli.hiding import hide
from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session
from podium.cli.output import cut, emit, emit_json, table

__all__ = ["config"]


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
