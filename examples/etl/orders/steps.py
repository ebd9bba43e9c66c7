"""Extract, transform, load: three functions of JSON values.

Each may run again after a crash, so each gives the same result for the same input.
"""

import csv
import json
from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, TypedDict

__all__ = ["Extracted", "Loaded", "Order", "extract", "load", "transform"]

_SAMPLE: Final = Path(__file__).resolve().parent.parent / "data" / "orders.csv"
_EURO_CENTS: Final = {"EUR": Decimal(100), "USD": Decimal(92), "GBP": Decimal(117)}


class Extracted(TypedDict):
    """The records of the source, as text, and the absolute path of the target."""

    target: str
    records: list[dict[str, str]]


class Order(TypedDict):
    """One order in the form the target expects."""

    order: str
    customer: str
    euro_cents: int
    day: str


class Loaded(TypedDict):
    """The output of the run."""

    target: str
    loaded: int
    rejected: list[str]
    euro_cents: int


def extract(source: str = "", target: str = "orders.json") -> Extracted:
    """Read all records. The paths are made absolute, so the run can continue elsewhere."""
    path = Path(source) if source else _SAMPLE
    with path.open(encoding="utf-8", newline="") as file:
        records = [dict(row) for row in csv.DictReader(file)]
    return Extracted(target=str(Path(target).resolve()), records=records)


def transform(record: dict[str, str]) -> Order:
    """Convert one record; raises `ValueError` if the amount, currency or day is wrong."""
    try:
        amount = Decimal(record["amount"])
        rate = _EURO_CENTS[record["currency"]]
    except (InvalidOperation, KeyError) as error:
        raise ValueError(f"Order {record['order']}: bad amount or currency.") from error
    return Order(
        order=record["order"],
        customer=record["customer"].strip(),
        euro_cents=round(amount * rate),
        day=date.fromisoformat(record["day"]).isoformat(),
    )


def load(extracted: Extracted, orders: Sequence[Order | None]) -> Loaded:
    """Write the orders that could be converted, whole or not at all, and name the others."""
    good = [order for order in orders if order]
    target = Path(extracted["target"])
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.write_text(json.dumps(good, indent=1) + "\n", encoding="utf-8")
    temporary.replace(target)
    known = {order["order"] for order in good}
    return Loaded(
        target=str(target),
        loaded=len(good),
        rejected=[each["order"] for each in extracted["records"] if each["order"] not in known],
        euro_cents=sum(order["euro_cents"] for order in good),
    )
