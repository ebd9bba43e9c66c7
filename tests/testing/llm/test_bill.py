"""The bill: exact money, one line for each answer, one answer for each idempotency key."""

import threading

import httpx2
import pytest

from podium.ports.models import Usage
from podium.testing.llm import Asked, ManualClock, ModelStub, Prices, Say, StubModel

CHAT = "/v1/chat/completions"
GPT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
WORDS = "one two three four five six seven eight"


def test_money_is_exact_and_rounded_half_up_once() -> None:
    prices = Prices(input="0.0375", output="0.5", cached="0.001", cache_write="3.75")
    usage = Usage(input=1, cached=1, cache_write=1, output=1, thinking=1)
    # 37.5 + 1 + 3750 + 500 + 500 nano-dollars
    assert prices.cost_nano(usage) == 4789
    assert Prices(input="0.0005").cost_nano(Usage(input=1)) == 1
    assert Prices(input="0.0004").cost_nano(Usage(input=1)) == 0


def test_thinking_and_caches_have_their_own_prices() -> None:
    prices = Prices(input="1", output="2", thinking="8")
    assert prices.cost_nano(Usage(cached=10, cache_write=10)) == 20_000
    assert prices.cost_nano(Usage(output=1, thinking=1)) == 10_000


def test_a_line_has_the_tokens_of_each_class(stub: ModelStub, wire) -> None:
    stub.script(Say("Yes.", thinking="Hm.", cached=4))
    wire.chat()
    (line,) = stub.bill().lines
    assert line.usage == Usage(input=3, cached=4, output=2, thinking=2)
    assert line.cost_nano == 3 * 150 + 4 * 75 + 4 * 600
    assert (line.no, line.account, line.is_partial) == (1, "default", False)


def test_the_bill_is_what_the_answers_said(stub: ModelStub, wire) -> None:
    said = [wire.chat(f"question {n}").json()["usage"] for n in range(5)]
    wire.claude()
    bill = stub.bill()
    gpt = bill.by_model()["gpt-4o-mini"]
    assert gpt.usage.input == sum(usage["prompt_tokens"] for usage in said)
    assert gpt.usage.output == sum(usage["completion_tokens"] for usage in said)
    assert bill.cost_nano == sum(part.cost_nano for part in bill.by_model().values())


def test_a_stream_costs_what_the_whole_answer_costs(stub: ModelStub, wire) -> None:
    stub.script(Say(WORDS, thinking="Hm, wait."))
    wire.chat()
    wire.events(CHAT, GPT)
    whole, streamed = stub.bill().lines
    assert (whole.usage, whole.cost_nano) == (streamed.usage, streamed.cost_nano)


def test_a_key_is_answered_twice_and_billed_once(stub: ModelStub, wire) -> None:
    stub.script("first", "second")
    one, two = wire.chat(key="k1"), wire.chat(key="k1")
    assert one.json() == two.json()
    assert wire.say(key="k2") == "second"
    assert [line.idempotency_key for line in stub.bill().lines] == ["k1", "k2"]
    assert [seen.is_replay for seen in stub.requests] == [False, True, False]


def test_a_stream_is_replayed_under_its_key(stub: ModelStub, wire) -> None:
    first = wire.events(CHAT, GPT, key="k1")
    assert wire.events(CHAT, GPT, key="k1") == first
    assert len(stub.bill().lines) == 1


def test_a_key_belongs_to_one_body_of_one_account(stub: ModelStub, wire) -> None:
    wire.chat("Hello", key="k1")
    refused = wire.chat("Something else", key="k1")
    assert (refused.status_code, refused.json()["error"]["type"]) == (409, "idempotency_error")
    wire.stub.api_key = stub.account("other")
    assert wire.chat("Something else", key="k1").status_code == 200


def test_an_answer_that_failed_is_not_kept(stub: ModelStub, wire) -> None:
    stub.fail("server")
    assert [wire.chat(key="k1").status_code for _ in range(2)] == [500, 200]
    assert len(stub.bill().lines) == 1


def test_a_stream_that_a_fault_cut_is_produced_and_billed_again(stub: ModelStub, wire) -> None:
    stub.script(WORDS)
    stub.fail("cut", after=2)
    with pytest.raises(httpx2.RemoteProtocolError):
        wire.events(CHAT, GPT, key="k1")
    wire.events(CHAT, GPT, key="k1")
    lines = stub.bill().by_key()["k1"].lines
    assert [line.usage.output for line in lines] == [2, 8]


def test_a_keyed_answer_that_nobody_received_waits_for_the_retry(stub: ModelStub, wire) -> None:
    stub.fail("cut")
    with pytest.raises(httpx2.RemoteProtocolError):
        wire.chat(key="k1")
    assert wire.chat(key="k1").status_code == 200
    assert len(stub.bill().lines) == 1


def test_a_keyed_stream_is_produced_whole_though_its_client_went_away(talk) -> None:
    with ModelStub(clock=ManualClock(), tokens_per_s=1) as stub, talk(stub) as wire:
        stub.script(WORDS)
        wire.http.timeout = 0.2
        with pytest.raises(httpx2.ReadTimeout):
            wire.events(CHAT, GPT, key="k1")
        stub.wait_until_idle()
        (line,) = stub.bill().lines
        assert (line.usage.output, line.is_partial) == (8, False)


def test_two_requests_with_one_key_at_the_same_time_are_one(stub: ModelStub, wire, talk) -> None:
    async def answer(asked: Asked) -> str:
        while stub.max_in_flight < 2:
            await stub.clock.sleep(0)
        return "once"

    def ask() -> None:
        with talk(stub) as other:
            said.append(other.say(key="k1"))

    said: list[str] = []
    stub.script(answer, times=1)
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (said, len(stub.bill().lines)) == (["once", "once"], 1)


def test_a_test_states_its_own_prices(talk) -> None:
    model = StubModel(name="gpt-4o-mini", prices=Prices(input="1000", output="0"))
    with ModelStub(models=[model]) as stub, talk(stub) as wire:
        wire.chat()
        assert stub.bill().cost_nano == 7_000_000
