"""The three protocols over real HTTP, against the stub: the same questions, the same answers."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from asking import KINDS, MODELS, assistant, request, system, user

from podium.adapters.models import open_wire
from podium.gateway.catalog import Provider
from podium.ports.models import (
    FaultKind,
    Finish,
    Image,
    ModelRequest,
    ModelWire,
    Piece,
    ProviderFault,
    Reply,
    Text,
    TextPiece,
    Thinking,
    ThinkingPiece,
    ToolCall,
    ToolCallPiece,
    ToolResult,
    ToolSpec,
    Usage,
)
from podium.settings import Secret
from podium.testing.llm import Call, Fault, Limits, ModelStub, Say
from podium.testing.llm.bill import Bill

WAYS = pytest.mark.parametrize("streams", [False, True], ids=["send", "stream"])
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)
WEATHER = ToolSpec(
    name="weather",
    description="Tells the weather.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
)
CLOSED = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
OPEN = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture
def stub() -> Iterator[ModelStub]:
    with ModelStub() as running:
        yield running


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Line:
    """A wire of one kind to a stub."""

    def __init__(self, stub: ModelStub, kind: str, *, key: str = "") -> None:
        self.stub = stub
        self.kind = kind
        self.key = key or stub.api_key

    def open(self) -> ModelWire:
        provider = Provider(
            name="p", kind=self.kind, base_url=self.stub.base_url, api_key=Secret(self.key)
        )
        return open_wire(provider, environment={})

    def ask(self, asked: ModelRequest, *, streams: bool = False) -> list[Piece]:
        async def run() -> list[Piece]:
            wire = self.open()
            try:
                return [piece async for piece in self.pieces(wire, asked, streams=streams)]
            finally:
                await wire.close()

        return asyncio.run(run())

    async def pieces(
        self, wire: ModelWire, asked: ModelRequest, *, streams: bool
    ) -> AsyncIterator[Piece]:
        if streams:
            async for piece in wire.stream(asked):
                yield piece
        else:
            yield await wire.send(asked)

    def reply(self, asked: ModelRequest, *, streams: bool = False) -> Reply:
        last = self.ask(asked, streams=streams)[-1]
        assert isinstance(last, Reply)
        return last

    def fault(self, asked: ModelRequest, *, streams: bool = False) -> ProviderFault:
        with pytest.raises(ProviderFault) as caught:
            self.ask(asked, streams=streams)
        return caught.value

    def bill(self) -> Bill:
        """Return the bill once everything that was asked has ended at the stub, too."""
        self.stub.wait_until_idle()
        return self.stub.bill()

    def request(self, *messages: object, **changes: object) -> ModelRequest:
        return request(*messages, model=MODELS[self.kind], **changes)  # type: ignore[arg-type]


@pytest.fixture
def line(stub: ModelStub, kind: str) -> Line:
    return Line(stub, kind)


# -- answers -------------------------------------------------------------------------------------


@WAYS
def test_an_answer_comes_with_its_usage_as_it_is_billed(line: Line, *, streams: bool) -> None:
    line.stub.script("Because it is.")
    reply = line.reply(line.request(system("Be short."), user("Why?")), streams=streams)
    assert reply.message.parts == (Text(text="Because it is."),)
    assert (reply.finish, reply.is_estimated) == (Finish.STOP, False)
    assert reply.usage == line.bill().usage
    assert reply.request_id == line.bill().lines[0].request_id


def test_the_pieces_of_a_stream_are_its_answer(line: Line) -> None:
    line.stub.script("One two three four five six seven.")
    *pieces, _reply = line.ask(line.request(), streams=True)
    assert len(pieces) > 2
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))
    assert text == "One two three four five six seven."


@WAYS
def test_cached_and_thinking_tokens_are_counted_once(line: Line, *, streams: bool) -> None:
    line.stub.script(Say("Yes.", thinking="Hm, well.", cached=12, cache_write=5))
    asked = line.request(user("word " * 50), thinking_tokens=1_024, max_tokens=2_000)
    usage = line.reply(asked, streams=streams).usage
    assert usage == line.bill().usage
    assert (usage.cached, usage.cache_write) == (12, 5)


@WAYS
def test_an_answer_that_was_cut_to_length_says_so(line: Line, *, streams: bool) -> None:
    line.stub.script("word " * 200)
    reply = line.reply(line.request(max_tokens=16), streams=streams)
    assert (reply.finish, reply.is_estimated) == (Finish.LENGTH, False)


# -- tools ---------------------------------------------------------------------------------------


@WAYS
def test_parallel_tool_calls_keep_their_order_and_arguments(line: Line, *, streams: bool) -> None:
    line.stub.script((Call("weather", {"city": "Rome"}), Call("weather", {"city": "Oslo"})))
    reply = line.reply(line.request(tools=(WEATHER,)), streams=streams)
    calls = [part for part in reply.message.parts if isinstance(part, ToolCall)]
    assert [call.arguments for call in calls] == [{"city": "Rome"}, {"city": "Oslo"}]
    assert len({call.id for call in calls}) == 2
    assert reply.finish is Finish.TOOL_CALLS


def test_the_first_piece_of_a_tool_call_names_it(line: Line) -> None:
    line.stub.script((Call("weather", {"city": "Rome"}), Call("weather", {"city": "Oslo"})))
    pieces = line.ask(line.request(tools=(WEATHER,)), streams=True)
    calls = [piece for piece in pieces if isinstance(piece, ToolCallPiece)]
    assert [call.name for call in calls if call.name] == ["weather", "weather"]
    for index, city in enumerate(["Rome", "Oslo"]):
        text = "".join(call.arguments for call in calls if call.index == index)
        assert text.replace(" ", "") == f'{{"city":"{city}"}}'


@WAYS
def test_arguments_that_are_not_json_come_as_they_were_written(
    line: Line, *, streams: bool
) -> None:
    if line.kind == "anthropic":
        pytest.skip("this protocol sends whole objects outside of streams")
    line.stub.script(Call("weather", raw='{"city": '))
    reply = line.reply(line.request(tools=(WEATHER,)), streams=streams)
    (call,) = (part for part in reply.message.parts if isinstance(part, ToolCall))
    assert (call.arguments, call.raw) == (None, '{"city": ')


def test_a_conversation_with_tools_goes_back_as_the_provider_wants_it(line: Line) -> None:
    line.stub.script("It rains in both.")
    reply = line.reply(
        line.request(
            user("And the weather?"),
            assistant(
                "Let me see.",
                ToolCall(id="call_1", name="weather", arguments={"city": "Rome"}),
                ToolCall(id="call_2", name="weather", arguments={"city": "Oslo"}),
            ),
            user(
                ToolResult(call_id="call_1", content="rain"),
                ToolResult(call_id="call_2", content="no such city", is_error=True),
                "Both, please.",
            ),
            tools=(WEATHER,),
        )
    )
    assert reply.message.parts == (Text(text="It rains in both."),)


def test_a_result_without_its_call_is_refused(line: Line) -> None:
    orphan = user(ToolResult(call_id="call_9", content="rain"))
    fault = line.fault(line.request(user("Hello"), orphan, tools=(WEATHER,)))
    assert fault.kind is FaultKind.BAD_REQUEST


# -- structured output, images, thinking ---------------------------------------------------------


@WAYS
@pytest.mark.parametrize("schema", [CLOSED, OPEN], ids=["closed", "open"])
def test_an_answer_follows_its_schema(line: Line, schema: object, *, streams: bool) -> None:
    line.stub.script({"n": 7})
    reply = line.reply(line.request(schema=schema), streams=streams)
    (part,) = reply.message.parts
    assert isinstance(part, Text)
    assert part.text.replace(" ", "") == '{"n":7}'
    assert reply.finish is Finish.STOP


def test_an_image_is_accepted(line: Line) -> None:
    line.stub.script("A dot.")
    seen = user("What is it?", Image(media_type="image/png", data=PIXEL))
    assert line.reply(line.request(seen)).finish is Finish.STOP


@WAYS
def test_thinking_goes_back_to_the_provider_it_came_from(line: Line, *, streams: bool) -> None:
    if line.kind == "openai":
        pytest.skip("this protocol has no place for thinking")
    line.stub.script(Say("First.", thinking="Step by step."), "Second.")
    model = MODELS[line.kind] if line.kind == "anthropic" else "gpt-5-mini"
    thinking = {"thinking_tokens": 1_024, "max_tokens": 2_000}
    first = line.reply(request(model=model, **thinking), streams=streams)
    assert isinstance(first.message.parts[0], Thinking)
    assert first.message.parts[0].text == "Step by step."
    more = request(user("Why?"), first.message, user("And?"), model=model, **thinking)
    assert line.reply(more, streams=streams).message.parts == (Text(text="Second."),)


def test_thinking_is_streamed(line: Line) -> None:
    if line.kind == "openai":
        pytest.skip("this protocol shows no thinking")
    line.stub.script(Say("Yes.", thinking="Step by step."))
    model = MODELS[line.kind] if line.kind == "anthropic" else "gpt-5-mini"
    asked = request(model=model, thinking_tokens=1_024, max_tokens=2_000)
    pieces = line.ask(asked, streams=True)
    thought = "".join(piece.text for piece in pieces if isinstance(piece, ThinkingPiece))
    assert thought == "Step by step."


def test_models_that_think_are_asked_with_the_limit_they_know(stub: ModelStub) -> None:
    stub.script("Yes.")
    assert Line(stub, "openai").reply(request(model="gpt-5-mini")).finish is Finish.STOP


# -- faults --------------------------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize(
    ("fault", "kind_expected"),
    [
        (Fault.RATE_LIMITED, FaultKind.RATE_LIMITED),
        (Fault.QUOTA, FaultKind.QUOTA),
        (Fault.SERVER, FaultKind.SERVER),
        (Fault.OVERLOADED, FaultKind.OVERLOADED),
        (Fault.DROP, FaultKind.CONNECTION),
    ],
)
def test_a_fault_is_named_for_what_it_is(
    line: Line, fault: Fault, kind_expected: FaultKind, *, streams: bool
) -> None:
    line.stub.fail(fault)
    assert line.fault(line.request(), streams=streams).kind is kind_expected


def test_the_wait_a_provider_asks_for_is_known(line: Line) -> None:
    line.stub.fail(Fault.RATE_LIMITED, retry_after_s=7)
    assert line.fault(line.request()).limits.retry_after_s == 7


@WAYS
def test_a_prompt_over_the_window_is_named(line: Line, *, streams: bool) -> None:
    long = user("word " * 250_000)
    fault = line.fault(line.request(long), streams=streams)
    assert fault.kind is FaultKind.CONTEXT_WINDOW


def test_a_wrong_key_and_an_unknown_model_are_named(stub: ModelStub, kind: str) -> None:
    refused = Line(stub, kind, key="sk-wrong").fault(request(model=MODELS[kind]))
    unknown = Line(stub, kind).fault(request(model="no-such-model"))
    assert (refused.kind, unknown.kind) == (FaultKind.AUTH, FaultKind.NOT_FOUND)
    assert "sk-wrong" not in str(refused)


def test_an_answer_that_is_not_json_is_named_and_may_be_charged(line: Line) -> None:
    line.stub.fail(Fault.MALFORMED)
    fault = line.fault(line.request())
    assert fault.kind is FaultKind.MALFORMED
    assert fault.partial is not None


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.ERROR_EVENT, Fault.MALFORMED])
def test_a_stream_that_breaks_off_is_explicit_and_tells_what_came(line: Line, fault: Fault) -> None:
    line.stub.script("One two three four five six seven eight.")
    line.stub.fail(fault)
    found = line.fault(line.request(), streams=True)
    named = FaultKind.MALFORMED if fault is Fault.MALFORMED else FaultKind.STREAM_CUT
    assert found.kind is named
    partial = found.partial
    assert partial is not None
    assert (partial.finish, partial.is_estimated) == (Finish.INCOMPLETE, True)
    (said,) = partial.message.parts
    assert isinstance(said, Text)
    assert said.text
    assert "One two three four five six seven eight.".startswith(said.text)
    assert 0 < partial.usage.output <= 12


def test_a_stream_that_falls_silent_is_cut(line: Line) -> None:
    line.stub.script("One two three four five six seven eight.")
    line.stub.fail(Fault.STALL, seconds=5)
    fault = line.fault(line.request(timeout_s=0.3), streams=True)
    assert fault.kind is FaultKind.STREAM_CUT
    assert fault.partial is not None


@WAYS
def test_an_answer_that_does_not_come_in_time_may_be_charged(line: Line, *, streams: bool) -> None:
    line.stub.fail(Fault.SLOW, seconds=5)
    fault = line.fault(line.request(timeout_s=0.2), streams=streams)
    assert fault.kind is FaultKind.TIMEOUT
    assert fault.partial is not None
    assert fault.partial.usage == Usage()


def test_a_duplicate_event_counts_once_where_events_are_numbered(stub: ModelStub) -> None:
    stub.script("One two three four five six seven eight.")
    stub.fail(Fault.DUPLICATE)
    line = Line(stub, "openai_responses")
    *pieces, _ = line.ask(line.request(), streams=True)
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))
    assert text == "One two three four five six seven eight."


# -- limits and keys -----------------------------------------------------------------------------


@WAYS
def test_limits_are_read_from_every_answer(kind: str, *, streams: bool) -> None:
    with ModelStub(limits=Limits(rpm=10, tpm=1_000)) as stub:
        line = Line(stub, kind)
        limits = line.reply(line.request(), streams=streams).limits
    assert (limits.requests_limit, limits.requests_left, limits.tokens_limit) == (10, 9, 1_000)
    assert limits.tokens_left is not None
    assert limits.tokens_left < 1_000


def test_the_idempotency_key_is_sent(line: Line) -> None:
    line.reply(line.request(idempotency_key="run-1/step-2"))
    assert list(line.bill().by_key()) == ["run-1/step-2"]


def test_a_stream_that_is_closed_early_closes_its_connection(line: Line) -> None:
    line.stub.script("One two three four five six seven eight.")
    line.stub.fail(Fault.STALL, seconds=30)

    async def run() -> None:
        wire = line.open()
        stream = wire.stream(line.request())
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        await wire.close()

    asyncio.run(run())  # without hanging for as long as the stub is silent
