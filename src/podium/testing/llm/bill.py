"""The stub's own bill, in nano-dollars: a second witness for what a program says it spent."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final

import msgspec

from podium.core.charges import NANO
from podium.ports.models import Usage

__all__ = ["Bill", "Line", "Prices"]

MILLION: Final = 1_000_000


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Dollars for a million tokens of each class, as text: "0.15"."""

    input: str = "0"
    output: str = "0"
    cached: str | None = None
    """None: like input."""
    cache_write: str | None = None
    """None: like input."""
    thinking: str | None = None
    """None: like output."""

    def cost_nano(self, usage: Usage) -> int:
        """Return what a usage costs in nano-dollars, rounded half up once."""
        exact = (
            usage.input * nano(self.input)
            + usage.cached * nano(self.cached or self.input)
            + usage.cache_write * nano(self.cache_write or self.input)
            + usage.output * nano(self.output)
            + usage.thinking * nano(self.thinking or self.output)
        )
        return (exact + MILLION // 2) // MILLION


def nano(dollars: str) -> int:
    """Return dollars as nano-dollars."""
    return int(Decimal(dollars) * NANO)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What one request cost."""

    no: int
    """Number of the request; `stub.requests` has the same."""
    request_id: str
    account: str
    """Whose API key paid; never the key."""
    model: str
    usage: Usage
    cost_nano: int
    idempotency_key: str = ""
    is_partial: bool = False
    """The answer broke off: billed for what was produced until then."""


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """Some lines and their sums."""

    lines: tuple[Line, ...] = ()

    @property
    def usage(self) -> Usage:
        """Return the tokens of all lines."""
        return sum((line.usage for line in self.lines), Usage())

    @property
    def cost_nano(self) -> int:
        """Return nano-dollars."""
        return sum(line.cost_nano for line in self.lines)

    def by_model(self) -> dict[str, "Bill"]:
        """Return a bill for each model."""
        return grouped(self.lines, lambda line: line.model)

    def by_account(self) -> dict[str, "Bill"]:
        """Return a bill for each account."""
        return grouped(self.lines, lambda line: line.account)

    def by_key(self) -> dict[str, "Bill"]:
        """Return a bill for each idempotency key; requests without one are together under ""."""
        return grouped(self.lines, lambda line: line.idempotency_key)


def grouped(lines: Iterable[Line], group: Callable[[Line], str]) -> dict[str, Bill]:
    """Split lines into bills."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(group(line), []).append(line)
    return {name: Bill(lines=tuple(members)) for name, members in found.items()}
