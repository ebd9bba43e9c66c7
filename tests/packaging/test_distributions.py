"""The wheel and the sdist hold what they should, and a stranger can use them."""

import json
import os
import subprocess
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
WHEEL_BYTES_MAX = 5_000_000


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def shipped_by_the_tree() -> set[str]:
    """Return what the package holds besides caches and the pages, which are built apart."""
    source = ROOT / "src"
    return {
        path.relative_to(source).as_posix()
        for path in (source / "podium").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "/server/ui/" not in path.as_posix()
    }


def call(installed: Path, *arguments: str, place: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed `podium` as a stranger would: no source tree, no settings of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    program = [str(installed / "bin" / "podium"), *arguments]
    return subprocess.run(
        program, cwd=place, env=kept, capture_output=True, text=True, timeout=60, check=False
    )


# --- what is inside ---------------------------------------------------------------------------


def test_the_wheel_holds_every_file_of_the_package_and_nothing_of_its_tests(wheel):
    names = names_in(wheel)
    assert shipped_by_the_tree() <= names
    assert "podium/py.typed" in names
    assert {"podium/templates/review/workflow.yaml", "podium/templates/etl/workflow.yaml"} <= names
    ours = ("podium/", "podium-")
    assert [name for name in names if not name.startswith(ours)] == []
    assert [name for name in names if "/test_" in name and "/templates/" not in name] == []


def test_the_wheel_runs_nothing_when_python_starts(wheel):
    """A `.pth` file is code that runs in every Python process; this one has none."""
    assert [name for name in names_in(wheel) if name.endswith((".pth", ".so", ".exe"))] == []


def test_the_wheel_is_small(wheel):
    assert wheel.stat().st_size < WHEEL_BYTES_MAX


def test_the_metadata_names_the_licence_the_python_and_the_command(wheel):
    with zipfile.ZipFile(wheel) as archive:
        info = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        told = Parser().parsestr(archive.read(info).decode())
        commands = archive.read(info.replace("METADATA", "entry_points.txt")).decode()
    assert told["License-Expression"] == "Apache-2.0"
    assert told["License-File"] == "LICENSE"
    assert told["Requires-Python"] == ">=3.11"
    assert "podium = podium.cli.main:main" in commands


def test_the_sdist_is_the_whole_project_without_what_was_built_or_kept_here(sdist, unpacked):
    top = {path.name for path in unpacked.iterdir()}
    wanted = {"src", "tests", "scripts", "requirements", "docs", "examples", "deploy", "changes"}
    assert wanted | {"README.md", "LICENSE", "pyproject.toml", "Makefile", "noxfile.py"} <= top
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    private = ("/.venv/", "/.podium/", "/__pycache__/", "/node_modules/", "/.git/")
    assert [name for name in names if any(part in f"/{name}/" for part in private)] == []
    assert [name for name in names if name.endswith((".db", ".pyc", "bootstrap-key"))] == []


def test_a_wheel_built_twice_is_the_same_to_the_byte(wheel, unpacked, builder, tmp_path):
    assert builder("wheel", unpacked, tmp_path).read_bytes() == wheel.read_bytes()


# --- as a stranger ----------------------------------------------------------------------------


def test_the_installed_command_makes_a_project_and_runs_it(installed, tmp_path):
    assert call(installed, "--version", place=tmp_path).stdout.startswith("podium 0.")
    made = call(installed, "init", "trial", "--template", "review", place=tmp_path)
    assert made.returncode == 0, made.stderr
    ran = call(installed, "run", "trial/workflow.yaml", "--yes", "--json", place=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["status"] == "completed"


def test_what_was_installed_comes_from_the_wheel_not_from_the_source(installed, tmp_path):
    python = str(installed / "bin" / "python")
    ask = [python, "-c", "import podium; print(podium.__file__)"]
    told = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(told.stdout.strip()).is_relative_to(installed)


def test_the_store_is_made_from_the_files_in_the_wheel(installed, tmp_path):
    """The schema and the migrations are data files: a wheel without them fails here."""
    asked = call(installed, "runs", "list", "--json", place=tmp_path)
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["items"] == []
