"""Budgets: the rules, what was used, and who gets more."""

from typing import Any, Final

from litestar import get, post, put
from litestar.params import FromQuery, JSONBody

from podium.core.budget_values import rule_of
from podium.core.budgets import UNITS
from podium.errors import NotFoundError, RequestError
from podium.server.access import Permission
from podium.server.dependencies import CallersApp
from podium.server.holdings import (
    Account,
    BudgetRule,
    Budgets,
    Grant,
    SetBudget,
)
from podium.server.parameters import Limit
from podium.server.records import account_shape, rule_shape

__all__ = ["ROUTES"]

READ: Final = {"needs": Permission.READ}
ADMIN: Final = {"needs": Permission.ADMIN}


@get("/v1/budgets", opt=READ, summary="List budgets")
async def list_budgets(app: CallersApp, prefix: FromQuery[str] = "", limit: Limit = 100) -> Budgets:
    """List the rules, and the accounts whose name starts with `prefix`, those used last first."""
    rules = await app.budget_rules()
    rows = await app.budgets(prefix=prefix, limit=limit)
    return Budgets(
        rules=[rule_shape(rule) for rule in rules],
        items=[account_shape(row) for row in rows],
        next_cursor=None,
    )


@put("/v1/budgets", opt=ADMIN, summary="Set a budget")
async def set_budget(app: CallersApp, data: JSONBody[SetBudget]) -> BudgetRule:
    """Keep a rule in place of the one with the same scope, key and window, or forget it."""
    try:
        rule = rule_of(
            data.scope, data.key, per=data.per, limits=data.limits, on_limit=data.on_limit
        )
    except ValueError as error:
        raise _no_budget(str(error)) from error
    if not data.remove and all(getattr(rule.limits, unit) is None for unit in UNITS):
        raise _no_budget("it limits nothing")
    return rule_shape(await app.set_budget(rule, remove=data.remove))


def _no_budget(why: str) -> RequestError:
    return RequestError(
        f"This is no budget: {why}.",
        fix='For example {"scope": "organization", "per": "day", "limits": {"usd": 20}}.',
        code="PDM-R053",
    )


@post("/v1/budgets/grants", status_code=200, opt=ADMIN, summary="Grant more")
async def grant(app: CallersApp, data: JSONBody[Grant]) -> Account:
    """Raise the limits of an account for everybody who spends from it."""
    await app.grant(data.account, data.amounts)
    for row in await app.budgets(prefix=data.account):
        if row.account == data.account:
            return account_shape(row)
    raise NotFoundError(
        f"Nothing was spent from the account {data.account!r}.",
        fix="List the accounts with GET /v1/budgets.",
        code="PDM-R411",
    )


ROUTES: Final[tuple[Any, ...]] = (list_budgets, set_budget, grant)
