"""A new run from an old one: same workflow and input, with edits, from a step on."""

import hashlib
from typing import Any

from podium.core.plan import Plan
from podium.core.scope import output_of
from podium.core.state import RunState
from podium.core.states import StepStatus
from podium.core.turn import Facts, Turn
from podium.errors import NotFoundError, did_you_mean
from podium.runtime.engine import Engine
from podium.runtime.options import StartRequest
from podium.runtime.views import fold_run

__all__ = ["rerun_request"]


async def rerun_request(
    engine: Engine, run_no: int, *, from_step: str, changes: dict[str, Any], version: str
) -> StartRequest:
    """Return the request that starts `run_no` anew.

    With `from_step`, results of finished tasks that do not depend on it are carried over.
    """
    _row, state, plan = await fold_run(engine, run_no)
    target = await engine.registry.named(state.workflow, version) if version else plan
    value = engine.payloads.decode(state.input)
    if changes:
        value = {**value, **changes} if isinstance(value, dict) else changes
    body = engine.payloads.encode(value)
    carried: dict[str, bytes] = {}
    if from_step:
        carried = _carried(engine, state, plan, from_step)
    return StartRequest(
        plan=target,
        input=body,
        organization=state.organization,
        request_hash=hashlib.sha256(target.def_hash.encode() + body).hexdigest(),
        priority=state.priority,
        labels=state.labels,
        forked_from=run_no,
        carried=carried,
    )


def _carried(engine: Engine, state: RunState, plan: Plan, from_step: str) -> dict[str, bytes]:
    names = {plan.tasks[index].name: index for index in plan.roots}
    head = from_step.partition("/")[0].partition("[")[0]
    if head not in names:
        raise NotFoundError(
            f"The workflow {state.workflow!r} has no task {from_step!r} to start from.",
            fix=did_you_mean(head, list(names), what="task"),
            code="PDM-R408",
        )
    stale = _after(plan, names[head])
    turn = Turn(state, Facts(plan, inputs=engine.payloads.decode(state.input)), 0)
    carried = {}
    for step in state.children(state.root):
        if step.status is StepStatus.COMPLETED and step.task not in stale:
            carried[step.path] = engine.payloads.offload(output_of(turn, step))
    return carried


def _after(plan: Plan, index: int) -> set[int]:
    """Return the task and everything that depends on it."""
    found = {index}
    queue = [index]
    while queue:
        for dependent in plan.tasks[queue.pop()].dependents:
            if dependent not in found:
                found.add(dependent)
                queue.append(dependent)
    return found
