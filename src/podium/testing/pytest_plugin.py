"""The pytest plugin: one fixture, `virtual_podium`, for tests of workflows.

Loading it imports nothing but pytest; a test that does not ask for the fixture pays nothing.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from podium.testing.virtual import VirtualPodium

__all__ = ["virtual_podium"]


@pytest.fixture
def virtual_podium() -> "VirtualPodium":
    """Return what runs a scenario on a real engine, in memory and in virtual time."""
    # Loaded when a test asks: plugins are imported in every test run of everybody.
    from podium.testing.virtual import VirtualPodium  # noqa: PLC0415

    return VirtualPodium()
