"""Budgets and the ledger of the reference store: plain dicts, one method for each transaction."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from podium.core.budgets import NOTHING, Amounts, Budget, Fit, Limits, Pot
from podium.core.receipts import Booked, Receipt
from podium.core.reserving import Standing, Wish, admit, minus
from podium.ports.ledger import (
    AccountRow,
    Change,
    GrantRow,
    HoldAnswer,
    HoldRequest,
    LedgerRow,
    Reserved,
    Spending,
)

__all__ = ["MemoryLedger", "spending_of"]


class Held(msgspec.Struct):
    """A hold, in all its accounts."""

    request: HoldRequest
    node_id: int
    amounts: Amounts
    is_settled: bool = False
    is_used: bool = False
    """Whether its call is over; the tick that settles it is to come."""


class MemoryLedger:
    """The tables of money; `is_alive` tells whether a node is up."""

    def __init__(self, is_alive: Callable[[int], bool]) -> None:
        self._is_alive = is_alive
        self.rows: dict[str, LedgerRow] = {}
        self.holds: dict[str, Held] = {}
        self.extra: dict[str, Amounts] = {}
        self.limits: dict[str, Limits] = {}
        self.grants: dict[str, GrantRow] = {}
        self.rules: dict[str, Budget] = {}

    # -- reserving -----------------------------------------------------------------------------

    def reserve(
        self, node_id: int, wanted: Sequence[HoldRequest], changes: Sequence[Change]
    ) -> list[HoldAnswer]:
        """Apply changes and make the holds that fit, in order; the node is up."""
        for change in changes:
            held = self.holds.get(change.hold)
            if held is not None and not held.is_settled:
                held.amounts = change.amounts
                held.is_used = True
        return [self._answer(request, node_id) for request in wanted]

    def _answer(self, request: HoldRequest, node_id: int) -> HoldAnswer:
        if request.hold in self.holds:
            return HoldAnswer(kind=Reserved.FITS)
        standings = {pot.account: self.standing(pot.account) for pot in request.pots}
        for pot in request.pots:
            known = self.limits.get(pot.account, pot.limits)
            self.limits[pot.account] = known.tightened(pot.limits)
        former = self._former(request)
        wish = Wish(
            pots=request.pots,
            amounts=request.amounts,
            relief=self._relief(former),
            vouchers=self._vouchers(request.run_no),
        )
        admission = admit(standings, wish)
        if admission.pot is not None:
            at = standings[admission.pot.account]
            kind = Reserved(admission.fit)
            spent = at.spent + at.used
            return HoldAnswer(
                kind=kind, pot=admission.pot, spent=spent, held=at.held, extra=at.extra
            )
        if former is not None:
            del self.holds[former]
        self.holds[request.hold] = Held(request, node_id, request.amounts)
        for account in admission.by_grant:
            self.extra[account] = self.extra.get(account, NOTHING) + request.amounts
            self._use_grant(request, account)
        return HoldAnswer(kind=Reserved(Fit.FITS))

    def _former(self, request: HoldRequest) -> str | None:
        """Return the hold of an earlier attempt that this one takes the place of."""
        earlier = [
            (held.request.attempt, name)
            for name, held in self.holds.items()
            if _same_step(held, request.run_no, request.step_no)
            and held.request.attempt < request.attempt
        ]
        return min(earlier)[1] if earlier else None

    def _relief(self, former: str | None) -> dict[str, tuple[Amounts, bool]]:
        if former is None:
            return {}
        held = self.holds[former]
        part = (held.amounts, not self._is_alive(held.node_id))
        return {pot.account: part for pot in held.request.pots}

    def _vouchers(self, run_no: int) -> dict[str, Amounts]:
        left: dict[str, Amounts] = {}
        for row in self.grants.values():
            if row.run_no == run_no:
                left[row.account] = left.get(row.account, NOTHING) + row.amounts
        return left

    def _use_grant(self, request: HoldRequest, account: str) -> None:
        used = request.amounts
        for name, row in sorted(self.grants.items()):
            if row.run_no and (row.run_no, row.account) == (request.run_no, account):
                self.grants[name] = replace(row, amounts=minus(row.amounts, used))
                used = minus(used, row.amounts)

    def standing(self, account: str) -> Standing:
        """Return where an account stands."""
        at = Standing(extra=self.extra.get(account, NOTHING))
        for held in self.holds.values():
            if account not in {pot.account for pot in held.request.pots}:
                continue
            is_doubtful = not self._is_alive(held.node_id)
            if held.is_settled:
                at.spent += held.amounts
            elif held.is_used and not is_doubtful:
                at.used += held.amounts
            else:
                at.held += held.amounts
            if is_doubtful and not held.is_settled:
                at.in_doubt += held.amounts
        return at

    # -- settling ------------------------------------------------------------------------------

    def book(self, receipts: Iterable[Receipt]) -> None:
        """Book charges, settle the holds that paid for them, give the others back."""
        for receipt in receipts:
            for booked in receipt.booked:
                self._book(receipt, booked)
            if receipt.has_holds:
                self._give_back(receipt)

    def _book(self, receipt: Receipt, booked: Booked) -> None:
        key = booked.charge.key
        held = self.holds.get(booked.hold)
        if key in self.rows:
            # Billed before, or this tick was sent before: a hold that is settled stays.
            if held is not None and not held.is_settled:
                del self.holds[booked.hold]
            return
        self.rows[key] = _ledger_row(receipt, booked)
        if booked.accounts:
            request = HoldRequest(
                hold=booked.hold,
                run_no=receipt.run_no,
                step_no=receipt.step_no,
                attempt=receipt.attempt,
                amounts=booked.amounts,
                pots=[Pot(account, Limits()) for account in booked.accounts],
            )
            self.holds[booked.hold] = Held(request, 0, booked.amounts, is_settled=True)

    def _give_back(self, receipt: Receipt) -> None:
        for name, held in list(self.holds.items()):
            is_its = held.request.attempt == receipt.attempt
            if is_its and _same_step(held, receipt.run_no, receipt.step_no):
                del self.holds[name]

    # -- people --------------------------------------------------------------------------------

    def grant(self, row: GrantRow) -> None:
        """Record a grant, once."""
        if row.grant_id in self.grants:
            return
        self.grants[row.grant_id] = row
        if not row.run_no:
            self.extra[row.account] = self.extra.get(row.account, NOTHING) + row.amounts

    def put_budget(self, budget: Budget, *, remove: bool) -> None:
        """Keep or forget a rule."""
        self.rules.pop(budget.name, None)
        if not remove:
            self.rules[budget.name] = budget

    # -- reading -------------------------------------------------------------------------------

    def accounts(self, prefix: str, limit: int) -> list[AccountRow]:
        """Return accounts, those used last first."""
        names = [*reversed(self.limits), *(name for name in self.extra if name not in self.limits)]
        return [self._account(name) for name in names if name.startswith(prefix)][:limit]

    def _account(self, account: str) -> AccountRow:
        at = self.standing(account)
        return AccountRow(
            account=account,
            limits=self.limits.get(account, Limits()),
            spent=at.spent,
            held=at.held + at.used,
            in_doubt=at.in_doubt,
            extra=at.extra,
        )

    def of_runs(self, run_nos: set[int]) -> list[LedgerRow]:
        """Return what these runs were billed, oldest first."""
        return [row for row in self.rows.values() if row.run_no in run_nos]


def spending_of(rows: Iterable[LedgerRow]) -> Spending | None:
    """Return the sum of ledger rows; None for none."""
    found: Spending | None = None
    for row in rows:
        before = found or Spending()
        tokens = row.input + row.cached + row.cache_write + row.output + row.thinking
        found = Spending(
            cost_nano=before.cost_nano + row.cost_nano,
            tokens=before.tokens + tokens,
            calls=before.calls + 1,
            is_estimated=before.is_estimated or row.is_estimated,
        )
    return found


def _same_step(held: Held, run_no: int, step_no: int) -> bool:
    place = (held.request.run_no, held.request.step_no)
    return not held.is_settled and place == (run_no, step_no)


def _ledger_row(receipt: Receipt, booked: Booked) -> LedgerRow:
    charge: Mapping[str, object] = msgspec.structs.asdict(booked.charge)
    facts = {
        "hold": booked.hold,
        "run_no": receipt.run_no,
        "step_no": receipt.step_no,
        "attempt": receipt.attempt,
        "organization": receipt.organization,
        "time_us": booked.time_us,
        "at_us": booked.at_us,
    }
    return msgspec.convert({**charge, **facts}, LedgerRow)
