"""Write the client without an event loop from the one with: the same words, minus the waiting.

`tests/client/test_twins.py` fails when the written file is not what this makes of its source.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "src" / "podium" / "client"
SOURCE = CLIENT / "asynchronous.py"
TARGET = CLIENT / "synchronous.py"

DOCSTRING = '''"""The client for programs without an event loop.

Written by `scripts/sync_client.py` from asynchronous.py: change that one.
"""'''

# Longer words first where one holds another.
WORDS = (
    (r'\A"""The client for programs with an event loop\..*?"""', DOCSTRING),
    (r"\bAsyncGenerator\[([\w.]+)\]", r"Generator[\1]"),
    (r"\bAsync(Client|RunHandle|Generator|Iterator)\b", r"\1"),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"^import asyncio\nfrom (.*?)\nfrom", r"import time\nfrom \1\nfrom"),
    (r"\baclosing\b", "closing"),
    (r"for each in page\.items:\n\s+yield each", "yield from page.items"),
    (r"\.a(close|read|iter_lines)\b", r".\1"),
)


def synchronous(text: str) -> str:
    """Return the source of the client that blocks."""
    for pattern, instead in WORDS:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE | re.DOTALL)
    return text


def main() -> int:
    """Write the file."""
    TARGET.write_text(synchronous(SOURCE.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
