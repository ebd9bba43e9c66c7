"""Agents in a process that is killed again and again, beside the bill of the provider they ask."""

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from podium.adapters.sqlite.store import SqliteStore
from podium.ports.ledger import AccountRow, LedgerRow
from podium.ports.store import RunFilter
from podium.testing.llm import Call, ModelStub

pytestmark = [pytest.mark.system, pytest.mark.slow]

JOB = Path(__file__).with_name("agent_job.py")
AGENTS = 80
TURNS = 3
KILLS = 25
BREADTH = 4
"""Agents that the job lets work at a time."""


def converse(asked):
    """Take two notes, then answer."""
    return "Done." if asked.turn == TURNS - 1 else Call("note", {"text": f"note {asked.turn}"})


def spawn(folder: Path, stub: ModelStub) -> "subprocess.Popen[str]":
    arguments = [folder / "p.db", folder / "effects", stub.base_url, stub.api_key, AGENTS]
    return subprocess.Popen(
        [sys.executable, str(JOB), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_requests(stub: ModelStub, count: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while len(stub.requests) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def books(folder: Path) -> tuple[list[LedgerRow], AccountRow]:
    """Return the ledger and the account of the organization."""

    async def read() -> tuple[list[LedgerRow], AccountRow]:
        store = SqliteStore(folder / "p.db")
        await store.open()
        try:
            runs = await store.runs(RunFilter(), limit=9999)
            [top] = [run for run in runs if run.parent_run is None]
            [account] = await store.accounts(prefix="organization:")
            return list(await store.ledger(top.run_no, limit=99_999)), account
        finally:
            await store.close()

    return asyncio.run(read())


@pytest.mark.parametrize("seed", range(2))
def test_the_ledger_of_agents_is_the_bill_of_their_provider_after_kills(
    tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    kills = 0
    with ModelStub(first_byte_s=0.02) as stub:
        stub.script(converse, times=None)
        for _ in range(KILLS):
            process = spawn(tmp_path, stub)
            wait_for_requests(stub, len(stub.requests) + dice.randrange(5, 11), process)
            time.sleep(dice.random() * 0.03)
            kills += process.poll() is None
            process.kill()
            process.communicate()
        output, errors = spawn(tmp_path, stub).communicate(timeout=200)
        assert output == f"{AGENTS}\n", errors
        stub.wait_until_idle()
        bill, requests = stub.bill(), stub.requests
    ledger, account = books(tmp_path)
    assert kills == KILLS
    assert len(bill.lines) == len(bill.by_key()) == AGENTS * TURNS
    assert sum(line.cost_nano for line in ledger) == bill.cost_nano == account.spent.cost_nano
    assert account.held.cost_nano == 0
    # A call that was in flight at a kill came again, under its key; what had committed did not.
    assert len(requests) - len({seen.idempotency_key for seen in requests}) <= KILLS * BREADTH
    # A tool whose run was cut off runs again under its key: nothing is applied under two.
    assert len(set((tmp_path / "effects").read_text().split())) == AGENTS * (TURNS - 1)
