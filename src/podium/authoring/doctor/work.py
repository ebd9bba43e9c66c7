"""How runs are doing: stuck ones, approvals that nobody sees, children, recovery, parked work."""

from collections import Counter
from typing import Final

from podium.authoring.doctor.findings import Check, Patient, some
from podium.core.ids import run_id
from podium.core.states import RunStatus, StepStatus
from podium.ports.store import RunFilter, RunRow
from podium.runtime.explain import explain_run

__all__ = [
    "approval_rows",
    "child_definitions",
    "child_failures",
    "no_progress",
    "parallel_limits",
    "parked",
    "recoverable",
    "recoveries",
    "waiting_approvals",
]

SILENT_US: Final = 300_000_000
"""Five minutes: what playbooks call stuck."""
LOOKED_AT: Final = 200
"""Runs that one check looks into; more of them say nothing more."""
FINE: Final = frozenset(
    {"approval", "budget", "child", "in_doubt", "paused", "retrying", "running", "signal", "timer"}
)
"""Blockers that somebody knows of: the run does what it should."""


async def _open_runs(patient: Patient, *statuses: RunStatus) -> list[RunRow]:
    where = RunFilter(statuses=statuses, organization=patient.app.scope)
    return list(await patient.app.engine.store.runs(where, limit=LOOKED_AT))


async def no_progress(patient: Patient) -> Check:
    """Find open runs without progress for five minutes and without a known reason."""
    limit_us = patient.now_us - SILENT_US
    rows = await _open_runs(patient, RunStatus.QUEUED, RunStatus.PLANNING, RunStatus.RUNNING)
    silent = [row for row in rows if row.updated_us < limit_us]
    stuck: list[str] = []
    codes: Counter[str] = Counter()
    for row in silent:
        told = await explain_run(patient.app.engine, row.run_no)
        codes[told.code] += 1
        if told.code not in FINE:
            stuck.append(f"{told.run_id} ({told.code})")
    if stuck:
        fix = f"podium runs explain {stuck[0].partition(' ')[0]}"
        return Check("progress", "warn", f"silent for 5 minutes: {some(stuck)}", fix)
    return Check("progress", "ok", f"{len(rows)} running, {len(silent)} of them long at one step")


async def parallel_limits(patient: Patient) -> Check:
    """Find runs whose own limit keeps several ready steps waiting."""
    rows = await _open_runs(patient, RunStatus.RUNNING)
    narrow: list[str] = []
    for row in rows:
        actor = patient.app.engine.actor(row.run_no)
        limit = None if actor is None else actor.facts.plan.workflow.settings.max_parallel_steps
        if actor is not None and limit is not None and limit <= 1:
            queued = actor.state.tally[StepStatus.QUEUED]
            if queued > 1:
                narrow.append(f"{run_id(row.run_no)}: {queued} steps wait")
    if narrow:
        fix = "Raise max_parallel_steps in the definition; new runs follow it."
        return Check("parallel steps", "warn", some(narrow), fix)
    return Check("parallel steps", "ok", "no run is held back by its own limit")


async def waiting_approvals(patient: Patient) -> Check:
    """Tell how many questions wait for a person, and for how long."""
    rows = await patient.app.engine.store.approvals(limit=1000)
    if not rows:
        return Check("approvals", "ok", "nothing waits for a person")
    oldest_s = (patient.now_us - min(row.created_us for row in rows)) / 1e6
    owners = Counter(row.organization for row in rows)
    told = ", ".join(f"{count} of {name}" for name, count in sorted(owners.items()))
    fix = "podium approvals list; over HTTP each organization sees its own."
    return Check("approvals", "ok", f"{told}; the oldest waits for {oldest_s / 60:.0f} min", fix)


async def approval_rows(patient: Patient) -> Check:
    """Find runs that wait for a person without a question that a person could see."""
    rows = await _open_runs(patient, RunStatus.WAITING)
    lost: list[str] = []
    for row in rows:
        if row.reason == "checkpoint":
            asked = await patient.app.engine.store.approvals(run_no=row.run_no, limit=1)
            if not asked:
                lost.append(run_id(row.run_no))
    if lost:
        fix = f"podium runs explain {lost[0]}; `podium recover` asks again."
        return Check("approval rows", "fail", f"no question for {some(lost)}", fix)
    return Check("approval rows", "ok", "every checkpoint that waits has its question")


async def child_failures(patient: Patient) -> Check:
    """Find parents that still wait for a child run that has ended."""
    rows = await _open_runs(patient, RunStatus.WAITING, RunStatus.RUNNING)
    waiting = [row for row in rows if row.reason == "child"]
    lost: list[str] = []
    limit_us = patient.now_us - SILENT_US
    for row in waiting:
        children = await patient.app.engine.store.runs(RunFilter(parent_run=row.run_no), limit=50)
        is_over = bool(children) and all(not RunStatus(c.status).is_open for c in children)
        if is_over and row.updated_us < limit_us:
            lost.append(run_id(row.run_no))
    if lost:
        fix = "podium recover; then podium runs explain RUN."
        return Check("child runs", "fail", f"waits for a child that has ended: {some(lost)}", fix)
    return Check("child runs", "ok", f"{len(waiting)} runs wait for children that go on")


async def child_definitions(patient: Patient) -> Check:
    """Find active workflows that start a child by a name that is not active."""
    registry = patient.app.engine.registry
    rows = await patient.definitions()
    active = {(row.organization, row.name) for row in rows}
    lost: list[str] = []
    for row in rows:
        plan = await registry.plan(row.def_hash)
        for planned in plan.tasks:
            kind, _, target = planned.task.uses.partition(":")
            name = target.partition("@")[0]
            if kind == "workflow" and (row.organization, name) not in active:
                lost.append(f"{name} in {row.name}")
    if lost:
        fix = "podium workflows publish FILE, or podium workflows rollback NAME"
        return Check("child definitions", "fail", f"not active: {some(lost)}", fix)
    return Check("child definitions", "ok", "every child workflow that is named is active")


async def recoverable(patient: Patient) -> Check:
    """Tell which runs have failed and could be retried."""
    rows = await _open_runs(patient, RunStatus.FAILED)
    day_us = patient.now_us - 86_400_000_000
    recent = [row for row in rows if (row.ended_us or 0) > day_us]
    if recent:
        names = some(run_id(row.run_no) for row in recent)
        fix = f"podium runs show {run_id(recent[0].run_no)}, then `podium runs retry RUN`."
        return Check("failed runs", "warn", f"{len(recent)} in the last day: {names}", fix)
    return Check("failed runs", "ok", "none in the last day")


async def recoveries(patient: Patient) -> Check:
    """Find verbs that were sent and that no process has decided yet."""
    rows = await _open_runs(patient, *RunStatus)
    mail = await patient.app.engine.store.mail([row.run_no for row in rows])
    late = [each for each in mail if each.sent_us and each.sent_us < patient.now_us - 10_000_000]
    if late:
        names = some(run_id(each.run_no) for each in late)
        fix = "No process reads them: podium recover, or podium serve."
        return Check("verbs under way", "warn", f"not decided for 10 s: {names}", fix)
    return Check("verbs under way", "ok", f"{len(mail)} messages wait to be read")


async def parked(patient: Patient) -> Check:
    """Count the steps that were given up after crashes."""
    count = len(await patient.app.engine.store.dead_letters(limit=1000))
    if count:
        return Check("dead letters", "warn", f"{count} parked", "podium dead-letters list")
    return Check("dead letters", "ok", "none")
