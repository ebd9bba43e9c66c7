"""The agent loop: a durable function that lets a model choose the next step, within bounds.

Every call of the model and of a tool is a step of the agent's run, so that a crash repeats
nothing that was answered, and people can see, approve and cancel each of them. The loop itself
decides from recorded results only.
"""

from collections import Counter
from typing import Any, Final

import msgspec

from podium.agents.answers import misfits, read_answer
from podium.agents.calls import Asked, Question, ask_model
from podium.agents.conversation import RULES, Conversation, enclose, text_of
from podium.agents.toolbox import Toolbox
from podium.authoring.decorators import workflow
from podium.authoring.durable import gather, now
from podium.core.agents import AGENT_WORKFLOW, AgentSpec
from podium.core.definition import OnLost, RetryPolicy, Task
from podium.core.states import StepKind
from podium.errors import TaskError
from podium.ports.models import Finish, Message, Part, Role, Text, ToolCall, ToolResult, ToolSpec
from podium.runtime.code import Call, Invocation
from podium.runtime.registry import bind_input, load_target

__all__ = ["drive"]

Json = Any

MODEL_RETRIES: Final = RetryPolicy(max_retries=2, delay_initial_us=5_000_000)
"""Beyond the retries of the gateway, for a provider that is down for longer."""


class Stopped(Exception):
    """The agent cannot come to an answer by itself; `reason` is machine-readable."""

    def __init__(self, reason: str, why: str, *, outcome: str = "") -> None:
        super().__init__(why)
        self.reason = reason
        self.why = why
        self.outcome = outcome


LOOP_VERSION: Final = "2"
"""Raised whenever the loop asks for other steps than before: runs stay with what they began."""


@workflow(name=AGENT_WORKFLOW, version=LOOP_VERSION)
async def drive(
    agent: dict[str, Json],
    input: Json = None,  # noqa: A002 - the word of the contract
    agents: dict[str, Json] | None = None,
    is_tainted: bool = False,  # noqa: FBT001, FBT002 - part of the recorded input
) -> dict[str, Json]:
    """Drive one agent to its result: `{mode, result, reason, turns, calls, tokens, cost_usd}`."""
    spec = msgspec.convert(agent, AgentSpec)
    others = msgspec.convert(agents or {}, dict[str, AgentSpec])
    return await _Drive(spec, others, input, is_tainted=is_tainted).outcome()


class _Drive:
    """One run of one agent."""

    def __init__(
        self, spec: AgentSpec, others: dict[str, AgentSpec], value: Json, *, is_tainted: bool
    ) -> None:
        self._spec = spec
        self._input = value
        self._said = Conversation(_system(spec, is_tainted=is_tainted))
        is_outside = is_tainted or spec.untrusted_input
        self._said.add(Role.USER, Text(text=_opening(value, is_outside=is_outside)))
        self._tools = Toolbox(spec, others, value, is_tainted=is_outside)
        self._spent: Counter[str] = Counter()
        self._last_text = ""
        self._began_us = 0.0

    async def outcome(self) -> dict[str, Json]:
        """Return what the agent came to, or what stands in for it."""
        try:
            return self._told("model", await self._converse())
        except Stopped as stop:
            if self._spec.fallback:
                return self._told("rules", await self._by_rules(), stop.reason)
            if stop.outcome == "partial":
                known = None if self._spec.output is not None else self._last_text
                return self._told("partial", known, stop.reason)
            raise _unanswered(self._spec.name, stop) from None

    def _told(self, mode: str, result: Json, reason: str = "") -> dict[str, Json]:
        return {
            "mode": mode,
            "result": result,
            "reason": reason,
            "turns": self._spent["turns"],
            "calls": self._tools.calls,
            "tokens": self._spent["tokens"],
            "cost_usd": self._spent["nano"] / 1e9,
        }

    # -- the conversation ----------------------------------------------------------------------

    async def _converse(self) -> Json:
        await self._tools.open()
        while True:
            message = await self._ask()
            calls = [part for part in message.parts if isinstance(part, ToolCall)]
            if calls:
                await self._use(calls)
                continue
            value, fault = read_answer(text_of(message), self._spec.output)
            if not fault:
                return value
            self._send_back(fault)

    async def _use(self, calls: list[ToolCall]) -> None:
        results: list[ToolResult] = []
        turn = self._spent["turns"]
        for group in self._tools.grouped(calls):
            if len(group) == 1:
                results.append(await self._tools.use(group[0], turn=turn))
            else:
                results += await gather(*(self._tools.use(call, turn=turn) for call in group))
            if self._tools.stopped:
                raise Stopped(*self._tools.stopped)
        self._tools.end_turn()
        self._said.add(Role.USER, *results)

    def _send_back(self, fault: str) -> None:
        self._spent["repairs"] += 1
        if self._spent["repairs"] > self._spec.repairs:
            raise Stopped("unusable", fault)
        self._said.add(Role.USER, Text(text=f"That answer cannot be used. {fault} Answer again."))

    async def _ask(self) -> Message:
        await self._check_bounds()
        self._spent["turns"] += 1
        recorded = await self._answered(self._model_step(self._question()))
        if "stopped" in recorded:
            outcome = recorded.get("outcome", "")
            raise Stopped(recorded["stopped"], recorded["why"], outcome=outcome)
        self._spent["tokens"] += recorded["tokens"]
        self._spent["nano"] += recorded["cost_nano"]
        parts = msgspec.convert(recorded["parts"], tuple[Part, ...])
        message = Message(role=Role.ASSISTANT, parts=parts)
        self._said.add(message.role, *parts)
        self._last_text = text_of(message) or self._last_text
        finish = recorded["finish"]
        if finish not in (Finish.STOP, Finish.TOOL_CALLS):
            raise Stopped(finish, f"The model stopped before its answer was whole: {finish}.")
        return message

    async def _answered(self, step: Call) -> dict[str, Json]:
        """Return what a step recorded; a provider that stays away is a reason to stop."""
        try:
            recorded: dict[str, Json] = await step
        except TaskError as error:
            is_away = error.kind == "ModelError" and getattr(error.record, "retryable", False)
            if self._spec.fallback and is_away:
                raise Stopped("provider", error.what) from None
            raise
        return recorded

    def _model_step(self, question: Question) -> Call:
        label = f"turn[{self._spent['turns']}]/model"
        task = Task(
            name=label,
            uses="llm",
            retry=MODEL_RETRIES,
            on_lost=OnLost(self._spec.on_lost),
        )
        asked = Invocation(ask_model, (Asked(question),), {})
        return Call(label, StepKind.TASK, task, invocations=(asked,))

    def _question(self) -> Question:
        spec, budget = self._spec, self._spec.budget
        tools = tuple(
            ToolSpec(name=tool.name, description=tool.description, parameters=tool.parameters)
            for tool in self._tools.known
        )
        nano, tokens = self._spent["nano"], self._spent["tokens"]
        return Question(
            agent=spec.name,
            model=spec.model,
            messages=self._said.messages,
            digest=self._said.digest,
            max_tokens=spec.max_tokens,
            temperature=spec.temperature,
            tools=tools,
            schema=spec.output,
            usd_left=None if budget.usd is None else budget.usd - nano / 1e9,
            tokens_left=None if budget.tokens is None else budget.tokens - tokens,
            has_fallback=bool(spec.fallback),
        )

    async def _check_bounds(self) -> None:
        budget, spent = self._spec.budget, self._spent
        turns_max = min(self._spec.max_turns, budget.turns or self._spec.max_turns)
        if spent["turns"] >= turns_max:
            raise Stopped("turns", f"It came to no answer in {turns_max} turns.")
        if budget.tokens is not None and spent["tokens"] >= budget.tokens:
            raise Stopped("budget", f"It used {spent['tokens']:,} of {budget.tokens:,} tokens.")
        if budget.usd is not None and spent["nano"] and spent["nano"] >= budget.usd * 1e9:
            raise Stopped("budget", f"It spent ${spent['nano'] / 1e9:.4f} of ${budget.usd}.")
        if budget.time_us is not None:
            await self._check_time(budget.time_us)

    async def _check_time(self, limit_us: int) -> None:
        at_us = (await now()).timestamp() * 1e6
        self._began_us = self._began_us or at_us
        if at_us - self._began_us >= limit_us:
            raise Stopped("time", f"It came to no answer in {limit_us / 1e6:g} s.")

    # -- without a model -----------------------------------------------------------------------

    async def _by_rules(self) -> Json:
        target = self._spec.fallback.partition(":")[2]
        task = Task(name="fallback", uses=self._spec.fallback)
        rules = Invocation(run_rules, (target, self._input), {})
        value = await Call("fallback", StepKind.TASK, task, invocations=(rules,))
        fault = "" if self._spec.output is None else misfits(value, self._spec.output)
        if fault:
            stop = Stopped("unusable", f"What the fallback returned does not fit: {fault}")
            raise _unanswered(self._spec.name, stop)
        return value


def run_rules(target: str, value: Json) -> Json:
    """Call the fallback of an agent with the agent's input; the body of a step."""
    function = load_target(target)
    function = getattr(function, "function", function)
    args, kwargs = bind_input(function, value)
    return function(*args, **kwargs)


def _system(spec: AgentSpec, *, is_tainted: bool) -> str:
    is_outside = spec.tools or spec.untrusted_input or is_tainted
    return "\n\n".join(part for part in (spec.instructions, RULES if is_outside else "") if part)


def _opening(value: Json, *, is_outside: bool) -> str:
    if value is None or value == {}:
        return "Begin."
    text = value if isinstance(value, str) else _readable(value)
    return enclose(text, source="input", seed="input") if is_outside else text


def _readable(value: Json) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _unanswered(agent: str, stop: Stopped) -> TaskError:
    error = TaskError(
        f"The agent {agent!r} stopped without an answer: {stop.reason}.",
        kind="AgentStopped",
        why=stop.why,
        fix=_FIXES.get(stop.reason, "Look at its last turns with `podium runs show RUN`."),
    )
    error.code = "PDM-T061" if stop.reason == "unusable" else "PDM-T060"
    return error


_FIXES: Final = {
    "turns": "Raise max_turns, or give it less to do.",
    "budget": "Raise its budget, or give it a `fallback:`.",
    "time": "Raise budget.time, or give it less to do.",
    "length": "Raise max_tokens.",
    "no_progress": "Say in the instructions what to do when a tool does not help.",
    "unusable": "Make the schema of `output:` simpler, or say in the instructions what it means.",
}
