"""What a step that runs as a run of its own asks for: a workflow by name, or an agent."""

from typing import Any

from podium.core.agents import AGENT_WORKFLOW, agent_input
from podium.core.payload import pack_value
from podium.core.scope import render_arguments
from podium.core.state import Step
from podium.core.template import ExpressionFailure
from podium.core.turn import ChildAsked, Turn

__all__ = ["arguments_of", "child_of", "stand_in_of"]


def child_of(turn: Turn, step: Step) -> ChildAsked:
    """Return the child run that `step` wants; the same every time it is asked for.

    Raises `ExpressionFailure` for arguments that cannot be worked out, or an unknown agent.
    """
    if step.task < 0:
        request = turn.request_of(step)
        return ChildAsked(step.no, request.workflow, request.payload or b"\x80")
    kind, _, name = turn.task_of(step).uses.partition(":")
    arguments = arguments_of(turn, step)
    if kind == "agent":
        return ChildAsked(step.no, AGENT_WORKFLOW, pack_value(arguments))
    return ChildAsked(step.no, name, pack_value(arguments or {}))


def arguments_of(turn: Turn, step: Step) -> Any:
    """Return the arguments of a step of a graph; those of an agent hold what the agent is."""
    kind, _, name = turn.task_of(step).uses.partition(":")
    arguments = render_arguments(turn, step)
    if kind != "agent":
        return arguments
    agents = turn.plan.workflow.agents or {}
    name = stand_in_of(turn, step) or name
    if name not in agents:
        raise _undeclared(name)
    return agent_input(agents, name, arguments)


def stand_in_of(turn: Turn, step: Step) -> str:
    """Return the agent that an operator let stand in for the step's own, or ""."""
    stand_ins = turn.state.stand_ins
    kind, _, name = turn.task_of(step).uses.partition(":") if stand_ins else ("", "", "")
    return stand_ins.get(step.path) or stand_ins.get(name, "") if kind == "agent" else ""


def _undeclared(slug: str) -> ExpressionFailure:
    return ExpressionFailure(
        f"The agent {slug!r} is not declared.",
        why="A workflow that is built in Python and not validated must bring its agents along.",
        fix="Put it into `agents` of the workflow, or build the workflow with podium.Graph.",
        code="PDM-R082",
    )
