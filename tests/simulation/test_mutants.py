"""Each guard is taken out once, and the simulation must notice: a guard nobody misses is none."""

import pytest
from mutation import Mutant, mutate

from podium.adapters.memory import MemoryDatabase
from podium.core import approvals, attempts, clockwork, decide, evolve, opening
from podium.runtime.actor import Actor
from podium.runtime.deeds import Deeds
from podium.runtime.engine import Engine
from podium.runtime.homes import Homes
from podium.runtime.replay import Replay
from podium.testing.simulation import SEEDS_PER_WORKLOAD, simulate, without_faults

SEEDS_MAX = 600

MUTANTS = [
    Mutant(
        "a dead node may commit",
        MemoryDatabase,
        "if not self.is_up(batch.node_id, batch.node_epoch):",
        "if False:",
    ),
    Mutant(
        "any node may write a run",
        MemoryDatabase,
        "(row.home, row.home_epoch, row.last_seq) == expected",
        "row.last_seq == write.old_seq",
    ),
    Mutant(
        "a run may be written from an old state",
        MemoryDatabase,
        "(row.home, row.home_epoch, row.last_seq) == expected",
        "(row.home, row.home_epoch) == expected[:2]",
    ),
    Mutant(
        "a new home has the epoch of the old one",
        MemoryDatabase,
        "replace(row, home=node.node_id, home_epoch=row.home_epoch + 1)",
        "replace(row, home=node.node_id, home_epoch=max(1, row.home_epoch - 1))",
    ),
    Mutant(
        "a key may start two runs",
        MemoryDatabase,
        "if owner is None:",
        "if True:",
    ),
    Mutant(
        "a message may come twice",
        MemoryDatabase,
        "if message.message_id not in self.outcomes:",
        "if True:",
    ),
    Mutant(
        "the result of an old attempt counts",
        attempts,
        " or step.attempts != done.attempt",
        "",
    ),
    Mutant(
        "the result of a step that moved on counts",
        attempts,
        "step is None or step.status is not StepStatus.RUNNING or",
        "step is None or",
    ),
    Mutant(
        "a new home believes in the attempts of the old one",
        attempts,
        "_lost(turn, step, outcome, None)",
        "pass",
    ),
    Mutant(
        "a map that found no room is forgotten",
        decide,
        "turn.fills.extend(hungry)",
        "pass",
    ),
    Mutant(
        "recoveries are not counted",
        evolve,
        "step.recoveries += 1",
        "pass",
    ),
    Mutant(
        "steps start while a run is being cancelled",
        opening,
        "return state.status in _GOING",
        "return True",
    ),
    Mutant(
        "an approval is good for any payload",
        approvals,
        "if message.payload_hash and",
        "if False and",
    ),
    Mutant(
        "whoever asked for a run approves it, too",
        approvals,
        "if by in turn.state.requesters:",
        "if False:",
    ),
    Mutant(
        "a message about an earlier state counts",
        decide,
        "if message.seen_seq in {0, seq}:",
        "if True:",
    ),
    Mutant(
        "a task starts without its approval",
        opening,
        "if planned.task.checkpoint is Checkpoint.BEFORE or",
        "if",
    ),
    Mutant(
        "a signal that comes early is lost",
        opening,
        "waiting = turn.state.signals.get(name)",
        "waiting = None",
    ),
    Mutant(
        "one dependency is as good as all",
        opening,
        "done >= needed",
        "done",
    ),
    Mutant(
        "a function gets its results in another order",
        Replay,
        "list(self._state.ended)",
        "sorted(self._state.ended)",
    ),
    Mutant(
        "mail is read twice",
        Actor,
        "if message_id in self.known_mail or message_id in self._consumed:",
        "if False:",
    ),
    Mutant(
        "a start that was refused is acknowledged",
        Engine,
        "if refusal is None:",
        "if refusal is None or refusal.existing:",
    ),
    Mutant(
        "a child run has no key",
        Deeds,
        'idempotency_key=f"child:{tag}"',
        "idempotency_key=None",
    ),
    Mutant(
        "children that were not started are forgotten",
        Deeds,
        "if waits and not step.child_run:",
        "if False:",
    ),
    Mutant(
        "an attempt that was to stop starts all the same",
        Deeds,
        "for number, attempt in turn.stops:",
        "for number, attempt in [each for each in turn.stops if each[0] not in turn.starts]:",
    ),
    Mutant(
        "the next life of a run is forgotten",
        Engine,
        "if isinstance(mail, Continue):",
        "if False:",
    ),
    Mutant(
        "a node does not notice that it was declared dead",
        Homes,
        "if node.node_id not in numbers and",
        "if False and",
    ),
    Mutant(
        "a run may be retried too often",
        attempts,
        "step.failures >= retries_allowed(policy, error.kind)",
        "False",
    ),
    Mutant(
        "sleeping steps wake too early",
        clockwork,
        "timers[0][0] <= turn.now_us",
        "timers[0][0] <= turn.now_us + 3_000_000",
    ),
]


@pytest.fixture(scope="module", autouse=True)
def calm() -> None:
    """See how every workload ends without faults before there are mutants."""
    for number in range(SEEDS_MAX // SEEDS_PER_WORKLOAD):
        assert not without_faults(number).violations


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_the_simulation_notices_that(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(mutant, monkeypatch)
    # Every fifth seed has another workload: see all of them before seeing one twice.
    for seed in sorted(range(SEEDS_MAX), key=lambda seed: (seed % SEEDS_PER_WORKLOAD, seed)):
        if simulate(seed).violations:
            return
    pytest.fail(f"nobody notices in {SEEDS_MAX} seeds that {mutant.name}")
