"""The unmodified official client of Anthropic understands the stub."""

from typing import Literal

import httpx2
import pytest

from podium.testing.llm import Call, ModelStub, Say

anthropic = pytest.importorskip(
    "anthropic", reason="the cross-check needs the official anthropic client"
)
pydantic = pytest.importorskip("pydantic")

ASK = {
    "model": "claude-haiku-4-5",
    "max_tokens": 2000,
    "messages": [{"role": "user", "content": "Hello"}],
}
TOOL = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


class Finding(pydantic.BaseModel):
    file: str
    severity: Literal["low", "high"]


@pytest.fixture
def client(stub: ModelStub):
    with anthropic.Anthropic(base_url=stub.base_url, api_key=stub.api_key, max_retries=0) as client:
        yield client


def test_it_gets_a_message(stub: ModelStub, client) -> None:
    stub.script(Say("Hi.", thinking="Hm.", cached=3, cache_write=1))
    answer = client.messages.create(**ASK)
    assert [block.type for block in answer.content] == ["thinking", "text"]
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (3, 3)
    assert usage.cache_creation_input_tokens == 1
    billed = stub.bill().usage
    assert billed.output + billed.thinking == usage.output_tokens
    assert billed.thinking == usage.output_tokens_details.thinking_tokens


def test_it_streams_a_message(stub: ModelStub, client) -> None:
    calls = (Call("weather", {"city": "Ulm"}), Call("weather", {"city": "é 🧠"}))
    stub.script(Say("It is so.", calls=calls, thinking="Let me see."))
    with client.messages.stream(**ASK, tools=[TOOL]) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_message()
    assert {"text", "thinking", "input_json", "signature", "message_stop"} <= kinds
    assert (answer.content[0].thinking, answer.content[1].text) == ("Let me see.", "It is so.")
    assert [block.input["city"] for block in answer.content[2:]] == ["Ulm", "é 🧠"]
    assert answer.stop_reason == "tool_use"
    billed = stub.bill().usage
    assert answer.usage.output_tokens == billed.output + billed.thinking


def test_it_runs_a_tool(stub: ModelStub, client) -> None:
    stub.script(Call("weather", {"city": "Ulm"}), lambda asked: asked.tool_results[0].content)
    said = client.messages.create(**ASK, tools=[TOOL])
    use = said.content[0]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "rain"}
    turns = [
        *ASK["messages"],
        {"role": "assistant", "content": said.content},
        {"role": "user", "content": [result]},
    ]
    answer = client.messages.create(**ASK | {"messages": turns}, tools=[TOOL])
    assert answer.content[0].text == "rain"


def test_it_parses_structured_output(stub: ModelStub, client) -> None:
    stub.script({"file": "a.py", "severity": "high"})
    answer = client.messages.parse(**ASK, output_format=Finding)
    assert answer.parsed_output == Finding(file="a.py", severity="high")


def test_it_counts_tokens_and_lists_models(stub: ModelStub, client) -> None:
    asked = {key: value for key, value in ASK.items() if key != "max_tokens"}
    counted = client.messages.count_tokens(**asked).input_tokens
    assert counted == client.messages.create(**ASK).usage.input_tokens
    assert "claude-haiku-4-5" in {model.id for model in client.models.list()}


FAULTS = [
    ("rate_limited", "RateLimitError"),
    ("quota", "BadRequestError"),
    ("server", "InternalServerError"),
    ("overloaded", "InternalServerError"),
    ("drop", "APIConnectionError"),
]


@pytest.mark.parametrize(("fault", "error"), FAULTS)
def test_faults_are_its_exceptions(fault: str, error: str, stub: ModelStub, client) -> None:
    stub.fail(fault)
    with pytest.raises(getattr(anthropic, error)):
        client.messages.create(**ASK)


REFUSALS = [
    ({"messages": []}, "BadRequestError"),
    ({"model": "claude-0"}, "NotFoundError"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, "BadRequestError"),
]


@pytest.mark.parametrize(("wrong", "error"), REFUSALS)
def test_refusals_are_its_exceptions(wrong, error: str, client) -> None:
    with pytest.raises(getattr(anthropic, error)) as raised:
        client.messages.create(**ASK | wrong)
    assert raised.value.request_id


def test_a_wrong_key_is_its_exception(client) -> None:
    with pytest.raises(anthropic.AuthenticationError):
        client.with_options(api_key="sk-wrong").messages.create(**ASK)


def test_overload_in_a_stream_is_its_exception(stub: ModelStub, client) -> None:
    stub.script("one two three four five six seven eight nine ten")
    stub.fail("error_event", after=1)
    with (
        pytest.raises(anthropic.APIStatusError, match="Overloaded"),
        client.messages.stream(**ASK) as stream,
    ):
        list(stream)


def test_a_cut_stream_is_an_error_to_it(stub: ModelStub, client) -> None:
    stub.fail("cut", after=1)
    with (
        pytest.raises((anthropic.APIConnectionError, httpx2.RemoteProtocolError)),
        client.messages.stream(**ASK) as stream,
    ):
        list(stream)
