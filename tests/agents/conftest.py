"""Agents on every store, asking a model that says what its script says."""

import sys
from pathlib import Path

import pytest

from podium.agents import loop

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "runtime"):
    sys.path.append(str(folder))

import scripted_agents as scripted  # noqa: E402 - found beside this file

assert loop.drive.name == "podium.agent", "a workflow is known once its module is imported"


@pytest.fixture(autouse=True)
def fresh_tools() -> None:
    scripted.forget()
