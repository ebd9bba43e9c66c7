"""What can go wrong with a call to a store, as a value that a test or a simulation injects."""

from collections.abc import Callable
from enum import IntEnum

import msgspec

from podium.errors import StoreError
from podium.ports.store import Batch

__all__ = ["Fault", "FaultKind", "Faults", "injected_error", "no_faults"]


class FaultKind(IntEnum):
    """When a call fails."""

    NEVER = 0
    BEFORE = 1
    """Nothing happened; the caller gets an error."""
    AFTER = 2
    """It happened, and the caller gets an error all the same: the answer was lost."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """How one call goes: how long it takes in both directions, and whether it fails."""

    kind: FaultKind = FaultKind.NEVER
    delay_s: float = 0.0
    """Until it takes effect."""
    answer_s: float = 0.0
    """From then until the caller knows."""


Faults = Callable[[str, Batch | None], Fault]
"""Asked once per call, with the method's name and the batch of a `submit`."""

NO_FAULT = Fault()


def no_faults(_call: str, _batch: Batch | None) -> Fault:
    """Return the fault of a store that works."""
    return NO_FAULT


def injected_error(call: str) -> StoreError:
    """Return the error of a call that was made to fail."""
    return StoreError(
        f"The store did not answer {call}.",
        why="A fault was injected.",
        fix="Try again.",
        code="PDM-S001",
    )
