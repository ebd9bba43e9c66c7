"""What a check says, and what it may look at."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from podium.authoring.client import App
from podium.ports.store import DefinitionRow, NodeRow
from podium.settings import Settings

__all__ = ["NOBODY", "Check", "Look", "Patient", "some", "worst"]

STATES: Final = ("ok", "skip", "warn", "fail")
SHOWN_MAX: Final = 3

NOBODY: Final = NodeRow(
    node_id=-1, epoch=0, state=0, boot_id="", pid=0, host="", role="", started_us=0,
    lease_until_us=0,
)  # fmt: skip
"""A node that is none: asked from there, every node is another one."""


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at."""

    name: str
    state: str
    """ok, warn, fail, or skip: there was nothing to look at, or it could not be done."""
    detail: str
    fix: str = ""
    section: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What the checks look at: a store that is open, the settings, and the environment."""

    app: App
    settings: Settings
    environment: Mapping[str, str]

    @property
    def now_us(self) -> int:
        """Return the store's time."""
        return self.app.engine.store.now_us()

    async def definitions(self) -> Sequence[DefinitionRow]:
        """Return the active version of every workflow of this process's organization."""
        return await self.app.engine.store.definitions(self.settings.organization)


Look: TypeAlias = Callable[[Patient], Awaitable[Check]]


def worst(checks: Iterable[Check]) -> str:
    """Return the worst state among checks; ok if there are none."""
    return max((check.state for check in checks), key=STATES.index, default="ok")


def some(names: Iterable[str]) -> str:
    """Return the first few of many names.

    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    found = list(names)
    more = len(found) - SHOWN_MAX
    return ", ".join(found[:SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
