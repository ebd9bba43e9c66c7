"""When a failed attempt is tried again: exponential backoff with full jitter, per-error rules.

Full jitter draws the delay uniformly from [0, cap], which spreads a crowd of retries over the
whole window (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

from fnmatch import fnmatchcase
from typing import Final

from podium.core.definition import RetryPolicy, RetryRule

__all__ = ["delay_before_us", "retries_allowed", "rule_for"]

# 2**40 µs is twelve days; no exponent beyond it can matter below any sensible cap, and
# clamping the exponent (not the product) keeps the integers small at attempt 10,000.
EXPONENT_MAX: Final = 40
RETRY_AFTER_SPREAD: Final = 0.1


def rule_for(policy: RetryPolicy, kind: str) -> RetryRule | None:
    """Return the first rule that matches the error class name `kind`."""
    for rule in policy.rules:
        if fnmatchcase(kind, rule.error):
            return rule
    return None


def retries_allowed(policy: RetryPolicy, kind: str) -> int:
    """Return how many retries the policy grants for errors of this kind."""
    rule = rule_for(policy, kind)
    if rule is not None and rule.max_retries is not None:
        return rule.max_retries
    return policy.max_retries


def delay_before_us(
    retry: int, *, policy: RetryPolicy, dice: float, kind: str = "", retry_after_us: int = 0
) -> int:
    """Return the delay before retry number `retry` (from 1), in microseconds.

    `dice` in [0, 1) is the chance to draw from. A `retry_after_us` asked for by the failing
    side is a floor, and gets positive jitter only: never earlier than asked, never all at once.
    """
    if retry_after_us:
        return retry_after_us + int(retry_after_us * RETRY_AFTER_SPREAD * dice)
    rule = rule_for(policy, kind)
    initial = policy.delay_initial_us
    if rule is not None and rule.delay_initial_us is not None:
        initial = rule.delay_initial_us
    if policy.exponential:
        initial <<= min(retry - 1, EXPONENT_MAX)
    cap = min(initial, policy.delay_max_us)
    return int(cap * dice) if policy.jitter else cap
