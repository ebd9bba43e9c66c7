"""How the interface is built: with npm, which may be absent, and only as much as is needed."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import bootstrap

ROOT = Path(__file__).parents[2]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What would be run, in a folder of its own."""
    found: list[str] = []

    def call(command: list[str], **options: Any) -> int:
        found.append(command[1])
        return 0

    monkeypatch.setattr(subprocess, "call", call)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(bootstrap, "UI", tmp_path)
    (tmp_path / "package-lock.json").write_text("{}")
    return found


def test_without_npm_one_line_says_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)

    assert bootstrap.main(["ui"]) == 1

    assert "install Node 20.19 or newer" in capsys.readouterr().err


def test_the_first_build_installs_what_the_lock_names(called: list[str]) -> None:
    assert bootstrap.main(["ui"]) == 0
    assert called == ["ci", "run"]


def test_a_later_build_installs_nothing_unless_the_lock_changed(
    called: list[str], tmp_path: Path
) -> None:
    installed = tmp_path / "node_modules" / ".package-lock.json"
    installed.parent.mkdir()
    installed.write_text("{}")
    assert bootstrap.main(["ui"]) == 0
    assert called == ["run"]

    called.clear()
    os.utime(installed, (0, 0))
    assert bootstrap.main(["ui"]) == 0
    assert called == ["ci", "run"]


def test_the_lock_names_every_package_by_its_content_and_no_place() -> None:
    lock = json.loads((ROOT / "ui" / "package-lock.json").read_text())

    packages = {name: each for name, each in lock["packages"].items() if name}

    assert packages
    assert all("resolved" not in each for each in packages.values())
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())


def test_what_pages_are_made_of_is_pinned() -> None:
    package = json.loads((ROOT / "ui" / "package.json").read_text())

    versions = {**package["dependencies"], **package["devDependencies"]}

    assert [name for name, version in versions.items() if not version[0].isdigit()] == []
