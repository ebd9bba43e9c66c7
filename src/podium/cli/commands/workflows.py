"""`podium workflows`: published definitions and their versions."""

import asyncio
from pathlib import Path

import click

from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session
from podium.cli.publishing import compare, list_all, publish_one, roll_back, show_one, take_out

__all__ = ["workflows"]


@click.group(cls=LazyGroup, short_help="Publish, compare and roll back versions.")
def workflows() -> None:
    """Publish, compare and roll back versions. A run stays on the version it started with."""


@workflows.command("list")
@click.argument("name", default="")
@common
def list_workflows(name: str) -> int:
    """List the published workflows, or all versions of one."""
    return asyncio.run(list_all(session(), name))


@workflows.command()
@click.argument("name")
@click.argument("version", default="")
@common
def show(name: str, version: str) -> int:
    """Show a workflow: the active version, or one by number, label or hash."""
    return asyncio.run(show_one(session(), name, version))


@workflows.command()
@click.argument("file", metavar="FILE|MODULE:WORKFLOW")
@click.option("--inactive", is_flag=True, help="Record it, but let new runs take the old one.")
@common
def publish(file: str, *, inactive: bool) -> int:
    """Publish a definition and make it the active version."""
    return asyncio.run(publish_one(session(), file, activate=not inactive))


@workflows.command()
@click.argument("name")
@click.argument("old")
@click.argument("new", default="")
@common
def diff(name: str, old: str, new: str) -> int:
    """Show what changed from version OLD to NEW (default: the active one).

    NEW may be a file.
    """
    path = Path(new) if Path(new).is_file() else None
    return asyncio.run(compare(session(), name, old, new, path))


@workflows.command()
@click.argument("name")
@click.argument("version")
@common
def rollback(name: str, version: str) -> int:
    """Make an older version the active one; runs keep theirs."""
    return asyncio.run(roll_back(session(), name, version))


@workflows.command()
@click.argument("name")
@common
def deactivate(name: str) -> int:
    """Take a workflow out of use: nothing new is started of it until a version is active again."""
    return asyncio.run(take_out(session(), name))
