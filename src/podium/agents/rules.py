"""An agent without a model: its fallback answers, as a step like any other.

A run of its own for each agent would record nothing that the step does not, and cost more than
the rules themselves.
"""

from inspect import isawaitable
from typing import Any

import msgspec

from podium.agents.answers import misfits
from podium.agents.loop import run_rules
from podium.core.agents import AgentSpec
from podium.errors import TaskError

__all__ = ["answer_by_rules"]

Json = Any


def answer_by_rules(
    agent: AgentSpec,
    input: Json = None,  # noqa: A002 - the word of the contract
    agents: Json = None,
) -> Any:
    """Return what the fallback of an agent answers, in the shape of an agent's answer."""
    value = run_rules(agent.fallback.partition(":")[2], input)
    return _later(agent, value) if isawaitable(value) else _told(agent, value)


async def _later(agent: AgentSpec, value: Any) -> dict[str, Json]:
    return _told(agent, await value)


def _told(agent: AgentSpec, value: Json) -> dict[str, Json]:
    fault = "" if agent.output is None else misfits(value, agent.output)
    if fault:
        error = TaskError(
            f"The fallback of the agent {agent.name!r} gave no answer that fits its `output`.",
            kind="AgentStopped",
            why=fault,
            fix="Make what the fallback returns fit the schema; a model has to fit it, too.",
        )
        error.code = "PDM-T061"
        raise error
    return {
        "mode": "rules",
        "result": msgspec.to_builtins(value),
        "reason": "no_model",
        "turns": 0,
        "calls": 0,
        "tokens": 0,
        "cost_usd": 0.0,
    }
