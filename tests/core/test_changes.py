"""An edit as a list of changes: whoever applies them to the old value gets the new one."""

import copy

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from podium.core.changes import CHANGES_MAX, Change, changes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("a/~", max_size=2), inner),
    max_leaves=12,
)


def apply(value, patch):
    box = {"": copy.deepcopy(value)}
    for change in patch:
        parts = ["", *change.path.split("/")[1:]]
        at = box
        for part in parts[:-1]:
            at = at[key_in(at, part)]
        key = key_in(at, parts[-1])
        if change.op == "remove":
            del at[key]
        elif change.op == "add" and isinstance(at, list):
            at.insert(key, change.new)
        else:
            at[key] = change.new
    return box[""]


def key_in(at, part):
    part = part.replace("~1", "/").replace("~0", "~")
    return int(part) if isinstance(at, list) else part


@given(JSON, JSON)
def test_the_changes_lead_from_one_value_to_the_other(before, after):
    got = apply(before, changes(before, after))
    assert msgspec.json.encode(got, order="sorted") == msgspec.json.encode(after, order="sorted")


@given(JSON)
def test_equal_values_have_no_changes(value):
    assert changes(value, copy.deepcopy(value)) == []


def test_what_was_there_before_is_kept():
    assert changes({"to": "eve"}, {"to": "bob"}) == [
        Change(op="replace", path="/to", old="eve", new="bob")
    ]


def test_true_is_not_one():
    assert [change.op for change in changes(1, bool(1))] == ["replace"]


def test_the_list_is_bounded():
    assert len(changes([], list(range(1000)))) == CHANGES_MAX
