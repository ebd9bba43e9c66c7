"""The schema: one result by two ways, refused when newer, and readable for people."""

from pathlib import Path

import apsw
import pytest

from podium.adapters.sqlite.migrations import MIGRATIONS, Migration, load_migrations, migrate
from podium.core.ids import approval_id, run_id, step_id
from podium.core.states import RunStatus, StepKind, StepStatus
from podium.errors import StoreError
from podium.ports.store import ApprovalStatus
from podium.testing.conformance.desk import approval, step

PATH = Path("podium.db")
EXTRA = Migration(version=len(MIGRATIONS) + 1, name="extra", text="create table extra (a int)")


def schema_of(db: apsw.Connection) -> list[tuple]:
    return list(db.execute("select type, name, tbl_name, sql from sqlite_schema order by 1, 2"))


def test_the_schema_from_scratch_equals_the_schema_by_migrations():
    scratch, grown = apsw.Connection(""), apsw.Connection("")
    migrate(scratch, PATH)
    migrate(grown, PATH, from_scratch=False)
    assert schema_of(scratch) == schema_of(grown)
    assert list(scratch.execute("select * from store")) == list(
        grown.execute("select * from store")
    )


def test_an_older_store_gets_the_missing_migrations_only():
    db = apsw.Connection("")
    migrate(db, PATH)
    migrate(db, PATH, steps=(*MIGRATIONS, EXTRA))
    assert db.execute("select count(*) from extra").get == 0
    versions = list(db.execute("select version, name from schema_migration order by 1"))
    assert versions == [(step.version, step.name) for step in (*MIGRATIONS, EXTRA)]


def test_migrating_again_changes_nothing(file):
    file.open()
    before = schema_of(apsw.Connection(str(file.path)))
    file.open()
    assert schema_of(apsw.Connection(str(file.path))) == before


def test_a_newer_schema_is_refused(file):
    db = apsw.Connection(str(file.path))
    migrate(db, PATH, steps=(*MIGRATIONS, EXTRA))
    db.close()
    with pytest.raises(StoreError, match=r"PDM-S002(?s:.)*Upgrade podium"):
        file.open()


def test_a_migration_that_changed_after_it_was_applied_is_refused(file):
    file.open()
    db = apsw.Connection(str(file.path))
    db.execute("update schema_migration set checksum = 'other'")
    with pytest.raises(StoreError, match="PDM-S009"):
        file.open()


def test_a_failing_migration_leaves_the_store_as_it_was():
    db = apsw.Connection("")
    migrate(db, PATH)
    broken = Migration(version=EXTRA.version, name="x", text="create table t (a); select nonsense")
    with pytest.raises(apsw.SQLError):
        migrate(db, PATH, steps=(*MIGRATIONS, broken))
    assert db.pragma("user_version") == len(MIGRATIONS)
    assert not db.table_exists("main", "t")


def test_migrations_are_numbered_without_gaps(tmp_path):
    for name in ("0001_a.sql", "0003_b.sql"):
        (tmp_path / name).write_text("select 1")
    with pytest.raises(ValueError, match="not numbered"):
        load_migrations(tmp_path)


def test_a_database_of_another_program_is_refused_and_left_alone(file):
    db = apsw.Connection(str(file.path))
    db.execute("create table theirs (a)")
    db.close()
    before = file.path.read_bytes()
    with pytest.raises(StoreError, match="PDM-S006"):
        file.open()
    assert file.path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(file):
    file.path.write_text("a letter to my mother, longer than any database header is " * 20)
    before = file.path.read_bytes()
    with pytest.raises(StoreError, match="PDM-S006"):
        file.open()
    assert file.path.read_bytes() == before


def test_the_views_say_every_run_status_in_words(file):
    desk = file.desk()
    ended = {status: None if status.is_open else 5 for status in RunStatus}
    runs = {s.label: file.run(desk.start(status=s, ended_us=ended[s])) for s in RunStatus}
    shown = apsw.Connection(str(file.path)).execute("select status, run_id from orchestration_runs")
    assert dict(shown) == {label: run_id(number) for label, number in runs.items()}


def test_the_views_say_every_step_status_and_kind_in_words(file):
    desk = file.desk()
    run_no = file.run(desk.start())
    rows = [step(run_no, int(s), status=s, kind=int(s) % len(StepKind)) for s in StepStatus]
    file.run(desk.advance(run_no, steps=rows))
    query = "select step_id, status, kind from orchestration_steps order by step_no"
    assert list(apsw.Connection(str(file.path)).execute(query)) == [
        (
            step_id(run_no, row.step_no),
            StepStatus(row.status).label,
            StepKind(row.kind).name.lower(),
        )
        for row in rows
    ]


def test_the_views_say_every_approval_status_in_words(file):
    desk = file.desk()
    run_no = file.run(desk.start())
    rows = [approval(run_no, int(s), status=s, decided_us=int(s) or None) for s in ApprovalStatus]
    file.run(desk.advance(run_no, approvals=rows))
    query = "select approval_id, status from human_approvals order by approval_no"
    assert list(apsw.Connection(str(file.path)).execute(query)) == [
        (approval_id(row.approval_no), ApprovalStatus(row.status).label) for row in rows
    ]


def test_the_views_show_times_as_people_write_them(file):
    desk = file.desk()
    file.run(desk.start(created_us=1_763_726_400_123_000))
    shown = apsw.Connection(str(file.path)).execute("select created_at from orchestration_runs")
    assert shown.get == "2025-11-21T12:00:00.123Z"


def test_every_table_is_strict_and_every_large_run_number_has_an_id(file):
    file.open()
    db = apsw.Connection(str(file.path))
    assert not list(
        db.execute(
            "select name from pragma_table_list where type = 'table' and not "
            "strict and name not like 'sqlite_%'"
        )
    )
