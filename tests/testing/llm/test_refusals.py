"""The stub refuses what providers refuse, in their words: type, code, parameter and status."""

from typing import Any

import pytest

from podium.testing.llm import ModelStub, StubModel

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
USER = {"role": "user", "content": "Hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASKS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOLD = {"role": "tool", "tool_call_id": "c1", "content": "42"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def chat(*messages: Any, **options: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": list(messages)} | options


def picture(url: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


def with_schema(schema: Any, **options: Any) -> dict[str, Any]:
    wanted = {"name": "out", "schema": schema} | options
    return chat(USER, response_format={"type": "json_schema", "json_schema": wanted})


def function(**fields: Any) -> dict[str, Any]:
    return chat(USER, tools=[{"type": "function", "function": {"name": "f"} | fields}])


LOOSE = {"type": "object", "properties": {"a": {"type": "string"}}}
CLOSED = LOOSE | {"additionalProperties": False}

# (name, request, status, type, parameter, code, a part of the message)
CHAT_REFUSALS = [
    ("no messages", chat(), "messages", "empty_array", "empty array"),
    ("no messages field", {"model": "gpt-4o-mini"}, "messages", "missing_required_parameter", ""),
    ("no model", {"messages": [USER]}, None, None, "must provide a model"),
    ("role", chat({"role": "judge", "content": "x"}), "messages[0].role", "invalid_value", "judge"),
    ("orphan result", chat(USER, TOLD), "messages.[1].role", None, "must be a response to"),
    (
        *("wrong result", chat(USER, ASKS, TOLD | {"tool_call_id": "c9"})),
        *("messages.[2].tool_call_id", None, "not found"),
    ),
    ("no result", chat(USER, ASKS, USER), "messages.[2].role", None, "must be followed by"),
    ("no result at the end", chat(USER, ASKS), "messages.[2].role", None, "c1"),
    ("null content", chat({"role": "user", "content": None}), "messages.[0].content", None, "null"),
    ("too much", chat(USER, max_tokens=16_385), "max_tokens", "invalid_value", "at most 16384"),
    ("nothing", chat(USER, max_tokens=0), "max_tokens", "integer_below_min_value", ">= 1"),
    (
        *("window", chat({"role": "user", "content": "word " * 128_000})),
        *("messages", "context_length_exceeded", "maximum context length is 128000"),
    ),
    ("two choices", chat(USER, n=2), "n", "unsupported_value", "one choice"),
    ("picture type", chat(picture("data:text/html;base64,eA==")),
     "messages[0].content[0].image_url.url", "invalid_value", "image MIME type"),
    ("picture", chat(picture("data:image/png;base64,eHh4eHh4")), None, "invalid_image_format", ""),
    ("tool choice", chat(USER, tool_choice="required"), "tool_choice", None, "only allowed when"),
    ("unknown tool choice", chat(USER, tools=[TOOL], tool_choice="x"), "tool_choice", None, "'x'"),
    ("tool name", function(name="a b"), "tools[0].function.name", "invalid_value", "pattern"),
    (
        *("tool schema", function(parameters={"type": "array"})),
        *("tools[0].function.parameters", "invalid_function_parameters", "type 'object'"),
    ),
    (
        *("no JSON Schema", with_schema({"type": "object", "properties": 3})),
        *("response_format.json_schema", None, "Invalid schema for response_format 'out'"),
    ),
    (
        *("loose", with_schema(LOOSE, strict=True)),
        *("response_format.json_schema", None, "'additionalProperties' is required"),
    ),
    (
        *("optional", with_schema(CLOSED, strict=True)),
        *("response_format.json_schema", None, "Missing 'a'"),
    ),
    ("thinks", chat(USER, max_tokens=5) | {"model": "gpt-5-mini"}, "max_tokens",
     "unsupported_parameter", "max_completion_tokens"),
    ("cool", chat(USER, temperature=0.2) | {"model": "gpt-5-mini"}, "temperature",
     "unsupported_value", "0.2"),
    ("malformed", chat({"role": "user", "content": [7]}), None, None, "malformed"),
]  # fmt: skip


@pytest.mark.parametrize("case", CHAT_REFUSALS, ids=lambda case: case[0])
def test_chat_refuses(case: Any, stub: ModelStub, wire) -> None:
    _, body, param, code, words = case
    answer = wire.post(CHAT, body)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert words in error["message"]
    assert stub.bill().lines == ()


OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "42"}
ASKED = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
RESPONSES_REFUSALS = [
    ("nothing", {}, "Missing required parameter: 'input'"),
    ("orphan", {"input": [USER, OUTPUT]}, "No tool call found for function call output"),
    ("unanswered", {"input": [USER, ASKED]}, "No tool output found for function call c1"),
    ("role", {"input": [{"role": "tool", "content": "x"}]}, "Supported values are"),
    ("too little", {"input": "x", "max_output_tokens": 5}, "Expected a value >= 16"),
    ("memory", {"input": "x", "previous_response_id": "resp_1"}, "'resp_1' not found"),
    ("window", {"input": "word " * 128_000}, "exceeds the context window"),
]


@pytest.mark.parametrize("case", RESPONSES_REFUSALS, ids=lambda case: case[0])
def test_responses_refuses(case: Any, wire) -> None:
    _, body, words = case
    answer = wire.post(RESPONSES, {"model": "gpt-4o-mini"} | body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def turns(*messages: Any, **options: Any) -> dict[str, Any]:
    return {"messages": list(messages)} | options


USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "42"}
GIVEN = {"role": "user", "content": [RESULT]}
LATE = {"role": "user", "content": [{"type": "text", "text": "hm"}, RESULT]}
BAD_PICTURE = {"type": "base64", "media_type": "image/png", "data": "eHh4"}
BAD_TYPE = BAD_PICTURE | {"media_type": "text/html"}


def seen(source: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image", "source": source}]}


def claude_schema(schema: Any) -> dict[str, Any]:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


MESSAGES_REFUSALS = [
    ("no messages", turns(), "at least one message is required"),
    ("no limit", turns(USER, max_tokens=None), "max_tokens: Field required"),
    ("too much", turns(USER, max_tokens=64_001), "max_tokens: 64001 > 64000"),
    ("system", turns({"role": "system", "content": "x"}), "top-level `system`"),
    ("role", turns({"role": "tool", "content": "x"}), "messages.0.role: Input should be"),
    ("first", turns({"role": "assistant", "content": "x"}), 'first message must use the "user"'),
    ("empty", turns({"role": "user", "content": ""}), "must have non-empty content"),
    ("blank", turns({"role": "user", "content": "  "}), "text content blocks must be non-empty"),
    ("space", turns(USER, {"role": "assistant", "content": "So "}), "trailing whitespace"),
    ("orphan", turns(GIVEN), "unexpected `tool_use_id` found in `tool_result` blocks: t1"),
    ("no result", turns(USER, USE, USER), "messages.1: `tool_use` ids were found without"),
    ("no result at the end", turns(USER, USE), "immediately after: t1"),
    ("late result", turns(USER, USE, LATE), "`tool_use` ids were found without"),
    ("window", turns({"role": "user", "content": "word " * 200_001}), "prompt is too long: 200"),
    ("both", turns({"role": "user", "content": "word " * 150_000}, max_tokens=60_000),
     "exceed context limit"),
    ("picture type", turns(seen(BAD_TYPE)), "media_type: Input should be 'image/jpeg'"),
    ("picture", turns(seen(BAD_PICTURE)), "Could not process image"),
    ("block", turns({"role": "user", "content": [{"type": "video"}]}), "Input tag 'video'"),
    ("tool", turns(USER, tools=[{"name": "f"}]), "tools.0.custom.input_schema: Field required"),
    ("tool schema", turns(USER, tools=[{"name": "f", "input_schema": {"type": 5}}]), "invalid"),
    ("schema", turns(USER, **claude_schema(LOOSE)), "'additionalProperties' must be"),
    ("choice", turns(USER, tool_choice={"type": "any"}), "while providing `tools`"),
    ("thinks little", turns(USER, thinking={"type": "enabled", "budget_tokens": 9}), "1024"),
    ("thinks all", turns(USER, thinking={"type": "enabled", "budget_tokens": 2000}), "greater"),
]  # fmt: skip


@pytest.mark.parametrize("case", MESSAGES_REFUSALS, ids=lambda case: case[0])
def test_anthropic_refuses(case: Any, stub: ModelStub, wire) -> None:
    _, body, words = case
    answer = wire.post(MESSAGES, {"model": "claude-haiku-4-5", "max_tokens": 1500} | body)
    told = answer.json()
    assert (answer.status_code, told["type"]) == (400, "error")
    assert told["error"]["type"] == "invalid_request_error"
    assert words in told["error"]["message"]
    assert told["request_id"] == answer.headers["request-id"]
    assert stub.bill().lines == ()


def test_a_conversation_with_tools_is_accepted_where_it_is_whole(wire) -> None:
    said = {"role": "assistant", "content": "done"}
    assert wire.post(CHAT, chat(USER, ASKS, TOLD, said, USER)).status_code == 200
    asked = {"model": "gpt-4o-mini", "input": [USER, ASKED, OUTPUT]}
    assert wire.post(RESPONSES, asked).status_code == 200
    body = turns(USER, USE, GIVEN, said, USER, model="claude-haiku-4-5", max_tokens=50)
    assert wire.post(MESSAGES, body).status_code == 200


@pytest.mark.parametrize("path", [CHAT, RESPONSES, "/v1/embeddings"])
def test_an_unknown_model_is_not_found_at_openai(path: str, wire) -> None:
    answer = wire.post(path, {"model": "claude-haiku-4-5", "messages": [USER], "input": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_an_unknown_model_is_not_found_at_anthropic(wire) -> None:
    answer = wire.post(MESSAGES, turns(USER, model="gpt-4o", max_tokens=5))
    assert answer.status_code == 404
    error = {"type": "not_found_error", "message": "model: gpt-4o"}
    assert answer.json()["error"] == error


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("key", ["", "sk-wrong-key"])
def test_a_missing_and_a_wrong_key_are_refused(path: str, key: str, wire) -> None:
    answer = wire.post(path, chat(USER), account=key)
    kind = "authentication_error" if path == MESSAGES else "invalid_request_error"
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, kind)
    assert "wrong-key" not in answer.text


def test_anthropic_wants_its_version(stub: ModelStub, wire) -> None:
    answer = wire.http.post(MESSAGES, json=turns(USER), headers={"x-api-key": stub.api_key})
    assert "anthropic-version" in answer.json()["error"]["message"]


def test_what_is_not_json_is_refused(stub: ModelStub, wire) -> None:
    answer = wire.http.post(CHAT, content=b'{"model":', headers=wire.headers())
    assert answer.status_code == 400
    assert "could not parse the JSON" in answer.json()["error"]["message"]


def test_an_unknown_address_is_not_found(wire) -> None:
    assert wire.post("/v1/completions", chat(USER)).status_code == 404


@pytest.mark.parametrize("given", ["", [], [1], ["x", ""], "word " * 9000])
def test_embeddings_refuse_what_is_no_text(given: Any, wire) -> None:
    answer = wire.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": given})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")


def test_a_model_of_a_test_has_the_window_of_the_test(talk) -> None:
    tiny = StubModel(name="tiny", window=20, output_max=5)
    with ModelStub(models=[tiny]) as stub, talk(stub) as wire:
        assert wire.chat(model="tiny").status_code == 200
        refused = wire.chat("a b c d e f g h i j k l m n o", model="tiny").json()["error"]
    assert refused["code"] == "context_length_exceeded"
