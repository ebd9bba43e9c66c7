"""Why a run was not started, for who asked."""

from podium.core.ids import run_id
from podium.errors import ConflictError, PodiumError, StoreError
from podium.ports.store import Refusal, RefusalKind

__all__ = ["UNSTORABLE", "Overtaken", "refused_start"]

UNSTORABLE = "PDM-S020"
"""The code for data of a run that no store takes: the run's fault, not the store's."""


class Overtaken(ConflictError):
    """A schedule changed between a decision about it and its commit; nothing was started."""

    code = "PDM-C061"

    def __init__(self, name: str = "") -> None:
        super().__init__(
            f"The schedule{f' {name!r}' if name else ''} changed at the same moment.",
            why="Somebody else took the tick, paused it, changed it or removed it.",
            fix="Look at it with `podium schedules show`, and ask again.",
            code_word="schedule_changed",
        )


def refused_start(refusal: Refusal, *, key: str) -> PodiumError:
    """Return the error for a run that was not started, under the idempotency key `key`."""
    if refusal.kind is RefusalKind.OVERTAKEN:
        return Overtaken()
    if refusal.kind is RefusalKind.DUPLICATE:
        return ConflictError(
            f"The idempotency key {key!r} belongs to another request.",
            why=f"{run_id(refusal.existing)} was started with it, from another workflow "
            "version or with another input.",
            fix="Use a new key, or the same request.",
            code="PDM-C010",
        )
    return StoreError(
        "The run could not be stored.",
        why=refusal.detail or refusal.kind.name.lower(),
        fix="Check the input for text that is not valid UTF-8, and try again.",
        code=UNSTORABLE,
    )
