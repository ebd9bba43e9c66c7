"""The pytest plugin: `virtual_podium` for tests of workflows, `model_stub` for tests of agents.

Loading it imports nothing but pytest; a test that does not ask for a fixture pays nothing.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from podium.testing.llm import ModelStub
    from podium.testing.virtual import VirtualPodium

__all__ = ["model_stub", "virtual_podium"]


@pytest.fixture
def virtual_podium() -> "VirtualPodium":
    """Return what runs a scenario on a real engine, in memory and in virtual time."""
    # Loaded when a test asks: plugins are imported in every test run of everybody.
    from podium.testing.virtual import VirtualPodium  # noqa: PLC0415

    return VirtualPodium()


@pytest.fixture
def model_stub() -> "Iterator[ModelStub]":
    """Return a running provider of language models: real HTTP, scripted answers, a bill."""
    from podium.testing.llm import ModelStub  # noqa: PLC0415

    with ModelStub() as stub:
        yield stub
