"""Budgets as an app sees them: an organization sees its own accounts, and sets its own rules."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from podium.authoring.standing import Standing
from podium.core.budgets import Budget, Scope, owner_of
from podium.core.ids import parse_run_id
from podium.errors import NotFoundError, PodiumError
from podium.ports.ledger import AccountRow

__all__ = ["accounts_of", "check_account", "rules_of", "set_rule"]

LOOKED_AT_MAX: Final = 10_000
"""Accounts that are read to find those of one organization."""


async def accounts_of(app: Standing, *, prefix: str, limit: int) -> Sequence[AccountRow]:
    """Return the accounts that are visible from `app`, those used last first."""
    store = app.engine.store
    if not app.scope:
        return await store.accounts(prefix=prefix, limit=limit)
    found: list[AccountRow] = []
    for row in await store.accounts(prefix=prefix, limit=LOOKED_AT_MAX):
        if await _is_visible(app, row.account):
            found.append(row)
        if len(found) == limit:
            break
    return found


async def check_account(app: Standing, account: str) -> None:
    """Raise `NotFoundError` PDM-R411 for an account of another organization."""
    if not await _is_visible(app, account):
        raise NotFoundError(
            f"Nothing was spent from the account {account!r}.",
            fix="List the accounts with `podium budgets list`.",
            code="PDM-R411",
        )


async def _is_visible(app: Standing, account: str) -> bool:
    organization, run = owner_of(account)
    if not app.scope or organization:
        return app.standpoint.sees(organization)
    try:
        await app.visible(parse_run_id(run))
    except PodiumError:
        return False
    return True


async def rules_of(app: Standing) -> Sequence[Budget]:
    """Return the rules that hold for what is visible from `app`."""
    declared = {rule.name: rule for rule in app.engine.options.budgets}
    kept = {rule.name: rule for rule in await app.engine.store.budgets()}
    return [rule for rule in {**declared, **kept}.values() if _holds(app, rule)]


def _holds(app: Standing, rule: Budget) -> bool:
    owner = rule.organization or (rule.key if rule.scope is Scope.ORGANIZATION else "")
    return not owner or app.standpoint.sees(owner)


async def set_rule(app: Standing, rule: Budget, *, remove: bool) -> Budget:
    """Keep a rule, or forget it; a scoped app sets rules of its organization only."""
    own = replace(rule, organization=app.scope) if app.scope else rule
    await app.engine.store.put_budget(own, remove=remove)
    action = "budget.remove" if remove else "budget.set"
    await app.audit.record(action, own.name, organization=own.organization)
    return own
