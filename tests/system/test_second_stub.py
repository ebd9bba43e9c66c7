"""A stub of another maker, `@copilotkit/aimock`, is the second opinion on what ours sends.

Install it once with `npm install --prefix .tools/aimock @copilotkit/aimock`. What it sends, ours
must send too: the same fields, and the same events in the same order.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx2
import pytest

from podium.testing.llm import Call, ModelStub

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / ".tools" / "aimock" / "node_modules" / ".bin" / "llmock"
FIXTURES = {
    "fixtures": [
        {"match": {"userMessage": "words"}, "response": {"content": "Hello there"}},
        {
            "match": {"userMessage": "tool"},
            "response": {"toolCalls": [{"name": "weather", "arguments": '{"city":"Ulm"}'}]},
        },
    ]
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "weather", "parameters": SCHEMA}
ASKS = {
    "/v1/chat/completions": {
        "model": "gpt-4o-mini",
        "tools": [{"type": "function", "function": FUNCTION}],
    },
    "/v1/responses": {"model": "gpt-4o-mini", "tools": [{"type": "function", **FUNCTION}]},
    "/v1/messages": {
        "model": "claude-haiku-4-5",
        "max_tokens": 50,
        "tools": [{"name": "weather", "input_schema": SCHEMA}],
    },
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.system,
    pytest.mark.skipif(
        not PROGRAM.exists(),
        reason="the cross-check needs `npm install --prefix .tools/aimock @copilotkit/aimock`",
    ),
]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    fixtures = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    fixtures.write_text(json.dumps(FIXTURES))
    with subprocess.Popen(
        [PROGRAM, "-p", "0", "-f", fixtures], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        heard = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stdout)
        yield next(found[0] for found in heard if found)
        process.terminate()


@pytest.fixture
def ours(model_stub: ModelStub) -> ModelStub:
    model_stub.script("Hello there", when="words")
    model_stub.script(Call("weather", {"city": "Ulm"}), when="tool")
    return model_stub


def ask(base_url: str, key: str, path: str, *, word: str, streams: bool) -> str:
    messages = [{"role": "user", "content": word}]
    said = {"input" if path == "/v1/responses" else "messages": messages, "stream": streams}
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    headers["authorization"] = f"Bearer {key}"
    return httpx2.post(base_url + path, json=ASKS[path] | said, headers=headers).text


def fields(value: Any, path: str = "") -> Iterator[str]:
    yield path
    if isinstance(value, dict):
        for key, member in value.items():
            yield from fields(member, f"{path}.{key}")
    elif isinstance(value, list) and value:
        yield from fields(value[0], f"{path}[]")


def events(text: str) -> list[Any]:
    found = re.findall(r"^data: ?(.*)$", text, re.MULTILINE)
    return [json.loads(data) for data in found if data.startswith("{")]


def kinds(found: list[Any]) -> list[str]:
    """Return the types of events, a series of one type as one; pings come when they like."""
    names = [event.get("type", "chunk") for event in found]
    return [name for name, _ in groupby(names) if name != "ping"]


@pytest.mark.parametrize("word", ["words", "tool"])
@pytest.mark.parametrize("path", ASKS)
def test_a_whole_answer_has_every_field_the_other_has(path, word, ours, other) -> None:
    mine = ask(ours.base_url, ours.api_key, path, word=word, streams=False)
    theirs = ask(other, "none", path, word=word, streams=False)
    assert set(fields(json.loads(theirs))) <= set(fields(json.loads(mine)))


@pytest.mark.parametrize("word", ["words", "tool"])
@pytest.mark.parametrize("path", ASKS)
def test_a_stream_has_the_events_of_the_other(path, word, ours, other) -> None:
    mine = events(ask(ours.base_url, ours.api_key, path, word=word, streams=True))
    theirs = events(ask(other, "none", path, word=word, streams=True))
    assert kinds(mine) == [name for name, _ in groupby(kinds(mine))] == kinds(theirs)
    assert {f for event in theirs for f in fields(event)} <= {f for e in mine for f in fields(e)}
