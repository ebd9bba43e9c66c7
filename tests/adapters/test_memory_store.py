"""The reference store under a simulator: virtual time, injected faults, paused processes."""

import asyncio
from heapq import heappop, heappush
from itertools import count

import pytest

from podium.adapters.memory import Fault, FaultKind, MemoryDatabase, MemoryStore
from podium.errors import StoreError
from podium.ports.store import Batch, Committed, NodeRow, RunRow, RunWrite


class Timeline:
    """Virtual time: `call_later` for a store, moved by a test."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._calls: list = []
        self._order = count()

    def call_later(self, delay_s: float, call) -> None:
        heappush(self._calls, (self.now_s + delay_s, next(self._order), call))

    def advance(self, seconds: float) -> None:
        until = self.now_s + seconds
        while self._calls and self._calls[0][0] <= until:
            self.now_s, _, call = heappop(self._calls)
            call()
        self.now_s = until


class World:
    """A database, its time, and what happens to calls."""

    def __init__(self) -> None:
        self.time = Timeline()
        self.database = MemoryDatabase()
        self.fault = Fault()

    def store(self) -> MemoryStore:
        return MemoryStore(
            self.database,
            clock=lambda: int(self.time.now_s * 1e6),
            call_later=self.time.call_later,
            faults=lambda _call, _batch: self.fault,
        )

    def node(self, store: MemoryStore) -> NodeRow:
        return run(store.register_node(boot_id="b", role="r", lease_us=30_000_000))


def run(work):
    return asyncio.run(work)


def creation(node: NodeRow, run_no: int = 1) -> Batch:
    row = RunRow(
        run_no=run_no, slot=1, organization="o", workflow="w", def_hash="h", status=2,
        home=node.node_id,
    )  # fmt: skip
    write = RunWrite(
        run_no=run_no, home_epoch=1, old_seq=0, new_seq=1, create=True, row=row, body=b"e"
    )
    return Batch(node_id=node.node_id, node_epoch=node.epoch, writes=[write])


@pytest.fixture
def world() -> World:
    return World()


def test_a_commit_waits_for_the_scheduler(world):
    store, answers = world.store(), []
    batch = creation(world.node(store))
    world.fault = Fault(delay_s=2.0, answer_s=3.0)
    store.submit(batch, answers.append)
    world.time.advance(1.9)
    assert (world.database.runs, answers) == ({}, [])
    world.time.advance(0.2)
    assert (list(world.database.runs), answers) == ([1], [])
    world.time.advance(3.0)
    assert answers == [Committed(refused=[])]


@pytest.mark.parametrize(("kind", "runs"), [(FaultKind.BEFORE, []), (FaultKind.AFTER, [1])])
def test_a_failed_commit_happened_or_not(world, kind, runs):
    store, answers = world.store(), []
    batch = creation(world.node(store))
    world.fault = Fault(kind=kind)
    store.submit(batch, answers.append)
    world.time.advance(0)
    assert list(world.database.runs) == runs
    assert [type(answer) for answer in answers] == [StoreError]
    world.fault = Fault()
    store.submit(batch, answers.append)
    world.time.advance(0)
    assert answers[1:] == [Committed(refused=[])]


@pytest.mark.parametrize(("kind", "first"), [(FaultKind.BEFORE, 1), (FaultKind.AFTER, 6)])
def test_a_failed_call_happened_or_not(world, kind, first):
    store = world.store()
    world.fault = Fault(kind=kind)
    with pytest.raises(StoreError, match="injected"):
        run(store.reserve_run_numbers(5))
    world.fault = Fault()
    assert run(store.reserve_run_numbers(1)) == first


def test_leases_are_renewed_as_time_goes_by(world):
    store, other = world.store(), world.store()
    node = world.node(store)
    world.node(other)
    world.time.advance(3600)
    assert run(store.dead_nodes(node)) == []


def test_a_paused_process_loses_its_lease(world):
    store, other = world.store(), world.store()
    node, victim = world.node(store), world.node(other)
    other.process.pause()
    world.time.advance(31)
    assert [dead.node_id for dead in run(store.dead_nodes(node))] == [victim.node_id]


def test_a_paused_process_catches_up_in_order(world):
    store, answers = world.store(), []
    node = world.node(store)
    store.submit(creation(node, 1), answers.append)
    store.submit(creation(node, 2), answers.append)
    store.process.pause()
    world.time.advance(5)
    assert world.database.runs == {}
    store.process.resume()
    world.time.advance(0)
    assert (list(world.database.runs), len(answers)) == ([1, 2], 2)


def test_a_late_renewal_does_not_revive_a_node(world):
    store, other = world.store(), world.store()
    world.node(store)
    victim = world.node(other)
    other.process.pause()
    world.time.advance(31)
    run(store.declare_dead(victim))
    other.process.resume()
    world.time.advance(60)
    assert [node.node_id for node in run(store.nodes())] == [1]


def test_a_killed_process_does_nothing_more_and_is_dead_at_once(world):
    store, other = world.store(), world.store()
    node, victim = world.node(store), world.node(other)
    answers: list = []
    other.submit(creation(victim), answers.append)
    other.kill()
    world.time.advance(5)
    assert (world.database.runs, answers) == ({}, [])
    assert [dead.node_id for dead in run(store.dead_nodes(node))] == [victim.node_id]


def test_delays_of_calls_obey_the_scheduler(world):
    store = world.store()
    world.fault = Fault(delay_s=1.0, answer_s=1.0)

    async def reserve() -> tuple[int, float]:
        async with asyncio.TaskGroup() as group:
            call = group.create_task(store.reserve_run_numbers(1))
            for _ in range(4):
                await asyncio.sleep(0)
                world.time.advance(0.6)
        return call.result(), world.time.now_s

    assert run(reserve()) == (1, pytest.approx(2.4))
