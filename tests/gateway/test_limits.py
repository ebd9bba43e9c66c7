"""Rate limits: nothing is sent that would be refused, nobody starves, waiting costs nothing."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from podium.errors import ModelError
from podium.gateway.limits import Lease, Limiter, Limits
from podium.gateway.windows import TARGET, Window
from podium.ports.models import LimitState
from podium.testing.loop import VirtualLoop, run_virtual

KEY = "local/small"


def limiter(queue_max: int = 5000, **limits: int) -> Limiter:
    return Limiter({KEY: Limits(**limits)}, queue_max=queue_max)


def virtually(scenario: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await scenario()

    return run_virtual(main())


def now() -> float:
    return asyncio.get_running_loop().time()


async def settle_turns(turns: int = 5) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


# --- the promise: no refusals, and the limit is used -------------------------------------------


class SlidingProvider:
    """Refuses what would exceed the limit in the last 60 seconds."""

    def __init__(self, tpm: int, rpm: int) -> None:
        self.tpm, self.rpm = tpm, rpm
        self.log: deque[tuple[float, int]] = deque()
        self.refused = self.served = self.tokens = 0

    def ask(self, tokens: int) -> None:
        while self.log and self.log[0][0] <= now() - 60:
            self.log.popleft()
        used = sum(amount for _, amount in self.log)
        if used + tokens > self.tpm or len(self.log) + 1 > self.rpm:
            self.refused += 1
            return
        self.log.append((now(), tokens))
        self.served += 1
        self.tokens += tokens


class BucketProvider(SlidingProvider):
    """Refuses what exceeds a bucket of one minute's limit that is refilled all the time."""

    def __init__(self, tpm: int, rpm: int) -> None:
        super().__init__(tpm, rpm)
        self.level, self.at = float(tpm), 0.0

    def ask(self, tokens: int) -> None:
        self.level = min(self.tpm, self.level + (now() - self.at) * self.tpm / 60)
        self.at = now()
        if tokens > self.level:
            self.refused += 1
            return
        self.level -= tokens
        self.served += 1
        self.tokens += tokens


class MinuteProvider(SlidingProvider):
    """Counts from zero at the start of each minute."""

    def ask(self, tokens: int) -> None:
        minute = now() // 60
        self.log = deque(each for each in self.log if each[0] // 60 == minute)
        super().ask(tokens)


@pytest.mark.parametrize("kind", [SlidingProvider, BucketProvider, MinuteProvider])
@pytest.mark.parametrize("bias", [0.7, 1.0, 1.3])
def test_ten_minutes_at_the_limit_without_a_refusal(
    kind: type[SlidingProvider], bias: float
) -> None:
    minutes, tpm = 10, 200_000
    dice = random.Random(4)

    async def scenario() -> SlidingProvider:
        provider, limits = kind(tpm, 10_000), limiter(tpm=tpm, rpm=10_000)

        async def agent() -> None:
            while now() < minutes * 60:
                expected = dice.randrange(200, 6_000)
                # The gateway reserves an upper bound: the estimate with its margin of 30 %.
                lease = await limits.acquire(KEY, tokens=round(expected * 1.3))
                if now() >= minutes * 60:
                    lease.release()
                    break
                actual = round(expected * min(1.3, bias * dice.uniform(0.7, 1.3)))
                provider.ask(actual)
                await pass_time(dice.uniform(0.5, 6.0))
                lease.settle(actual)

        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(agent())
        return provider

    provider = virtually(scenario)
    assert provider.refused == 0
    assert provider.tokens / (tpm * minutes) >= 0.90


async def pass_time(seconds: float) -> None:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds, future.set_result, None)
    await future


# --- the window --------------------------------------------------------------------------------


def test_a_minute_after_its_use_an_amount_fits_again() -> None:
    window = Window(100)
    window.book(90, 10.2)
    assert window.wait_s(5, 10.2) == 0
    assert window.wait_s(10, 10.2) == pytest.approx(60.3)
    assert window.wait_s(10, 70.5) == 0


def test_only_what_is_needed_has_to_leave_the_window() -> None:
    window = Window(100)
    window.book(30, 0.0)
    window.book(60, 20.0)
    assert window.wait_s(30, 30.0) == pytest.approx(30.5)
    assert window.wait_s(40, 30.0) == pytest.approx(50.5)


def test_what_exceeds_the_target_but_not_the_limit_gets_an_empty_window() -> None:
    window = Window(100)
    assert window.wait_s(99, 0.0) == 0
    window.book(1, 0.0)
    assert window.wait_s(99, 0.0) > 0
    assert not window.fits_ever(101)


def test_the_books_hold_a_minute_at_most() -> None:
    window = Window(1000)
    for tick in range(10_000):
        window.book(1, tick * 0.1)
    assert window.used(1000.0) == pytest.approx(600, abs=6)
    assert len(window._own) <= 121


def test_a_provider_that_says_less_is_left_is_believed_until_its_reset() -> None:
    window = Window(100)
    window.learn(limit=None, left=10, reset_s=20.0, now=0.0)
    assert window.wait_s(11, 0.0) == pytest.approx(20)
    window.learn(limit=None, left=90, reset_s=20.0, now=1.0)
    assert window.wait_s(11, 1.0) == 0


def test_a_provider_cannot_raise_a_declared_limit() -> None:
    window = Window(100)
    window.learn(limit=50, left=None, reset_s=None, now=0.0)
    assert window.limit == 50
    window.learn(limit=500, left=None, reset_s=None, now=0.0)
    assert window.limit == 100


# --- reserving and settling --------------------------------------------------------------------


def test_requests_tokens_and_places_are_reserved_together() -> None:
    async def scenario() -> None:
        limits = limiter(rpm=100, tpm=1000, concurrency=1)
        first = await limits.acquire(KEY, tokens=900)
        started = now()
        waiting = asyncio.get_running_loop().create_task(limits.acquire(KEY, tokens=40))
        await pass_time(3)
        first.settle(900)
        assert (await waiting).waited_s == 3
        assert now() - started == 3
        assert limits._gates[KEY]._requests.used(now()) == 2

    virtually(scenario)


def test_settling_gives_back_what_was_not_used_and_takes_what_was_used_beyond() -> None:
    async def scenario() -> None:
        limits = limiter(tpm=1000)
        lease = await limits.acquire(KEY, tokens=900)
        lease.settle(100)
        lease = await limits.acquire(KEY, tokens=800)
        assert now() == 0
        lease.settle(5000)
        assert limits._gates[KEY]._tokens.used(now()) == 5100
        await limits.acquire(KEY, tokens=1)
        assert now() >= 60

    virtually(scenario)


def test_a_released_lease_leaves_nothing_and_ends_once() -> None:
    async def scenario() -> None:
        limits = limiter(tpm=1000, rpm=10, concurrency=1)
        lease = await limits.acquire(KEY, tokens=900)
        lease.release()
        lease.release()
        lease.settle(400)
        gate = limits._gates[KEY]
        assert (gate._busy, gate._tokens.used(0), gate._requests.used(0)) == (0, 0, 0)

    virtually(scenario)


def test_a_settled_lease_is_not_given_back() -> None:
    async def scenario() -> None:
        limits = limiter(tpm=1000)
        lease = await limits.acquire(KEY, tokens=900)
        lease.settle(700)
        lease.release()
        assert limits._gates[KEY]._tokens.used(0) == 700

    virtually(scenario)


def test_a_model_without_limits_waits_for_nobody() -> None:
    async def scenario() -> None:
        limits = Limiter()
        for _ in range(100):
            await limits.acquire("other/model", tokens=1_000_000)
        assert now() == 0

    virtually(scenario)


def test_the_share_of_a_node_is_the_part_of_the_limit_it_uses() -> None:
    async def scenario() -> None:
        limits = Limiter({KEY: Limits(tpm=1000, share=0.5)})
        await limits.acquire(KEY, tokens=450)
        await limits.acquire(KEY, tokens=100)
        assert now() >= 60

    virtually(scenario)


# --- waiting -----------------------------------------------------------------------------------


async def served_in_order(limits: Limiter, calls: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Queue these calls behind a full window and return their names as they are let in."""
    order: list[str] = []
    (await limits.acquire(KEY, tokens=950)).settle(950)

    async def call(name: str, options: dict[str, Any]) -> None:
        lease = await limits.acquire(KEY, **{"tokens": 300, **options})
        order.append(name)
        lease.settle(options.get("tokens", 300))

    async with asyncio.TaskGroup() as group:
        for name, options in calls:
            group.create_task(call(name, options))
    return order


def test_the_more_urgent_goes_first() -> None:
    calls = [("low", {"priority": 75}), ("normal", {}), ("critical", {"priority": 0})]
    order = virtually(lambda: served_in_order(limiter(tpm=1000), calls))
    assert order == ["critical", "normal", "low"]


def test_a_low_call_is_not_overtaken_for_ever() -> None:
    async def scenario() -> float:
        limits, done = limiter(tpm=1000), asyncio.Event()
        await limits.acquire(KEY, tokens=950)

        async def urgent() -> None:
            while not done.is_set() and now() < 1200:
                (await limits.acquire(KEY, tokens=300, priority=0)).settle(300)

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(urgent())
            lease = await limits.acquire(KEY, tokens=300, priority=75)
            done.set()
        return lease.waited_s

    assert virtually(scenario) < 10 * 60


def test_small_calls_do_not_starve_a_big_one() -> None:
    calls = [("big", {"tokens": 900}), *((f"small{n}", {"tokens": 10}) for n in range(50))]
    assert virtually(lambda: served_in_order(limiter(tpm=1000), calls))[0] == "big"


def test_a_thousand_calls_of_one_owner_do_not_delay_another_owner() -> None:
    calls = [(f"a{n}", {"owner": "a"}) for n in range(200)] + [("b", {"owner": "b"})]
    assert virtually(lambda: served_in_order(limiter(tpm=1000), calls)).index("b") <= 1


def test_a_waiter_is_told_when_its_turn_comes_and_again_when_that_changes() -> None:
    told: list[str] = []

    async def scenario() -> None:
        limits = limiter(tpm=1000)
        await limits.acquire(KEY, tokens=950)
        await pass_time(31)
        waiting = asyncio.get_running_loop().create_task(
            limits.acquire(KEY, tokens=300, tell=told.append)
        )
        await pass_time(1)
        limits.pause(KEY, 90)
        await waiting
        assert now() == 32 + 90

    virtually(scenario)
    assert told == [
        "Rate limit reached. Retrying in 30 s …",
        "Rate limit reached. Retrying in 90 s …",
    ]


def test_a_waiter_is_not_told_again_what_it_knows() -> None:
    told: list[str] = []

    async def scenario() -> None:
        limits = limiter(tpm=1000)
        await limits.acquire(KEY, tokens=950)
        async with asyncio.TaskGroup() as group:
            group.create_task(limits.acquire(KEY, tokens=300, tell=told.append))
            for _ in range(5):
                await pass_time(8)
                group.create_task(limits.acquire(KEY, tokens=1))

    virtually(scenario)
    assert told == ["Rate limit reached. Retrying in 61 s …"]


def test_those_far_behind_are_told_a_longer_time() -> None:
    told: dict[int, list[str]] = {n: [] for n in range(6)}

    async def scenario() -> None:
        limits = limiter(tpm=1000)
        await limits.acquire(KEY, tokens=950)
        async with asyncio.TaskGroup() as group:
            for n in range(6):
                group.create_task(limits.acquire(KEY, tokens=450, tell=told[n].append))
        assert 120 < now() < 200

    virtually(scenario)
    assert told[0][0] == "Rate limit reached. Retrying in 61 s …"
    assert told[5][0] == "Rate limit reached. Retrying in 181 s …"


def test_who_waits_for_a_place_is_told_so() -> None:
    told: list[str] = []

    async def scenario() -> None:
        limits = limiter(concurrency=1)
        first = await limits.acquire(KEY, tokens=1)
        await pass_time(8)
        first.settle(1)
        second = await limits.acquire(KEY, tokens=1)
        async with asyncio.TaskGroup() as group:
            group.create_task(limits.acquire(KEY, tokens=1, tell=told.append))
            await pass_time(2)
            second.settle(1)

    virtually(scenario)
    assert told == ["All places are in use. Retrying in 8 s …"]


def test_retry_after_in_the_headers_pauses_everybody() -> None:
    async def scenario() -> None:
        limits = limiter()
        limits.learn(KEY, LimitState(retry_after_s=12.0))
        await limits.acquire(KEY, tokens=1)
        assert now() == 12

    virtually(scenario)


def test_a_limit_nobody_declared_is_learned_from_the_headers() -> None:
    async def scenario() -> None:
        limits = limiter()
        limits.learn(KEY, LimitState(tokens_limit=1000, tokens_left=100, tokens_reset_s=30.0))
        await limits.acquire(KEY, tokens=200)
        assert now() == 30

    virtually(scenario)


# --- refusing and leaving ----------------------------------------------------------------------


def test_a_full_queue_refuses_with_the_time_it_would_take() -> None:
    async def scenario() -> None:
        limits = limiter(queue_max=2, tpm=1000)
        await limits.acquire(KEY, tokens=950)
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(limits.acquire(KEY, tokens=950))
            await settle_turns()
            with pytest.raises(ModelError, match="2 calls already wait") as caught:
                await limits.acquire(KEY, tokens=1)
        assert caught.value.code == "PDM-M010"
        assert caught.value.is_transient
        assert "121 s" in caught.value.why

    virtually(scenario)


def test_a_call_larger_than_a_minutes_limit_is_refused_at_once() -> None:
    async def scenario() -> None:
        with pytest.raises(
            ModelError, match=r"needs 1,001 tokens; a minute allows 1,000"
        ) as caught:
            await limiter(tpm=1000).acquire(KEY, tokens=1001)
        assert caught.value.code == "PDM-M011"
        assert not caught.value.is_transient

    virtually(scenario)


def test_a_waiting_call_that_a_lowered_limit_makes_too_large_is_refused() -> None:
    async def scenario() -> None:
        limits = limiter(tpm=1000)
        await limits.acquire(KEY, tokens=900)
        waiting = asyncio.get_running_loop().create_task(limits.acquire(KEY, tokens=800))
        await settle_turns()
        limits.learn(KEY, LimitState(tokens_limit=500))
        with pytest.raises(ModelError) as caught:
            await waiting
        assert caught.value.code == "PDM-M011"
        assert limits.waiting(KEY) == 0

    virtually(scenario)


def test_cancelling_a_waiting_call_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        limits = limiter(tpm=1000, concurrency=5)
        (await limits.acquire(KEY, tokens=500)).settle(500)
        loop = asyncio.get_running_loop()
        big = loop.create_task(limits.acquire(KEY, tokens=900))
        small = loop.create_task(limits.acquire(KEY, tokens=100))
        await settle_turns()
        big.cancel()
        lease = await small
        assert now() == 0
        lease.release()
        gate = limits._gates[KEY]
        assert (limits.waiting(KEY), gate._busy, gate._tokens.used(0)) == (0, 0, 500)
        assert gate._timer is None

    virtually(scenario)


def test_cancelling_a_call_in_the_moment_it_is_let_in_gives_its_room_back() -> None:
    async def scenario() -> None:
        limits = limiter(concurrency=1)
        first = await limits.acquire(KEY, tokens=1)
        second = asyncio.get_running_loop().create_task(limits.acquire(KEY, tokens=1))
        await settle_turns()
        first.release()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        lease: Lease = await limits.acquire(KEY, tokens=1)
        assert lease.waited_s == 0

    virtually(scenario)


def test_a_thousand_waiting_calls_cost_no_polling() -> None:
    loop = VirtualLoop()
    turns = 0
    run = loop._run_handle

    def counted(handle: Any) -> None:
        nonlocal turns
        turns += 1
        run(handle)

    loop._run_handle = counted

    async def scenario() -> int:
        limits = limiter(tpm=1000)
        await limits.acquire(KEY, tokens=950)
        limits.pause(KEY, 3600)
        for _ in range(1000):
            loop.create_task(limits.acquire(KEY, tokens=1))
        await settle_turns()
        before = turns
        await pass_time(3599)
        return turns - before

    async def bounded() -> int:
        used = await scenario()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        return used

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(bounded()) <= 5


def test_the_target_leaves_a_margin() -> None:
    assert 0.9 <= TARGET < 1.0
