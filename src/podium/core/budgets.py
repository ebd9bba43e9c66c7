"""Budgets: who may spend how much in which time, and what happens at the limit.

A *budget* is a rule: a scope, a window, limits. What it limits is counted in *accounts*: one for
each thing in the scope and each window. A *pot* is what one attempt sees of it: an account, the
limits that hold for it, and the outcome at the limit. All figures are exact integers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from podium.core.charges import NANO

__all__ = [
    "NOTHING",
    "UNITS",
    "Amounts",
    "Budget",
    "Fit",
    "Limits",
    "OnLimit",
    "Payer",
    "Per",
    "Pot",
    "Scope",
    "Usage",
    "dollars",
    "fit",
    "owner_of",
    "pots_of_attempt",
    "pots_of_run",
    "raised",
    "run_account",
    "told",
]


class Scope(StrEnum):
    """What a budget holds for: each of them by itself, or one of them by name."""

    ORGANIZATION = "organization"
    USER = "user"
    """The label `user` of a run."""
    WORKFLOW = "workflow"
    RUN = "run"
    STEP = "step"
    AGENT = "agent"


class Per(StrEnum):
    """The window of a budget; hours, days and months are those of UTC."""

    RUN = "run"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


class OnLimit(StrEnum):
    """What becomes of a call that a budget has too little left for."""

    DENY = "deny"
    """The call fails."""
    DOWNGRADE = "downgrade"
    """A cheaper model is used instead; without one the call fails."""
    PAUSE = "pause"
    """The step waits for a person, who may grant what it asked for."""
    PARTIAL = "partial"
    """The agent's fallback answers; without one the call fails."""


class Amounts(msgspec.Struct, frozen=True, gc=False):
    """What was, or may be, used of each thing that budgets count."""

    cost_nano: int = 0
    tokens: int = 0
    calls: int = 0
    time_us: int = 0
    """Time spent in calls. It is counted, not reserved: nobody knows how long a call takes."""

    def __add__(self, other: "Amounts") -> "Amounts":
        """Return the sum, field by field."""
        return Amounts(
            self.cost_nano + other.cost_nano,
            self.tokens + other.tokens,
            self.calls + other.calls,
            self.time_us + other.time_us,
        )


NOTHING: Final = Amounts()


class Limits(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The most of each thing that may be used; None: no limit of that kind."""

    cost_nano: int | None = None
    tokens: int | None = None
    calls: int | None = None
    time_us: int | None = None

    def tightened(self, other: "Limits") -> "Limits":
        """Return the smaller limit of each kind."""
        return Limits(*(_smaller(getattr(self, u), getattr(other, u)) for u in UNITS))


UNITS: Final = Limits.__struct_fields__


def _smaller(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else min(one, other)


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, from settings or from `podium budgets set`."""

    scope: Scope
    key: str = ""
    """The one thing it holds for; empty: each by itself."""
    per: Per = Per.TOTAL
    limits: Limits = Limits()
    on_limit: OnLimit = OnLimit.DENY
    organization: str = ""
    """The only organization it holds for; empty: all of them."""

    @property
    def name(self) -> str:
        """Return what people call it, such as `user:ann/day` or `organization/month`.

        A rule of one organization begins with its name: `acme/user:ann/day`.
        """
        whom = f"{self.scope}:{self.key}" if self.key else str(self.scope)
        owner = f"{self.organization}/" if self.organization else ""
        return f"{owner}{whom}/{self.per}"


class Pot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An account with the limits that hold for an attempt; runs hand theirs to their children."""

    account: str
    limits: Limits
    on_limit: str = OnLimit.DENY
    budget: str = ""
    """The name of the rule it comes from."""


class Payer(msgspec.Struct, frozen=True, kw_only=True):
    """What a call falls under: everything that budgets can be for."""

    organization: str
    user: str
    workflow: str
    run: str
    """The public id of the run."""
    step: str = ""
    agent: str = ""


def run_account(run: str) -> str:
    """Return the account of all that a run and its children spend."""
    return f"run:{run}"


# --- which accounts a call falls under ----------------------------------------------------------


def pots_of_run(budgets: Iterable[Budget], payer: Payer, *limits: Limits | None) -> Iterator[Pot]:
    """Yield the pots a new run brings along, for itself and for its children.

    Besides the rules per run that match it, `limits` of its definition and of its start.
    """
    account = run_account(payer.run)
    for budget in budgets:
        per_run = budget.per is Per.RUN or budget.scope is Scope.RUN
        if per_run and budget.scope in _OF_RUNS and _matches(budget, payer):
            yield Pot(account, budget.limits, budget.on_limit, budget.name)
    for each in limits:
        if each is not None:
            yield Pot(account, each, OnLimit.DENY, "run")


_OF_RUNS: Final = frozenset({Scope.ORGANIZATION, Scope.USER, Scope.WORKFLOW, Scope.RUN})


def pots_of_attempt(budgets: Iterable[Budget], payer: Payer, now_us: int) -> Iterator[Pot]:
    """Yield the pots of a call besides those of its run: windows, steps and agents."""
    for budget in budgets:
        window = _window(budget, payer, now_us)
        if window is not None and _matches(budget, payer):
            account = f"{budget.scope}:{_holder(budget.scope, payer)}@{window}"
            yield Pot(account, budget.limits, budget.on_limit, budget.name)


def _window(budget: Budget, payer: Payer, now_us: int) -> str | None:
    """Return the window a call falls into now; None if the rule belongs to the run."""
    if budget.scope is Scope.STEP:
        return payer.run
    if budget.scope is Scope.RUN:
        return None
    if budget.per is Per.RUN:
        return payer.run if budget.scope is Scope.AGENT else None
    if budget.per is Per.TOTAL:
        return "total"
    now = datetime.fromtimestamp(now_us // 1_000_000, UTC)
    return now.strftime(_FORMS[budget.per])


_FORMS: Final[Mapping[Per, str]] = {
    Per.HOUR: "%Y-%m-%dT%H",
    Per.DAY: "%Y-%m-%d",
    Per.MONTH: "%Y-%m",
}


def _subject(scope: Scope, payer: Payer) -> str:
    subject: str = getattr(payer, scope)
    return subject


def _holder(scope: Scope, payer: Payer) -> str:
    """Return whose account it is: two organizations may each have a user or an agent `ann`."""
    subject = _subject(scope, payer)
    is_plain = payer.organization == DEFAULT_OWNER and "/" not in subject
    if scope in _SHARED_NAMES and not is_plain:
        return f"{payer.organization}/{subject}"
    return subject


DEFAULT_OWNER: Final = "default"
"""The organization whose accounts need no prefix."""
_SHARED_NAMES: Final = frozenset({Scope.USER, Scope.WORKFLOW, Scope.AGENT})


def owner_of(account: str) -> tuple[str, str]:
    """Return the organization of an account, or the run that tells: one of them is empty.

    >>> owner_of("user:acme/ann@2030-01"), owner_of("step:a[3]@run_00000101")
    (('acme', ''), ('', 'run_00000101'))
    """
    scope, _, rest = account.partition(":")
    if scope == Scope.RUN:
        return "", rest
    holder, _, window = rest.rpartition("@")
    if scope == Scope.STEP:
        return "", window
    if scope == Scope.ORGANIZATION:
        return holder, ""
    return holder.partition("/")[0] if "/" in holder else DEFAULT_OWNER, ""


def _matches(budget: Budget, payer: Payer) -> bool:
    subject = _subject(budget.scope, payer)
    is_theirs = budget.organization in {"", payer.organization}
    return bool(subject) and is_theirs and budget.key in {"", subject}


# --- whether there is enough --------------------------------------------------------------------


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where an account stands."""

    spent: Amounts = NOTHING
    held: Amounts = NOTHING
    """Set aside for calls that are under way, those in doubt included."""
    in_doubt: Amounts = NOTHING
    """The part of `held` whose process is gone: nobody knows what those calls cost."""


class Fit(IntEnum):
    """Whether a reservation fits into a pot."""

    FITS = 0
    BUSY = 1
    """Not now, but calls that are under way may turn out cheaper than what they hold."""
    SPENT = 2
    """Not in this window, whatever becomes of the calls under way."""


def fit(limits: Limits, extra: Amounts, usage: Usage, wanted: Amounts) -> Fit:
    """Return whether `wanted` fits under the limits, raised by what was granted on top."""
    worst = Fit.FITS
    for unit in UNITS:
        limit = getattr(limits, unit)
        if limit is None:
            continue
        left = limit + getattr(extra, unit) - getattr(usage.spent, unit)
        # A call may start while any time is left.
        amount = 1 if unit == "time_us" else getattr(wanted, unit)
        if amount <= left - getattr(usage.held, unit):
            continue
        if amount > left - getattr(usage.in_doubt, unit):
            return Fit.SPENT
        worst = Fit.BUSY
    return worst


# --- showing ------------------------------------------------------------------------------------


def dollars(cost_nano: int) -> str:
    """Return an amount of money as people read it, to a hundredth of a cent.

    >>> [dollars(cost) for cost in (0, 37, 1_234_000, 42_000_000, 1_500_000_000)]
    ['$0.00', '<$0.0001', '$0.0012', '$0.042', '$1.50']
    """
    if 0 < cost_nano < NANO // 10_000:
        return "<$0.0001"
    whole, _, places = f"{cost_nano / NANO:.4f}".partition(".")
    return f"${int(whole):,}.{places.rstrip('0'):0<2}"


def raised(limits: Limits, extra: Amounts) -> Limits:
    """Return limits with what was granted on top of them."""
    return Limits(*(_plus(getattr(limits, unit), getattr(extra, unit)) for unit in UNITS))


def _plus(limit: int | None, extra: int) -> int | None:
    return None if limit is None else limit + extra


def told(amounts: Amounts | Limits, like: Limits | None = None) -> str:
    """Return amounts as people read them: `$0.50, 3 calls`; with `like`, only what that limits."""
    wanted = [unit for unit in UNITS if like is None or getattr(like, unit) is not None]
    parts = [_TOLD[unit](getattr(amounts, unit)) for unit in wanted if getattr(amounts, unit)]
    return ", ".join(parts) or "nothing"


_TOLD: Final[Mapping[str, Callable[[int], str]]] = {
    "cost_nano": dollars,
    "tokens": lambda count: f"{count:,} tokens",
    "calls": lambda count: f"{count:,} call{'s' if count != 1 else ''}",
    "time_us": lambda time_us: f"{time_us / 1e6:g} s",
}
