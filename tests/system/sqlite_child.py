"""A process that works on a store until it is told to stop, or for good: `child.py MODE PATH`."""

import asyncio
import os
import sys
import time

from podium.adapters.sqlite import SqliteStore
from podium.testing.conformance import Desk
from podium.testing.conformance.desk import step

LEASE_US = 900_000


async def work(path: str, *, seconds: float) -> None:
    """Advance one run as fast as possible; print its number, then each acknowledged sequence."""
    desk = await desk_at(path)
    run_no = await desk.start()
    move = await desk.move(run_no)
    emit(f"run {run_no}")
    until = time.monotonic() + seconds
    seq = 1
    while time.monotonic() < until:
        seq += 1
        one = type(move)(
            run_no=run_no,
            home_epoch=move.home_epoch,
            old_seq=seq - 1,
            new_seq=seq,
            updated_us=desk.store.now_us(),
            body=b"x" * 40,
            steps=[step(run_no, seq)],
        )
        await desk.commit(one)
        emit(str(seq))
    emit(f"busy {desk.store.stats.busy}")
    await desk.store.close()


async def count(path: str) -> None:
    """Commit some hundred ticks and print how many flushes the store counted meanwhile."""
    desk = await desk_at(path)
    run_no = await desk.start()
    emit("begin")
    before = desk.store.stats.flushes
    for _ in range(700):
        await desk.advance(run_no)
    assert desk.store._writer is not None
    # A checkpoint may be under way: its flushes are counted before they happen.
    idle = asyncio.get_running_loop().create_future()
    desk.store._writer.submit(lambda _: None, lambda _: idle.set_result(None))
    await idle
    emit(f"counted {desk.store.stats.flushes - before}")
    await desk.store.close()


async def block(path: str) -> None:
    """Hold a node while the event loop is blocked for several leases."""
    desk = await desk_at(path)
    emit(f"node {desk.node.node_id}")
    stand_still(3 * LEASE_US / 1e6)
    emit("awake")
    await desk.start()
    emit("wrote")
    stand_still(60)


async def hold(path: str) -> None:
    """Take the write lock and keep it."""
    store = SqliteStore(path)
    await store.open()
    assert store._writer is not None
    assert store._writer._database is not None
    store._writer._database.execute("begin immediate")
    emit("holding")
    stand_still(60)


async def desk_at(path: str) -> Desk:
    store = SqliteStore(path)
    await store.open()
    lease_us = 60_000_000 if sys.argv[1] == "count" else LEASE_US
    node = await store.register_node(boot_id=str(os.getpid()), role="all", lease_us=lease_us)
    return Desk(store, node)


def stand_still(seconds: float) -> None:
    """Block the thread, event loop and all, as user code may."""
    time.sleep(seconds)


def emit(line: str) -> None:
    os.write(1, (line + "\n").encode())


if __name__ == "__main__":
    mode, place = sys.argv[1:3]
    match mode:
        case "work":
            asyncio.run(work(place, seconds=float(sys.argv[3])))
        case "count":
            asyncio.run(count(place))
        case "block":
            asyncio.run(block(place))
        case "hold":
            asyncio.run(hold(place))
