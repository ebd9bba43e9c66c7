"""Money in catastrophes: tasks that pay, a provider that keeps its own bill, one tight budget."""

import asyncio
import zlib
from typing import Any

import pytest

from podium.core.budgets import Budget, Limits, Scope
from podium.core.charges import Charge
from podium.errors import PodiumError
from podium.runtime.attempts import attempt_context
from podium.testing.simulation.bodies import Bodies
from podium.testing.simulation.processes import SimulationLoop
from podium.testing.simulation.simulation import Simulation
from podium.testing.simulation.workloads import random_workload
from podium.testing.simulation.world import World

CAP = 60
MOST = 3
SEEDS = 60


class PayingBodies(Bodies):
    """Tasks that make one paid call before they end, however they end."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.bill: dict[str, int] = {}
        """What the provider billed, once for each key."""

    async def work(self, label: str, spec: Any = None, take: Any = None) -> Any:
        try:
            result = await super().work(label, spec, take)
        except Exception:
            await self.pay()
            raise
        await self.pay()
        return result

    async def pay(self) -> None:
        context = attempt_context()
        assert context is not None
        key = context.idempotency_key
        try:
            hold = await context.purse.reserve(cost_nano=MOST, tokens=1, model="m")
        except PodiumError:
            return
        cost = self.bill.setdefault(key, 1 + zlib.crc32(key.encode()) % MOST)
        try:
            over = asyncio.Event()
            asyncio.get_running_loop().call_later(0.02, over.set)
            await over.wait()
        finally:
            hold.settle(Charge(key=key, provider="acme", model="m", output=1, cost_nano=cost))


def play(seed: int) -> tuple[Any, dict[str, int]]:
    """Return the books and the provider's bill; test_simulation.py looks at everything else."""
    with asyncio.Runner(loop_factory=SimulationLoop) as runner:
        loop: Any = runner.get_loop()
        workload = random_workload(seed // 5)
        simulation = Simulation(seed, workload, loop=loop, is_calm=False)
        simulation._bodies = bodies = PayingBodies(simulation.world)
        books = simulation.world.database.ledger
        books.put_budget(Budget(scope=Scope.ORGANIZATION, limits=Limits(CAP)), remove=False)
        try:
            runner.run(simulation.run())
        finally:
            simulation.close()
        return books, bodies.bill


def faults_of(books: Any, bill: dict[str, int]) -> list[str]:
    found: list[str] = []
    at = books.standing("organization:default@total")
    ledger = {key: row.cost_nano for key, row in books.rows.items()}
    found += [f"{key} was not billed so" for key in ledger if bill.get(key) != ledger[key]]
    if at.spent.cost_nano != sum(ledger.values()):
        found.append(f"the account has {at.spent.cost_nano}, the ledger {sum(ledger.values())}")
    if at.spent.cost_nano + at.held.cost_nano + at.used.cost_nano > CAP:
        found.append(f"the cap of {CAP} is passed: {at}")
    doubts = {(h.request.run_no, h.request.step_no) for h in books.holds.values()
              if not h.is_settled}  # fmt: skip
    lost = [key for key in bill if key not in ledger]
    if len(lost) > len(doubts):
        found.append(f"{len(lost)} calls are neither in the ledger nor in doubt: {lost}")
    if (at.held.cost_nano or at.used.cost_nano) != at.in_doubt.cost_nano:
        found.append(f"somebody alive still holds something: {at}")
    return found


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_the_books_are_right_whatever_fails(first: int) -> None:
    paid = 0
    for seed in range(first, first + 20):
        books, bill = play(seed)
        assert not faults_of(books, bill), f"seed {seed}"
        paid += len(bill)
    assert paid > 100
