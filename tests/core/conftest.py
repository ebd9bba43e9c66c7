"""The pure driver of the core (`driven.py`) and its random workflows, importable by the tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
