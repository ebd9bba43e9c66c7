"""What runs stand on: the store, the disk, memory, processors, definitions, speed."""

import os
import shutil
from pathlib import Path
from time import perf_counter
from typing import Final

import msgspec

from podium.authoring.doctor.findings import NOBODY, Check, Patient, some
from podium.core.definition import Workflow
from podium.core.states import RunStatus
from podium.core.validation import validate
from podium.errors import PodiumError
from podium.ports.store import RunFilter
from podium.runtime.resources import MEMORY_WARN, memory_used

__all__ = [
    "capacity",
    "connection",
    "credentials",
    "definitions",
    "disk",
    "load",
    "memory",
    "processes",
    "slow_reads",
    "store_traffic",
]

_WORKFLOW: Final = msgspec.json.Decoder(Workflow)
GIGABYTE: Final = 1024**3
SLOW_MS: Final = 250.0


async def connection(patient: Patient) -> Check:
    """Ask the store something small."""
    begun = perf_counter()
    await patient.app.engine.store.nodes()
    took_ms = (perf_counter() - begun) * 1e3
    return Check("database connection", "ok", f"it answered in {took_ms:.1f} ms")


async def credentials(patient: Patient) -> Check:
    """Say where the address of the store comes from, never what it holds."""
    names = ("PODIUM_DATABASE_URL", "DATABASE_URL")
    source = next((name for name in names if patient.environment.get(name)), "settings")
    scheme = patient.settings.database_url.partition(":")[0]
    return Check("database credentials", "ok", f"{scheme}, from {source}")


async def disk(patient: Patient) -> Check:
    """Look at the room on the disk of the store."""
    path = _place_of(patient.settings.database_url)
    usage = shutil.disk_usage(path)
    detail = f"{usage.free / 1e9:.1f} GB free at {path}"
    if usage.free < GIGABYTE:
        return Check(
            "disk space", "warn", detail, "Make space, or forget old runs: podium db prune"
        )
    return Check("disk space", "ok", detail)


def _place_of(url: str) -> Path:
    """Return the folder of a store, or the one it will be made in."""
    path = Path(url.removeprefix("sqlite:///")).absolute().parent
    while not path.exists():
        path = path.parent
    return path


async def memory(patient: Patient) -> Check:
    """Look at the memory of the machine, or of the container this runs in."""
    used, limit = memory_used()
    if not limit:
        return Check("memory", "skip", "this system does not say")
    share = used / limit
    detail = f"{share:.0%} of {limit / GIGABYTE:.1f} GB used"
    if share > MEMORY_WARN:
        fix = "Give it more memory, or run fewer attempts at once: PODIUM_CAPACITY."
        return Check("memory", "warn", f"High memory usage detected: {detail}", fix)
    return Check("memory", "ok", detail)


async def load(patient: Patient) -> Check:
    """Compare the load of the machine with its processors."""
    cores = os.cpu_count() or 1
    try:
        average = os.getloadavg()[1]
    except OSError:
        return Check("processors", "skip", "this system does not say")
    detail = f"load {average:.1f} over 5 minutes on {cores} processors"
    if average > 2 * cores:
        fix = "Something else may use the machine: `top` shows what."
        return Check("processors", "warn", detail, fix)
    return Check("processors", "ok", detail)


async def definitions(patient: Patient) -> Check:
    """Check the active version of every workflow again: dependencies, names, expressions."""
    registry = patient.app.engine.registry
    rows = await patient.definitions()
    broken: list[str] = []
    for row in rows:
        try:
            workflow = _WORKFLOW.decode(row.body)
            registry.compile(workflow)
        except (PodiumError, msgspec.DecodeError) as error:
            broken.append(f"{row.name}: {error}")
            continue
        faults = validate(workflow, expressions=registry.expressions)
        broken += [f"{row.name}: {each.message}" for each in faults if not each.warning]
    if broken:
        fix = "Correct the definition and publish it: podium workflows publish FILE"
        return Check("task dependencies", "fail", some(broken), fix)
    return Check("task dependencies", "ok", f"sound in all {len(rows)} active workflows")


async def processes(patient: Patient) -> Check:
    """Find processes that died without leaving."""
    store = patient.app.engine.store
    dead = await store.dead_nodes(patient.app.engine.node or NOBODY)
    up = len(await store.nodes()) - len(dead)
    if dead:
        pids = some(str(node.pid) for node in dead)
        detail = f"{up} alive; {len(dead)} died without leaving (process {pids})"
        return Check("processes", "warn", detail, "podium recover takes their runs over.")
    return Check("processes", "ok", f"{up} alive")


async def slow_reads(patient: Patient) -> Check:
    """Measure the questions that pages and operators ask most."""
    store = patient.app.engine.store
    took: dict[str, float] = {}
    for name, where in (
        ("newest runs", RunFilter()),
        ("failed runs", RunFilter(statuses=(RunStatus.FAILED,))),
        ("waiting runs", RunFilter(statuses=(RunStatus.WAITING,))),
    ):
        begun = perf_counter()
        await store.runs(where, limit=50)
        took[name] = (perf_counter() - begun) * 1e3
    slowest = sorted(took.items(), key=lambda each: -each[1])
    detail = ", ".join(f"{name} {ms:.1f} ms" for name, ms in slowest)
    if slowest[0][1] > SLOW_MS:
        fix = "Look at the disk, and forget old runs: podium db prune"
        return Check("slow queries", "warn", detail, fix)
    return Check("slow queries", "ok", detail)


async def store_traffic(patient: Patient) -> Check:
    """Tell how often other processes were in the way of this one."""
    stats = patient.app.engine.store.stats
    detail = f"{stats.commits} commits, {stats.busy} times another process was in the way"
    if stats.busy > 10 + stats.commits // 10:
        fix = "Run fewer processes on this store, or let them share one server."
        return Check("store traffic", "warn", detail, fix)
    return Check("store traffic", "ok", detail)


async def capacity(patient: Patient) -> Check:
    """Compare what is queued with the room there is."""
    counts = await patient.app.engine.store.open_counts()
    queued = sum(each.count for each in counts if each.status == RunStatus.QUEUED)
    running = sum(each.count for each in counts if each.status == RunStatus.RUNNING)
    detail = f"{running} runs running, {queued} queued, room for {patient.settings.capacity} steps"
    if queued > patient.settings.capacity:
        fix = "Raise PODIUM_CAPACITY, or start another process on this store."
        return Check("queue", "warn", detail, fix)
    return Check("queue", "ok", detail)
