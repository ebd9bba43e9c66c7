"""Budgets and the ledger: reservations in a transaction of their own, receipts within a tick."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from podium.adapters.sqlite.clock import StoreClock
from podium.adapters.sqlite.database import Database, Reader, Values
from podium.core.budgets import NOTHING, Amounts, Budget, Limits, Pot
from podium.core.receipts import Booked, Receipt
from podium.core.reserving import Admission, Standing, Wish, admit
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

__all__ = [
    "accounts",
    "book",
    "budgets",
    "grant",
    "grant_now",
    "ledger",
    "put_budget",
    "reserve",
    "spending",
    "write_receipts",
]

LIMITS_SHOWN: Final = (None, None, None, None)
SETTLED: Final = 1
USED: Final = 2


def _values(amounts: Amounts) -> Values:
    return (amounts.cost_nano, amounts.tokens, amounts.calls, amounts.time_us)


# --- reserving ----------------------------------------------------------------------------------


def reserve(
    db: Database,
    clock: StoreClock,
    *,
    node_id: int,
    epoch: int,
    wanted: Sequence[HoldRequest],
    changes: Sequence[Change],
) -> list[HoldAnswer]:
    """See `Ledger.reserve`."""
    with db.transaction() as transaction:
        if not db.has("node_is_up", (node_id, epoch)):
            transaction.roll_back()
            return [HoldAnswer(kind=Reserved.FENCED) for _ in wanted]
        db.write("hold_change", [(each.hold, *_values(each.amounts)) for each in changes])
        desk = _Desk(db, node_id)
        answers = [desk.answer(request) for request in wanted]
        desk.save(clock.now_us())
    return answers


class _Desk:
    """The accounts that the wishes of one transaction fall under, each read once."""

    def __init__(self, db: Database, node_id: int) -> None:
        self._db = db
        self._node_id = node_id
        self._standings: dict[str, Standing] = {}
        self._limits: dict[str, Limits] = {}

    def answer(self, request: HoldRequest) -> HoldAnswer:
        """Make a hold, or say why not."""
        if self._db.has("hold_known", (request.hold,)):
            return HoldAnswer(kind=Reserved.FITS)
        self._load(request.pots)
        former = self._db.one("hold_before", (request.run_no, request.step_no, request.attempt))
        wish = Wish(
            pots=request.pots,
            amounts=request.amounts,
            relief=_parts(self._db, former[0]) if former is not None else {},
            vouchers=_vouchers(self._db, request.run_no),
        )
        admission = admit(self._standings, wish)
        if admission.pot is not None:
            return self._refusal(admission, admission.pot)
        if former is not None:
            self._db.changes("hold_drop", (former[0],))
        self._insert(request, admission)
        return HoldAnswer(kind=Reserved.FITS)

    def _load(self, pots: Sequence[Pot]) -> None:
        for pot in pots:
            if pot.account not in self._standings:
                self._standings[pot.account] = _folded(self._db, pot.account)
                self._limits[pot.account] = pot.limits
            known = self._limits[pot.account]
            self._limits[pot.account] = known.tightened(pot.limits)

    def _refusal(self, admission: Admission, pot: Pot) -> HoldAnswer:
        at = self._standings[pot.account]
        return HoldAnswer(
            kind=Reserved(admission.fit),
            pot=pot,
            spent=at.spent + at.used,
            held=at.held,
            extra=at.extra,
        )

    def _insert(self, request: HoldRequest, admission: Admission) -> None:
        place = (request.hold, request.run_no, request.step_no, request.attempt, self._node_id)
        amounts = _values(request.amounts)
        accounts = dict.fromkeys(pot.account for pot in request.pots)
        self._db.write("hold_insert", [(account, *place, *amounts) for account in accounts])
        uses = [(request.run_no, account, *amounts) for account in admission.by_grant]
        self._db.write("grant_use", uses)

    def save(self, now_us: int) -> None:
        """Write the accounts as they stand now."""
        for account, at in self._standings.items():
            _put_account(self._db, account, at, limits=self._limits[account], now_us=now_us)


def _put_account(
    db: Database, account: str, at: Standing, *, limits: Limits | None, now_us: int
) -> None:
    shown = LIMITS_SHOWN if limits is None else msgspec.structs.astuple(limits)
    values = (account, *_values(at.spent), *_values(at.extra), *shown)
    db.changes("account_put", (*values, now_us, limits is not None))


def _folded(db: Database, account: str) -> Standing:
    """Return where an account stands, after adding up the holds that ticks have settled."""
    at = _standing(db, account)
    db.changes("holds_fold", (account,))
    return at


def _standing(db: Reader, account: str) -> Standing:
    known = db.one("account", (account,))
    at = Standing()
    if known is not None:
        at.spent, at.extra = Amounts(*known[:4]), Amounts(*known[4:])
    for state, is_doubtful, *sums in db.all("holds_of", (account,)):
        amounts = Amounts(*sums)
        if state == SETTLED:
            at.spent += amounts
        elif state == USED and not is_doubtful:
            at.used += amounts
        else:
            at.held += amounts
        if is_doubtful and state != SETTLED:
            at.in_doubt += amounts
    return at


def _parts(db: Reader, hold: str) -> dict[str, tuple[Amounts, bool]]:
    return {
        account: (Amounts(*amounts), bool(is_doubtful))
        for account, *amounts, is_doubtful in db.all("hold_parts", (hold,))
    }


def _vouchers(db: Reader, run_no: int) -> dict[str, Amounts]:
    return {account: Amounts(*left) for account, *left in db.all("grants_of", (run_no,))}


# --- settling -----------------------------------------------------------------------------------


def write_receipts(db: Database, receipts: Sequence[Receipt]) -> None:
    """Book charges, settle the holds that paid for them, give the others back."""
    for receipt in receipts:
        for booked in receipt.booked:
            _write_charge(db, receipt, booked)
    over = [each for each in receipts if each.has_holds]
    db.write("hold_over", [(each.run_no, each.step_no, each.attempt) for each in over])


def _write_charge(db: Database, receipt: Receipt, booked: Booked) -> None:
    is_new = db.changes("ledger_insert", _ledger_values(receipt, booked))
    if not is_new:
        # Billed before, or this tick was sent before: a hold that is settled stays as it is.
        db.changes("hold_drop", (booked.hold,))
        return
    place = (booked.hold, receipt.run_no, receipt.step_no, receipt.attempt)
    amounts = _values(booked.amounts)
    db.write("hold_settle", [(account, *place, *amounts) for account in booked.accounts])


def _ledger_values(receipt: Receipt, booked: Booked) -> Values:
    charge = booked.charge
    return (
        charge.key,
        booked.hold,
        receipt.run_no,
        receipt.step_no,
        receipt.attempt,
        receipt.organization,
        charge.provider,
        charge.model,
        charge.agent,
        charge.input,
        charge.cached,
        charge.cache_write,
        charge.output,
        charge.thinking,
        charge.cost_nano,
        charge.is_estimated,
        charge.prices,
        booked.time_us,
        booked.at_us,
    )


def book(db: Database, receipts: Sequence[Receipt]) -> None:
    """See `Ledger.book`."""
    with db.transaction():
        write_receipts(db, receipts)


# --- people -------------------------------------------------------------------------------------


def grant(db: Database, row: GrantRow) -> None:
    """See `Ledger.grant`."""
    with db.transaction():
        grant_now(db, row)


def grant_now(db: Database, row: GrantRow) -> None:
    """Record a grant within a transaction."""
    left = row.amounts if row.run_no else NOTHING
    values = (row.grant_id, row.account, row.run_no, *_values(left), row.by, row.at_us)
    if db.changes("grant_insert", values) and not row.run_no:
        at = _folded(db, row.account)
        at.extra += row.amounts
        _put_account(db, row.account, at, limits=None, now_us=row.at_us)


def put_budget(db: Database, budget: Budget, *, remove: bool) -> None:
    """See `Ledger.put_budget`."""
    with db.transaction():
        if remove:
            db.changes("budget_remove", (budget.name,))
        else:
            db.changes("budget_put", (budget.name, msgspec.json.encode(budget).decode()))


# --- reading ------------------------------------------------------------------------------------


def budgets(db: Reader) -> list[Budget]:
    """Return the rules set on this store."""
    return [msgspec.json.decode(body, type=Budget) for (body,) in db.all("budgets")]


def accounts(db: Reader, *, prefix: str, limit: int) -> list[AccountRow]:
    """Return accounts with where they stand, all from one snapshot."""
    with db.snapshot():
        return [
            _account_row(account, Limits(*limits), _standing(db, account))
            for account, *limits in db.all("accounts", (prefix, limit))
        ]


def _account_row(account: str, limits: Limits, at: Standing) -> AccountRow:
    return AccountRow(
        account=account,
        limits=limits,
        spent=at.spent,
        held=at.held + at.used,
        in_doubt=at.in_doubt,
        extra=at.extra,
    )


def ledger(db: Reader, run_no: int, *, limit: int) -> list[LedgerRow]:
    """Return what a run and its children were billed."""
    found: list[LedgerRow] = []
    for values in db.all("ledger_of", (run_no, limit)):
        row = dict(zip(LedgerRow.__struct_fields__, values, strict=True))
        row["is_estimated"] = bool(row["is_estimated"])
        found.append(LedgerRow(**row))
    return found


def spending(db: Reader, run_nos: Sequence[int]) -> Mapping[int, Spending]:
    """Return what runs have spent."""
    numbers = msgspec.json.encode(list(run_nos)).decode()
    return {
        root: Spending(cost_nano=cost, tokens=tokens, calls=calls, is_estimated=bool(is_estimated))
        for root, cost, tokens, calls, is_estimated in db.all("spending", (numbers,))
    }
