"""A recorded run plays back without its provider, and what it did not ask then is refused."""

import json
from pathlib import Path

import pytest

from podium.testing.llm import ModelStub, RecordedCallMissing, record, replay

CHAT = "/v1/chat/completions"


@pytest.fixture
def told(tmp_path: Path, stub: ModelStub, talk) -> Path:
    """Return the recording of a run: two questions, one of them streamed and twice."""
    stub.script("one", "two", "three")
    path = tmp_path / "runs" / "told.json"
    recording = record(path, upstream=stub.base_url, secrets=["hunter2"])
    with recording as tape, through(talk, stub, tape) as wire:
        wire.chat("a, my word is hunter2")
        wire.events(CHAT, streamed("b"))
        wire.events(CHAT, streamed("b"))
    return path


def streamed(question: str) -> dict:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}]}


def through(talk, stub: ModelStub, tape):
    wire = talk(stub)
    wire.http.base_url = tape.base_url
    return wire


def test_a_run_plays_back_for_nothing(told: Path, stub: ModelStub, talk) -> None:
    cost = stub.bill().cost_nano
    with replay(told) as tape, through(talk, stub, tape) as wire:
        events = [wire.events(CHAT, streamed("b")) for _ in range(2)]
        assert wire.say("a, my word is [scrubbed]") == "one"
    words = [run[1]["choices"][0]["delta"]["content"] for run in events]
    assert (words, events[0][-1]) == (["two", "three"], "[DONE]")
    assert stub.bill().cost_nano == cost


def test_a_question_that_was_not_recorded_is_refused_and_shown(
    told: Path, stub: ModelStub, talk
) -> None:
    refused = []
    with (
        pytest.raises(RecordedCallMissing, match="recorded") as raised,
        replay(told) as tape,
        through(talk, stub, tape) as wire,
    ):
        refused.append(wire.chat("c"))
    assert '-   "content": "a, my word is [scrubbed]"' in str(raised.value)
    assert '+   "content": "c"' in str(raised.value)
    assert refused[0].status_code == 400
    assert refused[0].json()["error"]["code"] == "not_recorded"


def test_a_question_asked_too_often_is_refused(told: Path, stub: ModelStub, talk) -> None:
    with (
        pytest.raises(RecordedCallMissing, match="more often"),
        replay(told) as tape,
        through(talk, stub, tape) as wire,
    ):
        [wire.chat("a, my word is [scrubbed]") for _ in range(2)]


def test_an_idempotency_key_gets_its_answer_again(told: Path, stub: ModelStub, talk) -> None:
    with replay(told) as tape, through(talk, stub, tape) as wire:
        first, second = (wire.events(CHAT, streamed("b"), key="k") for _ in range(2))
    assert first == second


def test_no_key_and_no_secret_is_written(told: Path, stub: ModelStub) -> None:
    text = told.read_text()
    assert stub.api_key not in text
    assert "hunter2" not in text
    assert "[scrubbed]" in text
    assert [entry["path"] for entry in json.loads(text)["entries"]] == [CHAT] * 3


def test_what_looks_like_a_key_is_not_written_either(tmp_path: Path, stub: ModelStub, talk) -> None:
    stub.script("use sk-live-0123456789 or Bearer abcdefgh.123")
    path = tmp_path / "told.json"
    with record(path, upstream=stub.base_url) as tape, through(talk, stub, tape) as wire:
        wire.chat("my key is sk-ant-api03-abcdef")
    assert not {"0123456789", "abcdefgh", "api03"} & set(path.read_text().replace("-", " ").split())
    assert path.read_text().count("[scrubbed]") == 3


def test_errors_are_recorded_like_answers(tmp_path: Path, stub: ModelStub, talk) -> None:
    stub.fail("overloaded")
    path = tmp_path / "told.json"
    with record(path, upstream=stub.base_url) as tape, through(talk, stub, tape) as wire:
        wire.chat()
    with replay(path) as tape, through(talk, stub, tape) as wire:
        assert wire.chat().status_code == 503


def test_a_run_that_failed_leaves_no_recording(tmp_path: Path, stub: ModelStub) -> None:
    path = tmp_path / "told.json"
    with pytest.raises(ZeroDivisionError), record(path, upstream=stub.base_url):
        raise ZeroDivisionError
    assert not path.exists()
