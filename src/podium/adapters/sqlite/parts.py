"""What a part of the store's methods may count on: the two ways to the file."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from podium.adapters.sqlite.database import Database, Reader

__all__ = ["Part"]

R = TypeVar("R")
P = ParamSpec("P")


class Part(ABC):
    """Methods for one noun; `SqliteStore` is made of such parts and gives them its threads."""

    @abstractmethod
    async def _write(self, work: Callable[[Database], R]) -> R:
        """Run `work` on the writer thread and return its result."""

    @abstractmethod
    async def _read(
        self, work: Callable[Concatenate[Reader, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run `work` with a reading connection on a reader thread and return its result."""
