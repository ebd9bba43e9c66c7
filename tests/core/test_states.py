"""The transition tables: closed, final where they say so, and reachable."""

import pytest

from podium.core.states import (
    RUN_MOVES,
    RUN_VERBS,
    STEP_MOVES,
    RunStatus,
    StepStatus,
    allowed_verbs,
    check_run_move,
    check_step_move,
)
from podium.errors import InternalError

TABLES = [
    pytest.param(RunStatus, RUN_MOVES, check_run_move, RunStatus.QUEUED, id="run"),
    pytest.param(StepStatus, STEP_MOVES, check_step_move, StepStatus.PENDING, id="step"),
]


@pytest.mark.parametrize(("kind", "moves", "check", "first"), TABLES)
def test_every_status_has_its_moves_and_they_lead_to_statuses(kind, moves, check, first):
    assert set(moves) == set(kind)
    assert all(isinstance(new, kind) for targets in moves.values() for new in targets)


@pytest.mark.parametrize(("kind", "moves", "check", "first"), TABLES)
def test_every_status_can_be_reached_from_the_first(kind, moves, check, first):
    reached, queue = {first}, [first]
    while queue:
        for new in moves[queue.pop()] - reached:
            reached.add(new)
            queue.append(new)
    assert reached == set(kind)


@pytest.mark.parametrize(("kind", "moves", "check", "first"), TABLES)
def test_the_check_agrees_with_the_table_on_every_pair(kind, moves, check, first):
    for old in kind:
        for new in kind:
            if new in moves[old]:
                check(old, new)
            else:
                with pytest.raises(InternalError):
                    check(old, new)


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.ABORTED])
def test_a_final_run_moves_nowhere_and_accepts_nothing(status):
    assert not RUN_MOVES[status]
    assert allowed_verbs(status) == ()


def test_a_failed_run_can_be_recovered_and_nothing_else():
    assert allowed_verbs(RunStatus.FAILED) == ("abort", "retry", "skip")


def test_open_statuses_come_before_closed_ones():
    assert [status for status in RunStatus if status.is_open] == list(RunStatus)[:7]
    assert [status for status in StepStatus if status.is_open] == list(StepStatus)[:6]


def test_every_open_status_of_a_step_can_be_cancelled():
    for status in StepStatus:
        if status.is_open:
            assert StepStatus.CANCELLED in STEP_MOVES[status]


def test_each_verb_is_accepted_somewhere():
    assert all(RUN_VERBS.values())
