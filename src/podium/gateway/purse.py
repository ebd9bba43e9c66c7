"""What a call of a model needs of a budget: reserve before, settle after, nothing in between."""

from typing import Protocol

from podium.core.charges import Charge

__all__ = ["FREE", "Hold", "Purse"]


class Hold(Protocol):
    """An amount set aside for one request; ends in exactly one of `settle` and `release`."""

    def settle(self, charge: Charge) -> None:
        """Book what the request cost; it becomes durable with the end of the attempt."""

    def release(self) -> None:
        """Give the amount back: nothing was sent, or the provider charged nothing."""


class Purse(Protocol):
    """Who pays for the calls of one attempt: its step, run, workflow, user, organization."""

    async def reserve(self, *, cost_nano: int, tokens: int, model: str, agent: str = "") -> Hold:
        """Set aside what one request may cost at most, in every budget it falls under.

        Raises `BudgetError` with the outcome that the budget declares if one of
        them has too little left.
        """


class _FreeHold:
    def settle(self, charge: Charge) -> None:
        """Book nothing."""

    def release(self) -> None:
        """Give nothing back."""


class _FreePurse:
    async def reserve(self, *, cost_nano: int, tokens: int, model: str, agent: str = "") -> Hold:
        """Set nothing aside."""
        return _FreeHold()


FREE: Purse = _FreePurse()
"""For calls outside of a run: nobody keeps count."""
