"""Answers that are kept under a client's key, so that asking twice is answered and billed once."""

import asyncio

from podium.testing.llm.asked import Refusal, Why
from podium.testing.llm.dialect import Outcome

__all__ = ["KeptAnswers", "Name"]

Name = tuple[str, str]
"""Account and key."""


class Slot:
    """A key that was used."""

    def __init__(self, digest: bytes) -> None:
        self.digest = digest
        self.outcome: Outcome | None = None
        self.is_settled = asyncio.Event()


class KeptAnswers:
    """The answers of one stub by key."""

    def __init__(self) -> None:
        self._slots: dict[Name, Slot] = {}

    async def claim(self, name: Name, digest: bytes) -> Outcome | None:
        """Return the kept answer, or None: then the caller must `keep` or `drop`.

        Waits while another request with this key is being answered. Raises `Refusal` if the key
        was used for another body.
        """
        while (slot := self._slots.get(name)) is not None:
            if slot.digest != digest:
                raise Refusal(
                    Why.CONFLICT,
                    "This Idempotency-Key was used with another request; a key belongs to one "
                    "request body.",
                    code="idempotency_key_reused",
                )
            await slot.is_settled.wait()
            if slot.outcome is not None:
                return slot.outcome
        self._slots[name] = Slot(digest)
        return None

    def keep(self, name: Name, outcome: Outcome) -> None:
        """Answer with this from now on."""
        slot = self._slots[name]
        slot.outcome = outcome
        slot.is_settled.set()

    def drop(self, name: Name) -> None:
        """Forget the key, unless it has an answer: the next request with it is a new one."""
        slot = self._slots.get(name)
        if slot is not None and slot.outcome is None:
            del self._slots[name]
            slot.is_settled.set()
