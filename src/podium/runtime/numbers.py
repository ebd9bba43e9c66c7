"""Run numbers, reserved from the store in blocks: most starts take one without any I/O."""

import asyncio

from podium.ports.store import Store

__all__ = ["RunNumbers"]


class RunNumbers:
    """Gives every new run a number of its own, for good."""

    def __init__(self, store: Store, *, block: int) -> None:
        self._store = store
        self._block = block
        self._left: list[int] = []
        self._reserving = asyncio.Lock()

    async def take(self) -> int:
        """Return a number that nobody else has."""
        # One reservation at a time: hundreds of starts may find the block empty at once.
        while not self._left:
            async with self._reserving:
                if not self._left:
                    first = await self._store.reserve_run_numbers(self._block)
                    self._left = list(range(first + self._block - 1, first - 1, -1))
        return self._left.pop()
