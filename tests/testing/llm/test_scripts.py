"""A test says what the model says; without a word of it the stub obeys the request."""

import json
import re
import threading

import jsonschema_rs
import pytest

from podium.testing.llm import Asked, Call, ModelStub

TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string"}, "deep": {"type": "boolean"}},
            "required": ["path"],
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {
        "verdict": {"enum": ["good", "bad"]},
        "score": {"type": "integer", "minimum": 1},
        "findings": {"type": "array", "items": {"$ref": "#/$defs/finding"}, "minItems": 1},
    },
    "required": ["verdict", "score", "findings"],
    "$defs": {"finding": {"type": "object", "properties": {"why": {"type": ["string", "null"]}},
                          "required": ["why"]}},
}  # fmt: skip


def format_of(schema):
    return {"type": "json_schema", "json_schema": {"name": "out", "schema": schema}}


def test_one_answer_is_given_again_and_again(stub: ModelStub, wire) -> None:
    stub.script("pong")
    assert [wire.say(), wire.say()] == ["pong", "pong"]


def test_several_answers_are_given_once_in_order(stub: ModelStub, wire) -> None:
    stub.script("one", "two")
    stub.script("more")
    assert stub.unsaid == 2
    assert [wire.say() for _ in range(3)] == ["one", "two", "more"]
    assert stub.unsaid == 0


def test_a_request_that_no_rule_fits_is_refused_with_what_it_asked(stub: ModelStub, wire) -> None:
    stub.script("only once", times=1)
    wire.say()
    error = wire.chat("and now?").json()["error"]
    assert (error["code"], "and now?" in error["message"]) == ("script_has_no_answer", True)


@pytest.mark.parametrize(
    "when", ["France", re.compile(r"capital of \w+"), lambda asked: asked.turn == 0]
)
def test_a_rule_can_wait_for_its_question(when, stub: ModelStub, wire) -> None:
    stub.script("Paris", when=when, model="gpt-4o-mini")
    stub.script("no idea")
    assert wire.say("What is the capital of France?") == "Paris"
    assert wire.say("What is the capital of France?", model="gpt-4o") == "no idea"


def test_a_value_is_sent_as_json(stub: ModelStub, wire) -> None:
    stub.script({"findings": []}, [1, 2])
    assert [json.loads(wire.say()), json.loads(wire.say())] == [{"findings": []}, [1, 2]]


def test_calls_may_stand_for_an_answer(stub: ModelStub, wire) -> None:
    stub.script([Call("a"), Call("b", {"x": 1})], Call("c", raw="{broken"))
    calls = wire.chat().json()["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["a", "b"]
    call = wire.chat().json()["choices"][0]["message"]["tool_calls"][0]
    assert call["function"]["arguments"] == "{broken"


def test_a_function_sees_the_conversation(stub: ModelStub, wire) -> None:
    def answer(asked: Asked):
        if not asked.tool_results:
            return Call("look", {"path": asked.text})
        return f"{asked.tool_calls[0].name}: {asked.tool_results[0].content} ({asked.turn})"

    stub.script(answer)
    asked = {"role": "user", "content": "a.py"}
    said = wire.chat("a.py", tools=[TOOL]).json()["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "42"}
    assert wire.say(messages=[asked, said, result]) == "look: 42 (1)"


def test_a_function_may_wait(stub: ModelStub, wire) -> None:
    async def answer(asked: Asked) -> str:
        await stub.clock.sleep(0)
        return asked.system

    stub.script(answer)
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert wire.say(messages=messages) == "Be brief."


def test_a_mistake_in_a_function_reaches_the_client(stub: ModelStub, wire) -> None:
    stub.script(lambda asked: asked.nonsense)
    error = wire.chat().json()["error"]
    assert error["code"] == "script_raised"
    assert "nonsense" in error["message"]
    assert "nonsense" in stub.requests[0].error


def test_without_a_script_the_answer_obeys_the_schema(stub: ModelStub, wire) -> None:
    said = json.loads(wire.say(response_format=format_of(SCHEMA)))
    assert jsonschema_rs.is_valid(SCHEMA, said)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "look"}}])
def test_without_a_script_a_required_tool_is_called(choice, stub: ModelStub, wire) -> None:
    message = wire.chat(tools=[TOOL], tool_choice=choice).json()["choices"][0]["message"]
    function = message["tool_calls"][0]["function"]
    assert (function["name"], json.loads(function["arguments"])) == ("look", {"path": "x"})


def test_chance_depends_on_the_seed_and_the_request_only(talk) -> None:
    def said(seed: int, *questions: str) -> dict[str, str]:
        with ModelStub(seed=seed) as stub, talk(stub) as wire:
            stub.script(lambda asked: str(asked.dice().random()))
            return {question: wire.say(question) for question in questions}

    assert said(1, "a", "b") == said(1, "b", "a")
    assert said(1, "a") != said(2, "a")


def test_reset_forgets_rules_but_not_the_bill(stub: ModelStub, wire) -> None:
    stub.script("pong")
    stub.fail("server", nth=2)
    wire.say()
    stub.reset()
    assert wire.say() != "pong"
    assert len(stub.bill().lines) == 2


def test_requests_show_what_came_in_but_no_key(stub: ModelStub, wire) -> None:
    wire.chat("Hello", key="k1")
    wire.chat(max_tokens=0)
    first, second = stub.requests
    assert (first.no, first.model, first.status, first.idempotency_key) == (
        *(1, "gpt-4o-mini", 200, "k1"),
    )
    assert first.body["messages"][0]["content"] == "Hello"
    assert (second.status, "Expected a value >= 1" in second.error) == (400, True)
    assert stub.api_key not in str(stub.requests)


def test_max_in_flight_counts_who_waits_together(stub: ModelStub, wire, talk) -> None:
    all_here = threading.Barrier(3)

    async def answer(asked: Asked) -> str:
        while stub.max_in_flight < 3:
            await stub.clock.sleep(0)
        return "now"

    def ask() -> None:
        with talk(stub) as other:
            all_here.wait(10)
            other.say()

    stub.script(answer)
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (stub.max_in_flight, stub.in_flight) == (3, 0)
