"""Draws the state machines of runs and steps into docs/reference/states.md from their tables.

Without arguments it prints what would change; `--write` writes it. tests/test_docs.py compares.
"""

import re
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import IntEnum
from pathlib import Path
from typing import Final, TypeVar

from podium.core.states import RUN_MOVES, RUN_VERBS, STEP_MOVES, RunStatus, StepStatus

PAGE: Final = Path(__file__).resolve().parent.parent / "docs/reference/states.md"
MARK: Final = re.compile(r"(<!-- generated: (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

Status = TypeVar("Status", RunStatus, StepStatus)


def diagram(moves: Mapping[Status, AbstractSet[Status]], *, first: Status) -> str:
    """Return a Mermaid state diagram of a transition table."""
    lines: list[str] = ["```mermaid", "stateDiagram-v2", f"    [*] --> {word(first)}"]
    for old in moves:
        lines.extend(f"    {word(old)} --> {word(new)}" for new in sorted(moves[old]))
        if not moves[old]:
            lines.append(f"    {word(old)} --> [*]")
    return "\n".join([*lines, "```"])


def table(moves: Mapping[Status, AbstractSet[Status]]) -> str:
    """Return a transition table as Markdown."""
    lines: list[str] = ["| from | to |", "|---|---|"]
    for old in moves:
        targets = ", ".join(f"`{word(new)}`" for new in sorted(moves[old])) or "nothing"
        lines.append(f"| `{word(old)}` | {targets} |")
    return "\n".join(lines)


def verbs() -> str:
    """Return which verbs a run accepts in which status as Markdown."""
    names = sorted(RUN_VERBS)
    lines: list[str] = ["| status | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for status in RunStatus:
        cells = ["yes" if status in RUN_VERBS[name] else "" for name in names]
        lines.append(f"| `{word(status)}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def word(status: IntEnum) -> str:
    """Return the word for a status that all of Podium uses."""
    return status.name.lower()


def drawn(text: str) -> str:
    """Return the page with every generated part drawn anew."""
    parts = {
        "run-diagram": diagram(RUN_MOVES, first=RunStatus.QUEUED),
        "run-table": table(RUN_MOVES),
        "run-verbs": verbs(),
        "step-diagram": diagram(STEP_MOVES, first=StepStatus.PENDING),
        "step-table": table(STEP_MOVES),
    }
    return MARK.sub(lambda found: f"{found[1]}{parts[found[2]]}\n{found[4]}", text)


def main() -> int:
    """Write the page if asked to; return 1 if it is out of date and was not written."""
    old = PAGE.read_text("utf-8")
    new = drawn(old)
    if "--write" in sys.argv[1:]:
        PAGE.write_text(new, "utf-8")
        return 0
    if new != old:
        print("docs/reference/states.md is out of date: python scripts/state_diagram.py --write")
    return int(new != old)


if __name__ == "__main__":
    sys.exit(main())
