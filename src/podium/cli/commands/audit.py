"""`podium audit`: who changed what, and whether the record is whole."""

import asyncio
from typing import Any

import click

from podium.cli.auditing import list_audit, verify_audit
from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session

__all__ = ["audit"]


@click.group(cls=LazyGroup, short_help="Show the audit log, and prove that it is whole.")
def audit() -> None:
    """Show the audit log, and prove that it is whole."""


def organization(command: Any) -> Any:
    """Add the choice of an organization."""
    words = "Whose log (default: yours)."
    return click.option("--org", "organization", default="", metavar="SLUG", help=words)(command)


@audit.command("list")
@organization
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--before", type=click.IntRange(1), help="Rows before this number.")
@common
def list_rows(organization: str, limit: int, before: int | None) -> int:
    """List what was changed, newest first."""
    work = list_audit(session(), organization=organization, limit=limit, before=before)
    return asyncio.run(work)


@audit.command()
@organization
@click.option("--head", default="", metavar="SEQ:HASH",
              help="What an earlier verify printed: nothing up to it may be gone.")  # fmt: skip
@common
def verify(organization: str, head: str) -> int:
    """Recompute the chain; exit code 1 and the first bad row if it is not whole.

    Without --org, the logs of all organizations.
    """
    return asyncio.run(verify_audit(session(), organization=organization, head=head))
