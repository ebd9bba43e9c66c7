"""`podium approvals`: what waits for a person, and the person's decision."""

import asyncio
from typing import Any

import click

from podium.cli.deciding import decide, list_all, show_one
from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session

__all__ = ["approvals"]


@click.group(cls=LazyGroup, short_help="List and decide what waits for a person.")
def approvals() -> None:
    """List what waits for a person, and decide it."""


@approvals.command("list")
@click.option("--all", "everything", is_flag=True, help="Decided ones as well.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@common
def list_approvals(*, everything: bool, limit: int) -> int:
    """List approvals, the oldest first."""
    return asyncio.run(list_all(session(), pending=not everything, limit=limit))


@approvals.command()
@click.argument("approval")
@common
def show(approval: str) -> int:
    """Show what is to be approved."""
    return asyncio.run(show_one(session(), approval))


@approvals.command()
@click.argument("approval")
@click.option("--payload", metavar="JSON", help="Approve this instead of what was shown (edit).")
@click.option(
    "--hash",
    "payload_hash",
    metavar="HASH",
    default="",
    help="Refuse unless this is still what waits (payload_hash of show).",
)
@click.option("--comment", default="", help="Kept with the decision.")
@click.option("--by", metavar="WHO", help="Who decides (default: you).")
@common
def approve(approval: str, **answer: Any) -> int:
    """Approve, as shown or with an edited payload. Repeating it is harmless."""
    return asyncio.run(decide(session(), approval, "approve", **answer))


@approvals.command()
@click.argument("approval")
@click.option("--rework", is_flag=True, help="Have a result made anew, with the comment at hand.")
@click.option("--comment", default="", help="Why; the run gets to see it.")
@click.option("--by", metavar="WHO", help="Who decides (default: you).")
@common
def reject(approval: str, *, rework: bool, **answer: Any) -> int:
    """Reject: the step fails, and the run with it unless it says otherwise."""
    return asyncio.run(decide(session(), approval, "rework" if rework else "reject", **answer))
