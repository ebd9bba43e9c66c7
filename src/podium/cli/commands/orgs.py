"""`podium orgs`: whom runs and keys belong to."""

import asyncio

import click

from podium.cli.entry import create_organization, list_organizations
from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session

__all__ = ["orgs"]


@click.group(cls=LazyGroup, short_help="Make and list organizations.")
def orgs() -> None:
    """Make and list organizations; each sees its own runs, keys and logs only."""


@orgs.command()
@click.argument("slug")
@click.option("--title", default="", help="Its name for people.")
@common
def create(slug: str, title: str) -> int:
    """Make an organization; keys for it: podium keys create --org SLUG."""
    return asyncio.run(create_organization(session(), slug, title=title))


@orgs.command("list")
@common
def list_all() -> int:
    """List organizations."""
    return asyncio.run(list_organizations(session()))
