"""Retry delays: inside the policy whatever the attempt, spread by chance, never too early."""

from hypothesis import given
from hypothesis import strategies as st

from podium.core.definition import RetryPolicy, RetryRule
from podium.core.retry import delay_before_us, retries_allowed

DICE = st.floats(0, 1, exclude_max=True)
RETRIES = st.integers(1, 100_000)


@given(RETRIES, DICE, st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_delay_stays_inside_the_policy(retry: int, dice: float, first: int, cap: int) -> None:
    policy = RetryPolicy(delay_initial_us=first, delay_max_us=cap)
    assert 0 <= delay_before_us(retry, policy=policy, dice=dice) <= cap


@given(st.integers(1, 30))
def test_without_jitter_a_delay_doubles_up_to_its_limit(retry: int) -> None:
    policy = RetryPolicy(delay_initial_us=3, delay_max_us=10_000, jitter=False)
    assert delay_before_us(retry, policy=policy, dice=0.5) == min(3 * 2 ** (retry - 1), 10_000)


def test_full_jitter_uses_the_whole_window() -> None:
    policy = RetryPolicy(delay_initial_us=1000, delay_max_us=10_000)
    drawn = [delay_before_us(3, policy=policy, dice=dice) for dice in (0.0, 0.5, 0.999)]
    assert drawn == [0, 2000, 3996]


def test_a_constant_delay_does_not_grow() -> None:
    policy = RetryPolicy(delay_initial_us=500, exponential=False, jitter=False)
    assert {delay_before_us(retry, policy=policy, dice=0) for retry in range(1, 9)} == {500}


@given(DICE, st.integers(1, 10**10))
def test_retry_after_is_a_floor_with_positive_jitter_only(dice: float, asked: int) -> None:
    policy = RetryPolicy(delay_max_us=1)
    delay = delay_before_us(1, policy=policy, dice=dice, retry_after_us=asked)
    assert asked <= delay <= asked * 1.1


def test_the_first_matching_rule_decides() -> None:
    rules = (
        RetryRule(error="Http*", max_retries=9, delay_initial_us=7),
        RetryRule(error="HttpError", max_retries=0),
        RetryRule(error="ValueError", max_retries=0),
    )
    policy = RetryPolicy(max_retries=2, rules=rules, jitter=False)
    assert [retries_allowed(policy, kind) for kind in ("HttpError", "ValueError", "OSError")] == [
        9,
        0,
        2,
    ]
    assert delay_before_us(1, policy=policy, dice=0, kind="HttpError") == 7
