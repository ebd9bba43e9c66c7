"""Functions that definitions in these tests may name."""

import asyncio
import os.path
from pathlib import Path
from typing import Any

join = os.path.join


def double(number: int) -> int:
    return 2 * number


def broken() -> None:
    raise ValueError("it is broken")


def flaky(counter: str) -> str:
    """Fail until somebody has made the file `counter`."""
    if not Path(counter).exists():
        raise ValueError("not yet")
    return "mended"


async def forever() -> Any:
    await asyncio.Event().wait()


def read_pipe(path: str) -> str:
    """Wait, in a thread, until somebody writes to a pipe."""
    return Path(path).read_text()
