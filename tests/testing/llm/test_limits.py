"""Limits refuse at the right moment and tell how much is left, by a clock the test moves."""

import threading

import pytest

from podium.testing.llm import Asked, Limits, ManualClock, ModelStub
from podium.testing.llm.limits import Gate, LimitReached
from podium.testing.llm.openai_account import duration


@pytest.fixture
def slow(talk):
    """Return a stub with two requests per minute, and its wire."""
    limits = Limits(rpm=2, tpm=600)
    with ModelStub(limits=limits, clock=ManualClock()) as stub, talk(stub) as wire:
        yield stub, wire


def test_a_third_request_in_a_minute_waits_for_the_bucket(slow) -> None:
    stub, wire = slow
    assert [wire.chat(max_tokens=20).status_code for _ in range(3)] == [200, 200, 429]
    refused = wire.chat(max_tokens=20)
    assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("30", "30000")
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    stub.advance(30)
    assert wire.chat(max_tokens=20).status_code == 200
    assert len(stub.bill().lines) == 3


def test_openai_headers_tell_what_is_left(slow) -> None:
    _, wire = slow
    headers = wire.chat(max_tokens=93).headers
    assert headers["x-ratelimit-limit-requests"] == "2"
    assert headers["x-ratelimit-remaining-requests"] == "1"
    assert headers["x-ratelimit-reset-requests"] == "30s"
    # 7 of prompt and 93 of answer are reserved while the request runs.
    assert headers["x-ratelimit-remaining-tokens"] == "500"
    assert headers["x-ratelimit-reset-tokens"] == "10s"


def test_anthropic_headers_tell_what_is_left_and_when(slow) -> None:
    _, wire = slow
    headers = wire.claude(max_tokens=93).headers
    assert headers["anthropic-ratelimit-requests-limit"] == "2"
    assert headers["anthropic-ratelimit-tokens-remaining"] == "500"
    assert headers["anthropic-ratelimit-requests-reset"] == "2025-11-21T12:00:30.000000Z"
    wire.claude()
    refused = wire.claude()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    assert refused.json()["error"]["type"] == "rate_limit_error"


def test_tokens_that_were_not_used_go_back(slow) -> None:
    stub, wire = slow
    stub.script("two words")
    wire.chat(max_tokens=500)
    # 9 tokens were used; what 500 had reserved is there again.
    headers = wire.chat(max_tokens=500).headers
    assert headers["x-ratelimit-remaining-tokens"] == str(600 - 9 - 507)


def test_a_request_over_the_whole_limit_is_told_so(slow) -> None:
    _, wire = slow
    refused = wire.chat(max_tokens=1000)
    assert refused.json()["error"]["type"] == "tokens"
    assert "Request too large" in refused.json()["error"]["message"]
    assert "retry-after" not in refused.headers


def test_each_account_and_model_has_its_own_limit(talk) -> None:
    limits = {"gpt-4o-mini": Limits(rpm=1), "": Limits(rpm=3)}
    with ModelStub(limits=limits, clock=ManualClock()) as stub, talk(stub) as wire:
        other = stub.account("team-b")
        assert [wire.chat().status_code for _ in range(2)] == [200, 429]
        assert wire.chat(model="gpt-4o").status_code == 200
        asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]}
        assert wire.post("/v1/chat/completions", asked, account=other).status_code == 200
        assert set(stub.bill().by_account()) == {"default", "team-b"}


def test_too_many_at_the_same_time_are_refused(talk) -> None:
    entered, leave = threading.Event(), threading.Event()

    async def answer(asked: Asked) -> str:
        entered.set()
        while not leave.is_set():
            await stub.clock.sleep(0)
        return "done"

    with ModelStub(limits=Limits(concurrency=1)) as stub, talk(stub) as wire, talk(stub) as other:
        stub.script(answer)
        first = threading.Thread(target=wire.chat)
        first.start()
        assert entered.wait(10)
        assert other.chat().status_code == 429
        leave.set()
        first.join(10)
        assert other.chat().status_code == 200


def test_a_full_bucket_holds_no_more_than_its_limit() -> None:
    gate = Gate(Limits(rpm=60), now=0.0)
    for _ in range(60):
        gate.admit(0, now=1000.0)
    with pytest.raises(LimitReached):
        gate.admit(0, now=1000.0)
    gate.admit(0, now=1001.0)


def test_a_refused_request_takes_nothing() -> None:
    gate = Gate(Limits(rpm=10, tpm=100), now=0.0)
    gate.admit(90, now=0.0)
    for _ in range(5):
        with pytest.raises(LimitReached):
            gate.admit(50, now=0.0)
    assert gate.rooms(0.0)["requests"].left == 9


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.12, "120ms"), (1.5, "1.5s"), (30, "30s"), (360, "6m0s"), (3723, "1h2m3s")],
)
def test_durations_are_written_as_openai_does(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_only_a_manual_clock_can_be_moved(stub: ModelStub) -> None:
    with pytest.raises(TypeError, match="ManualClock"):
        stub.advance(1)


def test_an_answer_takes_the_time_of_its_tokens(talk) -> None:
    clock = ManualClock()
    with ModelStub(clock=clock, first_byte_s=2, tokens_per_s=10) as stub, talk(stub) as wire:
        stub.script("one two three four five")
        answers = []
        asking = threading.Thread(target=lambda: answers.append(wire.say()))
        asking.start()
        clock.wait_for_sleepers()
        clock.advance(2.4)
        assert not answers
        assert clock.sleepers == 1
        clock.advance(0.2)
        asking.join(10)
        assert answers == ["one two three four five"]
