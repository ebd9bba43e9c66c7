"""The unmodified official client of OpenAI understands the stub."""

import base64
import json
from typing import Literal

import httpx2
import pytest

from podium.testing.llm import Call, Limits, ModelStub, Say

openai = pytest.importorskip("openai", reason="the cross-check needs the official openai client")
pydantic = pytest.importorskip("pydantic")

USER = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
CHAT_TOOL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
TOOL = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": True}


class Finding(pydantic.BaseModel):
    file: str
    severity: Literal["low", "high"]


@pytest.fixture
def client(stub: ModelStub):
    base_url = f"{stub.base_url}/v1"
    with openai.OpenAI(base_url=base_url, api_key=stub.api_key, max_retries=0) as client:
        yield client


def test_it_chats(stub: ModelStub, client) -> None:
    stub.script(Say("Hi.", cached=2, thinking_tokens=9))
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=USER)
    assert answer.choices[0].message.content == "Hi."
    assert answer.usage.prompt_tokens_details.cached_tokens == 2
    assert answer.usage.completion_tokens_details.reasoning_tokens == 9
    assert stub.bill().lines[0].usage.total == answer.usage.total_tokens


def test_it_streams_chat(stub: ModelStub, client) -> None:
    stub.script(
        Say("It is", calls=(Call("weather", {"city": "Ulm"}), Call("weather", {"city": "é"})))
    )
    with client.chat.completions.stream(
        model="gpt-4o-mini",
        messages=USER,
        tools=[CHAT_TOOL | {"function": CHAT_TOOL["function"] | {"strict": True}}],
        stream_options={"include_usage": True},
    ) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_completion()
    assert "content.delta" in kinds
    assert answer.choices[0].message.content == "It is"
    calls = answer.choices[0].message.tool_calls
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Ulm", "é"]
    assert answer.usage.completion_tokens == stub.bill().usage.output


def test_it_runs_a_tool(stub: ModelStub, client) -> None:
    stub.script(Call("weather", {"city": "Ulm"}), lambda asked: asked.tool_results[0].content)
    asked = client.chat.completions.create(model="gpt-4o-mini", messages=USER, tools=[CHAT_TOOL])
    said = asked.choices[0].message
    result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "rain"}
    answer = client.chat.completions.create(
        model="gpt-4o-mini", messages=[*USER, said, result], tools=[CHAT_TOOL]
    )
    assert answer.choices[0].message.content == "rain"


def test_it_parses_structured_output(stub: ModelStub, client) -> None:
    chat = client.chat.completions.parse(
        model="gpt-4o-mini", messages=USER, response_format=Finding
    )
    assert chat.choices[0].message.parsed == Finding(file="x", severity="low")
    stub.script({"file": "a.py", "severity": "high"})
    answer = client.responses.parse(model="gpt-4o-mini", input="Hello", text_format=Finding)
    assert answer.output_parsed == Finding(file="a.py", severity="high")


def test_it_asks_for_a_response(stub: ModelStub, client) -> None:
    stub.script(Say("Hi.", calls=(Call("weather", {"city": "Ulm"}),), thinking="Hm."))
    answer = client.responses.create(
        model="gpt-4o-mini", input="Hello", instructions="Be brief.", tools=[TOOL]
    )
    assert (answer.output_text, answer.status) == ("Hi.", "completed")
    assert json.loads(answer.output[-1].arguments) == {"city": "Ulm"}
    assert answer.usage.output_tokens_details.reasoning_tokens == 2


def test_it_streams_a_response(stub: ModelStub, client) -> None:
    stub.script(Say("Hi there.", calls=(Call("weather", {"city": "Ulm"}),), thinking="Hm."))
    with client.responses.stream(model="gpt-4o-mini", input="Hello", tools=[TOOL]) as stream:
        said = [event.delta for event in stream if event.type == "response.output_text.delta"]
        answer = stream.get_final_response()
    assert "".join(said) == answer.output_text == "Hi there."
    assert answer.output[-1].parsed_arguments == {"city": "Ulm"}


def test_it_continues_a_response_with_the_result_of_a_tool(stub: ModelStub, client) -> None:
    stub.script(Call("weather", {"city": "Ulm"}), lambda asked: asked.tool_results[0].content)
    asked = client.responses.create(model="gpt-4o-mini", input="Hello", tools=[TOOL])
    call = asked.output[0]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    answer = client.responses.create(model="gpt-4o-mini", input=[*USER, call, result], tools=[TOOL])
    assert answer.output_text == "rain"


def test_it_shows_pictures(stub: ModelStub, client) -> None:
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
    url = f"data:image/png;base64,{picture}"
    content = [{"type": "image_url", "image_url": {"url": url}}]
    client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": content}]
    )
    assert stub.bill().usage.input > 765


def test_it_embeds_and_lists_models(stub: ModelStub, client) -> None:
    found = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    assert [len(item.embedding) for item in found.data] == [1536, 1536]
    assert "gpt-4o-mini" in {model.id for model in client.models.list()}


FAULTS = [
    ("rate_limited", "RateLimitError"),
    ("quota", "RateLimitError"),
    ("server", "InternalServerError"),
    ("overloaded", "InternalServerError"),
    ("drop", "APIConnectionError"),
]


@pytest.mark.parametrize(("fault", "error"), FAULTS)
def test_faults_are_its_exceptions(fault: str, error: str, stub: ModelStub, client) -> None:
    stub.fail(fault)
    with pytest.raises(getattr(openai, error)):
        client.chat.completions.create(model="gpt-4o-mini", messages=USER)


REFUSALS = [
    ({"messages": []}, "BadRequestError"),
    ({"model": "gpt-0"}, "NotFoundError"),
    ({"max_tokens": 1_000_000}, "BadRequestError"),
]


@pytest.mark.parametrize(("wrong", "error"), REFUSALS)
def test_refusals_are_its_exceptions(wrong, error: str, client) -> None:
    with pytest.raises(getattr(openai, error)) as raised:
        client.chat.completions.create(**{"model": "gpt-4o-mini", "messages": USER} | wrong)
    assert raised.value.request_id


def test_a_wrong_key_and_a_reused_key_are_its_exceptions(stub: ModelStub, client) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-wrong").models.list()
    keyed = client.with_options(default_headers={"Idempotency-Key": "k"})
    keyed.chat.completions.create(model="gpt-4o-mini", messages=USER)
    with pytest.raises(openai.ConflictError):
        keyed.chat.completions.create(model="gpt-4o", messages=USER)


def test_its_own_retries_get_through_a_storm(stub: ModelStub, client) -> None:
    stub.fail("rate_limited", times=2, retry_after_s=0.01)
    patient = client.with_options(max_retries=2)
    patient.chat.completions.create(model="gpt-4o-mini", messages=USER)
    assert [seen.status for seen in stub.requests] == [429, 429, 200]


def test_a_cut_stream_is_an_error_to_it(stub: ModelStub, client) -> None:
    stub.script("one two three four")
    stub.fail("cut", after=2)
    chunks = []
    stream = client.chat.completions.create(model="gpt-4o-mini", messages=USER, stream=True)
    with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
        chunks.extend(stream)
    said = [chunk.choices[0].delta.content for chunk in chunks]
    assert said == ["", "one", " two"]


def test_an_error_in_a_stream_is_an_error_to_it(stub: ModelStub, client) -> None:
    stub.fail("error_event", after=1)
    with pytest.raises(openai.APIError, match="Overloaded"):
        list(client.chat.completions.create(model="gpt-4o-mini", messages=USER, stream=True))


def test_it_reads_the_headers_of_limits(talk) -> None:
    with ModelStub(limits=Limits(rpm=9)) as stub:
        base_url = f"{stub.base_url}/v1"
        with openai.OpenAI(base_url=base_url, api_key=stub.api_key) as client:
            raw = client.chat.completions.with_raw_response.create(
                model="gpt-4o-mini", messages=USER
            )
    assert raw.headers["x-ratelimit-remaining-requests"] == "8"
    assert raw.parse().choices[0].message.role == "assistant"
