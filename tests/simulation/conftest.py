"""Makes `mutation.py` importable; where one seed is asked for, nothing else runs."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    alone = "test_the_seed_asked_for"
    asked = os.environ.get("PODIUM_SIM_SEED") is not None
    here = [item for item in items if "simulation" in item.path.parts]
    dropped = [item for item in here if (item.name == alone) != asked]
    if dropped:
        items[:] = [item for item in items if item not in dropped]
        config.hook.pytest_deselected(items=dropped)
