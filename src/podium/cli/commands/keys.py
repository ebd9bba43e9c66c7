"""`podium keys`: who may call the service."""

import asyncio

import click

from podium.cli.entry import create_key, list_keys, revoke_key, rotate_key
from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session
from podium.core.access import Role

__all__ = ["keys"]


@click.group(cls=LazyGroup, short_help="Make, list, rotate and revoke keys of the service.")
def keys() -> None:
    """Make, list, rotate and revoke keys of the service."""


@keys.command()
@click.option("--role", type=click.Choice([role.value for role in Role]), default="viewer",
              show_default=True, help="What the key may do.")  # fmt: skip
@click.option("--name", default="", help="Whose it is, as the audit log names them.")
@click.option("--org", "organization", default="", metavar="SLUG",
              help="The organization it belongs to (default: yours).")  # fmt: skip
@click.option("--expires", default="90d", show_default=True, metavar="DURATION|never",
              help="How long it is good for.")  # fmt: skip
@common
def create(role: str, name: str, organization: str, expires: str) -> int:
    """Make a key and print it: this once, for only its hash is kept."""
    work = create_key(session(), role, name=name, organization=organization, expires=expires)
    return asyncio.run(work)


@keys.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@common
def list_all(limit: int) -> int:
    """List keys with role, age and last use; never their secrets."""
    return asyncio.run(list_keys(session(), limit=limit))


@keys.command()
@click.argument("key_id")
@click.option("--overlap", default="1d", show_default=True, metavar="DURATION",
              help="How long the old key lives on.")  # fmt: skip
@common
def rotate(key_id: str, overlap: str) -> int:
    """Make a key that takes the place of another; both work for a while."""
    return asyncio.run(rotate_key(session(), key_id, overlap=overlap))


@keys.command()
@click.argument("key_id")
@common
def revoke(key_id: str) -> int:
    """End a key for good: every server refuses it within two seconds."""
    return asyncio.run(revoke_key(session(), key_id))
