"""Public ids: readable, reversible, sorted by time, and strict about anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.core import ids
from podium.errors import RequestError

RUNS = st.integers(1, ids.RUN_NO_MAX)
LOWS = st.integers(0, ids.EVENTS_MAX)


@given(RUNS)
def test_a_run_id_becomes_its_number_again(run_no: int) -> None:
    assert ids.parse_run_id(ids.run_id(run_no)) == run_no


@given(RUNS, RUNS)
def test_run_ids_sort_like_their_numbers(one: int, other: int) -> None:
    assert (one < other) == (ids.run_id(one) < ids.run_id(other))


@given(RUNS, LOWS)
def test_step_and_approval_ids_become_their_numbers_again(run_no: int, step_no: int) -> None:
    assert ids.parse_step_id(ids.step_id(run_no, step_no)) == (run_no, step_no)
    number = ids.approval_no(run_no, step_no)
    assert ids.parse_approval_id(ids.approval_id(number)) == number


@given(RUNS, LOWS)
def test_packed_keys_fit_a_signed_64_bit_column(run_no: int, low: int) -> None:
    key = ids.pack_key(run_no, low)
    assert 0 < key < 1 << 63
    assert ids.unpack_key(key) == (run_no, low)


def test_letters_that_look_like_digits_are_read_as_digits() -> None:
    assert ids.parse_run_id("run_OOOOOlOl") == ids.parse_run_id("run_00000101")


@pytest.mark.parametrize("text", ["", "run_", "run_123", "run_0000010u", "stp_00000101_3", "101"])
def test_anything_else_is_no_run_id(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        ids.parse_run_id(text)
    assert caught.value.code == "PDM-R001"


@pytest.mark.parametrize("text", ["stp_00000101", "stp_00000101_x", "run_00000101", "apr_1_2"])
def test_anything_else_is_no_step_id(text: str) -> None:
    with pytest.raises(RequestError):
        ids.parse_step_id(text)


@pytest.mark.parametrize(
    "number",
    ["٣", "03", "-1", "+1", "1_0", " 1", "16777216", "9" * 5000],
    ids=lambda text: text[:9],
)
def test_a_step_has_one_id_and_numbers_beyond_its_run_have_none(number: str) -> None:
    """Larger numbers would run over into the run's own, and name an approval of another run."""
    for kind, parse in (("stp", ids.parse_step_id), ("apr", ids.parse_approval_id)):
        with pytest.raises(RequestError):
            parse(f"{kind}_00000101_{number}")


@given(st.text())
def test_slots_are_in_range_and_stable(organization: str) -> None:
    assert 0 <= ids.slot_of(organization) < ids.SLOTS


def test_a_slot_is_the_same_in_every_process_and_release() -> None:
    assert [ids.slot_of(name) for name in ("default", "acme", "")] == [3038, 431, 3525]
