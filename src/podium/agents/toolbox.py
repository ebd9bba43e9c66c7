"""What happens between a model asking for a tool and reading its result: checks, people, taint.

Everything a model asks for is checked before anything runs: the tool is listed, its arguments
fit its schema, its limits hold, a person agreed where one must. Once content from outside is in
the conversation, whatever the model wants to write may be that content's wish: it needs a person.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from podium.agents.answers import misfits
from podium.agents.conversation import enclose
from podium.agents.tools import KnownTool, describe_tools, use_tool
from podium.authoring.durable import approval
from podium.core.agents import AGENT_WORKFLOW, ROOT_RE, AgentSpec, agent_input
from podium.core.definition import OnLost, RetryPolicy, Task, Timeouts
from podium.core.states import StepKind
from podium.errors import TaskError, did_you_mean
from podium.ports.models import ToolCall, ToolResult
from podium.runtime.code import Call, Invocation

__all__ = ["Toolbox"]

Json = Any

MISTAKES_MAX: Final = 5
"""Calls that could not even be made before the agent is stopped."""
REPEATS_MAX: Final = 3
"""The same call with the same arguments so often is no progress."""
NAME_SHOWN_MAX: Final = 60


class Refused(Exception):
    """A call is not made; the model is told why."""

    def __init__(self, why: str, *, is_mistake: bool = True) -> None:
        super().__init__(why)
        self.is_mistake = is_mistake


class Toolbox:
    """The tools of one run of an agent; see the module docstring."""

    def __init__(
        self, spec: AgentSpec, others: dict[str, AgentSpec], value: Json, *, is_tainted: bool
    ) -> None:
        self.known: tuple[KnownTool, ...] = ()
        self.calls = 0
        self.stopped: tuple[str, str] | None = None
        """Why the agent must stop, as reason and explanation."""
        self._spec = spec
        self._others = others
        self._input = value
        self._is_tainted = is_tainted
        self._has_read = is_tainted
        self._by_name: dict[str, KnownTool] = {}
        self._used: Counter[str] = Counter()
        self._repeats: Counter[bytes] = Counter()
        self._mistakes = 0

    async def open(self) -> None:
        """Record what the tools are, once: later versions of their code change nothing here."""
        if not self._spec.tools:
            return
        look = Invocation(describe_tools, (self._spec, self._others), {})
        task = Task(name="tools", uses="noop")
        found = await Call("tools", StepKind.TASK, task, invocations=(look,))
        self.known = msgspec.convert(found, tuple[KnownTool, ...])
        self._by_name = {tool.name: tool for tool in self.known}

    def end_turn(self) -> None:
        """Note that the model now reads what its last calls returned."""
        self._is_tainted = self._has_read

    def grouped(self, calls: Sequence[ToolCall]) -> Iterator[list[ToolCall]]:
        """Yield the calls of one turn in order; those of one group may go side by side.

        Calls that only read may, where nobody has to be asked before. What writes goes alone
        and in order: the model may have meant one after the other.
        """
        together: list[ToolCall] = []
        for call in calls:
            tool = self._by_name.get(call.name)
            if tool is not None and tool.effect == "read" and tool.name not in self._spec.approvals:
                together.append(call)
                continue
            if together:
                yield together
                together = []
            yield [call]
        if together:
            yield together

    async def use(self, call: ToolCall, *, turn: int) -> ToolResult:
        """Return the result of what the model asked for, or why it was not done."""
        try:
            tool, arguments = self._checked(call)
            self._count(tool, arguments)
            arguments = await self._allowed(tool, arguments, turn)
            content, is_error = await self._run(tool, arguments, turn)
        except Refused as refusal:
            self._note_mistake(refusal)
            return ToolResult(call_id=call.id, content=str(refusal), is_error=True)
        self._has_read = True
        shown = enclose(content, source=tool.name, seed=call.id)
        return ToolResult(call_id=call.id, content=shown, is_error=is_error)

    # -- before anything runs ------------------------------------------------------------------

    def _checked(self, call: ToolCall) -> tuple[KnownTool, dict[str, Json]]:
        tool = self._by_name.get(call.name)
        if tool is None:
            hint = did_you_mean(call.name[:NAME_SHOWN_MAX], list(self._by_name), what="tool")
            raise Refused(f"There is no tool {call.name[:NAME_SHOWN_MAX]!r}. {hint}")
        arguments = {} if call.arguments is None and not call.raw else call.arguments
        if not isinstance(arguments, dict):
            raise Refused("The arguments are not a JSON object.")
        faults = misfits(arguments, tool.parameters)
        if faults:
            raise Refused(f"The arguments do not fit: {faults}")
        return tool, arguments

    def _count(self, tool: KnownTool, arguments: dict[str, Json]) -> None:
        """Count a call against every limit it falls under."""
        key = msgspec.json.encode([tool.name, arguments], order="sorted")
        digest = blake2b(key, digest_size=16).digest()
        self._repeats[digest] += 1
        if self._repeats[digest] >= REPEATS_MAX:
            what = f"It called {tool.name} {REPEATS_MAX} times with the same arguments."
            self.stopped = ("no_progress", what)
            raise Refused(what, is_mistake=False)
        limit = self._spec.budget.calls
        if limit is not None and self.calls >= limit:
            self.stopped = ("budget", f"It made all of its {limit} calls of tools.")
            raise Refused(self.stopped[1], is_mistake=False)
        allowed = tool.spec.calls
        if allowed is not None and self._used[tool.name] >= allowed:
            raise Refused(f"{tool.name} may be called {allowed} times, and was.")
        self._used[tool.name] += 1
        self.calls += 1

    def _note_mistake(self, refusal: Refused) -> None:
        self._mistakes += refusal.is_mistake
        if self._mistakes >= MISTAKES_MAX and self.stopped is None:
            what = f"{self._mistakes} of its calls could not be made; the last: {refusal}"
            self.stopped = ("mistakes", what)

    # -- people --------------------------------------------------------------------------------

    async def _allowed(
        self, tool: KnownTool, arguments: dict[str, Json], turn: int
    ) -> dict[str, Json]:
        """Return the arguments to call with: the model's, or those a person put in their place."""
        is_listed = tool.name in self._spec.approvals
        is_suspect = self._is_tainted and tool.effect == "write"
        if not is_listed and not is_suspect:
            return arguments
        if not is_listed and self._spec.on_taint == "refuse":
            raise Refused(
                f"{tool.name} changes things, and content from outside has been read: refused.",
                is_mistake=False,
            )
        why = "it has read content from outside" if is_suspect else "the agent's approvals say so"
        fault = ""
        while True:
            decision = await approval(
                f"turn[{turn}]/approve/{tool.name}",
                prompt=f"{fault}May agent {self._spec.name!r} call {tool.name}? Asked because "
                f"{why}.",
                payload={"tool": tool.name, "arguments": arguments},
            )
            if not decision.approved:
                said = f" They said: {decision.comment}" if decision.comment else ""
                raise Refused(f"A person refused this call.{said}", is_mistake=False)
            if decision.decision != "edit":
                return arguments
            edited, fault = _edited(decision.payload, tool)
            if not fault:
                return edited

    # -- the call ------------------------------------------------------------------------------

    async def _run(
        self, tool: KnownTool, arguments: dict[str, Json], turn: int
    ) -> tuple[str, bool]:
        label = f"turn[{turn}]/{tool.name}"
        kind, _, slug = tool.spec.uses.partition(":")
        step = self._ask_agent(slug, arguments, label) if kind == "agent" else None
        try:
            value = await (step or self._step(tool, arguments, label))
        except TaskError as error:
            return f"{tool.name} failed. {error.kind}: {error.what}", True
        if step is not None:
            return msgspec.json.encode(value["result"]).decode()[: tool.spec.result_bytes], False
        return value["content"], value["is_error"]

    def _step(self, tool: KnownTool, arguments: dict[str, Json], label: str) -> Call:
        is_read = tool.effect == "read"
        verify = "python:podium.agents.tools:verify_tool" if tool.spec.verify else ""
        lost = tool.spec.on_lost or ("retry" if is_read or verify else "in_doubt")
        task = Task(
            name=label,
            uses=tool.spec.uses,
            retry=RetryPolicy(max_retries=2 if is_read else 0),
            timeouts=Timeouts(attempt_us=tool.spec.timeout_us),
            on_lost=OnLost(lost),
            verify=verify,
        )
        roots = [self._root(root) for root in tool.spec.roots or (".",)]
        body = Invocation(use_tool, (tool.spec, arguments, roots), {})
        return Call(label, StepKind.TASK, task, invocations=(body,))

    def _root(self, root: str) -> str:
        named = ROOT_RE.fullmatch(root)
        if named is None:
            return root
        value = self._input
        for part in named[1].split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if not isinstance(value, str) or self._spec.untrusted_input:
            raise Refused(f"The input names no folder under {named[1]!r}.", is_mistake=False)
        return value

    def _ask_agent(self, slug: str, arguments: dict[str, Json], label: str) -> Call:
        agents = {**self._others, self._spec.name: self._spec}
        given = agent_input(agents, slug, arguments["input"])
        payload = {**given, "is_tainted": self._is_tainted}
        options = {"workflow": AGENT_WORKFLOW, "payload": payload}
        return Call(label, StepKind.CHILD, Task(name=label, uses=f"agent:{slug}"), options=options)


def _edited(payload: Json, tool: KnownTool) -> tuple[dict[str, Json], str]:
    """Return the arguments a person gave, or why they cannot be used; the tool stays the same."""
    given = payload if isinstance(payload, dict) else {}
    arguments = given.get("arguments")
    if given.get("tool", tool.name) != tool.name or not isinstance(arguments, dict):
        return {}, "The edit must keep the tool and hold `arguments`. "
    fault = misfits(arguments, tool.parameters)
    return arguments, f"The edited arguments do not fit: {fault}. " if fault else ""
