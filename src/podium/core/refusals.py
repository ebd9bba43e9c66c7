"""Why a run does not take what it was told: one word for programs, one sentence for people."""

from typing import Final

import msgspec

__all__ = ["WORDS", "Refused", "wrong_state"]

WORDS: Final = (
    "wrong_state",
    "recovery_in_flight",
    "stale",
    "unknown_step",
    "unknown_agent",
    "step_needed",
    "already_decided",
    "approval_expired",
    "payload_changed",
    "four_eyes",
    "approval_needed",
)
"""Every word a run refuses with; they are part of the API."""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A message that changed nothing, and why."""

    word: str
    """One of `WORDS`."""
    sentence: str
    """What stands in the way, without a capital and without a full stop."""


def wrong_state(sentence: str) -> Refused:
    """Return the refusal of what may be right at another time."""
    return Refused("wrong_state", sentence)
