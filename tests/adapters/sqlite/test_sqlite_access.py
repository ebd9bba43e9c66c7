"""Definitions of an older store find their organization; the audit log cannot be rewritten."""

import apsw
import pytest

from podium.adapters.sqlite.migrations import MIGRATIONS, migrate

PATH = "podium.db"
BEFORE = 2
"""The schema before definitions belonged to organizations."""


@pytest.fixture
def old() -> apsw.Connection:
    db = apsw.Connection(":memory:")
    migrate(db, PATH, steps=MIGRATIONS[:BEFORE], from_scratch=False)
    return db


def publish(db: apsw.Connection, name: str, number: int, *, active: bool = False) -> None:
    def_hash = f"{name}-{number}"
    values = (def_hash, name, number, "", b"{}", number)
    db.execute("insert into definition values (?, ?, ?, ?, ?, ?)", values)
    if active:
        db.execute("insert into workflow values (?, ?)", (name, def_hash))


def start(db: apsw.Connection, run_no: int, organization: str, def_hash: str) -> None:
    db.execute(
        "insert into run_start values (?, ?, 'w', ?, 1, null, null, null, null, '', null, x'')",
        (run_no, organization, def_hash),
    )


def found(db: apsw.Connection) -> set[tuple[str, str]]:
    return set(db.execute("select organization, def_hash from definition"))


def active(db: apsw.Connection) -> set[tuple[str, str]]:
    return set(db.execute("select organization, active_hash from workflow"))


def test_a_version_goes_to_every_organization_whose_runs_use_it(old):
    publish(old, "invoice", 1)
    publish(old, "invoice", 2, active=True)
    for run_no, (organization, number) in enumerate([("acme", 1), ("globex", 2), ("acme", 2)], 1):
        start(old, run_no, organization, f"invoice-{number}")
    migrate(old, PATH)
    assert found(old) == {("acme", "invoice-1"), ("acme", "invoice-2"), ("globex", "invoice-2")}
    assert active(old) == {("acme", "invoice-2"), ("globex", "invoice-2")}


def test_who_never_used_the_active_version_gets_their_newest_one(old):
    for number in (1, 2, 3):
        publish(old, "invoice", number, active=number == 3)
    start(old, 1, "acme", "invoice-1")
    start(old, 2, "acme", "invoice-2")
    start(old, 3, "globex", "invoice-3")
    migrate(old, PATH)
    assert active(old) == {("acme", "invoice-2"), ("globex", "invoice-3")}


@pytest.mark.parametrize(
    ("organizations", "owner"), [([], "default"), (["acme"], "acme"), (["acme", "b"], "default")]
)
def test_a_draft_goes_to_the_only_organization_there_is(old, organizations, owner):
    publish(old, "draft", 1)
    for run_no, organization in enumerate(organizations, 1):
        start(old, run_no, organization, "other")
    migrate(old, PATH)
    assert found(old) == {(owner, "draft-1")}
    assert active(old) == set()


def test_two_organizations_count_their_versions_by_themselves(old):
    migrate(old, PATH)
    insert = "insert into definition values (?, ?, 'invoice', 1, '', x'', 1)"
    old.execute(insert, ("acme", "a"))
    old.execute(insert, ("globex", "b"))
    with pytest.raises(apsw.ConstraintError):
        old.execute(insert, ("acme", "c"))


@pytest.mark.parametrize("statement", ["update audit set actor = 'x'", "delete from audit"])
def test_a_line_of_the_audit_log_stays_as_it_was_written(old, statement):
    migrate(old, PATH)
    values = ("acme", 1, 1, "ada", "run.cancel", "run_1", "cli", "", "", "", "0" * 64)
    old.execute(f"insert into audit values ({', '.join('?' * len(values))})", values)
    with pytest.raises(apsw.ConstraintError, match="append-only"):
        old.execute(statement)
