"""The `retention:` block of podium.yaml: how long closed runs and their logs are kept."""

import msgspec

from podium.settings.llm import Seconds

__all__ = ["RetentionSettings"]


class RetentionSettings(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Ages after which things are forgotten; without one they are kept for ever."""

    runs: Seconds | None = None
    """Closed runs, counted from their end, unless their status has an age of its own."""
    completed: Seconds | None = None
    failed: Seconds | None = None
    cancelled: Seconds | None = None
    aborted: Seconds | None = None
    logs: Seconds | None = None
    """What attempts printed and logged, counted from when it was written."""
    archive: str = ""
    """A folder: runs are written there, as JSON lines, before they are forgotten."""
