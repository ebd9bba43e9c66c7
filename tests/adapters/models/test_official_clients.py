"""The unmodified official clients read the same answers of the stub as our wires do."""

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from asking import MODELS, request, user

from podium.adapters.models import open_wire
from podium.gateway.catalog import Provider
from podium.ports.models import FaultKind, ProviderFault, Reply, Text, ToolCall, ToolSpec, Usage
from podium.settings import Secret
from podium.testing.llm import Call, Fault, ModelStub, Say

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    openai = pytest.importorskip("openai")
    anthropic = pytest.importorskip("anthropic")

TOOL = ToolSpec(name="look", description="Looks.", parameters={"type": "object"})
ANSWERS: dict[str, Any] = {
    "words": Say("Because it is.", cached=3),
    "thinking": Say("Yes.", thinking="Hm, well then."),
    "calls": (Call("look", {"at": "a"}), Call("look", {"at": "b"})),
}


@pytest.fixture
def stub() -> Iterator[ModelStub]:
    with ModelStub() as running:
        yield running


def ours(stub: ModelStub, kind: str, *, stream: bool) -> Reply:
    provider = Provider(name="p", kind=kind, base_url=stub.base_url, api_key=Secret(stub.api_key))

    async def run() -> Reply:
        wire = open_wire(provider, environment={})
        asked = request(user("Why do you ask?"), model=MODELS[kind], tools=(TOOL,))
        try:
            if not stream:
                return await wire.send(asked)
            *_, last = [piece async for piece in wire.stream(asked)]
            assert isinstance(last, Reply)
            return last
        finally:
            await wire.close()

    return asyncio.run(run())


def view(reply: Reply) -> tuple[str, list[tuple[str, Any]], Usage]:
    """Return what both views of an answer must agree on."""
    texts = [part.text for part in reply.message.parts if isinstance(part, Text)]
    calls = [(p.name, p.arguments) for p in reply.message.parts if isinstance(p, ToolCall)]
    return "".join(texts), calls, reply.usage


def chat(stub: ModelStub, *, stream: bool) -> tuple[str, list[tuple[str, Any]], Usage]:
    client = openai.OpenAI(base_url=f"{stub.base_url}/v1", api_key=stub.api_key, max_retries=0)
    function = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
    asked = {
        "model": MODELS["openai"],
        "messages": [{"role": "user", "content": "Why do you ask?"}],
        "max_tokens": 100,
        "tools": [{"type": "function", "function": function}],
    }
    with client:
        if stream:
            with client.chat.completions.stream(
                **asked, stream_options={"include_usage": True}
            ) as events:
                answer = events.get_final_completion()
        else:
            answer = client.chat.completions.create(**asked)
    said, used = answer.choices[0].message, answer.usage
    calls = [(c.function.name, decoded(c.function.arguments)) for c in said.tool_calls or ()]
    cached = used.prompt_tokens_details.cached_tokens or 0
    thinking = used.completion_tokens_details.reasoning_tokens or 0
    return (
        said.content or "",
        calls,
        Usage(
            input=used.prompt_tokens - cached,
            cached=cached,
            output=used.completion_tokens - thinking,
            thinking=thinking,
        ),
    )


def responses(stub: ModelStub, *, stream: bool) -> tuple[str, list[tuple[str, Any]], Usage]:
    client = openai.OpenAI(base_url=f"{stub.base_url}/v1", api_key=stub.api_key, max_retries=0)
    tool = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
    asked = {
        "model": MODELS["openai_responses"],
        "input": "Why do you ask?",
        "max_output_tokens": 100,
        "tools": [{"type": "function", "strict": False, **tool}],
        "store": False,
    }
    with client:
        if stream:
            with client.responses.stream(**asked) as events:
                answer = events.get_final_response()
        else:
            answer = client.responses.create(**asked)
    used = answer.usage
    calls = [
        (item.name, decoded(item.arguments))
        for item in answer.output
        if item.type == "function_call"
    ]
    cached, thinking = (
        used.input_tokens_details.cached_tokens,
        used.output_tokens_details.reasoning_tokens,
    )
    return (
        answer.output_text,
        calls,
        Usage(
            input=used.input_tokens - cached,
            cached=cached,
            output=used.output_tokens - thinking,
            thinking=thinking,
        ),
    )


def messages(stub: ModelStub, *, stream: bool) -> tuple[str, list[tuple[str, Any]], Usage]:
    client = anthropic.Anthropic(base_url=stub.base_url, api_key=stub.api_key, max_retries=0)
    asked = {
        "model": MODELS["anthropic"],
        "messages": [{"role": "user", "content": "Why do you ask?"}],
        "max_tokens": 100,
        "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}],
    }
    with client:
        if stream:
            with client.messages.stream(**asked) as events:
                answer = events.get_final_message()
        else:
            answer = client.messages.create(**asked)
    used = answer.usage
    text = "".join(block.text for block in answer.content if block.type == "text")
    calls = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
    details = used.output_tokens_details
    thinking = details.thinking_tokens if details else 0
    return (
        text,
        calls,
        Usage(
            input=used.input_tokens,
            cached=used.cache_read_input_tokens or 0,
            cache_write=used.cache_creation_input_tokens or 0,
            output=used.output_tokens - thinking,
            thinking=thinking,
        ),
    )


def decoded(text: str) -> Any:
    return msgspec.json.decode(text)


THEIRS = {"openai": chat, "openai_responses": responses, "anthropic": messages}


@pytest.mark.parametrize("kind", THEIRS)
@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("stream", [False, True], ids=["send", "stream"])
def test_both_read_the_same_answer(stub: ModelStub, kind: str, what: str, *, stream: bool) -> None:
    stub.script(ANSWERS[what])
    assert view(ours(stub, kind, stream=stream)) == THEIRS[kind](stub, stream=stream)


FAULTS = [
    (Fault.RATE_LIMITED, "RateLimitError", FaultKind.RATE_LIMITED),
    (Fault.SERVER, "InternalServerError", FaultKind.SERVER),
    (Fault.OVERLOADED, "InternalServerError", FaultKind.OVERLOADED),
    (Fault.DROP, "APIConnectionError", FaultKind.CONNECTION),
]


@pytest.mark.parametrize("kind", THEIRS)
@pytest.mark.parametrize(("fault", "their_name", "our_kind"), FAULTS)
def test_both_name_the_same_fault(
    stub: ModelStub, kind: str, fault: Fault, their_name: str, our_kind: FaultKind
) -> None:
    stub.fail(fault, times=2)
    library = anthropic if kind == "anthropic" else openai
    with pytest.raises(library.APIError) as theirs:
        THEIRS[kind](stub, stream=False)
    with pytest.raises(ProviderFault) as our_fault:
        ours(stub, kind, stream=False)
    assert their_name in {each.__name__ for each in type(theirs.value).__mro__}
    assert our_fault.value.kind is our_kind
