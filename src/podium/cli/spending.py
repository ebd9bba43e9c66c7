"""What `podium budgets` prints and changes."""

from collections.abc import Mapping
from typing import Any

import msgspec

from podium.cli.output import emit, emit_json, moment, note, table
from podium.cli.session import Session, person
from podium.core.budget_values import limits_of, rule_of
from podium.core.budgets import UNITS, Amounts, Budget, Limits, dollars, raised, told
from podium.core.charges import NANO
from podium.core.cloudevents import rfc3339
from podium.core.ids import run_id
from podium.errors import NotFoundError, RequestError
from podium.ports.ledger import AccountRow, LedgerRow

__all__ = ["grant_more", "list_all", "set_rule", "show_one"]


async def list_all(session: Session, *, prefix: str, limit: int) -> int:
    """List rules and accounts."""
    async with session.reading() as app:
        set_here = await app.engine.store.budgets()
        rows = await app.budgets(prefix=prefix, limit=limit)
    known = {rule.name: rule for rule in app.engine.options.budgets}
    rules = list({**known, **{rule.name: rule for rule in set_here}}.values())
    if session.as_json:
        emit_json(
            {
                "rules": [_rule_document(rule) for rule in rules],
                "accounts": [account_document(row) for row in rows],
            }
        )
        return 0
    if rules:
        lines = [(rule.name, told(rule.limits), rule.on_limit) for rule in rules]
        emit(table(("rule", "limit", "at the limit"), lines))
    if rules and rows:
        emit("")
    if rows:
        emit(table(("account", "spent", "held", "limit", ""), [_line(row) for row in rows]))
    if not rules and not rows:
        note("No budgets: see `budgets:` in podium.yaml, or podium budgets set.")
    return 0


def _line(row: AccountRow) -> tuple[str, ...]:
    limits = row.limits
    doubt = f"{told(row.in_doubt, limits)} in doubt" if row.in_doubt.calls else ""
    more = f"{told(row.extra, limits)} granted" if row.extra != Amounts() else ""
    return (
        row.account,
        told(row.spent, limits),
        told(row.held, limits),
        told(raised(limits, row.extra)),
        ", ".join(part for part in (more, doubt) if part),
    )


def _rule_document(rule: Budget) -> dict[str, Any]:
    return {
        "name": rule.name,
        "scope": rule.scope,
        "key": rule.key,
        "per": rule.per,
        "limits": amounts_document(rule.limits),
        "on_limit": rule.on_limit,
    }


def amounts_document(amounts: Amounts | Limits) -> dict[str, Any]:
    """Return amounts as programs read them; None: no limit of that kind."""
    cost, time_us = amounts.cost_nano, amounts.time_us
    return {
        "usd": None if cost is None else cost / NANO,
        "tokens": amounts.tokens,
        "calls": amounts.calls,
        "time_s": None if time_us is None else time_us / 1e6,
    }


def account_document(row: AccountRow) -> dict[str, Any]:
    """Return an account as programs read it."""
    return {
        "account": row.account,
        "limits": amounts_document(row.limits),
        "granted": amounts_document(row.extra),
        "spent": amounts_document(row.spent),
        "held": amounts_document(row.held),
        "in_doubt": amounts_document(row.in_doubt),
    }


async def show_one(session: Session, account: str) -> int:
    """Show an account, or what a run was billed."""
    async with session.reading() as app:
        name = f"run:{account}" if account.startswith("run_") else account
        rows = [row for row in await app.budgets(prefix=name) if row.account == name]
        lines = await app.ledger(name.removeprefix("run:")) if name.startswith("run:") else []
    if not rows and not lines:
        raise NotFoundError(
            f"Nothing was spent from the account {account!r}.",
            fix="List the accounts with `podium budgets list`.",
            code="PDM-R411",
        )
    if session.as_json:
        found = account_document(rows[0]) if rows else None
        emit_json({"account": found, "ledger": [ledger_document(line) for line in lines]})
        return 0
    if rows:
        emit(table(("account", "spent", "held", "limit", ""), [_line(row) for row in rows]))
    if rows and lines:
        emit("")
    if lines:
        heads = ("when", "run", "step", "model", "tokens", "cost", "")
        emit(table(heads, [_billed(line) for line in lines]))
        emit(f"together {dollars(sum(line.cost_nano for line in lines))}")
    return 0


def _billed(line: LedgerRow) -> tuple[Any, ...]:
    tokens = line.input + line.cached + line.cache_write + line.output + line.thinking
    model = f"{line.provider}/{line.model}" if line.provider else line.model
    note_ = "estimated" if line.is_estimated else ""
    place = (moment(line.at_us), run_id(line.run_no), line.step_no)
    return (*place, model, f"{tokens:,}", dollars(line.cost_nano), note_)


def ledger_document(line: LedgerRow) -> dict[str, Any]:
    """Return a line of the ledger as programs read it."""
    document: dict[str, Any] = msgspec.to_builtins(line)
    del document["run_no"], document["hold"], document["at_us"]
    return {
        "run_id": run_id(line.run_no),
        **document,
        "cost_usd": line.cost_nano / NANO,
        "at": rfc3339(line.at_us),
    }


async def set_rule(
    session: Session, words: Mapping[str, str], given: Mapping[str, Any], *, remove: bool
) -> int:
    """Keep a rule on the store, or forget it."""
    budget = _rule(words, given)
    if not remove and all(getattr(budget.limits, unit) is None for unit in UNITS):
        raise _no_amount()
    async with session.reading() as app:
        await app.set_budget(budget, remove=remove)
    if session.as_json:
        emit_json({**_rule_document(budget), "removed": remove})
    else:
        note(f"{budget.name} {'is forgotten' if remove else 'limits ' + told(budget.limits)}.")
    return 0


def _rule(words: Mapping[str, str], given: Mapping[str, Any]) -> Budget:
    try:
        return rule_of(
            words["scope"],
            words["name"],
            per=words["per"],
            limits=given,
            on_limit=words["on_limit"],
        )
    except ValueError as error:
        raise RequestError(
            f"This is no budget: {error}.",
            fix="For example: podium budgets set organization --usd 20 --per day",
            code="PDM-R053",
        ) from error


async def grant_more(
    session: Session, account: str, given: Mapping[str, Any], *, by: str | None
) -> int:
    """Raise the limits of an account."""
    amounts = {name: value for name, value in given.items() if value is not None}
    if not amounts:
        raise _no_amount()
    async with session.reading() as app:
        await app.grant(account, amounts, by=by or person())
        [row] = [row for row in await app.budgets(prefix=account) if row.account == account]
    if session.as_json:
        emit_json(account_document(row))
    else:
        note(f"{account} got {told(limits_of(amounts))} on top.")
    return 0


def _no_amount() -> RequestError:
    return RequestError(
        "No amount was given.",
        fix="Add at least one of --usd, --tokens, --calls and --time.",
        code="PDM-R053",
    )
