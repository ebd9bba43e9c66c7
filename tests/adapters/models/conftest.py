"""Wires to a stub on 127.0.0.1, one for each protocol, importable words to ask with."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
