"""The bootstrap finds its tools, knows when there is nothing to do, and fails in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bootstrap

SCRIPT = Path(bootstrap.__file__)


def program(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def place(monkeypatch, root: Path) -> None:
    """Let the bootstrap believe that it belongs to the checkout at `root`."""
    for name in ("VENV", "TOOLS", "STAMP", "VENV_PYTHON", "LOCKS", "ROOT"):
        inside = getattr(bootstrap, name).relative_to(bootstrap.ROOT)
        monkeypatch.setattr(bootstrap, name, root / inside)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    root = tmp_path / "checkout"
    place(monkeypatch, root)
    program(bootstrap.VENV_PYTHON, "exit 0")
    (bootstrap.VENV / "pyvenv.cfg").write_text("version = 3.11.2\n")
    (root / "pyproject.toml").write_text("[project]\n")
    bootstrap.LOCKS.mkdir()
    (bootstrap.LOCKS / "runtime.txt").write_text("a==1\n")
    bootstrap.STAMP.write_text(f"test {bootstrap.fingerprint()}\n")
    return root


def test_a_stamped_environment_is_ready_for_its_profile_and_smaller_ones(checkout):
    assert bootstrap.is_ready("runtime")
    assert bootstrap.is_ready("test")
    assert not bootstrap.is_ready("dev")


@pytest.mark.parametrize(
    "changed", ["requirements/runtime.txt", "pyproject.toml", ".venv/pyvenv.cfg"]
)
def test_a_changed_lock_project_or_interpreter_is_installed_again(checkout, changed):
    (checkout / changed).write_text("changed\n")
    assert not bootstrap.is_ready("runtime")


@pytest.mark.parametrize("lost", [".venv/podium-stamp", ".venv/bin/python"])
def test_a_half_made_environment_is_not_ready(checkout, lost):
    (checkout / lost).unlink()
    assert not bootstrap.is_ready("runtime")


def test_a_moved_checkout_is_installed_again(checkout, monkeypatch):
    place(monkeypatch, checkout.rename(checkout.parent / "moved"))
    assert bootstrap.VENV_PYTHON.exists()
    assert not bootstrap.is_ready("runtime")


def test_the_settings_of_pip_reach_uv(tmp_path, monkeypatch):
    listed = "global.index-url='https://a/simple'\nglobal.extra-index-url='https://b https://c'"
    listed += "\n:env:.index-url='https://d/simple'\nglobal.find-links='/x\\n/y'"
    python = program(tmp_path / "python", f"cat <<'.'\n{listed}\n.")
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    settings = bootstrap.uv_settings(python)
    assert settings["UV_DEFAULT_INDEX"] == "https://d/simple"
    assert settings["UV_INDEX"] == "https://b https://c"
    assert settings["UV_FIND_LINKS"] == "/x,/y"


def test_own_settings_of_uv_win_over_those_of_pip(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://e/simple")
    python = program(tmp_path / "python", "echo \"global.index-url='https://a/simple'\"")
    assert bootstrap.uv_settings(python) == {}


def test_a_python_that_only_refuses_to_start_is_passed_over(tmp_path, monkeypatch):
    shim = program(tmp_path / "python3.14", "exit 127")
    working = program(tmp_path / "python3", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", shim)
    assert bootstrap.find_python() != shim
    assert bootstrap.is_usable(working)


def test_without_a_supported_python_the_error_is_one_line(checkout, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "PYTHON_MIN", (99, 0))
    assert bootstrap.main(["check"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "needs Python 3.11" in line


def test_the_script_runs_on_the_standard_library_alone(tmp_path):
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, "help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "exec CMD" in done.stdout


def test_an_unknown_command_shows_what_exists_and_fails(capsys):
    assert bootstrap.main(["rnu"]) == 2
    assert "setup" in capsys.readouterr().out
