"""The examples as a user has them: the folder of the workflow file on the import path."""

import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path[:0] = [str(EXAMPLES / "review"), str(EXAMPLES / "etl"), str(Path(__file__).parent)]


@pytest.fixture(scope="session")
def examples() -> Path:
    return EXAMPLES
