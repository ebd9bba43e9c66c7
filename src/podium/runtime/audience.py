"""Everybody who hears of events: followers of runs, readers of the feed, webhooks.

An engine tells it that something was committed, here or by another process, and gives it the
background; what each of them does about it is their own affair.
"""

from collections.abc import Callable

from podium.ports.store import Store
from podium.runtime.deliveries import Deliveries, Spawn
from podium.runtime.feeds import Feeds
from podium.runtime.followers import Followers, Listen
from podium.runtime.registry import Registry

__all__ = ["Audience"]


class Audience:
    """See the module docstring."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        listen: Listen,
        is_here: Callable[[int], bool],
        dice: Callable[[], float],
    ) -> None:
        self.followers = Followers(store=store, registry=registry, listen=listen, is_here=is_here)
        self.feeds = Feeds(store, registry)
        self.deliveries = Deliveries(
            store=store, registry=registry, egress=registry.services.egress, dice=dice
        )

    async def begin(self, spawn: Spawn, *, role: str) -> None:
        """Do in the background what has to be done there."""
        spawn(self.followers.watch(), "followers")
        await self.deliveries.begin(spawn, role=role)

    def committed(self) -> None:
        """Note a commit of this node; costs nothing while nobody listens."""
        self.feeds.stir()
        self.deliveries.committed()

    def stir(self) -> None:
        """Note that another process committed something."""
        self.followers.stir()
        self.feeds.stir()
        self.deliveries.stir()

    async def leave(self) -> None:
        """Give what was told last a moment to go out."""
        await self.deliveries.leave()

    def close(self) -> None:
        """Let all of them end: this process is about to leave."""
        self.followers.close()
        self.feeds.close()
