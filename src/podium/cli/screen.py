"""What a person sees of a run while it goes on: a live tree on a terminal, lines elsewhere.

Nothing here decides anything. The terminal library is loaded only for a terminal.
"""

import os
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from podium.cli.output import cut, duration, has_colour, note, plain
from podium.cli.tree import Line, remaining_us, tree_lines
from podium.core.budgets import dollars
from podium.core.cloudevents import CloudEvent, rfc3339
from podium.core.ids import run_id
from podium.core.plan import Plan
from podium.core.state import RunState
from podium.core.states import StepStatus
from podium.runtime.streams import Chunk

__all__ = ["Screen", "make_screen"]

S: Final = StepStatus


class Screen(Protocol):
    """How progress is shown."""

    def event(self, event: CloudEvent) -> None:
        """Take in one event."""

    def draw(self, state: RunState, plan: Plan, now_us: int) -> None:
        """Show the state as of now."""

    def cost(self, cost_nano: int) -> None:
        """Take in what the run has spent by now, its child runs included."""

    wants_text: bool
    """Whether to `hear` what steps write; models are asked to stream only if somebody does."""

    def hear(self, chunk: Chunk, now_us: int) -> None:
        """Take in what a step of the run, or of one of its child runs, writes."""

    def say(self, text: str) -> None:
        """Tell the person something beside the progress."""

    def pause(self) -> None:
        """Leave the terminal to somebody else until the next `draw`."""


class Silence:
    """Shows nothing."""

    wants_text = False

    def event(self, event: CloudEvent) -> None:
        """See `Screen.event`."""

    def draw(self, state: RunState, plan: Plan, now_us: int) -> None:
        """See `Screen.draw`."""

    def cost(self, cost_nano: int) -> None:
        """See `Screen.cost`."""

    def hear(self, chunk: Chunk, now_us: int) -> None:
        """See `Screen.hear`."""

    def say(self, text: str) -> None:
        """See `Screen.say`."""
        note(text)

    def pause(self) -> None:
        """See `Screen.pause`."""


class EventLines(Silence):
    """Prints every event as a line of JSON on stdout: data for a program."""

    wants_text = True

    def event(self, event: CloudEvent) -> None:
        """See `Screen.event`."""
        sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
        sys.stdout.flush()

    def hear(self, chunk: Chunk, now_us: int) -> None:
        """See `Screen.hear`; the event has no `sequence`, because nothing of it is kept."""
        self.event(
            CloudEvent(
                id=f"{chunk.run}:{chunk.step}:{chunk.attempt}:{chunk.offset}",
                source=f"/v1/runs/{chunk.run}",
                sequence=0,
                type="orchestration.step.progress",
                subject=chunk.step,
                time=rfc3339(now_us),
                data={
                    "attempt": chunk.attempt,
                    **({"note": chunk.text} if chunk.is_note else {"text": chunk.text}),
                    "offset": chunk.offset,
                    "is_end": chunk.is_end,
                },
            )
        )


LINES_MAX: Final = 30
FAILURES_MAX: Final = 20
SUMMARY_EVERY_US: Final = 2_000_000
_SHOWN: Final = frozenset({"completed", "failed", "retrying", "waiting", "skipped"})


class PlainLines(Silence):
    """Prints what matters as lines on stderr, few of them however many steps there are."""

    def __init__(self) -> None:
        self._lines = 0
        self._failures = 0
        self._summary_us = 0
        self._summary = ""

    def event(self, event: CloudEvent) -> None:
        """See `Screen.event`."""
        family, _, word = event.type.removeprefix("orchestration.").partition(".")
        if family not in {"step", "child"} or word not in _SHOWN:
            return
        is_trouble = word in {"failed", "retrying"}
        if is_trouble and self._failures < FAILURES_MAX:
            self._failures += 1
        elif is_trouble or self._lines >= LINES_MAX or "[" in event.subject:
            return
        self._lines += 1
        note(f"  {event.subject} {word}{_because(event.data, word)}")

    def draw(self, state: RunState, plan: Plan, now_us: int) -> None:
        """See `Screen.draw`; at most one line every two seconds."""
        if not self._summary_us:
            self._summary_us = now_us
        if now_us < self._summary_us + SUMMARY_EVERY_US:
            return
        self._summary_us = now_us
        maps = [line for line in tree_lines(state, plan, now_us) if "/" in line.note]
        text = "; ".join(f"{line.name} {line.note}" for line in maps if line.status.is_open)
        counts = text or _counts(state)
        if counts != self._summary:
            self._summary = counts
            note(f"  … {counts}")


def _because(data: Mapping[str, Any], word: str) -> str:
    parts: list[str] = []
    if data.get("items") is not None:
        parts.append(f"{data.get('items_done', 0)}/{data['items']} items")
    if data.get("items_failed"):
        parts.append(f"{data['items_failed']} failed")
    if "error" in data:
        parts.append(cut(data["error"]["message"], 120))
    if data.get("attempt", 0) > 1 or "outcome" in data:
        parts.append(f"attempt {data.get('attempt', 1)}")
    if data.get("reason", word) != word:
        parts.append(str(data["reason"]))
    return f" ({', '.join(parts)})" if parts else ""


def _counts(state: RunState) -> str:
    done = state.tally[S.COMPLETED] + state.tally[S.SKIPPED]
    busy = [each for each in (S.RUNNING, S.FAILED, S.RETRYING) if state.tally[each]]
    parts = [f"{done} steps done", *(f"{state.tally[each]} {each.label}" for each in busy)]
    return ", ".join(parts)


WORDS_MAX: Final = 400
WRITERS_MAX: Final = 3
MARKS: Final = {
    S.COMPLETED: ("✓", "green"),
    S.FAILED: ("✗", "red"),
    S.RUNNING: ("▶", "cyan"),
    S.RETRYING: ("↻", "yellow"),
    S.WAITING: ("◦", "yellow"),
    S.CHECKPOINT_PENDING: ("?", "yellow"),
    S.QUEUED: ("·", "dim"),
    S.PENDING: ("·", "dim"),
    S.SKIPPED: ("-", "dim"),
    S.CANCELLED: ("-", "red"),
}
PLAIN_MARKS: Final = {"✓": "+", "✗": "x", "▶": ">", "↻": "~", "◦": "o", "·": "."}


class LiveTree(Silence):
    """Draws the tree of steps in place, at most ten times a second and never for long."""

    wants_text = True

    def __init__(self, history: Mapping[str, int]) -> None:
        # Loaded here: only a terminal pays for it.
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        self._console = Console(stderr=True, no_color=not has_colour(sys.stderr), highlight=False)
        self._live_class = Live
        self._live: Any = None
        self._history = history
        self._next_at = 0.0
        self._cost_nano = 0
        self._words: dict[str, str] = {}
        """The last words of steps that write, the longest silent first."""

    def draw(self, state: RunState, plan: Plan, now_us: int) -> None:
        """See `Screen.draw`."""
        started = time.monotonic()
        if self._live is not None and started < self._next_at and state.status.is_open:
            return
        if self._live is None:
            self._live = self._live_class(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(self._picture(state, plan, now_us), refresh=True)
        # A picture that is dear to draw is drawn more rarely: never over a tenth of the time.
        spent = time.monotonic() - started
        self._next_at = time.monotonic() + max(0.1, spent * 10)

    def cost(self, cost_nano: int) -> None:
        """See `Screen.cost`; shown beside the time it took."""
        self._cost_nano = cost_nano

    def hear(self, chunk: Chunk, now_us: int) -> None:
        """See `Screen.hear`; the last words stand below the tree."""
        name = f"{chunk.run} {chunk.step}"
        before = self._words.pop(name, "")
        if not chunk.is_end:
            words = chunk.text if chunk.is_note else before * bool(chunk.offset) + chunk.text
            self._words[name] = words[-WORDS_MAX:]

    def say(self, text: str) -> None:
        """See `Screen.say`; the text stays above the picture."""
        if self._live is None:
            note(text)
        else:
            self._console.print(text, markup=False)

    def pause(self) -> None:
        """See `Screen.pause`."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _picture(self, state: RunState, plan: Plan, now_us: int) -> Any:
        from rich.text import Text  # noqa: PLC0415

        size = shutil.get_terminal_size()
        headline = _headline(state, plan, now_us, self._history)
        cost = f"  {dollars(self._cost_nano)}" if self._cost_nano else ""
        picture = Text(headline + cost, style="bold")
        for line in tree_lines(state, plan, now_us, room=max(3, size.lines - 4)):
            picture.append("\n")
            mark, style = ("", "dim") if line.is_gap else self._mark(line)
            picture.append("  " + "  " * line.depth + f"{mark:2}", style=style)
            name = f"{line.name:<16}" if line.note else line.name
            text = cut_keeping(f"{name} {line.note}".rstrip(), size.columns - 6 - 2 * line.depth)
            picture.append(text, style="dim" if style == "dim" else "")
        for name, words in list(self._words.items())[-WRITERS_MAX:]:
            room = max(0, size.columns - len(name) - 8)
            tail = " ".join(plain(words).split())
            picture.append(f"\n  … {name}  {tail[-room:] if room else ''}", style="dim")
        picture.no_wrap = True
        return picture

    def _mark(self, line: Line) -> tuple[str, str]:
        mark, style = MARKS.get(line.status, ("·", "dim"))
        if "utf" not in (self._console.encoding or "").lower():
            mark = PLAIN_MARKS.get(mark, mark)
        return mark, style


def cut_keeping(text: str, length: int) -> str:
    """Return at most `length` characters, spaces as they are."""
    return text if len(text) <= length else text[: max(0, length - 1)] + "…"


def _headline(state: RunState, plan: Plan, now_us: int, history: Mapping[str, int]) -> str:
    parts = [f"{plan.workflow.name}  {run_id(state.run_no)}  {state.status.label}"]
    if state.created_us:
        parts.append(duration((state.ended_us or now_us) - state.created_us))
    parts.append(_counts(state))
    left = remaining_us(state, plan, now_us, history) if state.status.is_open else None
    if left is not None:
        parts.append(f"eta {duration(left)}")
    return "  ".join(parts)


def make_screen(*, as_events: bool, is_quiet: bool, history: Mapping[str, int]) -> Screen:
    """Return the screen for these wishes and this terminal."""
    if as_events:
        return EventLines()
    if is_quiet:
        return Silence()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return LiveTree(history)
    return PlainLines()
