"""What is wrong with the agents of a workflow, and with the tasks that name them."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from podium.core.agents import BUILT_IN, ROOT_RE, AgentSpec, AgentTool
from podium.core.definition import Task, Workflow
from podium.core.ranges import Value, range_faults
from podium.errors import Fault, did_you_mean

__all__ = ["agent_faults", "spec_faults"]

SLUG: Final = r"[A-Za-z][A-Za-z0-9_-]{0,62}"
TOOL_NAME_RE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
TARGET_RE: Final = re.compile(r"python:[^\s:]+:[^\s:]+")
AGENT_RE: Final = re.compile(rf"agent:({SLUG})")
HOST_RE: Final = re.compile(r"(\*\.)?[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


def agent_faults(workflow: Workflow) -> Iterator[Fault]:
    """Yield the faults of all agents, and of tasks whose agent does not exist."""
    agents = workflow.agents or {}
    for slug, spec in agents.items():
        yield from spec_faults(spec, agents, f"/agents/{slug}")
    yield from _task_faults(workflow.tasks, agents)


def _task_faults(tasks: Sequence[Task], agents: Mapping[str, AgentSpec]) -> Iterator[Fault]:
    waiting = [(task, f"/tasks/{index}") for index, task in enumerate(tasks)]
    while waiting:
        task, place = waiting.pop()
        waiting += [(inner, f"{place}/tasks/{i}") for i, inner in enumerate(task.tasks)]
        named = AGENT_RE.fullmatch(task.uses)
        if named and named[1] not in agents:
            yield _unknown_agent(f"Task {task.name!r}", named[1], agents, f"{place}/uses")


def _unknown_agent(who: str, slug: str, agents: Mapping[str, AgentSpec], pointer: str) -> Fault:
    return Fault(
        code="PDM-D401",
        message=f"{who} uses the agent {slug!r}, which is not declared.",
        why="Agents stand under `agents:`, in the definition or in podium.yaml.",
        fix=did_you_mean(slug, list(agents), what="agent"),
        pointer=pointer,
    )


def spec_faults(
    spec: AgentSpec, agents: Mapping[str, AgentSpec], place: str = ""
) -> Iterator[Fault]:
    """Yield what is wrong with one agent; nothing it names is imported or looked up."""
    yield from range_faults(_numbers(spec), place)
    for index, tool in enumerate(spec.tools):
        yield from _tool_faults(spec, tool, agents, f"{place}/tools/{index}")
    yield from _name_faults(spec, place)
    if spec.fallback and not TARGET_RE.fullmatch(spec.fallback):
        yield Fault(
            code="PDM-D108",
            message=f"The fallback {spec.fallback[:80]!r} of agent {spec.name!r} is no function.",
            why="What stands in for a model is a plain function.",
            fix="Write fallback: python:package.module:function",
            pointer=f"{place}/fallback",
        )


def _numbers(spec: AgentSpec) -> Iterator[Value]:
    yield "max_turns", "max_turns", spec.max_turns
    yield "max_tokens", "max_tokens", spec.max_tokens
    yield "temperature", "temperature", spec.temperature
    yield "repairs", "repairs", spec.repairs
    yield "usd", "budget/usd", spec.budget.usd
    yield "tokens", "budget/tokens", spec.budget.tokens
    yield "max_turns", "budget/turns", spec.budget.turns
    yield "calls", "budget/calls", spec.budget.calls
    yield "timeout", "budget/time", spec.budget.time_us
    for index, tool in enumerate(spec.tools):
        yield "calls", f"tools/{index}/calls", tool.calls
        yield "timeout", f"tools/{index}/timeout", tool.timeout_us
        yield "result_bytes", f"tools/{index}/result_bytes", tool.result_bytes


def _tool_faults(
    spec: AgentSpec, tool: AgentTool, agents: Mapping[str, AgentSpec], place: str
) -> Iterator[Fault]:
    named = AGENT_RE.fullmatch(tool.uses)
    if named and named[1] not in agents:
        yield _unknown_agent(f"Agent {spec.name!r}", named[1], agents, place)
    elif not named and tool.uses not in BUILT_IN and not TARGET_RE.fullmatch(tool.uses):
        known = [*BUILT_IN, "python:module:function", "agent:<slug>"]
        yield Fault(
            code="PDM-D402",
            message=f"Agent {spec.name!r} lists the tool {tool.uses[:80]!r}, which is unknown.",
            why="An agent has the tools that are listed, and no others.",
            fix=did_you_mean(tool.uses, known, what="tool"),
            pointer=place,
        )
    elif not TOOL_NAME_RE.fullmatch(tool.label):
        yield Fault(
            code="PDM-D104",
            message=f"{tool.label[:80]!r} is no name for a tool.",
            why="A name starts with a letter; then letters, digits, _ and - follow, 64 at most.",
            fix="Give the tool a `name:`.",
            pointer=place,
        )
    if tool.verify and not TARGET_RE.fullmatch(tool.verify):
        yield Fault(
            code="PDM-D108",
            message=f"{tool.verify[:80]!r} is no function to verify a call of a tool with.",
            fix="Write verify: python:package.module:function",
            pointer=f"{place}/verify",
        )
    yield from _reach_faults(tool, place)


def _reach_faults(tool: AgentTool, place: str) -> Iterator[Fault]:
    for key, given, tools in (
        ("roots", tool.roots, ("read_file", "grep")),
        ("hosts", tool.hosts, ("http_get",)),
    ):
        if given and tool.uses not in tools:
            yield Fault(
                code="PDM-D206",
                message=f"The tool {tool.label!r} has {key!r}, which it does not know.",
                why=f"{key!r} is for {' and '.join(tools)} only.",
                fix=f"Remove {key!r}; other tools check their own arguments.",
                pointer=f"{place}/{key}",
            )
    for index, root in enumerate(tool.roots):
        if "${{" in root and not ROOT_RE.fullmatch(root):
            yield Fault(
                code="PDM-D406",
                message=f"{root[:80]!r} is no folder.",
                why="A root is a folder, or names one member of the agent's input and no more.",
                fix='For example "docs" or "${{ input.folder }}".',
                pointer=f"{place}/roots/{index}",
            )
    for index, host in enumerate(tool.hosts):
        if not HOST_RE.fullmatch(host):
            yield Fault(
                code="PDM-D403",
                message=f"{host[:80]!r} is no host.",
                why="A host is a name or an address, with a port if it is not 80 or 443.",
                fix='For example "example.org", "*.example.org" or "127.0.0.1:8080".',
                pointer=f"{place}/hosts/{index}",
            )


def _name_faults(spec: AgentSpec, place: str) -> Iterator[Fault]:
    labels = [tool.label for tool in spec.tools]
    for label in sorted(name for name, times in Counter(labels).items() if times > 1):
        yield Fault(
            code="PDM-D103",
            message=f"Agent {spec.name!r} has two tools called {label!r}.",
            why="A model calls a tool by its name.",
            fix="Give one of them another `name:`.",
            pointer=f"{place}/tools",
        )
    for index, name in enumerate(spec.approvals):
        if name not in labels:
            yield Fault(
                code="PDM-D402",
                message=f"Agent {spec.name!r} asks for approval of {name!r}, which it cannot call.",
                why="`approvals` names tools that are listed under `tools`.",
                fix=did_you_mean(name, labels, what="tool"),
                pointer=f"{place}/approvals/{index}",
            )
