"""Whether reservations fit, decided one after another over the accounts they fall under.

Stores load where the accounts stand, ask `admit`, and write what it says; so every store refuses
the same wishes for the same reasons.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from podium.core.budgets import NOTHING, UNITS, Amounts, Fit, Limits, Pot, Usage, fit

__all__ = ["Admission", "Standing", "Wish", "admit", "minus"]


@dataclass(slots=True)
class Standing:
    """Where an account stands in the middle of a transaction."""

    spent: Amounts = NOTHING
    used: Amounts = NOTHING
    """Calls that are over and settled by a tick to come: as good as spent."""
    held: Amounts = NOTHING
    in_doubt: Amounts = NOTHING
    extra: Amounts = NOTHING


@dataclass(slots=True, frozen=True)
class Wish:
    """A reservation to decide on."""

    pots: Sequence[Pot]
    amounts: Amounts
    relief: Mapping[str, tuple[Amounts, bool]] = field(default_factory=dict)
    """What the hold it takes the place of holds in each account, and whether in doubt."""
    vouchers: Mapping[str, Amounts] = field(default_factory=dict)
    """What is left of the grants of its run, by account."""


@dataclass(slots=True, frozen=True)
class Admission:
    """What was decided: `by_grant` are the accounts in which a grant pays for the wish."""

    fit: Fit
    pot: Pot | None = None
    by_grant: tuple[str, ...] = ()


def minus(one: Amounts, other: Amounts) -> Amounts:
    """Return the difference, field by field, never less than nothing."""
    return Amounts(
        max(0, one.cost_nano - other.cost_nano),
        max(0, one.tokens - other.tokens),
        max(0, one.calls - other.calls),
        max(0, one.time_us - other.time_us),
    )


def _covers(voucher: Amounts | None, wanted: Amounts, limits: Limits) -> bool:
    """Return whether a grant is enough of everything that is limited."""
    if voucher is None:
        return False
    limited = [unit for unit in UNITS if getattr(limits, unit) is not None]
    return all(getattr(voucher, unit) >= getattr(wanted, unit) for unit in limited)


def admit(standings: MutableMapping[str, Standing], wish: Wish) -> Admission:
    """Decide on a wish; if it fits, the accounts stand as with it from now on."""
    worst, culprit = Fit.FITS, None
    by_grant: dict[str, None] = {}
    for pot in wish.pots:
        relief, was_doubtful = wish.relief.get(pot.account, (NOTHING, False))
        at = standings[pot.account]
        usage = Usage(
            spent=at.spent + at.used,
            held=minus(at.held, relief),
            in_doubt=minus(at.in_doubt, relief) if was_doubtful else at.in_doubt,
        )
        found = fit(pot.limits, at.extra, usage, wish.amounts)
        if found is Fit.FITS:
            continue
        if _covers(wish.vouchers.get(pot.account), wish.amounts, pot.limits):
            by_grant[pot.account] = None
        elif found > worst:
            worst, culprit = found, pot
    if worst is not Fit.FITS:
        return Admission(worst, culprit)
    _take(standings, wish, by_grant)
    return Admission(Fit.FITS, by_grant=tuple(by_grant))


def _take(
    standings: MutableMapping[str, Standing], wish: Wish, by_grant: Mapping[str, None]
) -> None:
    for account, (amounts, was_doubtful) in wish.relief.items():
        at = standings.get(account)
        if at is not None:
            at.held = minus(at.held, amounts)
            if was_doubtful:
                at.in_doubt = minus(at.in_doubt, amounts)
    for account in {pot.account for pot in wish.pots}:
        at = standings[account]
        at.held += wish.amounts
        if account in by_grant:
            # What a person granted on top takes nothing away from the others.
            at.extra += wish.amounts
