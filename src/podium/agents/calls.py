"""Calls of language models as bodies of steps: one for agents, and `uses: llm`.

A call is made once and its answer recorded; limits, prices, provider retries and fallbacks are
the gateway's. What fails here is retried by the engine only if the same call may succeed later.
"""

import logging
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec

from podium.agents.answers import read_answer
from podium.agents.conversation import redacted, text_of
from podium.core.payload import ErrorRecord
from podium.errors import BudgetError, ModelError, RequestError, TaskError
from podium.gateway.asking import Answer, Ask, Tell
from podium.gateway.purse import Hold, Purse
from podium.ports.models import Finish, Message, Role, Text, TextPiece, ToolSpec
from podium.runtime.attempts import AttemptContext, attempt_context
from podium.runtime.failures import record_of
from podium.runtime.services import Models

__all__ = ["Question", "ask_model", "run_llm"]

log = logging.getLogger("podium.models")

Json = Any

UNPRICED: Final = "PDM-M024"
NO_MODEL: Final = "PDM-M050"
CUT_OFF: Final = "PDM-M051"
MAX_TOKENS: Final = 2048


class Question(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Everything one call of a model is made of; `digest` stands for it in the journal."""

    agent: str
    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    digest: str = ""
    temperature: float | None = None
    tools: tuple[ToolSpec, ...] = ()
    schema: Json = None
    stop: tuple[str, ...] = ()
    usd_left: float | None = None
    tokens_left: int | None = None
    has_fallback: bool = False


class Asked:
    """A question as the argument of a step: its fingerprint is its digest, not its length."""

    __slots__ = ("question",)

    def __init__(self, question: Question) -> None:
        self.question = question

    def model_dump(self, *, mode: str) -> str:
        """Return what stands for the question where arguments are compared."""
        return self.question.digest


async def ask_model(asked: Asked) -> dict[str, Json]:
    """Ask the model once; the body of a step of an agent's run.

    Returns `{parts, finish, model, tokens, cost_nano}`, or `{stopped, why, outcome}` if there
    is no model or no money and the agent has an answer for that.
    """
    question, context = asked.question, _context()
    models = context.services.models
    if models is None or not (question.model or context.services.default_model):
        if question.has_fallback:
            return {"stopped": "no_model", "why": "No model is configured."}
        raise _no_model(f"The agent {question.agent!r} asks one.")
    try:
        answer = await _call(question, context, models.get(), context.idempotency_key)
    except BudgetError as error:
        if error.outcome == "partial" or (question.has_fallback and error.outcome == "deny"):
            if error.code == UNPRICED:
                # A mistake in the settings, not a budget at its end: nobody should search for it.
                _teller(context)(f"{error.what} {error.fix}")
            reason = "unknown_price" if error.code == UNPRICED else "budget"
            return {"stopped": reason, "why": error.what, "outcome": error.outcome}
        raise
    reply, charges = answer.reply, answer.charges
    return {
        "parts": msgspec.to_builtins(reply.message.parts),
        "finish": str(reply.finish),
        "model": answer.model,
        "tokens": sum(charge.tokens for charge in charges) or reply.usage.total,
        "cost_nano": sum(charge.cost_nano for charge in charges),
    }


async def run_llm(
    *,
    prompt: str | None = None,
    messages: Sequence[dict[str, Json]] = (),
    model: str = "",
    system: str = "",
    max_tokens: int = MAX_TOKENS,
    temperature: float | None = None,
    schema: Json = None,
    repairs: int = 2,
    stop: Sequence[str] = (),
) -> Json:
    """Ask a model once and return its text, or with `schema` the object it answered.

    An answer that does not fit the schema is sent back up to `repairs` times.
    """
    context = _context()
    models = context.services.models
    if models is None:
        raise _no_model(f"The step {context.step!r} asks one.")
    said = _messages(prompt, messages, system)
    fault = ""
    for turn in range(repairs + 1):
        question = Question(
            agent="",
            model=model,
            messages=said,
            max_tokens=max_tokens,
            temperature=temperature,
            schema=schema,
            stop=tuple(stop),
        )
        key = context.idempotency_key + (f"/repair{turn}" if turn else "")
        reply = (await _call(question, context, models.get(), key)).reply
        if reply.finish is not Finish.STOP:
            raise _cut_off(str(reply.finish), max_tokens)
        value, fault = read_answer(text_of(reply.message), schema)
        if not fault:
            return value
        said += (reply.message, _sent_back(fault))
    raise TaskError(
        f"The model gave no answer that fits the schema in {repairs + 1} tries.",
        kind="AnswerUnusable",
        why=fault,
        fix="Make the schema simpler, say in the prompt what it means, or name another model.",
    )


def _messages(
    prompt: str | None, messages: Sequence[dict[str, Json]], system: str
) -> tuple[Message, ...]:
    given = [{"role": "user", "content": prompt}] if prompt is not None else list(messages)
    if system:
        given.insert(0, {"role": "system", "content": system})
    try:
        return tuple(
            Message(role=Role(each["role"]), parts=(Text(text=_text(each["content"])),))
            for each in given
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(
            "The messages of an `llm` task are not written as messages are.",
            why=f"{type(error).__name__}: {error}",
            fix='Write messages: [{role: user, content: "Hello"}]; roles are system, user and '
            "assistant.",
            code="PDM-R081",
        ) from error


def _text(content: Json) -> str:
    return content if isinstance(content, str) else msgspec.json.encode(content).decode()


def _sent_back(fault: str) -> Message:
    text = f"That answer cannot be used. {fault} Answer again, with nothing but the JSON."
    return Message(role=Role.USER, parts=(Text(text=text),))


def _context() -> AttemptContext:
    context = attempt_context()
    if context is None:
        raise RuntimeError("models are asked in attempts only")
    return context


async def _call(question: Question, context: AttemptContext, models: Models, key: str) -> Answer:
    ask = Ask(
        model=question.model or context.services.default_model,
        messages=redacted(question.messages, context.services.secrets),
        max_tokens=question.max_tokens,
        tools=question.tools,
        schema=question.schema,
        temperature=question.temperature,
        stop=question.stop,
        key=key,
        attempt=context.attempt,
        agent=question.agent,
        owner=context.run_id,
    )
    purse: Purse = context.purse
    if question.usd_left is not None or question.tokens_left is not None:
        purse = _Allowance(purse, question)
    try:
        if context.services.streams.has_readers(context.run_id):
            return await _streamed(models, ask, purse, context)
        return await models.call(ask, purse=purse, tell=_teller(context))
    except ModelError as error:
        raise _recorded(error, context) from error


async def _streamed(models: Models, ask: Ask, purse: Purse, context: AttemptContext) -> Answer:
    """Ask, and pass the text on as it comes to those who read it."""
    services, run, step = context.services, context.run_id, context.step
    tell = _teller(context)
    services.streams.begin(run, step, context.attempt)
    try:
        async with aclosing(models.stream(ask, purse=purse, tell=tell)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Answer):
                    return piece
                if isinstance(piece, TextPiece):
                    services.streams.write(run, step, services.secrets.redact(piece.text))
    finally:
        services.streams.end(run, step)
    raise AssertionError("a stream ends with an answer or an error")


def _teller(context: AttemptContext) -> Tell:
    """Return what tells people why a call takes long: nobody should take patience for a hang."""

    def tell(line: str) -> None:
        log.warning(line, extra={"run": context.run_id, "step": context.step})
        context.services.streams.note(context.run_id, context.step, context.attempt, line)

    return tell


def _recorded(error: ModelError, context: AttemptContext) -> TaskError:
    """Return the error as a record that says whether the engine may try again."""
    record: ErrorRecord = record_of(error, step=context.step, secrets=context.services.secrets)
    record = msgspec.structs.replace(record, retryable=error.is_transient)
    carried = TaskError(error.what, kind="ModelError", why=error.why, fix=error.fix)
    carried.code, carried.record = error.code, record
    return carried


def _no_model(why: str) -> TaskError:
    error = ModelError(
        "No model is configured.",
        why=why,
        fix="Add `llm:` with a provider and a model to podium.yaml, or give the agent a "
        "`fallback:` that works without one.",
        code=NO_MODEL,
    )
    return _recorded(error, _context())


def _cut_off(finish: str, max_tokens: int) -> TaskError:
    error = ModelError(
        f"The model stopped before its answer was whole: {finish}.",
        why=f"It may write {max_tokens:,} tokens." if finish == Finish.LENGTH else "",
        fix="Raise max_tokens, or ask for less.",
        code=CUT_OFF,
    )
    return _recorded(error, _context())


class _Allowance:
    """What is left of an agent's own budget, before the purse of its run is asked."""

    def __init__(self, purse: Purse, question: Question) -> None:
        self._purse = purse
        self._agent = question.agent
        usd = question.usd_left
        self.nano = None if usd is None else round(usd * 1e9)
        self.tokens = question.tokens_left

    async def reserve(self, *, cost_nano: int, tokens: int, model: str, agent: str = "") -> Hold:
        """See `Purse.reserve`; refuses what the agent could not pay in the worst case."""
        for left, asked, unit in (
            (self.nano, cost_nano, "nano-dollars"),
            (self.tokens, tokens, "tokens"),
        ):
            if left is not None and asked > left:
                raise BudgetError(
                    f"The agent {self._agent!r} has {max(left, 0):,} {unit} left; the next call "
                    f"may need {asked:,}.",
                    why="Its budget is declared in `budget:` of the agent.",
                    fix="Raise the budget, or lower max_tokens.",
                    outcome="deny",
                    budget=f"agent:{self._agent}",
                )
        return await self._purse.reserve(
            cost_nano=cost_nano, tokens=tokens, model=model, agent=agent
        )
