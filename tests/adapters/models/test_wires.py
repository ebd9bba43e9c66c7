"""What a stub that behaves does not show: odd servers, hostile ones, bounds, and secrets."""

import asyncio
import logging
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from asking import (
    KEY,
    KINDS,
    LostError,
    Received,
    Said,
    ask,
    assistant,
    events,
    fault_of,
    reply_of,
    request,
    sent_body,
    server,
    user,
    wire,
    wire_to,
)
from asking import system as system_message

from podium.adapters.models import http, open_wire
from podium.errors import ModelError, RequestError
from podium.gateway.catalog import Provider
from podium.ports.models import (
    FaultKind,
    Finish,
    Image,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)
from podium.settings import Secret

TOOL = ToolSpec(name="look", description="Looks.", parameters={"type": "object"})
every_kind = pytest.mark.parametrize("kind", KINDS)
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["send", "stream"])


NOBODY = "http://127.0.0.1:1/v1"
"""Where nothing listens."""


def always(status: int, **said: Any) -> Callable[[Received], Said]:
    """Answer every request the same."""
    return lambda _received: Said(status, **said)


def sse(*data: object) -> Callable[[Received], Said]:
    headers = {"content-type": "text/event-stream"}
    return always(200, content=events(*data), headers=headers)


def chunk(**choice: object) -> dict[str, object]:
    return {"choices": [{"index": 0, **choice}]}


# -- compatible servers --------------------------------------------------------------------------


def test_a_stream_without_usage_is_an_answer_whose_usage_is_estimated() -> None:
    there = wire(
        "openai", sse(chunk(delta={"content": "Hi"}), chunk(delta={}, finish_reason="stop"))
    )
    reply = reply_of(ask(there, stream=True))
    assert (reply.finish, reply.is_estimated) == (Finish.STOP, True)
    assert reply.usage.output >= 1


def test_usage_may_come_after_the_end() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}
    data = (chunk(delta={"content": "Hi"}), chunk(delta={}, finish_reason="stop"), usage, "[DONE]")
    reply = reply_of(ask(wire("openai", sse(*data)), stream=True))
    assert (reply.usage, reply.is_estimated) == (Usage(input=5, output=1), False)


def test_a_server_that_does_not_stream_is_understood() -> None:
    body = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    (reply,) = ask(wire("openai", always(200, json=body)), stream=True)
    assert reply_of([reply]).message.parts == (Text(text="Hi"),)


@pytest.mark.parametrize("word", ["reasoning", "reasoning_content"])
def test_reasoning_is_read_whatever_a_server_calls_it(word: str) -> None:
    data = (chunk(delta={word: "Hm."}), chunk(delta={"content": "Hi"}, finish_reason="stop"))
    reply = reply_of(ask(wire("openai", sse(*data)), stream=True))
    assert reply.message.parts == (Thinking(text="Hm."), Text(text="Hi"))


def test_a_call_that_a_server_calls_a_stop_is_a_call() -> None:
    call = {"id": "1", "function": {"name": "look", "arguments": {"at": "it"}}}
    body = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "stop"}]}
    reply = reply_of(ask(wire("openai", always(200, json=body))))
    assert reply.finish is Finish.TOOL_CALLS
    assert reply.message.parts == (ToolCall(id="1", name="look", arguments={"at": "it"}),)


def test_a_refusal_is_told_from_an_answer() -> None:
    body = {"choices": [{"message": {"refusal": "I cannot."}, "finish_reason": "stop"}]}
    reply = reply_of(ask(wire("openai", always(200, json=body))))
    assert (reply.finish, reply.message.parts) == (Finish.CONTENT_FILTER, (Text(text="I cannot."),))


def test_an_address_may_be_written_with_or_without_its_version() -> None:
    for ending in ("", "/v1", "/v1/"):
        seen: list[str] = []

        def answer(received: Received, seen: list[str] = seen) -> Said:
            seen.append(received.path)
            return Said(500)

        fault_of(wire("anthropic", answer, ending=ending))
        assert seen == ["/v1/messages"]


# -- what is sent --------------------------------------------------------------------------------


def test_only_closed_schemas_are_forced_strictly() -> None:
    closed = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    for schema, strict in ((closed, True), ({"type": "object"}, False)):
        chat = sent_body("openai", request(schema=schema))
        assert chat["response_format"]["json_schema"]["strict"] is strict
        responses = sent_body("openai_responses", request(schema=schema))
        assert responses["text"]["format"]["strict"] is strict
        messages = sent_body("anthropic", request(schema=schema))
        assert ("output_config" in messages) is strict
        assert ("tools" in messages) is not strict


@pytest.mark.parametrize(
    ("choice", "chat", "responses", "messages"),
    [
        ("auto", "auto", "auto", {"type": "auto"}),
        ("none", "none", "none", {"type": "none"}),
        ("required", "required", "required", {"type": "any"}),
        (
            "look",
            {"type": "function", "function": {"name": "look"}},
            {"type": "function", "name": "look"},
            {"type": "tool", "name": "look"},
        ),
    ],
)
def test_tool_choice_is_said_in_each_protocols_words(
    choice: str, chat: object, responses: object, messages: object
) -> None:
    asked = request(tools=(TOOL,), tool_choice=choice)
    said = [sent_body(kind, asked)["tool_choice"] for kind in KINDS]
    assert said == [chat, responses, messages]


@every_kind
def test_images_go_as_data_or_as_their_address(kind: str) -> None:
    seen = user("?", Image(media_type="image/png", data="QUJD"), Image(url="http://a.test/b.png"))
    text = str(sent_body(kind, request(seen)))
    assert "QUJD" in text
    assert "http://a.test/b.png" in text


@every_kind
def test_thinking_of_another_provider_is_left_out(kind: str) -> None:
    foreign = Thinking(text="hidden words", signature="elsewhere:abc")
    body = sent_body(kind, request(user("a"), assistant(foreign, "b"), user("c")))
    assert "hidden words" not in str(body)


def test_the_speaker_of_anthropic_turns_alternates_and_results_come_first() -> None:
    body = sent_body(
        "anthropic",
        request(
            system_message("Rules."),
            user("a"),
            assistant(ToolCall(id="1", name="look", raw="{oops")),
            user("b"),
            user(ToolResult(call_id="1", content="done")),
            tools=(TOOL,),
        ),
    )
    assert body["system"] == [{"type": "text", "text": "Rules."}]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"][0]["input"] == {"raw": "{oops"}
    assert [block["type"] for block in body["messages"][2]["content"]] == ["tool_result", "text"]


def test_stop_sequences_are_refused_where_there_are_none() -> None:
    fault = fault_of(wire("openai_responses", always(200)), request(stop=("END",)))
    assert fault.kind is FaultKind.BAD_REQUEST
    assert sent_body("openai", request(stop=("END",)))["stop"] == ["END"]
    assert sent_body("anthropic", request(stop=("END",)))["stop_sequences"] == ["END"]


def test_a_key_in_any_language_is_sent_in_ascii_and_stays_one_of_a_kind() -> None:
    seen: list[str] = []

    def answer(received: Received) -> Said:
        seen.append(received.headers["idempotency-key"])
        return Said(500)

    for key in ("run/ask[a b]/1", "run/ask[Müller]/1", "run/ask[M%C3%BCller]/1", "a\r\nb: c"):
        fault_of(wire("openai", answer), request(idempotency_key=key))
    assert seen == [
        "run/ask[a%20b]/1",
        "run/ask[M%C3%BCller]/1",
        "run/ask[M%25C3%25BCller]/1",
        "a%0D%0Ab:%20c",
    ]


# -- broken and hostile answers ------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices": []}', b"null"])
def test_an_answer_that_is_something_else_is_malformed(kind: str, body: bytes) -> None:
    there = wire(kind, always(200, content=body, headers={"content-type": "application/json"}))
    assert fault_of(there).kind is FaultKind.MALFORMED


@every_kind
@pytest.mark.parametrize("data", ["nonsense", "[]", '{"type": 7}', '{"choices": 5}', "null", "7"])
def test_an_event_that_is_something_else_never_passes_as_an_answer(kind: str, data: str) -> None:
    assert fault_of(wire(kind, sse(data)), stream=True).kind in {
        FaultKind.MALFORMED,
        FaultKind.STREAM_CUT,
    }


@every_kind
def test_an_empty_stream_is_cut(kind: str) -> None:
    assert fault_of(wire(kind, sse()), stream=True).kind is FaultKind.STREAM_CUT


@every_kind
@both_ways
def test_an_answer_that_does_not_end_is_not_read_to_its_end(
    kind: str, *, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "ANSWER_MAX", 10_000)
    monkeypatch.setattr("podium.adapters.models.wire.STREAM_MAX", 10_000)
    sent: list[int] = []

    async def flood() -> AsyncIterator[bytes]:
        for _ in range(100_000):
            sent.append(1)
            yield b": " + b"x" * 1_000 + b"\n"

    kinds = "text/event-stream" if stream else "application/json"
    there = wire(kind, lambda _: Said(content=flood(), headers={"content-type": kinds}))
    fault = fault_of(there, stream=stream)
    assert fault.kind is FaultKind.MALFORMED
    # What fits into the buffers between the two is written, and no more.
    assert len(sent) < 50_000


@both_ways
def test_a_redirect_is_not_followed(*, stream: bool) -> None:
    stolen: list[Received] = []

    def steal(received: Received) -> Said:
        stolen.append(received)
        return Said(500)

    there = wire("openai", always(302, headers={"location": server().address(steal) + "/v1"}))
    fault = fault_of(there, stream=stream)
    assert (fault.kind, stolen) == (FaultKind.BAD_REQUEST, [])


def test_a_detail_is_one_bounded_line() -> None:
    words = "a\nb\x1b[31m" + "c" * 10_000
    fault = fault_of(wire("openai", always(400, json={"error": {"message": words}})))
    assert len(fault.detail) <= 500
    assert fault.detail.isprintable()


def test_the_goodbye_may_be_lost() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield events(chunk(delta={"content": "Hi"}, finish_reason="stop"))
        raise LostError

    headers = {"content-type": "text/event-stream"}
    there = wire("openai", lambda _: Said(content=body(), headers=headers))
    assert reply_of(ask(there, stream=True)).finish is Finish.STOP


def test_a_request_that_never_left_cannot_have_been_charged() -> None:
    fault = fault_of(wire_to("openai", NOBODY))
    assert (fault.kind, fault.partial) == (FaultKind.CONNECTION, None)


def test_a_request_whose_answer_was_lost_may_have_been_charged() -> None:
    def lose(_received: Received) -> Said:
        raise LostError

    fault = fault_of(wire("openai", lose))
    assert fault.kind is FaultKind.CONNECTION
    assert fault.partial is not None


# -- secrets -------------------------------------------------------------------------------------


def told(fault: BaseException) -> str:
    """Return all that a log could hold of an exception: with its causes and their attributes."""
    texts = ["".join(traceback.format_exception(fault))]
    seen: BaseException | None = fault
    while seen is not None:
        texts += [repr(seen), repr(vars(seen)), *map(repr, seen.args)]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(texts)


@every_kind
@both_ways
@pytest.mark.parametrize("how", ["echo", "connect", "event", "lost"])
def test_a_key_is_in_no_exception_and_no_log(
    kind: str, how: str, *, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = {"error": {"message": f"Wrong key: {KEY}.", "type": "error"}, "type": "error"}

    def answer(received: Received) -> Said:
        assert KEY in str(received.headers)
        if how == "lost":
            raise LostError
        if how == "event":
            return Said(content=events(error), headers={"content-type": "text/event-stream"})
        return Said(401, json=error)

    there = wire_to(kind, NOBODY) if how == "connect" else wire(kind, answer)
    found = told(fault_of(there, stream=stream))
    assert KEY not in found
    assert KEY not in caplog.text


def test_a_key_that_cannot_be_sent_is_refused_without_being_shown() -> None:
    provider = Provider(
        name="p", kind="openai", base_url="http://m.test/v1", api_key=Secret("sk-a\nb")
    )
    with pytest.raises(ModelError) as caught:
        open_wire(provider, environment={})
    assert "sk-a" not in told(caught.value)


def test_a_key_that_is_not_set_is_named_by_its_variable() -> None:
    provider = Provider(
        name="p", kind="openai", base_url="http://m.test/v1", api_key=Secret("${NO_KEY}")
    )
    with pytest.raises(RequestError, match="NO_KEY"):
        open_wire(provider, environment={})


def test_a_provider_without_a_key_gets_no_authorization() -> None:
    seen: list[str] = []

    def answer(received: Received) -> Said:
        seen.extend(name.lower() for name in received.headers)
        return Said(500)

    provider = Provider(name="p", kind="openai", base_url=server().address(answer))
    fault_of(open_wire(provider, environment={}))
    assert "content-type" in seen
    assert "authorization" not in seen


def test_what_netrc_holds_for_the_host_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password wrong\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    seen: list[str] = []

    def answer(received: Received) -> Said:
        seen.append(received.headers["Authorization"])
        return Said(500)

    fault_of(wire("openai", answer))
    assert seen == [f"Bearer {KEY}"]


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, _, name = server().address(always(500)).rpartition("/")
    there = f"http://model.test/{name}/v1"
    monkeypatch.setenv("http_proxy", proxy)
    assert fault_of(wire_to("openai", there)).kind is FaultKind.SERVER
    monkeypatch.setenv("no_proxy", "model.test")
    assert fault_of(wire_to("openai", there)).kind is FaultKind.CONNECTION


# -- life ----------------------------------------------------------------------------------------


def test_a_missing_library_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    provider = Provider(name="p", kind="openai", base_url="http://m.test/v1")
    with pytest.raises(ModelError, match="PDM-M003"):
        asyncio.run(open_wire(provider, environment={}).send(request()))


def test_a_wire_is_shared_by_tasks() -> None:
    body = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    there = wire("openai", always(200, json=body))

    async def crowd() -> int:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(there.send(request())) for _ in range(50)]
        await there.close()
        return sum(task.result().finish is Finish.STOP for task in tasks)

    assert asyncio.run(crowd()) == 50
