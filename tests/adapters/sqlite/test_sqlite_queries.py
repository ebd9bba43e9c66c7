"""The statements: named, described, and planned as they were meant to be."""

from collections.abc import Iterator

import apsw
import pytest
from apsw.ext import QueryPlan, query_info

from podium.adapters.sqlite.migrations import migrate
from podium.adapters.sqlite.queries import SQL, parse_queries

BY_KEY = "USING INTEGER PRIMARY KEY"
# What each statement on a hot path must use. A plan that scans a table grows with history.
PLANS = {
    "tick_run": [f"SEARCH run {BY_KEY}", f"SEARCH node {BY_KEY}"],
    "tick_run_row": [f"SEARCH run {BY_KEY}", f"SEARCH node {BY_KEY}"],
    "tick_release": [f"SEARCH run {BY_KEY}"],
    "tick_create": ["SEARCH node EXISTS " + BY_KEY, f"SEARCH run {BY_KEY}"],
    "tick_decision": [f"SEARCH approval {BY_KEY}"],
    "tick_consume": ["SEARCH inbox USING INDEX"],
    "write_was_applied": [f"SEARCH run {BY_KEY}", f"SEARCH journal {BY_KEY}"],
    "key_owner": ["SEARCH run_start USING INDEX run_start_key"],
    "run_by_key": ["SEARCH run_start USING INDEX run_start_key", f"SEARCH run {BY_KEY}"],
    "node_abandon": ["SEARCH run USING INDEX run_at_home"],
    "priorities_due": ["SEARCH run USING INDEX run_due"],
    "adopt_due": ["SEARCH run USING INDEX run_due"],
    "adopt_mail": ["SCAN inbox", f"SEARCH run {BY_KEY}"],
    "adopt_take": [f"SEARCH run {BY_KEY}"],
    "next_wake": ["SEARCH run USING INDEX run_due"],
    "post": ["SEARCH outcome USING COVERING INDEX"],
    "outcome": ["SEARCH outcome USING INDEX"],
    "unread": ["SCAN inbox", "SEARCH run USING COVERING INDEX run_at_home"],
    "mail": ["SEARCH inbox USING INDEX inbox_run"],
    "run": [f"SEARCH run {BY_KEY}", f"SEARCH run_start {BY_KEY}"],
    "listed_by_status": ["SEARCH run_listed USING COVERING INDEX run_listed_status"],
    "listed_by_workflow": ["SEARCH run_listed USING COVERING INDEX run_listed_workflow"],
    "listed_place": [f"SEARCH run_listed {BY_KEY}"],
    "organizations_listed": ["SEARCH run_listed USING COVERING INDEX"],
    "label_weight": ["SEARCH run_label USING PRIMARY KEY"],
    "open_counts": ["SEARCH run_listed USING INDEX run_listed_status"],
    "logs": ["SEARCH log USING INDEX log_run"],
    "children": ["SEARCH run_start USING INDEX run_start_parent", f"SEARCH run {BY_KEY}"],
    "snapshot": [f"SEARCH snapshot {BY_KEY}"],
    "journal": [f"SEARCH journal {BY_KEY}"],
    "journal_record_of": [f"SEARCH journal {BY_KEY}"],
    "steps": [f"SEARCH step {BY_KEY}"],
    "approval": [f"SEARCH approval {BY_KEY}"],
    "approvals_pending": ["SCAN approval USING INDEX approval_pending"],
    "approvals_pending_of": ["SEARCH approval USING INDEX approval_pending_of"],
    "dead_letter": [f"SEARCH dead_letter {BY_KEY}"],
    "dead_letters_parked": ["SCAN dead_letter USING INDEX dead_letter_parked"],
    "definition_active": ["SEARCH workflow USING PRIMARY KEY", "SEARCH definition USING INDEX"],
    "definition_by_hash": ["SEARCH definition USING INDEX"],
    "schedules_due": ["SEARCH schedule USING INDEX schedule_due"],
    "schedules_ready": ["SEARCH schedule USING INDEX schedule_held"],
    "schedules_holding": ["SEARCH schedule USING INDEX schedule_held"],
    "schedule_next": ["SEARCH schedule USING COVERING INDEX schedule_due"],
    "schedule_runs": ["SEARCH schedule_tick USING PRIMARY KEY", f"SEARCH run EXISTS {BY_KEY}"],
    "schedule_ticks": ["SEARCH schedule_tick USING PRIMARY KEY"],
}


@pytest.fixture(scope="module")
def db() -> apsw.Connection:
    connection = apsw.Connection("")
    migrate(connection, "podium.db")
    return connection


def plan_of(db: apsw.Connection, name: str) -> str:
    info = query_info(db, SQL[name], explain_query_plan=True)
    return "\n".join(details(info.query_plan))


def details(plan: QueryPlan | None) -> Iterator[str]:
    if plan is not None:
        yield plan.detail
        for part in plan.sub or ():
            yield from details(part)


@pytest.mark.parametrize("name", PLANS)
def test_a_hot_statement_uses_its_index(db, name):
    plan = plan_of(db, name)
    assert [part for part in PLANS[name] if part not in plan] == [], plan
    assert "TEMP B-TREE FOR ORDER BY" not in plan


def test_no_statement_of_a_tick_scans_a_table(db):
    ticks = [name for name in SQL if name.startswith("tick_")]
    assert [name for name in ticks if "SCAN" in plan_of(db, name)] == []


@pytest.mark.parametrize("name", SQL)
def test_every_statement_fits_the_schema(db, name):
    assert plan_of(db, name) is not None


def test_a_name_used_twice_is_refused():
    with pytest.raises(ValueError, match="once"):
        parse_queries("-- a -- One.\nselect 1;\n-- a -- Two.\nselect 2;\n")


def test_a_statement_ends_before_the_next_heading():
    text = "-- About the file.\n\n-- a -- One.\nselect 1;\n\n-- b -- Two.\nselect\n  2;\n"
    assert parse_queries(text) == {"a": "select 1", "b": "select\n  2"}
