"""What an attempt spent, on its way from the call to the ledger, in the tick that ends it."""

import msgspec

from podium.core.budgets import Amounts
from podium.core.charges import Charge

__all__ = ["Appeal", "Booked", "Receipt"]


class Booked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A charge with the reservation that pays for it, if any budget asked for one."""

    charge: Charge
    hold: str = ""
    accounts: tuple[str, ...] = ()
    """Where it counts: what was billed counts there even if its hold is gone by now."""
    time_us: int = 0
    at_us: int = 0

    @property
    def amounts(self) -> Amounts:
        """Return what the charge takes out of budgets."""
        return Amounts(self.charge.cost_nano, self.charge.tokens, 1, self.time_us)


class Receipt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Everything an attempt has to settle: written once, in the transaction of its end."""

    run_no: int
    step_no: int
    attempt: int
    organization: str
    booked: tuple[Booked, ...] = ()
    has_holds: bool = False
    """Whether reservations were made: those not settled by now are given back."""


class Appeal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an attempt asks a person for, because a budget with `on_limit: pause` refused it."""

    account: str
    budget: str
    spent: Amounts
    asked: Amounts
    prompt: str
