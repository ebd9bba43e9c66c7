"""What the feature tests share: bodies of tasks (`bodies.py`) and ways to wait (`waiting.py`)."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import bodies


@pytest.fixture(autouse=True)
def fresh_bodies() -> None:
    bodies.forget()
