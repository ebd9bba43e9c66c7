"""The feed: every tick of a store in the order of their commits; a part of the `Store` port.

A journal orders the events of one run. The feed orders the ticks of all of them, so that a
reader of many runs has one cursor: whoever has seen number `n` never sees a smaller one later.
It names what the journals hold and repeats nothing. Ticks pay for it only once somebody reads
it: until `open_feed` was called for the first time, a store keeps none.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

__all__ = ["Feed", "FeedEnds", "FeedRow", "JournalRecord"]


class JournalRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The events of one run in one tick, packed."""

    run_no: int
    first_seq: int
    count: int
    format: int
    body: bytes


class FeedRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One tick: the journal records it wrote, those that retention removed left out."""

    no: int
    records: Sequence[JournalRecord]


class FeedEnds(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How far back the feed reaches, and where it ends now."""

    floor: int
    """Everything after this number is there; what came before may have been forgotten."""
    head: int
    """The number of the last tick; 0 before the first."""
    is_open: bool


class Feed(Protocol):
    """See the module docstring."""

    async def open_feed(self) -> int:
        """Keep the feed from now on, in every process; return its head. Safe to repeat."""

    async def feed_ends(self) -> FeedEnds:
        """Return the ends of the feed."""

    async def feed(self, *, after: int, limit: int) -> Sequence[FeedRow]:
        """Return ticks with a number above `after`, in the order of their commits."""

    async def prune_feed(self, before: int) -> int:
        """Forget some ticks with a number below `before`, oldest first; return how many.

        The newest stays whatever `before` says, and so does what no webhook was told yet.
        """

    async def last_seqs(self, run_nos: Sequence[int]) -> Mapping[int, int]:
        """Return the last sequence number of each of these runs that exists; one read."""
