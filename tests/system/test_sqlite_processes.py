"""Several processes on one store, and processes that end or stop in the middle of a write."""

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium.adapters.sqlite import SqliteStore
from podium.errors import StoreError
from podium.testing.conformance import Desk
from podium.testing.conformance.desk import message

pytestmark = pytest.mark.system
CHILD = Path(__file__).with_name("sqlite_child.py")


class Children:
    """Child processes of one test on one store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started: list[subprocess.Popen[str]] = []

    def start(self, mode: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(CHILD), mode, str(self.path), *arguments]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.started.append(child)
        return child

    def stop(self) -> None:
        for child in self.started:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.kill()
            child.communicate()


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    children = Children(tmp_path / "podium.db")
    yield children
    children.stop()


async def opened(path: Path, **options: float) -> Desk:
    store = SqliteStore(path, **options)
    await store.open()
    node = await store.register_node(boot_id="here", role="all", lease_us=30_000_000)
    return Desk(store, node)


def line_of(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_two_processes_write_together_and_neither_starves(children):
    both = [children.start("work", "5") for _ in range(2)]
    outputs = [child.communicate(timeout=60) for child in both]
    assert [child.returncode for child in both] == [0, 0], outputs
    counts = [len(out.splitlines()) for out, _ in outputs]
    assert min(counts) > 200
    assert min(counts) > 0.2 * max(counts)
    assert "locked" not in str(outputs)


def test_a_process_without_a_node_gets_a_word_in_beside_a_busy_one(children):
    async def posting(path: Path, seconds: float) -> list[float]:
        store = SqliteStore(path)
        await store.open()
        waits, until = [], time.monotonic() + seconds
        while time.monotonic() < until:
            before = time.monotonic()
            await store.post([message(1, str(before))])
            waits.append(time.monotonic() - before)
            await asyncio.sleep(0.05)
        await store.close()
        return waits

    busy = children.start("work", "6")
    line_of(busy)
    waits = sorted(asyncio.run(posting(children.path, 3)))
    assert waits[len(waits) // 2] < 0.05
    assert waits[-1] < 1.0


@pytest.mark.parametrize("attempt", range(3))
def test_an_end_in_the_middle_loses_nothing_acknowledged(children, attempt):
    child = children.start("work", "60")
    run_no = int(line_of(child).split()[1])
    for _ in range(100 + 173 * attempt):
        acknowledged = int(line_of(child))
    child.kill()
    rest, _ = child.communicate()
    acknowledged = max([acknowledged, *map(int, rest.split())])

    async def check() -> None:
        desk = await opened(children.path)
        sequence = (await desk.row(run_no)).last_seq
        assert acknowledged <= sequence <= acknowledged + 1
        journal = await desk.store.events(run_no, limit=100_000)
        assert [record.first_seq for record in journal] == list(range(1, sequence + 1))
        assert len(await desk.store.steps(run_no, limit=100_000)) == sequence - 1
        await desk.store.close()

    asyncio.run(check())


def test_the_end_of_a_process_is_seen_at_once(children):
    async def check() -> None:
        desk = await opened(children.path)
        child = children.start("work", "60")
        run_no = int(line_of(child).split()[1])
        assert await desk.store.dead_nodes(desk.node) == []
        child.kill()
        child.wait()
        [dead] = await desk.store.dead_nodes(desk.node)
        assert (dead.pid, await desk.store.declare_dead(dead)) == (child.pid, 1)
        assert await desk.store.adopt(desk.node, limit=9) == [run_no]
        await desk.store.close()

    asyncio.run(check())


def test_a_stopped_process_loses_its_lease_and_its_runs(children):
    async def check() -> None:
        desk = await opened(children.path)
        child = children.start("work", "60")
        run_no = int(line_of(child).split()[1])
        await stopped_between_writes(desk, child)
        await asyncio.sleep(1.5)
        [dead] = await desk.store.dead_nodes(desk.node)
        assert await desk.store.declare_dead(dead) == 1
        child.send_signal(signal.SIGCONT)
        _, complaint = child.communicate(timeout=30)
        assert "RefusalKind.NODE" in complaint
        assert (await desk.row(run_no)).home is None
        await desk.store.close()

    asyncio.run(check())


async def stopped_between_writes(desk: Desk, child: subprocess.Popen[str]) -> None:
    """Stop a process at a moment when it does not hold the write lock."""
    probe = SqliteStore(desk.store.path, busy_wait_s=0.05)
    await probe.open()
    while True:
        child.send_signal(signal.SIGSTOP)
        try:
            await probe.reserve_run_numbers(1)
        except StoreError:
            child.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.01)
        else:
            await probe.close()
            return


def test_a_blocked_event_loop_keeps_its_lease(children):
    async def check() -> None:
        desk = await opened(children.path)
        child = children.start("block")
        line_of(child)
        seen = []
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            seen += await desk.store.dead_nodes(desk.node)
            await asyncio.sleep(0.05)
        assert seen == []
        assert [line_of(child), line_of(child)] == ["awake", "wrote"]
        await desk.store.close()

    asyncio.run(check())


def test_a_process_that_holds_the_write_lock_is_named(children):
    async def check() -> None:
        desk = await opened(children.path, busy_wait_s=0.3)
        child = children.start("hold")
        assert line_of(child) == "holding"
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreError, match=rf"PDM-S007(?s:.)*Process {child.pid} holds"):
            await desk.store.reserve_run_numbers(1)
        child.kill()
        child.wait()
        assert await desk.store.reserve_run_numbers(1)
        await desk.store.close()

    asyncio.run(check())


def test_ten_processes_may_create_a_store_together(children):
    many = [children.start("work", "0.2") for _ in range(10)]
    outputs = [child.communicate(timeout=60) for child in many]
    assert [child.returncode for child in many] == [0] * 10, outputs
    runs = [out.split()[1] for out, _ in outputs]
    assert len(set(runs)) == 10


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace counts the real flushes")
def test_the_flushes_we_count_are_the_flushes_that_happen(children, tmp_path):
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-e", "trace=fsync,fdatasync,write", "-o", str(trace)]
    child = [sys.executable, str(CHILD), "count", str(children.path)]
    done = subprocess.run([*command, *child], capture_output=True, text=True, check=True)
    _, _, after = trace.read_text().partition('"begin')
    between, _, _ = after.partition('"counted')
    assert f"counted {between.count('sync(')}" in done.stdout
