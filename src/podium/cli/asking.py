"""The question at the terminal when a run waits for a person."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec

from podium.cli.interrupts import Interrupts
from podium.cli.output import note
from podium.core.ids import approval_id
from podium.ports.store import ApprovalRow

__all__ = ["ask", "shown"]

ANSWERS: Final = {"a": "approve", "r": "reject", "d": "detach", "s": "show"}
LINES_MAX: Final = 60


async def ask(
    row: ApprovalRow,
    decode: Callable[[bytes], Any],
    news: asyncio.Event,
    interrupts: Interrupts,
) -> str:
    """Return approve, reject or detach; "" if the question went away by itself."""
    note()
    note(f"{approval_id(row.approval_no)} waits for you: {row.prompt or row.path}")
    while True:
        sys.stderr.write("[a]pprove, [r]eject, [s]how, [d]etach? ")
        sys.stderr.flush()
        line = await _line(news, interrupts)
        if line is None:
            return "detach" if interrupts.count else ""
        answer = ANSWERS.get(line.strip().lower()[:1], "")
        if answer == "show":
            note(shown(decode(row.payload)))
        elif answer:
            return answer


def shown(payload: Any) -> str:
    """Return a payload as indented JSON, cut to what can be read."""
    text = msgspec.json.format(msgspec.json.encode(payload, enc_hook=str), indent=2).decode()
    lines = text.splitlines()
    if len(lines) > LINES_MAX:
        more = f"… {len(lines) - LINES_MAX} more lines"
        lines = [*lines[:LINES_MAX], more]
    return "\n".join(lines)


async def _line(news: asyncio.Event, interrupts: Interrupts) -> str | None:
    """Return a line from the terminal; None if it ended, was interrupted, or news came."""
    loop = asyncio.get_running_loop()
    is_readable = False

    def readable() -> None:
        nonlocal is_readable
        is_readable = True
        news.set()

    # The terminal hands over whole lines, so reading one does not block once it is readable.
    loop.add_reader(sys.stdin.fileno(), readable)
    news.clear()
    try:
        await news.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    if not is_readable:
        note()
        return None
    line = sys.stdin.readline()
    if not line:
        interrupts.count += 1
        return None
    return line
