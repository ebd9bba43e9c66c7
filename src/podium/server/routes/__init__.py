"""The routes of the service, one module for each noun; `ROUTES` lists what is served."""

from collections.abc import Iterator
from importlib import import_module
from typing import Final

from litestar.types import ControllerRouterHandler

__all__ = ["NOUNS", "routes"]

NOUNS: Final = (
    "actions",
    "agents",
    "approvals",
    "audit",
    "breakers",
    "budgets",
    "dead_letters",
    "description",
    "doctor",
    "events",
    "health",
    "keys",
    "logs",
    "metrics",
    "organizations",
    "pages",
    "runs",
    "schedules",
    "seeds",
    "text",
    "webhooks",
    "workflows",
)


def routes(nouns: tuple[str, ...] = NOUNS) -> Iterator[ControllerRouterHandler]:
    """Yield the handlers of all nouns; each module lists its own as `ROUTES`."""
    for noun in nouns:
        yield from import_module(f"{__name__}.{noun}").ROUTES
