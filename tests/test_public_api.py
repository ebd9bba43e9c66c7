"""What `import podium` offers and costs: few sorted names, pinned signatures, nothing heavy.

The snapshot pins the contract that other people's programs are written against. After a wanted
change: `PODIUM_UPDATE_SNAPSHOTS=1 make test ARGS=tests/test_public_api.py`, and a fragment in
`changes/`.
"""

import inspect
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import podium

ROOT = Path(__file__).resolve().parent.parent
SNAPSHOT = ROOT / "tests" / "snapshots" / "public_api.txt"

NAMES_MAX = 40
MODULES_AT_IMPORT_MAX = 120
DISTRIBUTIONS_MAX = 30
INSTALL_MB_MAX = 115

HEAVY = {"apsw", "cel_expr_python", "click", "hypothesis", "jsonschema_rs", "pytest", "rich"}
HEAVY |= {"sqlite3", "uvloop", "yaml", "asyncio", "importlib.metadata", "unittest"}


def signature(name: str) -> str:
    """Describe a public name by what callers depend on, alike on every Python version."""
    thing = getattr(podium, name)
    if not callable(thing):
        return f"{name}: {type(thing).__name__}"
    kind = "class " if inspect.isclass(thing) else "async " * inspect.iscoroutinefunction(thing)
    try:
        parameters = inspect.signature(thing).parameters.values()
    except ValueError:
        return f"{kind}{name}(…)"
    shown = [
        f"{parameter.kind.description.split()[0]} {parameter.name}"
        + ("=…" if parameter.default is not parameter.empty else "")
        for parameter in parameters
    ]
    return f"{kind}{name}({', '.join(shown)})"


def modules_loaded_by(statement: str) -> set[str]:
    program = (
        f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def locked_distributions() -> list[str]:
    """Return what `pip install podium` brings along, but for what only Windows needs."""
    lock = (ROOT / "requirements" / "runtime.txt").read_text()
    lines = [line for line in lock.splitlines() if "sys_platform == 'win32'" not in line]
    return re.findall(r"^([a-z0-9-]+)==", "\n".join(lines), re.MULTILINE)


def test_public_names_are_few_and_sorted():
    assert list(podium.__all__) == sorted(podium.__all__)
    assert len(podium.__all__) <= NAMES_MAX


@pytest.mark.parametrize("name", podium.__all__)
def test_every_public_name_exists_and_is_documented(name):
    assert inspect.getdoc(getattr(podium, name)), f"podium.{name} has no docstring"


def test_dir_lists_the_public_names_before_they_are_loaded():
    program = "import podium; assert {*podium.__all__} <= {*dir(podium)}"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = podium.no_such_name


def test_signatures_match_the_snapshot():
    now = "".join(f"{signature(name)}\n" for name in podium.__all__)
    if os.environ.get("PODIUM_UPDATE_SNAPSHOTS"):
        SNAPSHOT.parent.mkdir(exist_ok=True)
        SNAPSHOT.write_text(now)
    assert now == SNAPSHOT.read_text(), "the public API changed; see the top of this file"


def test_importing_podium_loads_nothing_heavy():
    loaded = modules_loaded_by("import podium")
    assert not HEAVY & {module.partition(".")[0] for module in loaded}
    assert len(loaded) <= MODULES_AT_IMPORT_MAX, sorted(loaded)


def test_the_core_install_stays_small():
    names = locked_distributions()
    assert len(names) <= DISTRIBUTIONS_MAX
    files = [file for name in names for file in metadata.distribution(name).files or ()]
    size = sum(path.stat().st_size for file in files if (path := Path(file.locate())).is_file())
    assert size / 1e6 <= INSTALL_MB_MAX
