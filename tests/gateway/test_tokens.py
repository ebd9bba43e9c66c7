"""Token counts before anything is sent: near enough, cheap, and better with every answer."""

import base64
import hashlib
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from podium.errors import RequestError
from podium.gateway.tokens import FACTOR_MAX, IMAGE_TOKENS, TokenCounter, estimate
from podium.gateway.vocabularies import open_vocabulary, vocabulary_of
from podium.ports.models import (
    Image,
    Message,
    ModelRequest,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
)

ROOT = Path(__file__).resolve().parents[2]

PROSE = (
    "A run is a durable actor: whatever it has decided is written before anything is done about "
    "it, so a crash loses no decision and repeats none. "
) * 10
CHINESE = "持久化的工作流在进程崩溃之后会从最后一个已提交的步骤继续执行。" * 10
RUSSIAN = (
    "Рабочий процесс продолжается от последнего записанного шага: после сбоя платный запрос не "
    "повторяется. "
) * 10
KOREAN = (
    "실행이 중단되어도 마지막으로 기록된 단계부터 다시 시작하며 끝난 단계는 반복하지 않습니다. " * 9
)


def text_of_class(name: str) -> str:
    dice = random.Random(11)
    records = [
        {"id": n, "path": f"src/podium/core/file_{n}.py", "score": dice.random(), "open": n % 2 > 0}
        for n in range(60)
    ]
    return {
        "prose": PROSE,
        "markdown": (ROOT / "ARCHITECTURE.md").read_text("utf-8"),
        "python": (ROOT / "src/podium/core/evolve.py").read_text("utf-8"),
        "json": json.dumps(records),
        "json indented": json.dumps(records, indent=2),
        "base64": base64.b64encode(dice.randbytes(3000)).decode(),
        "hex": dice.randbytes(2000).hex(),
        "numbers": ", ".join(f"{dice.gauss(0, 50):.4f}" for _ in range(300)),
        "chinese": CHINESE,
        "russian": RUSSIAN,
        "korean": KOREAN,
        "emoji": "".join(chr(0x1F600 + dice.randrange(60)) for _ in range(300)),
    }[name]


CLASSES = ["prose", "markdown", "python", "json", "json indented", "base64", "hex", "numbers",
           "chinese", "russian", "korean", "emoji"]  # fmt: skip


def ask(*parts: Any, model: str = "any", **more: Any) -> ModelRequest:
    message = Message(role=Role.USER, parts=parts)
    return ModelRequest(model=model, messages=(message,), max_tokens=100, **more)


def counter(exact: Callable[[str], int] | None = None) -> TokenCounter:
    return TokenCounter({"exact": "some"} if exact else {}, vocabularies=lambda _: exact)


# --- the estimate ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSES)
def test_the_estimate_is_near_a_real_vocabulary(name: str) -> None:
    count = open_vocabulary("o200k_base")
    assert count is not None
    text = text_of_class(name)
    assert 0.75 <= estimate(text) / count(text) <= 1.30


@pytest.mark.parametrize(("name", "ratio"), [("json", 0.58), ("base64", 0.37), ("chinese", 0.36)])
def test_a_quarter_of_the_characters_would_be_far_less(name: str, ratio: float) -> None:
    text = text_of_class(name)
    assert len(text) / 4 / estimate(text) == pytest.approx(ratio, abs=0.12)


def test_estimating_is_cheap() -> None:
    text = "".join(text_of_class(name) for name in CLASSES if name != "emoji")
    kilobytes = len(text.encode()) / 1024
    best = min(timed(lambda: estimate(text)) for _ in range(20))
    assert best / kilobytes <= 40e-6, f"{best / kilobytes * 1e6:.1f} µs per KB"


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.mark.parametrize("text", ["", "a", "\ud800 lone", "\x00\x7f", "=" * 1000, " " * 1000])
def test_every_text_has_an_estimate(text: str) -> None:
    assert 0 <= estimate(text) <= 2 * len(text) + 1


# --- requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("small", "large"),
    [
        (ask(), ask(Text(text=PROSE))),
        (ask(), ask(Thinking(text=PROSE))),
        (ask(), ask(ToolCall(id="1", name="grep", arguments={"pattern": "x" * 99}))),
        (ask(), ask(ToolCall(id="1", name="grep", raw="{not json" * 9))),
        (ask(), ask(ToolResult(call_id="1", content=PROSE))),
        (ask(), ask(tools=(ToolSpec(name="t", description=PROSE, parameters={}),))),
        (ask(), ask(tools=(ToolSpec(name="t", description="", parameters={"a": PROSE}),))),
        (ask(), ask(schema={"type": "object", "description": PROSE})),
    ],
)
def test_everything_the_model_reads_counts(small: ModelRequest, large: ModelRequest) -> None:
    assert counter().count(large) > counter().count(small) + 8


def test_a_picture_counts_as_a_picture_and_not_as_its_base64() -> None:
    picture = Image(media_type="image/png", data="A" * 4_000_000)
    assert counter().count(ask(picture)) == pytest.approx(IMAGE_TOKENS, abs=10)


def test_a_vocabulary_counts_exactly() -> None:
    exact = counter(lambda text: len(text.split()))
    words = exact.count(ask(Text(text="one two three"), model="exact"))
    assert words == 4 + 3
    assert exact.is_exact("exact")
    assert not exact.is_exact("other")


def test_a_text_that_was_counted_before_is_not_counted_again() -> None:
    counted: list[str] = []

    def exact(text: str) -> int:
        counted.append(text)
        return len(text)

    tokens = counter(exact)
    history = [Text(text=f"{n} {PROSE}") for n in range(5)]
    for turn in range(1, 6):
        tokens.count(ask(*history[:turn], model="exact"))
    assert len(counted) == 5


def test_what_is_remembered_is_bounded() -> None:
    tokens = counter()
    for n in range(9000):
        tokens.count(ask(Text(text=f"{n} {PROSE[:300]}")))
    assert len(tokens._remembered) <= 4096


# --- learning ----------------------------------------------------------------------------------


@pytest.mark.parametrize("truth", [0.5, 0.8, 1.0, 1.3, 1.8, 3.0])
def test_counts_converge_to_what_the_provider_reports(truth: float) -> None:
    tokens, request, dice = counter(), ask(Text(text=PROSE)), random.Random(5)
    first = tokens.count(request)
    for _ in range(60):
        actual = round(first * truth * dice.uniform(0.95, 1.05))
        tokens.learn("any", estimated=tokens.count(request), actual=actual)
    assert tokens.count(request) == pytest.approx(first * truth, rel=0.05)
    assert first * truth * 1.02 <= tokens.bound(request) <= first * truth * 1.35


def test_many_answers_at_once_do_not_overshoot() -> None:
    tokens, request = counter(), ask(Text(text=PROSE))
    first = tokens.count(request)
    for _ in range(1000):
        tokens.learn("any", estimated=first, actual=round(first * 1.3))
    assert tokens.count(request) == pytest.approx(first * 1.3, rel=0.02)


def test_one_wild_report_changes_little() -> None:
    tokens, request = counter(), ask(Text(text=PROSE))
    first = tokens.count(request)
    tokens.learn("any", estimated=first, actual=first * 1000)
    assert tokens.count(request) <= first * 1.17
    for _ in range(20):
        tokens.learn("any", estimated=tokens.count(request), actual=first)
    tokens.learn("any", estimated=tokens.count(request), actual=1)
    assert tokens.count(request) >= first * 0.95


def test_the_factor_is_bounded() -> None:
    tokens, request = counter(), ask(Text(text=PROSE))
    first = tokens.count(request)
    for _ in range(500):
        tokens.learn("any", estimated=tokens.count(request), actual=first * 1_000_000)
    assert tokens.count(request) <= first * FACTOR_MAX * 1.01


def test_models_learn_apart_and_a_report_of_nothing_teaches_nothing() -> None:
    tokens = counter()
    here, there = ask(Text(text=PROSE), model="a"), ask(Text(text=PROSE), model="b")
    first = tokens.count(here)
    tokens.learn("a", estimated=first, actual=0)
    tokens.learn("b", estimated=tokens.count(there), actual=first * 2)
    assert tokens.count(here) == first


def test_the_bound_starts_wide_and_narrows_with_what_is_seen() -> None:
    tokens, request = counter(), ask(Text(text=PROSE))
    assert tokens.bound(request) == pytest.approx(tokens.count(request) * 1.3, rel=0.01)
    for _ in range(50):
        estimated = tokens.count(request)
        tokens.learn("any", estimated=estimated, actual=estimated)
    assert tokens.bound(request) <= tokens.count(request) * 1.06


# --- vocabularies ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o-mini", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("openai/o3", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("claude-sonnet-4-5", ""),
        ("qwen3", ""),
    ],
)
def test_the_vocabulary_of_a_model_is_known_by_its_name(model: str, name: str) -> None:
    assert vocabulary_of(model) == name


class Tempted(SimpleNamespace):
    """Stands for tiktoken, which would now download."""

    def get_encoding(self, name: str) -> object:
        raise AssertionError("a download would begin here")


@pytest.mark.parametrize("damage", ["no folder", "no file", "damaged"])
def test_a_vocabulary_that_is_not_here_is_never_fetched(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "toktok", None)
    monkeypatch.setitem(sys.modules, "tiktoken", Tempted())
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    if damage != "no folder":
        monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    if damage == "damaged":
        place = b"https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
        (tmp_path / hashlib.sha1(place).hexdigest()).write_bytes(b"half of a file")
    assert open_vocabulary("o200k_base") is None


def test_a_vocabulary_that_tiktoken_has_here_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = b"https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"
    (tmp_path / hashlib.sha1(place).hexdigest()).write_bytes(b"whole")
    whole = {"cl100k_base": hashlib.sha256(b"whole").hexdigest()}
    monkeypatch.setattr("podium.gateway.vocabularies._TIKTOKEN_FILES", whole)
    monkeypatch.setitem(sys.modules, "toktok", None)
    words = SimpleNamespace(encode_ordinary=str.split)
    monkeypatch.setitem(sys.modules, "tiktoken", SimpleNamespace(get_encoding=lambda _: words))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    count = open_vocabulary("cl100k_base")
    assert count is not None
    assert count("one two three") == 3


def test_a_tokenizer_file_that_is_not_there_is_an_error_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        open_vocabulary(str(tmp_path / "tokenizer.json"))
    assert caught.value.code == "PDM-R074"
