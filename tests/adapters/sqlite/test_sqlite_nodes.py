"""Locks, leases and the writer thread: what proves a death, and what does not."""

import asyncio
import threading

import pytest

from podium.adapters.sqlite import SqliteStore, StoreClock
from podium.adapters.sqlite.nodes import NodeLock, forget, holders_of, is_proven_dead
from podium.errors import StoreError
from podium.ports.store import RunFilter
from podium.testing.conformance.desk import message, outcome


@pytest.fixture
def store_path(tmp_path):
    (tmp_path / "podium.db.nodes").mkdir()
    return tmp_path / "podium.db"


def test_a_held_lock_proves_nothing(store_path):
    lock = NodeLock(store_path, 7)
    assert not is_proven_dead(store_path, 7)
    lock.release(keep_file=True)


def test_a_lock_that_can_be_taken_proves_a_death(store_path):
    NodeLock(store_path, 7).release(keep_file=True)
    assert is_proven_dead(store_path, 7)


def test_asking_does_not_take_the_lock(store_path):
    NodeLock(store_path, 7).release(keep_file=True)
    assert is_proven_dead(store_path, 7)
    NodeLock(store_path, 7).release()


def test_a_missing_lock_file_proves_a_death(store_path):
    assert is_proven_dead(store_path, 7)


def test_a_forgotten_node_leaves_no_file(store_path):
    NodeLock(store_path, 7).release(keep_file=True)
    forget(store_path, 7)
    forget(store_path, 7)
    assert list((store_path.parent / "podium.db.nodes").iterdir()) == []


def test_releasing_a_lock_twice_is_releasing_it_once(store_path):
    lock = NodeLock(store_path, 7)
    lock.release()
    other = NodeLock(store_path, 7)
    lock.release()
    assert not is_proven_dead(store_path, 7)
    other.release()


def test_a_node_that_left_leaves_no_file(file):
    desk = file.desk()
    directory = file.path.with_name("podium.db.nodes")
    assert (directory / f"{desk.node.node_id}.lock").exists()
    file.run(desk.store.release_node(desk.node))
    assert [path.name for path in directory.iterdir()] == ["opening.lock"]


def test_nobody_holds_the_write_lock_of_an_idle_store(file):
    file.desk()
    assert holders_of(file.path) == ""


def test_a_stuck_writer_is_an_error_with_a_way_out(file):
    desk = file.desk(busy_wait_s=0.05)
    other = file.open()
    creation = file.run(desk.creation())
    other._writer._database.execute("begin immediate")
    with pytest.raises(StoreError, match=r"PDM-S007(?s:.)*kill -CONT") as caught:
        file.run(desk.submit(creation))
    assert "locked" not in str(caught.value)
    other._writer._database.execute("rollback")
    file.run(desk.commit(creation))


def test_a_process_that_only_reads_does_not_wait_for_a_stuck_writer(file):
    stuck, reader = file.desk(), file.open(busy_wait_s=60.0)
    stuck.store._writer._database.execute("begin immediate")
    assert file.run(reader.runs(RunFilter(), limit=1)) == []
    file.run(asyncio.wait_for(reader.close(), timeout=10))
    stuck.store._writer._database.execute("rollback")


def test_a_renewal_that_fails_is_tried_again_and_the_writer_lives(file):
    desk = file.desk(busy_wait_s=0.01)
    other = file.open()
    other._writer._database.execute("begin immediate")
    desk.store._writer._renew()
    other._writer._database.execute("rollback")
    assert desk.node.node_id in desk.store._writer._held
    file.run(desk.start())


class Clocks:
    """A wall clock and a boot clock that a test moves apart."""

    def __init__(self) -> None:
        self.wall_us = self.boot_us = 1_763_726_400_000_000

    def store(self, path) -> SqliteStore:
        clock = StoreClock(wall_us=lambda: self.wall_us, boot_us=lambda: self.boot_us)
        return SqliteStore(path, clock=clock)


@pytest.fixture
def clocks(file, monkeypatch):
    clocks = Clocks()
    monkeypatch.setattr(file, "new_store", clocks.store)
    return clocks


def test_a_jump_of_the_wall_clock_kills_nobody(file, clocks):
    desk, _ = file.desk(), file.desk()
    clocks.wall_us += 3_600_000_000
    assert file.run(desk.store.dead_nodes(desk.node)) == []


def test_a_lease_runs_out_by_the_boot_clock(file, clocks):
    desk, other = file.desk(), file.desk()
    clocks.boot_us += 31_000_000
    dead = file.run(desk.store.dead_nodes(desk.node))
    assert [node.node_id for node in dead] == [other.node.node_id]


def test_time_does_not_go_back_over_a_restart(file, clocks):
    file.desk()
    file.close()
    clocks.wall_us -= 3_600_000_000
    assert file.open().now_us() == clocks.wall_us + 3_600_000_000


def test_a_slow_process_does_not_turn_the_kept_time_back(file, clocks):
    slow, fast = file.desk(), file.desk()
    clocks.wall_us += 3_600_000_000
    late_us = fast.store.now_us()
    file.run(fast.store.close())
    clocks.wall_us -= 3_600_000_000
    file.run(slow.store.close())
    assert file.open().now_us() >= late_us


def renew(file, store: SqliteStore) -> None:
    """Do on the writer thread what it does every third of a lease."""
    file.run(store._write(lambda _: None))
    store._writer._renew()


def test_a_renewal_extends_the_lease(file, clocks):
    desk, other = file.desk(), file.desk()
    clocks.wall_us += 20_000_000
    clocks.boot_us += 20_000_000
    renew(file, other.store)
    clocks.boot_us += 20_000_000
    assert file.run(desk.store.dead_nodes(desk.node)) == []
    leases = [node.lease_until_us for node in file.run(desk.store.nodes())]
    assert leases[1] - leases[0] == 20_000_000


def test_a_node_declared_dead_is_not_renewed(file, clocks):
    desk, other = file.desk(), file.desk()
    file.run(desk.store.declare_dead(other.node))
    renew(file, other.store)
    assert other.store._writer._held == {}
    assert [node.node_id for node in file.run(desk.store.nodes())] == [desk.node.node_id]


def test_outcomes_are_forgotten_after_a_day(file, clocks):
    desk = file.desk()
    run_no = file.run(desk.start())
    day_us, now_us = 86_400_000_000, clocks.wall_us
    rows = [outcome(run_no, str(t), decided_us=now_us + t) for t in (0, 5, 10)]
    file.run(desk.advance(run_no, outcomes=rows))
    clocks.wall_us += day_us + 6
    renew(file, desk.store)
    kept = [file.run(desk.store.outcome(row.message_id)) for row in rows]
    assert kept == [None, None, rows[2]]


def test_nodes_that_ended_long_ago_are_forgotten(file, clocks):
    desk = file.desk()
    file.run(desk.store.release_node(desk.node))
    clocks.wall_us += 2 * 86_400_000_000
    other = file.desk()
    rows = other.store._writer._database._connection.execute("select node_id from node")
    assert list(rows) == [(other.node.node_id,)]
    assert other.node.node_id > desk.node.node_id


def test_data_that_cannot_be_stored_is_an_error_outside_of_ticks(file):
    desk = file.desk()
    for bad in (message(1, "nul\0"), message(1, "odd", body="text"), message(1 << 70, "big")):
        with pytest.raises(StoreError, match="PDM-S010"):
            file.run(desk.store.post([message(1, "good"), bad]))
    assert file.run(desk.store.mail([1])) == []


def test_a_defect_in_a_job_is_told_and_ends_the_writer(file, monkeypatch):
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    store = file.open()
    for _ in range(2):
        with pytest.raises(StoreError, match="closed"):
            file.run(store._write(lambda _: {}["nothing"]))
    store._writer._thread.join()
    assert [args.exc_type for args in told] == [KeyError]


def test_an_answer_nobody_waits_for_is_dropped(file):
    store = file.open()

    async def give_up() -> None:
        async with asyncio.timeout(0):
            await store.reserve_run_numbers(1)

    with pytest.raises(TimeoutError):
        file.run(give_up())
    assert file.run(store.reserve_run_numbers(1)) == 2
