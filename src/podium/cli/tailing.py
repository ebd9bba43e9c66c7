"""What `podium runs logs` does: print what the attempts of a run wrote, and go on if asked."""

import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from podium.authoring.logs import LogLine
from podium.cli.output import emit_json, note, plain, styled
from podium.cli.session import Session

__all__ = ["print_logs"]

PAGE: Final = 1000
STYLES: Final = {"error": "red", "stderr": "yellow", "warn": "yellow", "debug": "dim"}


async def print_logs(session: Session, run: str, *, step: str, follow: bool, tail: int) -> int:
    """Print the lines of a run: one JSON document with `--json`, JSON lines while following."""
    async with session.reading() as app:
        if follow:
            async for lines in app.logs.follow(run, step=step):
                _show(lines, as_json=session.as_json)
            return 0
        found: list[LogLine] = []
        while page := await app.logs.of(
            run, step=step, after=found[-1].number if found else 0, limit=PAGE
        ):
            found += page
            if tail and len(found) > tail + PAGE:
                del found[:-tail]
    shown = found[-tail:] if tail else found
    if session.as_json:
        emit_json({"items": shown, "next_cursor": None})
        return 0
    if not shown:
        note("No lines: nothing was printed or logged, or retention took it away.")
    _show(shown, as_json=False)
    return 0


def _show(lines: Sequence[LogLine], *, as_json: bool) -> None:
    for line in lines:
        print(msgspec.json.encode(line).decode() if as_json else _text(line))
    sys.stdout.flush()


def _text(line: LogLine) -> str:
    who = line.step if line.attempt == 1 else f"{line.step} (attempt {line.attempt})"
    level = line.level if not line.source else f"{line.level} {line.source}:"
    style = STYLES.get(line.level)
    shown = styled(level, style) if style else level
    return f"{line.time[11:23]}  {who}  {shown} {plain(line.text)}"
