"""What an agent is: a model, instructions, the tools it may call, and the limits it runs in.

An agent runs as a child run of the workflow `podium.agent`. Its description travels in that
run's input, so what an agent was when it started is what it stays, whatever its file says later.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

__all__ = [
    "AGENT_WORKFLOW",
    "BUILT_IN",
    "ROOT_RE",
    "AgentBudget",
    "AgentSpec",
    "AgentTool",
    "agent_input",
    "agents_below",
]

Json = Any

AGENT_WORKFLOW: Final = "podium.agent"
"""The workflow that drives agents; no name an author may choose holds a dot."""

BUILT_IN: Final[Mapping[str, str]] = MappingProxyType(
    {"read_file": "read", "grep": "read", "http_get": "read"}
)
"""The tools that come along, each with its effect."""


ROOT_RE: Final = re.compile(r"\$\{\{\s*input\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}")
"""A root that the input of the agent names."""


class Plain(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the parts of a description: immutable, compact when encoded."""


class AgentTool(Plain, frozen=True, kw_only=True):
    """One tool an agent may call, and how far it reaches; what is not listed does not exist."""

    uses: str
    """`read_file`, `grep`, `http_get`, `python:module:function` or `agent:<slug>`."""
    name: str = ""
    """How the model calls it; default: the last part of `uses`."""
    effect: str = ""
    """`read` or `write`; default: what the tool says of itself, and `write` if it says nothing."""
    on_lost: str = ""
    """`retry` or `in_doubt`: what a call cut off by a crash means; default: `in_doubt` for
    tools that write, so that nothing happens twice without a person; `retry` with `verify`."""
    verify: str = ""
    """`python:module:function` that tells what an earlier attempt of a call has done, or None."""
    roots: tuple[str, ...] = ()
    """Folders that files may be read from; default: the folder of the definition."""
    hosts: tuple[str, ...] = ()
    """Hosts that may be asked, such as `example.org`, `*.example.org`, `127.0.0.1:8080`."""
    calls: int | None = None
    """How often it may be called in one run."""
    timeout_us: int = 30_000_000
    result_bytes: int = 32_768
    """What of a result the model sees; the rest is cut off."""

    @property
    def label(self) -> str:
        """Return the name the model calls it by."""
        return self.name or self.uses.rpartition(":")[2].rpartition(".")[2]


class AgentBudget(Plain, frozen=True, kw_only=True):
    """What one run of an agent may spend; None: no limit of that kind."""

    usd: float | None = None
    tokens: int | None = None
    turns: int | None = None
    """Calls of the model; the lower of this and `max_turns` counts."""
    calls: int | None = None
    """Calls of tools."""
    time_us: int | None = None
    """Time by the clock since the agent began."""


class AgentSpec(Plain, frozen=True, kw_only=True):
    """An agent as declared under `agents:`; files it names have been read."""

    name: str
    model: str = ""
    """An alias of `llm: models:`; "": the only or default one."""
    description: str = ""
    """What it is for; what another agent sees that has it as a tool."""
    instructions: str = ""
    tools: tuple[AgentTool, ...] = ()
    output: Json = None
    """JSON Schema of the result; None: free text."""
    fallback: str = ""
    """`python:module:function` that stands in without a model or without money."""
    budget: AgentBudget = AgentBudget()
    max_turns: int = 8
    max_tokens: int = 2048
    temperature: float | None = None
    approvals: tuple[str, ...] = ()
    """Tools of which a person sees, and may change, every call before it happens."""
    on_lost: str = "retry"
    """`retry` or `in_doubt`: what a call of the model that a crash cut off means."""
    on_taint: str = "ask"
    """`ask` or `refuse`: writing calls of a model that has seen content from outside."""
    untrusted_input: bool = False
    """The input comes from outside: it is data, and the agent is tainted from the start."""
    repairs: int = 2
    """How often an answer that does not fit `output` is sent back."""


def agents_below(agents: Mapping[str, AgentSpec], slug: str) -> dict[str, AgentSpec]:
    """Return the agents that agent `slug` can reach through its tools, by slug."""
    found: dict[str, AgentSpec] = {}
    waiting = [slug]
    while waiting:
        for name in _agents_named(agents.get(waiting.pop())):
            if name in agents and name not in found:
                found[name] = agents[name]
                waiting.append(name)
    return found


def _agents_named(spec: AgentSpec | None) -> Iterator[str]:
    for tool in () if spec is None else spec.tools:
        kind, _, name = tool.uses.partition(":")
        if kind == "agent":
            yield name


def agent_input(agents: Mapping[str, AgentSpec], slug: str, value: Json) -> dict[str, Json]:
    """Return the input of the run that drives agent `slug` on `value`; pins all it can reach."""
    below = agents_below(agents, slug)
    given: dict[str, Json] = {"agent": agents[slug], "input": value}
    return {**given, "agents": below} if below else given
