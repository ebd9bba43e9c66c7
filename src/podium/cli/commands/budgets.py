"""`podium budgets`: what was spent, what is left, and more of it."""

import asyncio
from typing import Any

import click

from podium.cli.lazy import LazyGroup
from podium.cli.options import common, session
from podium.cli.spending import grant_more, list_all, set_rule, show_one

__all__ = ["budgets"]


@click.group(cls=LazyGroup, short_help="Show, set and raise budgets.")
def budgets() -> None:
    """Show, set and raise budgets."""


@budgets.command("list")
@click.option("--prefix", default="", help="Accounts that begin so, such as `run:` or `user:ann`.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@common
def list_budgets(prefix: str, limit: int) -> int:
    """List rules and accounts, those used last first."""
    return asyncio.run(list_all(session(), prefix=prefix, limit=limit))


@budgets.command()
@click.argument("account")
@common
def show(account: str) -> int:
    """Show an account; for a run id, what the run was billed."""
    return asyncio.run(show_one(session(), account))


def amounts(command: Any) -> Any:
    """Add the kinds of amounts."""
    for option in (
        click.option("--time", metavar="DURATION", help="Time spent in calls, such as 10m."),
        click.option("--calls", type=click.IntRange(0), help="Calls of models."),
        click.option("--tokens", type=click.IntRange(0), help="Tokens of all kinds."),
        click.option("--usd", metavar="AMOUNT", help="Dollars."),
    ):
        command = option(command)
    return command


@budgets.command("set")
@click.argument("scope", type=click.Choice(["organization", "user", "workflow", "run", "step",
                                            "agent"]))  # fmt: skip
@click.argument("name", default="")
@amounts
@click.option("--per", type=click.Choice(["run", "hour", "day", "month", "total"]),
              default="total", show_default=True)  # fmt: skip
@click.option("--on-limit", type=click.Choice(["deny", "downgrade", "pause", "partial"]),
              default="deny", show_default=True)  # fmt: skip
@click.option("--remove", is_flag=True, help="Forget the rule that was set here.")
@common
def set_budget(*, remove: bool, **given: Any) -> int:
    """Set a rule on this store: over the settings, for every process, within a second."""
    words = {name: given.pop(name) for name in ("scope", "name", "per", "on_limit")}
    return asyncio.run(set_rule(session(), words, given, remove=remove))


@budgets.command()
@click.argument("account")
@amounts
@click.option("--by", metavar="WHO", help="Who grants it (default: you).")
@common
def grant(*, account: str, by: str | None, **given: Any) -> int:
    """Raise the limits of an account for everybody, until its window ends."""
    return asyncio.run(grant_more(session(), account, given, by=by))
