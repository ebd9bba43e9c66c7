"""The command line called in this process: what it prints, and how it exits."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from podium.cli.main import run

HERE = Path(__file__).parent
FLOWS = HERE / "flows"
GOLDEN = HERE / "golden"


@dataclass
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out, f"exit code {self.code}: {self.err}"
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Podium = Callable[..., Result]


@pytest.fixture
def podium(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Podium]:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "PODIUM_DATABASE_URL", "PODIUM_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "path", list(sys.path))
    capsys.readouterr()

    def call(*arguments: str | Path) -> Result:
        code = run([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def flows() -> Path:
    return FLOWS


VOLATILE = (
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+Z)?", "DATE"),
    (r"\b\d\d:\d\d:\d\d\.\d{3}\b", "TIME"),
    (r"(?<![:\d])\d+:\d\d(:\d\d)?\b|\b\d+(\.\d+)? m?s\b", "SPAN"),
    (r"\b[0-9a-f]{12,64}\b", "HASH"),
    (r" +$", ""),
)


def settled(text: str, *places: Path) -> str:
    """Return `text` without what differs from run to run."""
    for place in (*places, FLOWS):
        text = text.replace(str(place), "PLACE")
    for pattern, word in VOLATILE:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    # Column widths follow the widest cell, which a span may be.
    text = re.sub(r"(?<=\S) {3,}", "  ", text)
    # Python marks the place in a line of a traceback since 3.11, not always alike.
    return re.sub(r"^ *[~^]+\n", "", text, flags=re.MULTILINE)


@pytest.fixture
def golden(tmp_path: Path) -> Callable[[str, str], None]:
    """Compare text with `golden/<name>.txt`; PODIUM_UPDATE_SNAPSHOTS=1 writes it anew."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        now = settled(text, tmp_path)
        if os.environ.get("PODIUM_UPDATE_SNAPSHOTS"):
            path.write_text(now)
        assert now == path.read_text(), f"{path.name} differs; see the top of conftest.py"

    return compare
