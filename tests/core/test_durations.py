"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.core.durations import duration_text, parse_duration

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90),
        (1.5, 1.5),
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5_400),
        ("250ms", 0.25),
        ("1d", 86_400),
        ("2w", 1_209_600),
        ("PT1H", 3_600),
        ("P1DT2H3M4.5S", 93_784.5),
        ("P2W", 1_209_600),
        (-5, -5),
        (0, 0),
    ],
)
def test_bare_numbers_are_seconds_and_units_say_the_rest(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds * SECOND


@pytest.mark.parametrize(
    "written",
    [
        *("", "soon", "5 fortnights", "5 m", "m5", "P", "PT", "1h-5m", "9" * 65),
        *(True, None, [5], float("nan"), float("inf"), 1e308, -1e308),
    ],
)
def test_what_is_no_duration_is_not_guessed(written: object) -> None:
    assert parse_duration(written) is None


@given(us=st.integers(0, 10**15))
def test_a_duration_survives_its_text(us: int) -> None:
    assert parse_duration(duration_text(us)) == us
