"""What a list of runs costs, in steps of SQLite's machine: it does not grow with history."""

import apsw
import pytest

from podium.adapters.sqlite.database import Reader
from podium.adapters.sqlite.listing import runs
from podium.adapters.sqlite.migrations import migrate
from podium.core.states import RunStatus
from podium.ports.store import RunFilter

SECOND_US = 1_000_000
PAGE = 50
# A page of 50 rows takes about 5,000 steps; a scan of the smaller history takes far more.
STEPS_MAX = 60_000

FILTERS = {
    "none": RunFilter(),
    "organization": RunFilter(organization="acme"),
    "a small organization": RunFilter(organization="small"),
    "an organization without runs": RunFilter(organization="nobody"),
    "status": RunFilter(statuses=(RunStatus.FAILED,)),
    "a status without runs": RunFilter(statuses=(RunStatus.RUNNING,)),
    "several statuses": RunFilter(statuses=(RunStatus.FAILED, RunStatus.CANCELLED)),
    "workflow": RunFilter(workflow="w3"),
    "a workflow without runs": RunFilter(workflow="lost"),
    "workflow and status": RunFilter(workflow="w3", statuses=(RunStatus.FAILED,)),
    "a label of all": RunFilter(label=("env", "prod")),
    "a label of few": RunFilter(label=("customer", "7")),
    "a label of nobody": RunFilter(label=("env", "test")),
    "label and status": RunFilter(label=("env", "prod"), statuses=(RunStatus.FAILED,)),
    "long ago": RunFilter(created_after_us=10 * SECOND_US, created_before_us=99 * SECOND_US),
    "long ago, with a status": RunFilter(
        created_before_us=99 * SECOND_US, statuses=(RunStatus.FAILED,)
    ),
}


def history(count: int) -> apsw.Connection:
    """Return a store of finished runs, one a second: 1 in 100 failed, 1 in 1,000 of `small`."""
    db = apsw.Connection("")
    migrate(db, "podium.db")
    db.execute("begin")
    db.execute(
        """create temp table n as with recursive n (i) as
           (select 1 union all select i + 1 from n where i < ?) select i from n""",
        (count,),
    )
    db.execute(
        """insert into run (run_no, slot, status, reason, priority, generation, last_seq,
             home_epoch, ended_us, updated_us, recoveries, format, min_engine, steps_open,
             steps_done, steps_failed)
           select i, 0, iif(i % 100 = 0, 8, 7), '', 50, 1, 5, 2, i, i, 0, 1, 1, 0, 5, 0 from n"""
    )
    db.execute(
        """insert into run_start (run_no, organization, workflow, def_hash, created_us,
             request_hash, input)
           select i, iif(i % 1000 = 1, 'small', 'acme'), 'w' || (i % 7), 'hash', i * 1000000, '',
             x'c0' from n"""
    )
    db.execute("insert into run_label select 'env', 'prod', i from n")
    db.execute("insert into run_label select 'customer', i % 2000, i from n")
    db.execute(
        """insert into run_listed (run_no, organization, workflow, status, created_us)
           select run_no, organization, workflow, status, created_us
             from run join run_start using (run_no)"""
    )
    db.execute("commit")
    return db


@pytest.fixture(scope="module")
def short() -> apsw.Connection:
    return history(20_000)


@pytest.fixture(scope="module")
def long() -> apsw.Connection:
    return history(100_000)


def steps_of(db: apsw.Connection, where: RunFilter, before: int | None) -> tuple[int, int]:
    """Return how many hundreds of steps a page takes, in steps, and how many runs it has."""
    taken = 0

    def count() -> bool:
        nonlocal taken
        taken += 100
        return False

    db.set_progress_handler(count, 100)
    found = runs(Reader(db), where, limit=PAGE, before=before)
    db.set_progress_handler(None)
    return taken, len(found)


@pytest.mark.parametrize("before", [None, 12_000], ids=["newest", "a later page"])
@pytest.mark.parametrize("name", FILTERS)
def test_a_page_costs_the_same_however_many_runs_have_ended(short, long, name, before):
    few, _ = steps_of(short, FILTERS[name], before)
    many, found = steps_of(long, FILTERS[name], before)
    assert many <= STEPS_MAX
    assert many <= few + 30_000
    assert found <= PAGE


def test_a_scan_would_be_noticed(long):
    taken = 0

    def count() -> bool:
        nonlocal taken
        taken += 100
        return False

    long.set_progress_handler(count, 100)
    long.execute("select count(*) from run_listed where workflow || '' = 'w3'").fetchall()
    long.set_progress_handler(None)
    assert taken > 3 * STEPS_MAX
