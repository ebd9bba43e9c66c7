"""Answers have the shape their providers give them, whole and streamed."""

import base64
import struct

from podium.ports.models import Finish
from podium.testing.llm import Call, ModelStub, Say

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
USER = [{"role": "user", "content": "Hello"}]
GPT = {"model": "gpt-4o-mini", "messages": USER}
GPT_INPUT = {"model": "gpt-4o-mini", "input": "Hello"}
CLAUDE = {"model": "claude-haiku-4-5", "max_tokens": 200, "messages": USER}
RICH = Say(
    "I will look.",
    calls=(Call("read_file", {"path": "a.py"}), Call("grep", {"word": "né 🧠"})),
    thinking="Where is it?",
)


def test_a_chat_answer_is_whole(stub: ModelStub, wire) -> None:
    stub.script("Hi there.")
    body = wire.post(CHAT, GPT).json()
    assert body["object"] == "chat.completion"
    choice = body["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hi there.", "stop")
    # o200k: 1 token for Hello, 3 for the message, 3 for the prompt; 3 for the answer.
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (7, 3)


def test_a_chat_stream_says_the_same_token_by_token(stub: ModelStub, wire) -> None:
    stub.script("Hi there, you.")
    events = wire.events(CHAT, GPT | {"stream_options": {"include_usage": True}})
    assert events[-1] == "[DONE]"
    deltas = [event["choices"][0]["delta"] for event in events[:-2]]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert [d["content"] for d in deltas[1:-1]] == ["Hi", " there", ",", " you", "."]
    assert events[-3]["choices"][0]["finish_reason"] == "stop"
    assert (events[-2]["choices"], events[-2]["usage"]["completion_tokens"]) == ([], 5)
    assert all(event["usage"] is None for event in events[:-2])


def test_a_chat_stream_tells_no_usage_unasked(stub: ModelStub, wire) -> None:
    assert all("usage" not in event for event in wire.events(CHAT, GPT) if event != "[DONE]")


def test_chat_tool_calls_come_in_pieces(stub: ModelStub, wire) -> None:
    stub.script(RICH)
    deltas = [e["choices"][0]["delta"] for e in wire.events(CHAT, GPT)[:-1]]
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    first = [call for call in calls if call["index"] == 0]
    assert first[0]["function"] == {"name": "read_file", "arguments": ""}
    assert first[0]["id"] != next(call["id"] for call in calls if call["index"] == 1)
    assert "".join(call["function"]["arguments"] for call in first) == '{"path":"a.py"}'
    whole = wire.post(CHAT, GPT).json()["choices"][0]
    assert whole["finish_reason"] == "tool_calls"
    assert whole["message"]["tool_calls"][1]["function"]["arguments"] == '{"word":"né 🧠"}'


def test_a_responses_answer_lists_what_the_model_did(stub: ModelStub, wire) -> None:
    stub.script(RICH)
    body = wire.post(RESPONSES, GPT_INPUT).json()
    assert [item["type"] for item in body["output"]] == [
        *("reasoning", "message", "function_call", "function_call"),
    ]
    assert (body["status"], body["usage"]["output_tokens_details"]["reasoning_tokens"]) == (
        *("completed", 4),
    )


def test_a_responses_stream_numbers_its_events_and_ends_with_the_whole(
    stub: ModelStub, wire
) -> None:
    stub.script(RICH)
    events = wire.events(RESPONSES, GPT_INPUT)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    text = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
    assert "".join(text) == "I will look."
    assert events[-1]["type"] == "response.completed"
    assert len(events[-1]["response"]["output"]) == 4


def test_an_anthropic_answer_is_blocks(stub: ModelStub, wire) -> None:
    stub.script(RICH)
    body = wire.post(MESSAGES, CLAUDE).json()
    kinds = [block["type"] for block in body["content"]]
    assert (kinds, body["stop_reason"]) == (
        ["thinking", "text", "tool_use", "tool_use"],
        "tool_use",
    )
    assert body["content"][3]["input"] == {"word": "né 🧠"}


def test_an_anthropic_stream_opens_and_closes_each_block(stub: ModelStub, wire) -> None:
    stub.script(RICH)
    events = wire.events(MESSAGES, CLAUDE)
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 4
    assert "ping" in kinds
    partial = [e["delta"]["partial_json"] for e in events if e.get("index") == 3 and "delta" in e]
    assert "".join(partial) == '{"word":"né 🧠"}'
    assert events[-2]["usage"]["output_tokens_details"] == {"thinking_tokens": 4}


def test_an_answer_stops_at_max_tokens(stub: ModelStub, wire) -> None:
    stub.script("one two three four five six")
    choice = wire.post(CHAT, GPT | {"max_tokens": 3}).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one two three", "length")
    assert wire.post(MESSAGES, CLAUDE | {"max_tokens": 3}).json()["stop_reason"] == "max_tokens"
    body = wire.post(RESPONSES, GPT_INPUT | {"max_output_tokens": 16}).json()
    assert body["status"] == "completed"
    stub.reset()
    stub.script("word " * 40)
    body = wire.post(RESPONSES, GPT_INPUT | {"max_output_tokens": 16}).json()
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}


def test_tool_arguments_can_be_cut_at_max_tokens(stub: ModelStub, wire) -> None:
    stub.script(Call("write", {"text": "word " * 50}))
    choice = wire.post(CHAT, GPT | {"max_tokens": 10}).json()["choices"][0]
    arguments = choice["message"]["tool_calls"][0]["function"]["arguments"]
    assert choice["finish_reason"] == "length"
    assert arguments.startswith('{"text":"word')
    assert not arguments.endswith("}")


def test_an_answer_stops_at_a_stop_sequence(stub: ModelStub, wire) -> None:
    stub.script("one END two")
    assert wire.say(stop=["END"]) == "one "
    body = wire.post(MESSAGES, CLAUDE | {"stop_sequences": ["END"]}).json()
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", "END")


def test_a_refusal_of_content_is_a_finish(stub: ModelStub, wire) -> None:
    stub.script(Say("", finish=Finish.CONTENT_FILTER))
    assert wire.post(CHAT, GPT).json()["choices"][0]["finish_reason"] == "content_filter"
    assert wire.post(MESSAGES, CLAUDE).json()["stop_reason"] == "refusal"


def test_cached_and_hidden_tokens_are_told_as_each_provider_counts(stub: ModelStub, wire) -> None:
    stub.script(Say("Yes.", cached=4, cache_write=1, thinking_tokens=50))
    usage = wire.post(CHAT, GPT).json()["usage"]
    assert (usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]) == (7, 4)
    assert usage["completion_tokens"] == 52
    usage = wire.post(MESSAGES, CLAUDE).json()["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (2, 4)
    assert (usage["cache_creation_input_tokens"], usage["output_tokens"]) == (1, 52)


def test_a_path_needs_no_v1(stub: ModelStub, wire) -> None:
    assert wire.post("/chat/completions", GPT).status_code == 200


def test_models_are_listed_as_each_provider_does(stub: ModelStub, wire) -> None:
    key = {"authorization": f"Bearer {stub.api_key}"}
    listed = wire.http.get("/v1/models", headers=key).json()
    assert {"gpt-4o-mini", "claude-haiku-4-5"} <= {model["id"] for model in listed["data"]}
    assert wire.http.get("/v1/models/gpt-4o", headers=key).json()["object"] == "model"
    assert wire.http.get("/v1/models/gpt-0", headers=key).status_code == 404
    listed = wire.http.get("/v1/models", headers=wire.headers()).json()
    assert {model["type"] for model in listed["data"]} == {"model"}
    assert listed["first_id"] == "claude-haiku-4-5"


def test_tokens_of_a_prompt_are_counted_for_nothing(stub: ModelStub, wire) -> None:
    asked = {"model": "claude-haiku-4-5", "messages": USER}
    counted = wire.post(f"{MESSAGES}/count_tokens", asked).json()
    assert counted == {"input_tokens": wire.claude().json()["usage"]["input_tokens"]}
    assert len(stub.bill().lines) == 1


def embedded(wire, texts, **options):
    asked = {"model": "text-embedding-3-small", "input": texts} | options
    body = wire.post("/v1/embeddings", asked).json()
    return [item["embedding"] for item in body["data"]]


def test_texts_that_share_words_have_near_vectors(stub: ModelStub, wire) -> None:
    cat, also, other = embedded(wire, ["the black cat sat", "a black cat", "stock market news"])
    near, far = (sum(a * b for a, b in zip(cat, v, strict=True)) for v in (also, other))
    assert len(cat) == 1536
    assert near > far + 0.3
    assert stub.bill().usage.input > 0


def test_vectors_come_packed_and_shorter_if_asked(stub: ModelStub, wire) -> None:
    plain = embedded(wire, "a cat", dimensions=64)[0]
    packed = base64.b64decode(embedded(wire, "a cat", dimensions=64, encoding_format="base64")[0])
    assert struct.unpack("<64f", packed) == tuple(
        struct.unpack("<64f", struct.pack("<64f", *plain))
    )
