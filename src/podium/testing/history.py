"""What must hold of every history, whatever went wrong while it was made.

A history is what an outside observer wrote down: the ticks a store applied, the effects of task
bodies, the calls of clients and what durable functions saw. `check_history` compares it with
the store and returns everything that contradicts the promises of the engine, in words.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from podium.core.ids import run_id
from podium.core.plan import Plan
from podium.core.state import ROOT, RunState
from podium.core.states import RunStatus
from podium.ports.store import ApprovalStatus, RunRow
from podium.testing.journal import Walk, walk_journal

__all__ = ["Applied", "Call", "Execution", "History", "Observation", "Started", "check_history"]

TOKEN_BITS: Final = 20


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """One run's part of a tick that the store applied."""

    at: float
    run_no: int
    node_id: int
    home_epoch: int
    old_seq: int
    new_seq: int
    status: int
    body: bytes


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """The body of one attempt ran: its effect happened."""

    at: float
    node: str
    run_id: str
    step: str
    attempt: int
    key: str
    token: int
    commits: int
    """How many ticks had been applied before."""


class Call(msgspec.Struct, kw_only=True):
    """What a client asked of a run, and what it was told."""

    message_id: str
    run_no: int
    verb: str
    is_stale: bool = False
    """A decision about a payload that nobody was shown: it must be refused."""
    answer: str = "unknown"
    """applied, refused or unknown."""


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A start that was acknowledged."""

    key: str
    run_no: int


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What a durable function got from one of its steps, in one of its lives."""

    key: str
    """The idempotency key of the run."""
    life: int
    seq: int
    """How far the store had got with the run."""
    label: str
    value: Any


class History(msgspec.Struct):
    """Everything an outside observer saw, in order."""

    applied: list[Applied] = []
    executions: list[Execution] = []
    calls: list[Call] = []
    starts: list[Started] = []
    observations: list[Observation] = []
    lives: int = 0
    """How often any durable function was entered."""
    violations: list[str] = []
    """What was seen to be wrong while it happened."""


class Evidence(msgspec.Struct):
    """A history beside the store it led to."""

    history: History
    database: Any
    plans: dict[str, Plan]
    walks: dict[int, Walk]


Check = Callable[[Evidence], Iterator[str]]


def check_history(history: History, database: Any, plans: dict[str, Plan]) -> list[str]:
    """Return all that is wrong, in words; empty if every promise was kept.

    `database` has the tables of `podium.adapters.memory.MemoryDatabase`; `plans` holds the
    compiled workflows by content hash.
    """
    walks = {
        row.run_no: walk_journal(row, database.journal.get(row.run_no, []), plans[row.def_hash])
        for row in database.runs.values()
    }
    evidence = Evidence(history, database, plans, walks)
    found = list(history.violations)
    for walk in walks.values():
        found.extend(walk.faults)
    for check in CHECKS:
        found.extend(check(evidence))
    return found


def _state_is_the_fold(evidence: Evidence) -> Iterator[str]:
    for row in evidence.database.runs.values():
        state = evidence.walks[row.run_no].state
        shown = (row.last_seq, row.status, row.generation)
        if shown != (state.seq, state.status, state.generation):
            folded = (state.seq, int(state.status), state.generation)
            yield f"{run_id(row.run_no)}: its row says {shown}, its journal {folded}"
        yield from _rows_match(evidence, row, state)


def _rows_match(evidence: Evidence, row: RunRow, state: RunState) -> Iterator[str]:
    rows = evidence.database.steps.get(row.run_no, {})
    for step in state.steps.values():
        if step.no == ROOT or step.status.is_open:
            continue
        kept = rows.get(step.no)
        if kept is None or kept.status != step.status:
            yield f"{run_id(row.run_no)}: the row of {step.path!r} is not {step.status.label}"
    for asked in evidence.database.approvals.values():
        pending = asked.status == ApprovalStatus.PENDING
        if asked.run_no == row.run_no and pending != (asked.step_no in state.approvals):
            yield f"{run_id(row.run_no)}: the approval of {asked.path!r} does not match its state"


def _homes_follow_each_other(evidence: Evidence) -> Iterator[str]:
    last: dict[int, Applied] = {}
    for applied in evidence.history.applied:
        before = last.get(applied.run_no)
        last[applied.run_no] = applied
        where = f"{run_id(applied.run_no)} at seq {applied.old_seq}"
        if before is None:
            continue
        if applied.old_seq != before.new_seq:
            yield f"{where}: a tick came after seq {before.new_seq}"
        if applied.home_epoch < before.home_epoch:
            yield f"{where}: an old home wrote after a newer one"
        if applied.home_epoch == before.home_epoch and applied.node_id != before.node_id:
            yield f"{where}: two nodes wrote under one home epoch"


def _effects_were_recorded_first(evidence: Evidence) -> Iterator[str]:
    seen: set[tuple[str, int]] = set()
    order = _commit_numbers(evidence.history)
    runs = {run_id(run_no): walk for run_no, walk in evidence.walks.items()}
    for done in evidence.history.executions:
        what = f"attempt {done.attempt} of {done.key}"
        if (done.key, done.attempt) in seen:
            yield f"{what} ran twice"
        seen.add((done.key, done.attempt))
        walk = runs.get(done.run_id)
        life = done.key.rpartition("/")[2]
        seq = walk.starts.get((done.step, life, done.attempt)) if walk else None
        if seq is None or walk is None:
            yield f"{what} ran and is not in the journal"
        elif order[walk.run_no, seq] >= done.commits:
            yield f"{what} ran before its start was durable"


def _commit_numbers(history: History) -> dict[tuple[int, int], int]:
    """Return for every (run, seq) the number of the commit that held it."""
    return {
        (applied.run_no, seq): at
        for at, applied in enumerate(history.applied)
        for seq in range(applied.old_seq + 1, applied.new_seq + 1)
    }


def _no_effect_starts_after_the_end(evidence: Evidence) -> Iterator[str]:
    """A stopped process may not know better; its fencing token says so to what it calls."""
    ended: dict[str, tuple[int, int]] = {}
    commits = iter(enumerate(evidence.history.applied))
    at, applied = next(commits, (0, None))
    for done in evidence.history.executions:
        while applied is not None and at < done.commits:
            stopping = applied.status >= RunStatus.CANCELLING
            if stopping:
                ended[run_id(applied.run_no)] = (applied.home_epoch, applied.status)
            else:
                ended.pop(run_id(applied.run_no), None)
            at, applied = next(commits, (0, None))
        epoch, status = ended.get(done.run_id, (1 << 62, 0))
        if done.token >> TOKEN_BITS >= epoch:
            label = RunStatus(status).label
            yield f"attempt {done.attempt} of {done.key} ran after the run was {label}"


def _later_attempts_have_larger_tokens(evidence: Evidence) -> Iterator[str]:
    tokens: dict[str, dict[int, int]] = defaultdict(dict)
    for done in evidence.history.executions:
        tokens[done.key][done.attempt] = done.token
    for key, by_attempt in tokens.items():
        ordered = [by_attempt[attempt] for attempt in sorted(by_attempt)]
        if ordered != sorted(set(ordered)):
            yield f"{key}: a later attempt had no larger fencing token"


def _starts_are_kept(evidence: Evidence) -> Iterator[str]:
    runs = evidence.database.runs
    by_key: dict[str, set[int]] = defaultdict(set)
    for started in evidence.history.starts:
        by_key[started.key].add(started.run_no)
        if started.run_no not in runs:
            yield f"{run_id(started.run_no)} was acknowledged and does not exist"
    for row in runs.values():
        if row.idempotency_key is not None:
            by_key[row.idempotency_key].add(row.run_no)
    for key, numbers in by_key.items():
        if len(numbers) > 1:
            names = ", ".join(run_id(number) for number in sorted(numbers))
            yield f"the key {key!r} started more than one run: {names}"


def _messages_have_one_outcome(evidence: Evidence) -> Iterator[str]:
    outcomes = evidence.database.outcomes
    marks: Counter[str] = Counter()
    for walk in evidence.walks.values():
        marks.update(walk.marks)
    for message in evidence.database.inbox.values():
        yield f"the message {message.message_id} to {run_id(message.run_no)} was never read"
    for call in evidence.history.calls:
        outcome = outcomes.get(call.message_id)
        told = "unknown" if outcome is None else "applied" if outcome.applied else "refused"
        what = f"{call.verb} {call.message_id} to {run_id(call.run_no)}"
        if call.answer not in {"unknown", told}:
            yield f"{what}: the client was told {call.answer}, the store says {told}"
        if marks[call.message_id] != (told == "applied"):
            yield f"{what} is {told} and stands {marks[call.message_id]} times in the journal"
        if call.is_stale and told == "applied":
            yield f"{what}: a decision about something else was applied"


def _children_are_born_once(evidence: Evidence) -> Iterator[str]:
    runs = evidence.database.runs
    born: Counter[tuple[int, int]] = Counter()
    for row in runs.values():
        if row.parent_run and not row.forked_from:
            born[row.parent_run, row.parent_step] += 1
    for (parent, step), count in born.items():
        if count > runs[parent].generation:
            yield f"step {step} of {run_id(parent)} has {count} child runs"
    for walk in evidence.walks.values():
        for child in walk.children:
            if child not in runs or runs[child].parent_run != walk.run_no:
                yield f"{run_id(walk.run_no)} is linked to {run_id(child)}, which is not its child"


def _next_lives_begin_once(evidence: Evidence) -> Iterator[str]:
    lives = Counter(row.forked_from for row in evidence.database.runs.values())
    for row in evidence.database.runs.values():
        expected = row.reason == "continued_as_new"
        if lives[row.run_no] != expected:
            yield f"{run_id(row.run_no)} continued as new {lives[row.run_no]} times"


def _functions_see_the_same_again(evidence: Evidence) -> Iterator[str]:
    lives: dict[str, dict[int, list[Observation]]] = defaultdict(dict)
    for seen in evidence.history.observations:
        lives[seen.key].setdefault(seen.life, []).append(seen)
    reopened = {r.idempotency_key for r in evidence.database.runs.values() if r.generation > 1}
    for key, by_life in lives.items():
        if key in reopened:
            continue
        confirmed = [_confirmed(life) for life in by_life.values()]
        longest = max(confirmed, key=len)
        for life in confirmed:
            for one, other in zip(life, longest, strict=False):
                if one != other:
                    yield f"{key}: its function saw {one} and in its place {other}"
                    break


def _confirmed(life: list[Observation]) -> list[tuple[str, Any]]:
    """Return what a life saw before the last tick it lived to see: the rest may be undone."""
    last = max(seen.seq for seen in life)
    return [(seen.label, seen.value) for seen in life if seen.seq < last]


CHECKS: Final[tuple[Check, ...]] = (
    _state_is_the_fold,
    _homes_follow_each_other,
    _effects_were_recorded_first,
    _no_effect_starts_after_the_end,
    _later_attempts_have_larger_tokens,
    _starts_are_kept,
    _messages_have_one_outcome,
    _children_are_born_once,
    _next_lives_begin_once,
    _functions_see_the_same_again,
)
