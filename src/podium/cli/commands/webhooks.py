"""`podium webhooks`: who is told of events, who may tell us, and what was delivered."""

import asyncio

import click

from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session
from podium.cli.telling import (
    change_one,
    create_one,
    delete_one,
    list_all,
    list_deliveries,
    replay_one,
    rotate_one,
    show_one,
    test_one,
)

__all__ = ["webhooks"]


@click.group(cls=LazyGroup, short_help="Tell others of events, and be told.")
def webhooks() -> None:
    """Tell others of events (outgoing), and let them start runs or send signals (incoming)."""


@webhooks.command("list")
@common
def list_webhooks() -> int:
    """List webhooks, without their secrets."""
    return asyncio.run(list_all(session()))


@webhooks.command()
@click.argument("webhook")
@common
def show(webhook: str) -> int:
    """Show a webhook, without its secret."""
    return asyncio.run(show_one(session(), webhook))


@webhooks.command()
@click.argument("url", default="")
@click.option("--events", metavar="PATTERN", multiple=True,
              help="Such as orchestration.step.*; may be repeated.")  # fmt: skip
@click.option("--workflow", metavar="NAME", default="", help="Only runs of this workflow.")
@click.option("--start", metavar="WORKFLOW", default="", help="Incoming: start this workflow.")
@click.option("--signal", metavar="NAME", default="", help="Incoming: send this signal.")
@click.option("--pointer", metavar="POINTER", default="",
              help="Incoming: where in a message the input, or the run id, is.")  # fmt: skip
@click.option("--description", default="", help="Kept with it.")
@click.option("--secret", metavar="whsec_…", default="", help="Yours (default: a fresh one).")
@common
def create(url: str, **wishes: str) -> int:
    """Make a webhook to URL, or an incoming one; its secret is shown this once."""
    return asyncio.run(create_one(session(), url, **wishes))


@webhooks.command()
@click.argument("webhook")
@common
def delete(webhook: str) -> int:
    """Forget a webhook, and what was still to be delivered to it."""
    return asyncio.run(delete_one(session(), webhook))


@webhooks.command()
@click.argument("webhook")
@common
def enable(webhook: str) -> int:
    """Switch a webhook on again; it hears of what happens from now on."""
    return asyncio.run(change_one(session(), webhook, is_active=True))


@webhooks.command()
@click.argument("webhook")
@common
def disable(webhook: str) -> int:
    """Switch a webhook off; nothing more is told to it."""
    return asyncio.run(change_one(session(), webhook, is_active=False))


@webhooks.command()
@click.argument("webhook")
@click.option("--secret", metavar="whsec_…", default="", help="Yours (default: a fresh one).")
@common
def rotate(webhook: str, secret: str) -> int:
    """Give a webhook a new secret; the old one holds for another day."""
    return asyncio.run(rotate_one(session(), webhook, secret=secret))


@webhooks.command()
@click.argument("webhook")
@common
def test(webhook: str) -> int:
    """Send a signed test message now, and say what came back."""
    return asyncio.run(test_one(session(), webhook))


@webhooks.command()
@click.argument("webhook")
@click.option("--status", type=click.Choice(["pending", "delivered", "dead"]), default=None,
              help="Only those.")  # fmt: skip
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--cursor", metavar="DELIVERY", type=int, help="Deliveries older than this one.")
@common
def deliveries(webhook: str, status: str | None, limit: int, cursor: int | None) -> int:
    """List what was told to a webhook, the newest first."""
    work = list_deliveries(session(), webhook, status=status or "", limit=limit, cursor=cursor)
    return asyncio.run(work)


@webhooks.command()
@click.argument("webhook")
@click.option("--delivery", metavar="DELIVERY", type=int,
              help="This one, whatever became of it (default: every dead one).")  # fmt: skip
@common
def replay(webhook: str, delivery: int | None) -> int:
    """Deliver again what was given up; ids of messages stay as they were."""
    return asyncio.run(replay_one(session(), webhook, delivery=delivery))
