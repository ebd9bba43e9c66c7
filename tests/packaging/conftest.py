"""The distributions, built once and offline: sdist from the tree, wheel from the sdist."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def build(kind: str, place: Path, into: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(into)]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    [built] = [*into.glob("*.whl"), *into.glob("*.tar.gz")]
    return built


@pytest.fixture(scope="session")
def builder() -> Callable[[str, Path, Path], Path]:
    return build


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the sdist as a stranger finds it: no git, no neighbours."""
    into = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    [folder] = into.iterdir()
    return folder


@pytest.fixture(scope="session")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", unpacked, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fresh environment with the wheel; only its libraries are those of this run."""
    place = tmp_path_factory.mktemp("installed") / "venv"
    try:
        venv.create(place, with_pip=True)
    except subprocess.CalledProcessError:
        pytest.skip("venv cannot bring pip here; on Debian: apt install python3-venv")
    python = place / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--no-index", "--no-deps", str(wheel)], check=True, capture_output=True)
    ask = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    found = subprocess.run([str(python), "-c", ask], check=True, capture_output=True, text=True)
    # A plain path: the `.pth` files in it, our own editable install among them, are not read.
    libraries = sysconfig.get_paths()["purelib"]
    (Path(found.stdout.strip()) / "libraries.pth").write_text(f"{libraries}\n")
    return place
