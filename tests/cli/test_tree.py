"""The tree of steps: what it shows, and how little room it needs."""

import json
import sys

import pytest

from podium.app import expressions
from podium.authoring.documents import load_workflow
from podium.cli.output import cut, duration, show_error, table
from podium.cli.screen import EventLines, LiveTree, PlainLines, make_screen
from podium.cli.tree import remaining_us, tree_lines
from podium.core import events as ev
from podium.core.cloudevents import Translator
from podium.core.plan import Plan, compile_plan
from podium.core.state import ROOT
from podium.core.states import StepKind, StepStatus
from podium.errors import TaskError
from podium.runtime.streams import Chunk

S = StepStatus
SECOND = 1_000_000
MAPPED = """
tasks:
  - {name: list}
  - name: check
    depends_on: [list]
    for_each: "${{ tasks.list.output }}"
    uses: python:a:b
  - {name: report, depends_on: [check]}
"""


def planned(text: str) -> Plan:
    loaded = load_workflow(text, expressions=expressions())
    return compile_plan(loaded.workflow, expressions=expressions(), decode=lambda body: None)


def opened(no: int, status: StepStatus, **more) -> ev.StepOpened:
    values = {"scope": ROOT, "task": no - 1, "kind": StepKind.TASK, "name": f"t{no}"} | more
    return ev.StepOpened(no=no, status=status, **values)


class Story:
    """A run told by its events, one second after the other."""

    def __init__(self, text: str = MAPPED) -> None:
        self.plan = planned(text)
        self.told = Translator(1)
        self.now_us = 0
        start = ev.RunStarted("w", self.plan.def_hash, b"\x80", "default", 50)
        root = ev.StepOpened(ROOT, ROOT, -1, StepKind.BLOCK, S.RUNNING)
        self.events = self.tell(start, ev.RunMoved(2), root)

    def tell(self, *events):
        self.now_us += SECOND
        return list(self.told.take(self.told.seq + 1, self.now_us, events))

    def lines(self, room: int = 1000):
        return tree_lines(self.told.state, self.plan, self.now_us, room=room)

    def map_of(self, count: int, *, done: int = 0, failed: int = 0, running: int = 0) -> None:
        self.tell(opened(1, S.RUNNING, name="list"), ev.StepEnded(1, S.COMPLETED))
        self.tell(opened(2, S.RUNNING, kind=StepKind.MAP, name="check", count=count))
        for at in range(done + failed + running):
            no = 10 + at
            self.tell(opened(no, S.RUNNING, scope=2, task=1, name=f"f{at}.py", index=at))
            if at < done + failed:
                self.tell(ev.StepEnded(no, S.COMPLETED if at < done else S.FAILED))


def test_tasks_that_were_not_opened_are_pending():
    assert [(line.name, line.status) for line in Story().lines()] == [
        ("list", S.PENDING),
        ("check", S.PENDING),
        ("report", S.PENDING),
    ]


def test_a_map_is_one_line_with_counts_and_the_items_that_matter():
    story = Story()
    story.map_of(40, done=20, failed=2, running=9)
    lines = story.lines()
    assert "22/40 · 2 failed · eta" in lines[1].note
    below = [line.status for line in lines if line.depth == 1]
    assert below == [S.FAILED] * 2 + [S.RUNNING] * 6


def test_the_name_of_an_item_may_hold_a_bracket():
    story = Story()
    story.tell(opened(1, S.RUNNING, name="list"))
    story.tell(opened(2, S.RUNNING, kind=StepKind.MAP, name="check", count=2))
    story.tell(opened(10, S.RUNNING, scope=2, task=1, name="a[0]/b.py", index=0))
    assert story.lines()[2].name == "[a[0]/b.py]"


@pytest.mark.parametrize("room", [1, 3, 10, 40])
def test_the_tree_never_takes_more_room_than_there_is(room):
    story = Story("tasks: [" + ", ".join(f"{{name: t{n}}}" for n in range(1, 301)) + "]")
    for no in range(1, 201):
        story.tell(opened(no, S.RUNNING))
        if no < 198:
            story.tell(ev.StepEnded(no, S.FAILED if no == 5 else S.COMPLETED))
    lines = story.lines(room)
    assert len(lines) <= room
    if room >= 10:
        shown = {line.name for line in lines}
        assert {"t198", "t199", "t200", "t5"} <= shown
        assert any(line.is_gap for line in lines)


def test_the_time_to_the_end_comes_from_the_pace_of_maps_and_an_earlier_run():
    story = Story()
    story.map_of(10, done=5)
    history = {"report": 30 * SECOND}
    left = remaining_us(story.told.state, story.plan, story.now_us, history)
    assert left is not None
    assert 30 * SECOND < left < 50 * SECOND


def test_nothing_known_gives_no_estimate():
    story = Story()
    assert remaining_us(story.told.state, story.plan, story.now_us, {}) is None


def test_plain_lines_leave_out_items_but_tell_their_failures(capsys):
    story, screen = Story(), PlainLines()
    events = story.tell(opened(1, S.RUNNING, name="list"), ev.StepEnded(1, S.COMPLETED))
    events += story.tell(opened(2, S.RUNNING, kind=StepKind.MAP, name="check", count=99))
    for at in range(60):
        events += story.tell(opened(10 + at, S.RUNNING, scope=2, name=f"f{at}", index=at))
        events += story.tell(ev.StepEnded(10 + at, S.FAILED if at % 2 else S.COMPLETED))
    for event in events:
        screen.event(event)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  list completed"
    assert len(lines) == 1 + 20
    assert all(" failed" in line for line in lines[1:])


def test_plain_lines_sum_up_every_two_seconds(capsys):
    story, screen = Story(), PlainLines()
    story.map_of(40, done=3, running=1)
    for at in range(50):
        screen.draw(story.told.state, story.plan, story.now_us + at * SECOND // 10)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("  … check 3/40")
    assert len(lines) == 2


def test_a_terminal_gets_a_tree_and_the_rest_lines(monkeypatch):
    wishes = {"as_events": False, "is_quiet": False, "history": {}}
    assert isinstance(make_screen(**wishes), PlainLines)
    assert isinstance(make_screen(**wishes | {"as_events": True}), EventLines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(make_screen(**wishes), LiveTree)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_screen(**wishes), PlainLines)


@pytest.mark.parametrize("forbidding", ["", "1"])
def test_colours_are_shown_unless_forbidden(monkeypatch, capsys, forbidding):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", forbidding)
    story = Story()
    story.map_of(4, done=1, failed=1, running=1)
    screen = LiveTree({})
    screen.draw(story.told.state, story.plan, story.now_us)
    screen.pause()
    text = capsys.readouterr().err
    assert "check" in text
    assert ("\x1b[36m" in text or "\x1b[1;36m" in text) is (forbidding == "")


def test_the_last_words_of_steps_stand_below_the_tree_and_steer_nothing(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    story = Story()
    screen = LiveTree({})
    said = {"run": "run_00000002", "step": "turn[1]/model", "attempt": 1}
    screen.hear(Chunk(**said, offset=0, text="I think \x1b[2J that"), 0)
    screen.hear(Chunk(**said, offset=16, text=" it is fine."), 0)
    screen.hear(Chunk(**said | {"step": "b"}, offset=0, text="Retrying in 30 s …", is_note=True), 0)
    screen.hear(Chunk(**said | {"step": "c"}, offset=0, text="over"), 0)
    screen.hear(Chunk(**said | {"step": "c"}, offset=4, text="", is_end=True), 0)
    screen.draw(story.told.state, story.plan, story.now_us)
    screen.pause()
    text = capsys.readouterr().err
    assert "turn[1]/model  I think \ufffd[2J that it is fine." in text
    assert "b  Retrying in 30 s …" in text
    assert "over" not in text


def test_events_tell_what_steps_write(capsys):
    chunk = Chunk(run="run_00000001", step="a", attempt=2, offset=3, text="so far")
    EventLines().hear(chunk, 0)
    told = json.loads(capsys.readouterr().out)
    assert (told["type"], told["subject"]) == ("orchestration.step.progress", "a")
    assert told["data"] == {"attempt": 2, "text": "so far", "offset": 3, "is_end": False}


def test_an_error_does_not_steer_the_terminal(capsys):
    show_error(TaskError("red \x1b[31m alert"), as_json=False)
    assert "\x1b[31m alert" not in capsys.readouterr().err


def test_times_texts_and_tables_fit():
    assert [duration(us) for us in (None, 999, 59_600_000)] == ["", "0 ms", "60 s"]
    assert cut("a\n  b" + "c" * 20, 8) == "a bcccc…"
    assert table(("a", "b"), [("x", 1), ("long", 22)]).splitlines()[1] == "x     1"
