"""What the clerk may look up beside the handbook."""

import json
from pathlib import Path
from typing import Final

import podium

__all__ = ["order"]

_ORDERS: Final = Path(__file__).resolve().parent.parent / "data" / "orders.json"


@podium.tool(effect="read")
def order(number: str) -> str:
    """Say what was ordered under a number, when it was sent, and where it is."""
    orders = json.loads(_ORDERS.read_text("utf-8"))
    if number not in orders:
        return f"There is no order {number}."
    found = orders[number]
    return f"Order {number}: {found['article']}, sent on {found['sent']}, {found['state']}."
