"""A gateway whose wire, purse, prices and token counts are played by a test, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from podium.core.breaker import BreakerPolicy
from podium.core.charges import Charge
from podium.errors import BudgetError
from podium.gateway.asking import Answer, Ask
from podium.gateway.catalog import Catalog, Fallbacks, Model, Provider
from podium.gateway.gateway import Gateway
from podium.gateway.journey import Patience
from podium.gateway.limits import Limiter, Limits
from podium.gateway.tokens import TokenCounter
from podium.ports.models import (
    Finish,
    LimitState,
    Message,
    ModelRequest,
    Piece,
    Reply,
    Role,
    Text,
    TextPiece,
    Usage,
)
from podium.testing.loop import run_virtual

Step = Any


def said(text: str = "yes", **changes: Any) -> Reply:
    message = Message(role=Role.ASSISTANT, parts=(Text(text=text),))
    fields = {"finish": Finish.STOP, "usage": Usage(input=100, output=10)} | changes
    return Reply(message=message, **fields)


def part_of(text: str) -> Reply:
    """What came of an answer before its stream broke."""
    return said(text, finish=Finish.INCOMPLETE, usage=Usage(output=7), is_estimated=True)


def question(model: str = "big", **changes: Any) -> Ask:
    asked = Message(role=Role.USER, parts=(Text(text="Why?"),))
    return Ask(**({"model": model, "messages": (asked,), "max_tokens": 50, "key": "k"} | changes))


class Wire:
    """Plays one step for each request: a reply, pieces, an exception, or something to await."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.requests: list[ModelRequest] = []
        self.at: list[float] = []
        self.is_closed = False

    async def send(self, request: ModelRequest) -> Reply:
        async for piece in self.stream(request):
            if isinstance(piece, Reply):
                return piece
        raise AssertionError

    async def stream(self, request: ModelRequest) -> AsyncIterator[Piece]:
        self.requests.append(request)
        self.at.append(asyncio.get_running_loop().time())
        step = self.steps.pop(0)
        for each in step if isinstance(step, list) else [step]:
            if isinstance(each, Exception):
                raise each
            if callable(each):
                await each()
            else:
                yield TextPiece(text=each) if isinstance(each, str) else each

    async def close(self) -> None:
        self.is_closed = True


class Purse:
    """Counts what is held, and refuses the models it is told to refuse."""

    def __init__(self, *, refuses: dict[str, str] | None = None) -> None:
        self.refuses = refuses or {}
        self.held: dict[int, int] = {}
        self.asked: list[tuple[str, int, int]] = []
        self.charges: list[Charge] = []

    async def reserve(self, *, cost_nano: int, tokens: int, model: str, agent: str = "") -> "Hold":
        self.asked.append((model, cost_nano, tokens))
        if model in self.refuses:
            raise BudgetError("Spent.", code="PDM-B000", outcome=self.refuses[model])
        self.held[len(self.asked)] = cost_nano
        return Hold(self, len(self.asked))


class Hold:
    def __init__(self, purse: Purse, number: int) -> None:
        self.purse = purse
        self.number = number

    def settle(self, charge: Charge) -> None:
        del self.purse.held[self.number]  # ends exactly once
        self.purse.charges.append(charge)

    def release(self) -> None:
        del self.purse.held[self.number]


class Counter(TokenCounter):
    """Every prompt has as many tokens as the test says, and at most a fifth more."""

    def __init__(self, tokens: int = 100) -> None:
        super().__init__()
        self.tokens = tokens
        self.learned: list[tuple[str, int, int]] = []

    def count(self, request: ModelRequest) -> int:
        return self.tokens

    def bound(self, request: ModelRequest) -> int:
        return self.tokens * 6 // 5

    def learn(self, model: str, *, estimated: int, actual: int) -> None:
        self.learned.append((model, estimated, actual))


class Prices:
    """A token costs 10 nano-dollars, `cheap-…` a tenth of it, and `free-…` nobody knows what."""

    def cost_nano(self, provider: str, model: str, usage: Usage) -> tuple[int | None, str]:
        if model.startswith("free"):
            return None, "unknown"
        return usage.total * (1 if model.startswith("cheap") else 10), "test"


class Limiting(Limiter):
    """Remembers its leases, so that a test sees that none stays open."""

    def __init__(self, limits: dict[str, Limits]) -> None:
        super().__init__(limits)
        self.learned: list[tuple[str, LimitState]] = []

    def learn(self, model_key: str, state: LimitState) -> None:
        self.learned.append((model_key, state))
        super().learn(model_key, state)

    def busy(self) -> int:
        return sum(gate._busy for gate in self._gates.values())

    def tokens_used(self, key: str) -> float:
        gate = self._gates[key]
        return gate._tokens.used(gate._clock())


MODELS = (
    Model(
        alias="big",
        provider="p",
        name="big-1",
        context_window=1_000,
        max_output=400,
        fallbacks=Fallbacks(
            on_error=("other", "cheap"),
            on_context_window=("long",),
            on_content_policy=("other",),
        ),
    ),
    Model(alias="cheap", provider="p", name="cheap-1"),
    Model(alias="other", provider="q", name="other-1"),
    Model(alias="long", provider="q", name="long-1", context_window=100_000),
    Model(alias="free", provider="p", name="free-1"),
    Model(alias="alone", provider="p", name="alone-1", context_window=1_000),
)


class Desk:
    """A gateway, and everything around it to look at."""

    def __init__(
        self,
        *steps: Step,
        q: tuple[Step, ...] = (),
        tokens: int = 100,
        refuses: dict[str, str] | None = None,
        limits: dict[str, Limits] | None = None,
        **options: Any,
    ) -> None:
        self.p, self.q = Wire(list(steps)), Wire(list(q))
        self.purse = Purse(refuses=refuses)
        self.counter = Counter(tokens)
        self.limiter = Limiting(limits or {})
        self.told: list[str] = []
        url = "http://127.0.0.1/v1"
        providers = [Provider(name=name, kind="openai", base_url=url) for name in "pq"]
        self.gateway = Gateway(
            catalog=Catalog(providers, MODELS),
            wires=lambda provider: self.p if provider.name == "p" else self.q,
            limiter=self.limiter,
            counter=self.counter,
            prices=Prices(),
            clock_us=lambda: round(asyncio.get_running_loop().time() * 1e6),
            dice=lambda: 0.5,
            **({"patience": Patience(), "breaker": BreakerPolicy()} | options),
        )

    async def call(self, model: str = "big", **changes: Any) -> Answer:
        ask = question(model, **changes)
        return await self.gateway.call(ask, purse=self.purse, tell=self.told.append)

    async def stream(self, model: str = "big", **changes: Any) -> list[Piece | Answer]:
        ask = question(model, **changes)
        stream = self.gateway.stream(ask, purse=self.purse, tell=self.told.append)
        return [item async for item in stream]

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run to the end, and see that nothing stays reserved, whatever came of it."""
        try:
            return run_virtual(work)
        finally:
            assert self.purse.held == {}
            assert self.limiter.busy() == 0


Waiting = Callable[[], Coroutine[Any, Any, None]]
