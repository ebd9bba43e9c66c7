"""One request from its arrival to its bill: key, checks, faults, limits, answer, in this order.

With an `Idempotency-Key` a request is answered once: a second one with the same key and body gets
the kept answer and costs nothing, also where the first client went away in the middle. Answers
that failed, or that a fault broke off, are not kept.
"""

import hashlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from threading import Event
from typing import Any, Final

import msgspec

from podium.ports.models import Usage
from podium.testing.llm.anthropic_messages import AnthropicMessages
from podium.testing.llm.asked import Asked, Refusal, Why
from podium.testing.llm.bill import Line
from podium.testing.llm.clock import StubClock
from podium.testing.llm.dialect import Dialect, Outcome
from podium.testing.llm.embeddings import embed, read_texts
from podium.testing.llm.faults import Fault, FaultRule, Faults, corrupted, refusal_of
from podium.testing.llm.idempotency import KeptAnswers
from podium.testing.llm.limits import Gate, Limits
from podium.testing.llm.models import StubModel
from podium.testing.llm.openai_chat import OpenAiChat
from podium.testing.llm.openai_responses import OpenAiResponses
from podium.testing.llm.production import produce
from podium.testing.llm.script import Script
from podium.testing.llm.server import Cut, Request, Response
from podium.testing.llm.streaming import BREAKS, Pace, broken, streamed
from podium.testing.llm.tokens import prompt_tokens, tokenizer
from podium.testing.llm.visit import SECRET_HEADERS, Seen, Visit

__all__ = ["Exchange"]

REQUESTS_KEPT: Final = 10_000
"""How many of the last requests `stub.requests` can show; the bill has all."""
CHAT: Final = OpenAiChat()
RESPONSES: Final = OpenAiResponses()
MESSAGES: Final = AnthropicMessages()


class Exchange:
    """Answers requests for one stub; used on one event loop."""

    def __init__(
        self,
        *,
        clock: StubClock,
        models: Sequence[StubModel],
        limits: Mapping[str, Limits],
        accounts: Mapping[str, str],
        pace: Pace,
        seed: int,
    ) -> None:
        self.clock = clock
        self.script = Script()
        self.faults = Faults()
        self.lines: list[Line] = []
        self.seen: deque[Seen] = deque(maxlen=REQUESTS_KEPT)
        self.in_flight = 0
        self.max_in_flight = 0
        self.is_idle = Event()
        self.is_idle.set()
        self._models = {model.name: model for model in models}
        self._limits = limits
        self._accounts = accounts
        self._pace = pace
        self._seed = seed
        self._count = 0
        self._repeats: Counter[bytes] = Counter()
        self._gates: dict[tuple[str, str], Gate] = {}
        self._kept = KeptAnswers()

    async def answer(self, request: Request) -> Response:
        """Answer one request; raises `Cut` where the connection is to be closed instead."""
        path = request.path.removeprefix("/v1")
        dialect, route = ROUTES.get(f"{request.method} {path}", (CHAT, Exchange._unknown))
        if path.startswith("/models"):
            dialect = MESSAGES if "anthropic-version" in request.headers else CHAT
            route = Exchange._show_models
        visit = self._arrived(request, dialect)
        try:
            visit.seen.account = dialect.account_of(request.headers, self._accounts)
            return await route(self, visit, request)
        except Refusal as refusal:
            return visit.refused(refusal)
        finally:
            if not visit.is_streaming:
                visit.leave()

    def _arrived(self, request: Request, dialect: Dialect) -> Visit:
        self._count += 1
        headers = {k: v for k, v in request.headers.items() if k not in SECRET_HEADERS}
        seen = Seen(
            no=self._count,
            at=self.clock.now(),
            path=request.path,
            headers=headers,
            dialect=dialect.name,
            idempotency_key=headers.get("idempotency-key", ""),
        )
        self.seen.append(seen)
        self.in_flight += 1
        self.is_idle.clear()
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        visit = Visit(seen, dialect, now=self.clock.now, bill=self.lines)
        visit.at_leave(self._left)
        return visit

    def _left(self) -> None:
        self.in_flight -= 1
        if not self.in_flight:
            self.is_idle.set()

    async def _unknown(self, visit: Visit, request: Request) -> Response:
        raise Refusal(Why.NOT_FOUND, f"Unknown request URL: {request.method} {request.path}.")

    # --- answers of a model ---------------------------------------------------------------------

    async def _complete(self, visit: Visit, request: Request) -> Response:
        body, model = self._read_body(visit, request)
        digest = hashlib.blake2b(request.body, digest_size=16).digest()
        asked = understood(lambda: visit.dialect.read(body, model))
        visit.seen.is_streamed = asked.is_streamed
        key = visit.seen.idempotency_key
        name = (visit.seen.account, key)
        kept = await self._kept.claim(name, digest) if key else None
        if kept is not None:
            visit.seen.is_replay = True
            return await self._send(visit, asked, model, kept, None)
        visit.at_leave(lambda: self._kept.drop(name))
        self._repeats[digest] += 1
        chance = f"{self._seed}/{digest.hex()}/{self._repeats[digest]}"
        asked = msgspec.structs.replace(asked, no=visit.seen.no, seed=chance)
        rule = self._strike(visit, asked)
        outcome = await self._produce(visit, asked, model, rule)
        if key and not (rule and rule.fault in BREAKS and asked.is_streamed):
            self._kept.keep(name, outcome)
        return await self._send(visit, asked, model, outcome, rule)

    def _read_body(self, visit: Visit, request: Request) -> tuple[dict[str, Any], StubModel]:
        try:
            body = msgspec.json.decode(request.body)
        except msgspec.DecodeError as error:
            raise Refusal(
                Why.INVALID, f"We could not parse the JSON body of your request. ({error})"
            ) from None
        visit.seen.body = body
        name = body.get("model") if isinstance(body, dict) else None
        if not isinstance(name, str):
            missing = "model: Field required" if visit.dialect is MESSAGES else NO_MODEL
            raise Refusal(Why.INVALID, missing)
        visit.seen.model = name
        model = self._models.get(name)
        if model is None or visit.seen.dialect not in model.dialects:
            raise no_such_model(visit.dialect, name)
        return body, model

    def _strike(self, visit: Visit, asked: Asked) -> FaultRule | None:
        rule = self.faults.draw(asked)
        if rule is None:
            return None
        visit.seen.fault = rule.fault
        if rule.fault is Fault.DROP:
            raise Cut
        refusal = refusal_of(rule)
        if refusal is not None:
            raise refusal
        return rule

    async def _produce(
        self, visit: Visit, asked: Asked, model: StubModel, rule: FaultRule | None
    ) -> Outcome:
        prompt = prompt_tokens(asked.messages, asked.tools, asked.schema)
        wanted = prompt + (asked.max_tokens or 0)
        if wanted > model.window:
            raise visit.dialect.too_long(prompt, asked, model.window)
        visit.admit(self._gate(visit.seen.account, model), wanted)
        say = corrupted(await self.script.answer(asked), rule)
        now = self.clock.now()
        return produce(say, asked, prompt=prompt, request_id=visit.request_id, at=now)

    async def _send(
        self,
        visit: Visit,
        asked: Asked,
        model: StubModel,
        outcome: Outcome,
        rule: FaultRule | None,
    ) -> Response:
        pace = self._pace.slowed(rule)
        if asked.is_streamed:
            visit.is_streaming = True
            visit.seen.status = 200
            headers = visit.headers() | STREAM_HEADERS
            body = streamed(visit, asked, model, outcome, rule=rule, pace=pace, clock=self.clock)
            return Response(status=200, headers=headers, body=body)
        if not visit.seen.is_replay:
            # Billed when it is produced: whether the client still waits is the client's affair.
            visit.charge(model, outcome.usage)
        if delay := pace.whole(outcome.usage):
            await self.clock.sleep(delay)
        return broken(visit.answered(visit.dialect.whole(asked, outcome)), rule)

    def _gate(self, account: str, model: StubModel) -> Gate:
        limits = self._limits.get(model.name, self._limits.get("", Limits()))
        if (account, model.name) not in self._gates:
            self._gates[account, model.name] = Gate(limits, self.clock.now())
        return self._gates[account, model.name]

    # --- everything else ------------------------------------------------------------------------

    async def _count_tokens(self, visit: Visit, request: Request) -> Response:
        body, model = self._read_body(visit, request)
        asked = understood(lambda: MESSAGES.read_prompt(body, model))
        tokens = prompt_tokens(asked.messages, asked.tools, asked.schema)
        return visit.answered({"input_tokens": tokens})

    async def _embed(self, visit: Visit, request: Request) -> Response:
        visit.seen.dialect = "embeddings"
        body, model = self._read_body(visit, request)
        texts = read_texts(body, model)
        asked = Asked(dialect="embeddings", model=model.name, messages=(), body=body)
        self._strike(visit, asked)
        answer = embed(body, texts, model)
        tokens = tokenizer().count(texts)
        visit.admit(self._gate(visit.seen.account, model), tokens)
        visit.charge(model, Usage(input=tokens))
        return visit.answered(answer)

    async def _show_models(self, visit: Visit, request: Request) -> Response:
        if visit.dialect is MESSAGES:
            return visit.answered(anthropic_models(self._models))
        name = request.path.partition("/models/")[2]
        shown = [openai_model(each) for each in self._models if name in ("", each)]
        if not shown:
            raise no_such_model(visit.dialect, name)
        return visit.answered(shown[0] if name else {"object": "list", "data": shown})


NO_MODEL: Final = "you must provide a model parameter"
STREAM_HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
}
Route = Callable[[Exchange, Visit, Request], Awaitable[Response]]
ROUTES: Final[Mapping[str, tuple[Dialect, Route]]] = {
    "POST /chat/completions": (CHAT, Exchange._complete),
    "POST /responses": (RESPONSES, Exchange._complete),
    "POST /messages": (MESSAGES, Exchange._complete),
    "POST /messages/count_tokens": (MESSAGES, Exchange._count_tokens),
    "POST /embeddings": (CHAT, Exchange._embed),
}


def understood(read: Callable[[], Asked]) -> Asked:
    """Read a request; what no check expected is malformed, as it is at a provider."""
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Refusal(Why.INVALID, f"The request is malformed: {error!r}.") from error


def no_such_model(dialect: Dialect, name: str) -> Refusal:
    """Return how a provider says that it has no such model."""
    if dialect is MESSAGES:
        return Refusal(Why.NOT_FOUND, f"model: {name}")
    return Refusal(
        Why.NOT_FOUND,
        f"The model `{name}` does not exist or you do not have access to it.",
        code="model_not_found",
    )


def openai_model(name: str) -> dict[str, Any]:
    """Return a model as OpenAI lists it."""
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "podium-stub"}


def anthropic_models(models: Mapping[str, StubModel]) -> dict[str, Any]:
    """Return the models as Anthropic lists them."""
    names = [name for name, model in models.items() if "anthropic" in model.dialects]
    data = [
        {"type": "model", "id": n, "display_name": n, "created_at": "2025-01-01T00:00:00Z"}
        for n in names
    ]
    ends = {"first_id": names[0], "last_id": names[-1]} if names else {}
    return {"data": data, "has_more": False, "first_id": None, "last_id": None} | ends
