"""The example that moves orders: bad records are named, good ones are written whole."""

import json
from pathlib import Path

import pytest
from orders.steps import extract, load, transform


def test_good_orders_are_loaded_and_bad_ones_are_named(tmp_path):
    extracted = extract(target=str(tmp_path / "orders.json"))
    bad = {"1005", "1009"}
    orders = [
        None if record["order"] in bad else transform(record) for record in extracted["records"]
    ]
    result = load(extracted, orders)
    assert (result["loaded"], result["rejected"]) == (10, ["1005", "1009"])
    assert json.loads(Path(result["target"]).read_text()) == [each for each in orders if each]


@pytest.mark.parametrize("change", [{"amount": "much"}, {"currency": "ABC"}, {"day": "today"}])
def test_a_bad_record_is_a_value_error_which_is_not_retried(change):
    record = {"order": "1", "customer": "A", "amount": "1", "currency": "EUR", "day": "2024-03-01"}
    assert transform(record)["euro_cents"] == 100
    with pytest.raises(ValueError, match=r"."):
        transform({**record, **change})
