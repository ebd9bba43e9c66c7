"""Agents in Python: `Agent` declares one, `agent` asks one from a durable function."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from podium.authoring.agents import build_spec, files_beside, known_agents, remember_agents
from podium.authoring.fields import FieldReader
from podium.authoring.places import Places
from podium.core.agent_faults import spec_faults
from podium.core.agents import AGENT_WORKFLOW, agent_input
from podium.core.definition import Task
from podium.core.states import StepKind
from podium.errors import DefinitionError, RequestError, did_you_mean
from podium.runtime.code import Call
from podium.runtime.registry import target_of

__all__ = ["Agent", "AgentAnswer", "agent"]

Tool = str | dict[str, Any] | Callable[..., Any]


class AgentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent came to."""

    result: Any
    """Text, or an object that fits the agent's `output`."""
    mode: str
    """`model`; `rules` if its fallback answered; `partial` if its budget ended it."""
    reason: str = ""
    """Why it is not `model`: no_model, budget, provider, turns, time, no_progress, unusable, …"""
    turns: int = 0
    calls: int = 0
    """Calls of tools."""
    tokens: int = 0
    cost_usd: float = 0.0


class Agent:
    """An agent of this program; definitions and `podium.agent` know it by its name.

    Options are the keys of `agents:` in a definition. Tools may be functions: those of
    `podium.tool`, or any with typed parameters. Raises `DefinitionError` with all faults.
    """

    def __init__(self, name: str, *, tools: Sequence[Tool] = (), **options: Any) -> None:
        fields = {**options, "tools": [_tool(each) for each in tools]} if tools else options
        reader = FieldReader(_NO_PLACES)
        sound = reader.read("agent", fields, "")
        self.spec = build_spec(name, sound, reader, files_beside(Path.cwd()), "")
        faults = [*reader.faults, *spec_faults(self.spec, {**known_agents(), name: self.spec})]
        if faults:
            raise DefinitionError(faults, source=f"agent {name!r}")
        remember_agents({name: self.spec})

    @property
    def name(self) -> str:
        """Return the name it is known by."""
        return self.spec.name


_NO_PLACES: Final = Places((0, 0), {}, {})


def _tool(given: Tool) -> str | dict[str, Any]:
    return f"python:{target_of(given)}" if callable(given) else given


async def agent(
    which: str | Agent,
    input: Any = None,  # noqa: A002 - the word of the contract
    /,
    *,
    name: str | None = None,
) -> AgentAnswer:
    """Let an agent work on `input` as a run of its own and return its answer.

    Inside a workflow only. Raises `TaskError` if the agent stops without an answer and has no
    fallback. Cancelling this run cancels the agent.
    """
    known = known_agents()
    slug = which if isinstance(which, str) else which.name
    if isinstance(which, Agent):
        known[slug] = which.spec
    if slug not in known:
        raise RequestError(
            f"The agent {slug!r} is not declared.",
            why="Agents come from `agents:` in podium.yaml, or from podium.Agent(…).",
            fix=did_you_mean(slug, list(known), what="agent"),
            code="PDM-R082",
        )
    label = name or slug
    options = {"workflow": AGENT_WORKFLOW, "payload": agent_input(known, slug, input)}
    task = Task(name=label, uses=f"agent:{slug}")
    value = await Call(label, StepKind.CHILD, task, options=options)
    return msgspec.convert(cast("Any", value), AgentAnswer)
