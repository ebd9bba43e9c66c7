"""Values put together as bytes mean what they would mean encoded at once."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from podium.core.payload import (
    ErrorRecord,
    decode_error,
    encode_error,
    pack_list,
    pack_map,
    pack_value,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(VALUES))
def test_a_list_of_encoded_values_is_the_encoded_list(values: list[object]) -> None:
    assert msgspec.msgpack.decode(pack_list([pack_value(each) for each in values])) == values


@given(st.dictionaries(st.text(), VALUES))
def test_a_map_of_encoded_values_is_the_encoded_map(values: dict[str, object]) -> None:
    packed = pack_map((name, pack_value(each)) for name, each in values.items())
    assert msgspec.msgpack.decode(packed) == values


def test_long_lists_and_maps_get_long_headers() -> None:
    for count in (15, 16, 65_535, 65_536):
        assert len(msgspec.msgpack.decode(pack_list([b"\x01"] * count))) == count
        pairs = ((str(number), b"\x01") for number in range(count))
        assert len(msgspec.msgpack.decode(pack_map(pairs))) == count


@given(message=st.text(), retryable=st.booleans(), wait=st.integers(0, 2**40))
def test_an_error_record_survives_the_journal(*, message: str, retryable: bool, wait: int) -> None:
    cause = ErrorRecord(code="PDM-T001", kind="ValueError", message=message)
    record = ErrorRecord(
        code="PDM-T000",
        kind="RunError",
        message=message,
        retryable=retryable,
        retry_after_us=wait,
        causes=(cause,),
    )
    assert decode_error(encode_error(record)) == record
