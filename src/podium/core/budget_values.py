"""Budgets as programs and command lines write them: `{usd: 0.05, calls: 20, time: 10m}`."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from podium.core.budgets import Budget, Limits, OnLimit, Per, Scope
from podium.core.charges import NANO
from podium.core.durations import parse_duration

__all__ = ["limits_of", "nano", "rule_of"]


def limits_of(value: Any) -> Limits:
    """Return the limits of a `budget:` object: `usd`, `tokens`, `calls`, `time`.

    Other keys (such as an agent's `turns`) are for others to read. Raises `ValueError`.
    """
    if not isinstance(value, Mapping):
        raise ValueError("a budget is an object such as {usd: 0.05, calls: 20}")  # noqa: TRY004
    time_us = value.get("time")
    if time_us is not None:
        time_us = parse_duration(time_us)
        if time_us is None:
            raise ValueError("the time of a budget is a duration, such as 90s")
    usd = value.get("usd")
    return Limits(
        None if usd is None else nano(usd),
        _count(value, "tokens"),
        _count(value, "calls"),
        time_us,
    )


def rule_of(scope: str, name: str, *, per: str, limits: Mapping[str, Any], on_limit: str) -> Budget:
    """Return a rule from the words of settings; raises `ValueError`."""
    return Budget(
        scope=Scope(scope),
        key=name,
        per=Per(per),
        limits=limits_of(limits),
        on_limit=OnLimit(on_limit),
    )


def _count(value: Mapping[str, Any], name: str) -> int | None:
    count = value.get(name)
    if count is not None and (not isinstance(count, int) or count is True or count < 0):
        raise ValueError(f"{name} of a budget is a whole number from 0")
    return count


def nano(usd: Any) -> int:
    """Return dollars as nano-dollars; raises `ValueError`."""
    try:
        amount = Decimal(str(usd))
        if amount.is_finite() and amount >= 0:
            return int((amount * NANO).to_integral_value(ROUND_HALF_UP))
    except InvalidOperation:
        pass
    raise ValueError("usd of a budget is an amount of dollars from 0")
