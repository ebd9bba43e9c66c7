"""Keys and audit chains as values: what they are made of, and what every edit does to a chain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from podium.core.access import (
    ENTROPY_BYTES,
    AuditEntry,
    AuditRow,
    ChainCheck,
    ChainFault,
    KeyStatus,
    chained,
    check_chain,
    is_intact,
    is_key,
    is_slug,
    key_hash,
    key_hint,
    key_id_of,
    key_status,
    make_key,
)

ENTROPY = st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES)


# --- keys ---------------------------------------------------------------------------------------


@given(ENTROPY)
def test_a_key_is_sk_and_letters_and_digits_and_intact(entropy):
    key = make_key(entropy)
    assert key.startswith("sk_")
    assert key.isascii()
    assert key.removeprefix("sk_").isalnum()
    assert is_key(key)
    assert is_intact(key)


@given(ENTROPY, ENTROPY)
def test_different_random_bytes_make_different_keys(one, other):
    assert (make_key(one) == make_key(other)) == (one == other)


@given(ENTROPY, st.data())
def test_a_key_with_one_wrong_or_missing_character_is_not_intact(entropy, data):
    key = make_key(entropy)
    at = data.draw(st.integers(3, len(key) - 5))
    wrong = "0" if key[at] != "0" else "1"
    changed = key[:at] + wrong + key[at + 1 :]
    # One in a million wrong keys has the right check digits by chance.
    assert not is_intact(key[:at] + key[at + 1 :])
    assert not is_intact(changed) or key_hash(changed) != key_hash(key)


@given(st.text())
def test_any_text_can_be_asked_about(text):
    assert isinstance(is_intact(text), bool)
    assert isinstance(is_key(text), bool)


@given(st.binary())
def test_any_bytes_of_a_header_can_be_hashed(body):
    assert len(key_hash(body.decode("latin-1"))) == 64


def test_the_id_of_a_key_says_nothing_about_it_and_is_always_the_same():
    hashed = key_hash("sk_" + "x" * 40)
    assert key_id_of(hashed) == key_id_of(hashed)
    assert key_id_of(hashed).startswith("key_")
    assert hashed[:8] not in key_id_of(hashed)


def test_the_hint_of_a_key_is_its_beginning_only():
    assert key_hint("sk_7f3kabcdefgh") == "sk_7f3k…"


@pytest.mark.parametrize("bytes_", [0, 16, 24, 26])
def test_a_key_takes_exactly_its_bytes(bytes_):
    with pytest.raises(ValueError):
        make_key(bytes(bytes_))


@pytest.mark.parametrize(
    ("expires_us", "revoked_us", "expected"),
    [
        (None, None, KeyStatus.ACTIVE),
        (11, None, KeyStatus.ACTIVE),
        (10, None, KeyStatus.EXPIRED),
        (None, 5, KeyStatus.REVOKED),
        (5, 5, KeyStatus.REVOKED),
    ],
)
def test_a_key_is_active_until_it_expires_or_is_revoked(expires_us, revoked_us, expected):
    found = key_status(expires_us=expires_us, revoked_us=revoked_us, now_us=10)
    assert found is expected


@pytest.mark.parametrize("slug", ["a", "acme", "acme-labs", "4ever", "a_b", "a" * 63])
def test_these_can_name_an_organization(slug):
    assert is_slug(slug)


@pytest.mark.parametrize("slug", ["", "-a", "a-", "Acme", "a" * 64, "a b", "a/b", "ä", "a\n"])
def test_these_cannot_name_an_organization(slug):
    assert not is_slug(slug)


# --- chains -------------------------------------------------------------------------------------

TEXT = st.text(max_size=8)
ENTRIES = st.lists(
    st.builds(
        AuditEntry,
        organization=st.just("acme"),
        at_us=st.integers(0, 1 << 60),
        by=TEXT,
        action=TEXT,
        subject=TEXT,
        detail=TEXT,
    ),
    min_size=1,
    max_size=8,
)


def chain_of(entries: list[AuditEntry]) -> list[AuditRow]:
    rows: list[AuditRow] = []
    previous = ChainCheck().hash
    for entry in entries:
        rows.append(chained(entry, seq=len(rows) + 1, previous=previous))
        previous = rows[-1].hash
    return rows


@given(ENTRIES)
def test_a_chain_as_it_was_written_is_whole(entries):
    rows = chain_of(entries)
    assert check_chain(rows) == ChainCheck(seq=len(rows), hash=rows[-1].hash)


@given(ENTRIES, st.integers(0, 8))
def test_a_chain_can_be_checked_a_page_at_a_time(entries, cut):
    rows = chain_of(entries)
    assert check_chain(rows[cut:], so_far=check_chain(rows[:cut])) == check_chain(rows)


@given(ENTRIES, st.data())
def test_a_changed_row_is_found_where_it_is(entries, data):
    rows = chain_of(entries)
    at = data.draw(st.integers(0, len(rows) - 1))
    field = data.draw(st.sampled_from(["by", "action", "subject", "detail", "key_id", "via"]))
    rows[at] = replace(rows[at], **{field: getattr(rows[at], field) + "!"})
    check = check_chain(rows)
    assert (check.fault, check.seq) == (ChainFault.CHANGED, at)


@given(ENTRIES, st.data())
def test_a_row_taken_out_is_found(entries, data):
    rows = chain_of([*entries, entries[0]])
    at = data.draw(st.integers(0, len(rows) - 2))
    check = check_chain(rows[:at] + rows[at + 1 :])
    assert (check.fault, check.seq) == (ChainFault.MISSING, at)


@given(ENTRIES, st.data())
def test_a_row_taken_out_is_found_also_when_the_rest_is_counted_anew(entries, data):
    rows = chain_of([*entries, entries[0]])
    at = data.draw(st.integers(0, len(rows) - 2))
    rest = [replace(row, seq=row.seq - 1) for row in rows[at + 1 :]]
    assert check_chain(rows[:at] + rest).fault is ChainFault.CHANGED


@given(ENTRIES)
def test_two_rows_that_changed_places_are_found(entries):
    rows = chain_of([*entries, entries[0]])
    first, last = rows[0], rows[-1]
    swapped = [replace(last, seq=1), *rows[1:-1], replace(first, seq=last.seq)]
    assert check_chain(swapped).fault is ChainFault.CHANGED


@given(ENTRIES)
def test_no_check_goes_on_past_a_fault(entries):
    rows = chain_of(entries)
    broken = ChainCheck(seq=0, fault=ChainFault.MISSING)
    assert check_chain(rows, so_far=broken) == broken


def test_what_stands_in_one_field_cannot_pass_for_another():
    one = AuditEntry(organization="a", at_us=1, by='x","y', action="z", subject="s")
    other = AuditEntry(organization="a", at_us=1, by="x", action='y","z', subject="s")
    hashes = {chained(entry, seq=1, previous="").hash for entry in (one, other)}
    assert len(hashes) == 2
