"""What budgets and the ledger need from a store; a part of the `Store` port.

Three rules make money exact. A call is sent only after a *hold* for it is durable in every
account it falls under, and holds are made one transaction after another. The tick that ends an
attempt writes what its calls cost to the *ledger* and settles its holds, or does neither. And a
hold whose process died stays: it is in doubt until a later attempt of its step settles it.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Protocol

import msgspec

from podium.core.budgets import NOTHING, Amounts, Budget, Fit, Limits, Pot
from podium.core.receipts import Receipt

__all__ = [
    "AccountRow",
    "Change",
    "GrantRow",
    "HoldAnswer",
    "HoldRequest",
    "Ledger",
    "LedgerRow",
    "Reserved",
    "Spending",
]


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of what the ledger takes and gives."""


class HoldRequest(Entry, frozen=True, kw_only=True):
    """A wish to set `amounts` aside in the account of every pot, or in none."""

    hold: str
    """Unique for each reservation; one that exists was made before, and is answered with FITS."""
    run_no: int
    step_no: int
    attempt: int
    amounts: Amounts
    pots: Sequence[Pot]


class Reserved(IntEnum):
    """What became of a wish. The first three are those of `core.budgets.Fit`."""

    FITS = Fit.FITS
    BUSY = Fit.BUSY
    SPENT = Fit.SPENT
    FENCED = 3
    """The node is no longer up: nothing was set aside."""


class HoldAnswer(Entry, frozen=True, kw_only=True):
    """The answer to one wish; of a refusal, the pot that refused and where it stood."""

    kind: Reserved
    pot: Pot | None = None
    spent: Amounts = NOTHING
    held: Amounts = NOTHING
    extra: Amounts = NOTHING


class Change(Entry, frozen=True, kw_only=True):
    """A hold of a call that is over, cut down to what it cost: as good as spent from now on."""

    hold: str
    amounts: Amounts


class GrantRow(Entry, frozen=True, kw_only=True):
    """More for an account: for one run, used up by its next reservations, or for everybody."""

    grant_id: str
    account: str
    amounts: Amounts
    run_no: int = 0
    """0: the limits of the account are raised for everybody."""
    by: str = ""
    at_us: int = 0


class AccountRow(Entry, frozen=True, kw_only=True):
    """Where an account stands, as shown."""

    account: str
    limits: Limits
    """The tightest it was last reserved under."""
    spent: Amounts = NOTHING
    held: Amounts = NOTHING
    in_doubt: Amounts = NOTHING
    """The part of `held` whose process is gone."""
    extra: Amounts = NOTHING
    """What was granted on top of the limits."""


class LedgerRow(Entry, frozen=True, kw_only=True):
    """One billed request. Rows are never changed."""

    key: str
    hold: str
    run_no: int
    step_no: int
    attempt: int
    organization: str
    provider: str
    model: str
    agent: str
    input: int
    cached: int
    cache_write: int
    output: int
    thinking: int
    cost_nano: int
    is_estimated: bool
    prices: str
    time_us: int
    at_us: int


class Spending(Entry, frozen=True, kw_only=True):
    """What a run has spent, its child runs included."""

    cost_nano: int = 0
    tokens: int = 0
    calls: int = 0
    is_estimated: bool = False
    """Whether any of it is our estimate."""


class Ledger(Protocol):
    """See the module docstring. Ticks bring `RunWrite.receipts` and `RunWrite.grants`."""

    async def reserve(
        self, node_id: int, epoch: int, wanted: Sequence[HoldRequest], changes: Sequence[Change]
    ) -> Sequence[HoldAnswer]:
        """Apply `changes`, then make the holds that fit, in order; one transaction.

        A hold takes the place of one that an earlier attempt of its step left behind. Where the
        limits refuse, a grant for the run is used if it covers the whole wish. A change of a
        hold that is settled or gone does nothing. Safe to repeat.
        """

    async def book(self, receipts: Sequence[Receipt]) -> None:
        """Do what a tick does with receipts, for attempts whose run lives elsewhere by now.

        A charge whose key is in the ledger costs nothing again. Safe to repeat.
        """

    async def grant(self, row: GrantRow) -> None:
        """Record a grant; an id that is known is left alone."""

    async def accounts(self, *, prefix: str = "", limit: int = 100) -> Sequence[AccountRow]:
        """Return accounts whose name starts with `prefix`, those used last first."""

    async def ledger(self, run_no: int, *, limit: int = 1000) -> Sequence[LedgerRow]:
        """Return what a run and its child runs were billed, oldest first."""

    async def spending(self, run_nos: Sequence[int]) -> Mapping[int, Spending]:
        """Return what each of these runs has spent, child runs included; no entry for nothing."""

    async def put_budget(self, budget: Budget, *, remove: bool = False) -> None:
        """Keep a rule under its name in place of another one, or forget it."""

    async def budgets(self) -> Sequence[Budget]:
        """Return the rules that were put here, by name."""
