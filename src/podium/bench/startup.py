"""What a person waits for before anything happens: imports, help, a first run, the install."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from podium.bench.measure import Sample, rss_mb

__all__ = ["distributions_of", "measure_startup"]

THREE_STEPS: Final = """\
name: three
tasks:
  - {name: a, uses: "python:json:dumps", with: {obj: 1}}
  - {name: b, uses: "python:json:dumps", with: {obj: 2}, depends_on: [a]}
  - {name: c, uses: "python:json:dumps", with: {obj: 3}, depends_on: [b]}
"""

IDLE: Final = """\
import asyncio, sys, podium
async def idle(url):
    async with podium.connect(url):
        print("ready", flush=True)
        await asyncio.Event().wait()
asyncio.run(idle(sys.argv[1]))
"""

TRIES: Final = 3


def measure_startup(folder: Path) -> Sample:
    """Measure each beginning a few times and take the fastest: the file cache is warm then."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        workflow = place / "three.yaml"
        workflow.write_text(THREE_STEPS, encoding="utf-8")
        python = [sys.executable, "-c"]
        podium = [sys.executable, "-m", "podium"]
        facts = {
            "python_ms": _fastest_ms([*python, "pass"], place),
            "import_podium_ms": _fastest_ms([*python, "import podium"], place),
            "help_ms": _fastest_ms([*podium, "--help"], place),
            "cold_run_ms": min(_cold_run_ms(podium, workflow, place) for _ in range(TRIES)),
            "idle_rss_mb": _idle_rss_mb(place),
        }
    # What the interpreter needs for itself is not ours.
    facts["import_podium_ms"] = round(facts["import_podium_ms"] - facts["python_ms"], 1)
    facts |= _install_facts()
    wall = facts["cold_run_ms"] / 1000
    return Sample(
        system="podium", workload="start", what="from nothing to a result", wall_s=wall, facts=facts
    )


def _fastest_ms(command: Sequence[str], place: Path) -> float:
    return min(_timed_ms(command, place) for _ in range(TRIES))


def _timed_ms(command: Sequence[str], place: Path) -> float:
    begun = time.perf_counter()
    # The commands are this interpreter and this package.
    subprocess.run(command, cwd=place, check=True, capture_output=True)  # noqa: S603
    return round((time.perf_counter() - begun) * 1000, 1)


def _cold_run_ms(podium: Sequence[str], workflow: Path, place: Path) -> float:
    """Return how long `podium run` of three steps takes on a store that is not there yet."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        store = f"sqlite:///{name}/podium.db"
        return _timed_ms([*podium, "run", str(workflow), "--store", store], place)


def _idle_rss_mb(place: Path) -> float:
    """Return the memory of a process that has an engine and nothing to do."""
    command = [sys.executable, "-c", IDLE, f"sqlite:///{place}/idle.db"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
    try:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            return 0.0
        return rss_mb(process.pid)
    finally:
        process.kill()
        process.communicate()


def _install_facts() -> dict[str, float]:
    found = distributions_of("podium")
    size = sum(_installed_bytes(each) for each in found)
    return {"install_mb": round(size / 1e6, 1), "distributions": len(found)}


def distributions_of(name: str) -> list[Distribution]:
    """Return an installed distribution with all it needs, extras not included."""
    known: dict[str, Distribution] = {}
    wanted = [name]
    while wanted:
        key = wanted.pop().lower().replace("_", "-")
        if key in known:
            continue
        try:
            known[key] = distribution(key)
        except PackageNotFoundError:
            # A marker that does not hold here (another system, an older Python).
            continue
        wanted += _requirements(known[key])
    return list(known.values())


def _requirements(found: Distribution) -> Iterator[str]:
    for line in found.requires or ():
        if "extra ==" not in line:
            for end, character in enumerate(line):
                if not (character.isalnum() or character in "-_."):
                    yield line[:end]
                    break
            else:
                yield line


def _installed_bytes(found: Distribution) -> int:
    total = 0
    for file in found.files or ():
        path = Path(str(found.locate_file(file)))
        if path.is_file():
            total += path.stat().st_size
    return total if total > 100_000 or found.name != "podium" else total + _tree_bytes()


def _tree_bytes() -> int:
    """Return the size of the package itself where it is installed as a link to its source."""
    root = Path(__file__).resolve().parent.parent
    sources = (path for path in root.rglob("*") if path.suffix != ".pyc" and path.is_file())
    return sum(path.stat().st_size for path in sources)
