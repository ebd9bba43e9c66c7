"""Real processes that spend: killed anywhere, and several on one budget."""

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from podium.adapters.sqlite.store import SqliteStore
from podium.ports.ledger import AccountRow
from podium.ports.store import RunFilter

pytestmark = [pytest.mark.system, pytest.mark.slow]

JOB = Path(__file__).with_name("billing_job.py")
CENT = 10_000_000


def spawn(folder: Path, key: str, calls: int, cap: int) -> "subprocess.Popen[str]":
    arguments = [str(folder / "p.db"), str(folder / "bill"), key, str(calls), str(cap)]
    return subprocess.Popen(
        [sys.executable, str(JOB), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def bill(folder: Path) -> dict[str, int]:
    path = folder / "bill"
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: int(cost) for name, cost in map(str.split, lines)}


def books(folder: Path) -> tuple[dict[str, int], AccountRow]:
    """Return the ledger and the account of the organization."""

    async def read() -> tuple[dict[str, int], AccountRow]:
        store = SqliteStore(folder / "p.db")
        await store.open()
        try:
            runs = await store.runs(RunFilter(), limit=100)
            lines = [line for run in runs for line in await store.ledger(run.run_no, limit=9999)]
            [account] = await store.accounts(prefix="organization:")
            return {line.key: line.cost_nano for line in lines}, account
        finally:
            await store.close()

    return asyncio.run(read())


def wait_for_bill(folder: Path, count: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if len(bill(folder)) >= count:
            return
        time.sleep(0.001)


@pytest.mark.parametrize("seed", range(2))
def test_the_ledger_equals_the_bill_after_kills_at_random_moments(
    tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    kills = 0
    for threshold in sorted(dice.sample(range(3, 190), 8)):
        process = spawn(tmp_path, "job", 200, 10_000)
        wait_for_bill(tmp_path, threshold, process)
        time.sleep(dice.random() * 0.01)
        kills += process.poll() is None
        process.kill()
        process.communicate()
    final = spawn(tmp_path, "job", 200, 10_000)
    output, errors = final.communicate(timeout=120)
    assert (final.returncode, output) == (0, "200\n"), errors
    ledger, account = books(tmp_path)
    assert ledger == bill(tmp_path)
    assert len(ledger) == 200
    assert account.spent.cost_nano == sum(ledger.values())
    assert (account.held.cost_nano, account.spent.calls) == (0, 200)
    assert kills > 4


def test_a_budget_is_kept_by_processes_that_are_killed(tmp_path: Path) -> None:
    cap = 150
    for threshold in (10, 30, 50):
        process = spawn(tmp_path, "job", 200, cap)
        wait_for_bill(tmp_path, threshold, process)
        process.kill()
        process.communicate()
    final = spawn(tmp_path, "job", 200, cap)
    _, errors = final.communicate(timeout=120)
    assert final.returncode == 0, errors
    ledger, account = books(tmp_path)
    assert ledger == bill(tmp_path)
    assert sum(ledger.values()) == account.spent.cost_nano <= cap * CENT


def test_two_processes_on_one_file_share_one_budget(tmp_path: Path) -> None:
    cap = 200
    processes = [spawn(tmp_path, f"job{each}", 100, cap) for each in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    ledger, account = books(tmp_path)
    assert ledger == bill(tmp_path)
    assert 0.95 * cap * CENT <= sum(ledger.values()) == account.spent.cost_nano <= cap * CENT
