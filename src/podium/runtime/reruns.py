"""A new run from an old one: same workflow and input, with edits, from a step on."""

import hashlib
from collections.abc import Callable
from typing import Any

from podium.core.definition import Workflow
from podium.core.ids import parse_step_id, run_id
from podium.core.plan import Plan
from podium.core.scope import output_of
from podium.core.state import ROOT, RunState
from podium.core.states import StepStatus
from podium.core.turn import Facts, Turn
from podium.errors import ConflictError, NotFoundError, did_you_mean
from podium.runtime.engine import Engine
from podium.runtime.options import StartRequest
from podium.runtime.views import fold_run

__all__ = ["rerun_request"]


async def rerun_request(
    engine: Engine,
    run_no: int,
    *,
    from_step: str,
    changes: dict[str, Any],
    version: str,
    agents: dict[str, str],
    by: str,
    check: Callable[[Workflow, Any], Any],
) -> StartRequest:
    """Return the request that starts `run_no` anew.

    With `from_step`, results of finished tasks that do not depend on it are carried over;
    `check` returns the input as the workflow takes it, or raises.
    """
    _row, state, plan = await fold_run(engine, run_no)
    target, owner = plan, state.organization
    if version:
        target = await engine.registry.named(state.workflow, version, organization=owner)
    value = engine.payloads.decode(state.input)
    if changes:
        value = {**value, **changes} if isinstance(value, dict) else changes
    if changes or version:
        value = check(target.workflow, value)
    _check_agents(target, agents)
    body = engine.payloads.encode(value)
    carried: dict[str, bytes] = {}
    if from_step:
        carried = _carried(engine, state, plan, _path(state, from_step))
    return StartRequest(
        plan=target,
        input=body,
        organization=state.organization,
        request_hash=hashlib.sha256(target.def_hash.encode() + body).hexdigest(),
        priority=state.priority,
        labels=state.labels,
        forked_from=run_no,
        carried=carried,
        requesters=(by,) if by else tuple(state.requesters),
        stand_ins={**state.stand_ins, **agents},
    )


def _path(state: RunState, step: str) -> str:
    """Return the path of a step that is named by path or by record id."""
    if not step.startswith("stp_"):
        return step
    run_no, step_no = parse_step_id(step)
    found = state.steps.get(step_no) if run_no == state.run_no else None
    if found is None or found.no == ROOT:
        raise NotFoundError(
            f"{run_id(state.run_no)} has no step {step!r} (any more).",
            fix=f"List its steps with `podium runs show {run_id(state.run_no)}`.",
            code="PDM-R408",
        )
    return found.path


def _check_agents(plan: Plan, agents: dict[str, str]) -> None:
    known = plan.workflow.agents or {}
    used = {task.task.uses.removeprefix("agent:") for task in plan.tasks}
    for old, new in agents.items():
        if new not in known:
            what, near = f"The agent {new!r} is not declared.", list(known)
        elif old not in used and old not in {task.name for task in plan.tasks}:
            what, near = f"No task runs the agent {old!r}.", sorted(used & known.keys())
        else:
            continue
        raise ConflictError(
            what,
            why=f"It is to stand in: {old} → {new}.",
            fix=did_you_mean(new if new not in known else old, near, what="agent"),
            code="PDM-C006",
            code_word="unknown_agent",
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
