"""The layers hold, and each import contract fails when one import breaks it."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = {contract["id"] for contract in LINTER["contracts"]}

# (contract, module the violation is written into, the violation)
VIOLATIONS = [
    ("layers", "core/intruder.py", "import podium.runtime"),
    ("layers", "runtime/intruder.py", "import podium.authoring"),
    ("layers", "errors.py", "import podium.core"),
    ("layers", "unplaced/__init__.py", ""),
    ("purity", "core/intruder.py", "import random"),
    ("purity", "core/intruder.py", "from asyncio import Queue"),
    ("purity", "errors.py", "import time"),
    ("libraries", "runtime/intruder.py", "import apsw"),
    ("libraries", "authoring/intruder.py", "import rich.console"),
    ("service-apart", "authoring/intruder.py", "import litestar"),
    ("service-apart", "cli/intruder.py", "from uvicorn import Config"),
    ("client-apart", "client/intruder.py", "import podium.server.application"),
    ("adapters-apart", "adapters/memory/intruder.py", "import podium.adapters.sqlite"),
    ("composition-root", "runtime/intruder.py", "import podium.adapters.memory"),
    ("composition-root", "cli/intruder.py", "from podium.adapters import sqlite"),
    ("test-kit-out", "runtime/intruder.py", "import podium.testing"),
    ("acyclic", "core/intruder.py", "import podium.core.definition"),
]
# A cycle needs a second edge: the module that the intruder imports must import it in turn.
SECOND_EDGES = {"acyclic": ("core/definition.py", "import podium.core.intruder")}


def lint(source: Path, *options: str) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command as run; run()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--no-logo", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def source(tmp_path):
    copied = shutil.ignore_patterns("__pycache__", "*.pyc")
    return Path(shutil.copytree(ROOT / "src", tmp_path / "src", ignore=copied))


def inject(source: Path, path: str, statement: str) -> None:
    module = source / "podium" / path
    module.parent.mkdir(exist_ok=True)
    with module.open("a") as text:
        text.write(f"\n{statement}\n")


def test_the_real_tree_keeps_every_contract():
    checked = lint(ROOT / "src")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in checked.stdout


@pytest.mark.parametrize(("contract", "path", "statement"), VIOLATIONS)
def test_a_contract_fails_on_a_violation(source, contract, path, statement):
    inject(source, path, statement)
    if contract in SECOND_EDGES:
        inject(source, *SECOND_EDGES[contract])
    checked = lint(source, "--contract", contract)
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert "0 kept, 1 broken" in checked.stdout or "unplaced" in checked.stdout


def test_every_contract_is_proven_by_a_violation():
    assert {contract for contract, _, _ in VIOLATIONS} == CONTRACTS
