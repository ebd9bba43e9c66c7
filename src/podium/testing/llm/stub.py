"""`ModelStub`: a provider of language models on this machine, for tests."""

from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from podium.testing.llm.asked import Asked
from podium.testing.llm.bill import Bill
from podium.testing.llm.clock import ManualClock, RealClock, StubClock
from podium.testing.llm.exchange import Exchange
from podium.testing.llm.faults import Fault, FaultRule
from podium.testing.llm.limits import Limits
from podium.testing.llm.models import MODELS, StubModel
from podium.testing.llm.script import Answer, When
from podium.testing.llm.server import HttpServer, ServerThread
from podium.testing.llm.streaming import Pace
from podium.testing.llm.tokens import tokenizer
from podium.testing.llm.visit import Seen

__all__ = ["ModelStub"]

API_KEY: Final = "sk-podium-stub-key"


class ModelStub:
    """A provider over real HTTP on 127.0.0.1, which does what its test says and keeps a bill.

    It speaks OpenAI Chat, Responses and Embeddings and Anthropic Messages. As `with` it runs in a
    thread of its own, as `async with` on the running loop. Its methods may be called from any
    thread, before and while it runs; what it was told and what it saw outlives it.

    `models` are what it plays besides `MODELS`, whose names they may take. `limits` hold for each
    account and model: one for all, or by model name. `clock` decides about limits and delays; a
    `ManualClock` stands still until the test moves it.
    """

    def __init__(
        self,
        *,
        models: Sequence[StubModel] = (),
        limits: Limits | Mapping[str, Limits] | None = None,
        clock: StubClock | None = None,
        first_byte_s: float = 0.0,
        tokens_per_s: float | None = None,
        seed: int = 0,
    ) -> None:
        self.clock: StubClock = clock or RealClock()
        self.base_url = ""
        """Where it listens; empty until it does. Good for all its protocols, as is `/v1` below."""
        self.api_key = API_KEY
        self._accounts = {API_KEY: "default"}
        self._exchange = Exchange(
            clock=self.clock,
            models=(*MODELS, *models),
            limits={"": limits} if isinstance(limits, Limits) else limits or {},
            accounts=self._accounts,
            pace=Pace(first_byte_s=first_byte_s, tokens_per_s=tokens_per_s),
            seed=seed,
        )
        self._server = HttpServer(self._exchange.answer)
        self._thread: ServerThread | None = None

    # --- what the model does --------------------------------------------------------------------

    def script(
        self,
        answer: Answer | Callable[[Asked], Any],
        *more: Answer | Callable[[Asked], Any],
        when: When | None = None,
        model: str = "",
        times: int | None = None,
    ) -> None:
        """Add a rule: what the model says to requests that fit.

        One answer is given again and again, several are given once each, in order; `times`
        overrides both. An answer is text, a `Say`, a `Call`, a value to be sent as JSON, or a
        function (also async) of the request that returns one of them. `when` is a part of the last
        user text, a pattern in it, or a function of the request. The first rule that fits and
        has something left is used; a request that none fits is refused with what it asked. Without
        any rule the stub gives the smallest answer that obeys the request's schema and tools.
        """
        answers = (answer, *more)
        once = len(answers) if more else None
        self._exchange.script.add(
            answers, when=when, model=model, times=once if times is None else times
        )

    def fail(
        self,
        fault: Fault | str,
        *,
        nth: int | Collection[int] = (),
        share: float = 1.0,
        times: int | None = None,
        model: str = "",
        **details: Any,
    ) -> None:
        """Add a fault: for the `nth` requests from now, a `share` of them, at most `times`.

        With neither `nth`, `share` nor `times` it strikes once. A share is decided by the seed and
        the request, so that it hits the same ones in every order. `details` are fields of
        `FaultRule`: after, seconds, status, retry_after_s, text. Only requests that the stub
        would answer count; a replay by idempotency key does not.
        """
        chosen = (nth,) if isinstance(nth, int) else tuple(nth)
        if times is None and not chosen and share >= 1:
            times = 1
        rule = FaultRule(
            fault=Fault(fault), nth=chosen, share=share, times=times, model=model, **details
        )
        self._exchange.faults.add(rule)

    def reset(self) -> None:
        """Forget all rules and faults; bill and requests stay."""
        self._exchange.script.clear()
        self._exchange.faults.clear()

    def account(self, name: str) -> str:
        """Return the API key of an account with limits and bills of its own."""
        key = f"sk-podium-stub-{name}"
        self._accounts[key] = name
        return key

    # --- what it saw ----------------------------------------------------------------------------

    def bill(self) -> Bill:
        """Return what everything so far cost."""
        return Bill(lines=tuple(self._exchange.lines))

    @property
    def requests(self) -> tuple[Seen, ...]:
        """Return what came in, without keys: the last 10,000."""
        return tuple(self._exchange.seen)

    @property
    def unsaid(self) -> int:
        """Return how many answers of the script nobody asked for."""
        return self._exchange.script.left

    @property
    def in_flight(self) -> int:
        """Return how many requests are being answered."""
        return self._exchange.in_flight

    @property
    def max_in_flight(self) -> int:
        """Return how many requests were being answered at the same time at most."""
        return self._exchange.max_in_flight

    def wait_until_idle(self, *, timeout_s: float = 30.0) -> None:
        """Block this thread until no request is being answered; raises `TimeoutError`.

        A bill is complete then, also for clients that went away in the middle of a stream.
        """
        if not self._exchange.is_idle.wait(timeout_s):
            raise TimeoutError(f"{self.in_flight} requests are still being answered")

    @property
    def vocabulary(self) -> str:
        """Return what its tokens are counted with: o200k_base, or words."""
        return tokenizer().name

    def environment(self) -> dict[str, str]:
        """Return the environment variables that lead official clients to this stub."""
        return {
            "OPENAI_BASE_URL": f"{self.base_url}/v1",
            "OPENAI_API_KEY": self.api_key,
            "ANTHROPIC_BASE_URL": self.base_url,
            "ANTHROPIC_API_KEY": self.api_key,
        }

    def advance(self, seconds: float) -> None:
        """Move a `ManualClock`."""
        if not isinstance(self.clock, ManualClock):
            raise TypeError("only a stub with clock=ManualClock() can be moved in time")
        self.clock.advance(seconds)

    # --- life -----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread = ServerThread(self._server)
        self.base_url = f"http://127.0.0.1:{self._thread.start()}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    async def __aenter__(self) -> Self:
        self.base_url = f"http://127.0.0.1:{await self._server.start()}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._server.stop()
