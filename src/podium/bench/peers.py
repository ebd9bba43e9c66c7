"""The same workloads on others, each in an environment of its own, in the same run.

The scripts live in benchmarks/peers of the repository, because they import what podium never
will. Each prints one JSON object for each workload it can do.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any, Final

import msgspec

from podium.bench.measure import Sample
from podium.errors import RequestError, did_you_mean

__all__ = ["PEERS", "Peer", "prepare"]

SCRIPTS: Final = Path(__file__).resolve().parents[3] / "benchmarks" / "peers"
PEERS: Final = {
    "dbos": ("W1", "W2", "W3", "W4", "W5", "W6"),
    "langgraph": ("W1", "W2", "W3", "W4", "W5"),
    "litellm": ("G1",),
}
"""What each of them can do."""
PATIENCE_S: Final = 900


class Peer(msgspec.Struct, frozen=True):
    """Another engine or gateway, installed and ready to be measured."""

    name: str
    python: Path
    script: Path

    def measure(self, workload: str, folder: Path, sizes: dict[str, int]) -> list[Sample]:
        """Run one workload in a process of its own; none if the peer has no such thing."""
        if workload not in PEERS[self.name]:
            return []
        place = Path(tempfile.mkdtemp(dir=folder, prefix=f"{self.name}-"))
        command = [str(self.python), str(self.script), workload, str(place), json.dumps(sizes)]
        answer = subprocess.run(  # noqa: S603 - a script of this repository
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        if answer.returncode:
            raise RuntimeError(f"{self.name} failed at {workload}:\n{answer.stderr[-2000:]}")
        lines = [line for line in answer.stdout.splitlines() if line.startswith("{")]
        return [msgspec.json.decode(line, type=Sample) for line in lines]


def prepare(name: str) -> Peer:
    """Return a peer, installing it first if this machine has not yet.

    Raises `RequestError` PDM-R071 for an unknown peer, PDM-R072 without the repository.
    """
    if name not in PEERS:
        raise RequestError(
            f"There is no peer {name!r}.", fix=did_you_mean(name, list(PEERS)), code="PDM-R071"
        )
    script = SCRIPTS / f"{name}_peer.py"
    wanted = SCRIPTS / f"{name}.txt"
    if not script.exists():
        raise RequestError(
            "Peers can only be measured from a checkout of the repository.",
            why=f"{SCRIPTS} does not exist: the scripts are not part of the package.",
            fix="Clone the repository and use `make bench`.",
            code="PDM-R072",
        )
    digest = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = Path(tempfile.gettempdir()) / f"podium-peer-{name}-{digest}-{os.getuid()}"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        _install(home, python, wanted)
    return Peer(name, python, script)


def _install(home: Path, python: Path, wanted: Path) -> None:
    venv.create(home, with_pip=True, clear=True)
    command: list[Any] = [python, "-m", "pip", "install", "--quiet", "-r", wanted]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - pip
    (home / "ready").touch()
