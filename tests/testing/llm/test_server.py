"""The little HTTP server: connections, both ways to run it, and what it does not take."""

import asyncio
import json
import socket
import subprocess
import sys

import httpx2
import pytest

from podium.testing.llm import ManualClock, ModelStub
from podium.testing.llm.server import HttpServer, ServerThread
from podium.testing.llm.tokens import Vocabulary, Words, pieces, tokenizer
from podium.testing.loop import VirtualLoop

CHAT = "/v1/chat/completions"
GPT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}


def spoken(stub: ModelStub, text: bytes) -> bytes:
    port = int(stub.base_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as talk:
        talk.sendall(text)
        heard = b""
        while chunk := talk.recv(65536):
            heard += chunk
    return heard


def test_a_connection_is_kept_until_it_is_closed(stub: ModelStub) -> None:
    ask = b"GET /v1/models HTTP/1.1\r\nAuthorization: Bearer %b\r\n%b\r\n"
    key = stub.api_key.encode()
    heard = spoken(stub, ask % (key, b"") + ask % (key, b"Connection: close\r\n"))
    assert heard.count(b"HTTP/1.1 200 OK\r\n") == 2


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
    ids=["line", "chunked", "length", "size", "head"],
)
def test_what_is_not_http_as_it_speaks_it_is_refused(text: bytes, stub: ModelStub) -> None:
    assert spoken(stub, text).startswith(b"HTTP/1.1 400 ")


def test_it_listens_on_this_machine_only(stub: ModelStub) -> None:
    assert stub.base_url.startswith("http://127.0.0.1:")


async def ask_on_this_loop() -> int:
    async with ModelStub(first_byte_s=3600) as stub, httpx2.AsyncClient(trust_env=False) as http:
        headers = {"authorization": f"Bearer {stub.api_key}"}
        answer = await http.post(stub.base_url + CHAT, json=GPT, headers=headers, timeout=None)
        return answer.status_code


def test_it_runs_on_a_virtual_loop_in_virtual_time() -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(ask_on_this_loop()) == 200


def test_waiting_for_what_does_not_come_ends(talk) -> None:
    with ModelStub(clock=ManualClock(), first_byte_s=1) as stub, talk(stub) as wire:
        with pytest.raises(TimeoutError, match="0 wait for this clock"):
            stub.clock.wait_for_sleepers(timeout_s=0.01)
        wire.http.timeout = 0.2
        with pytest.raises(httpx2.ReadTimeout):
            wire.chat()
        with pytest.raises(TimeoutError, match="1 requests are still"):
            stub.wait_until_idle(timeout_s=0.01)


def test_stopping_breaks_off_who_still_waits(talk) -> None:
    with ModelStub(first_byte_s=3600) as stub, talk(stub) as wire:
        wire.http.timeout = 0.2
        with pytest.raises(httpx2.ReadTimeout):
            wire.chat()
    with pytest.raises(httpx2.ConnectError), talk(stub) as wire:
        wire.chat()


def test_a_stub_can_be_started_again(stub: ModelStub, wire, talk) -> None:
    wire.chat()
    again = ModelStub()
    for _ in range(2):
        with again, talk(again) as other:
            other.chat()
    assert len(again.bill().lines) == 2


def test_a_fault_of_the_stub_itself_is_raised_where_it_is_stopped() -> None:
    async def broken(request):
        raise ZeroDivisionError

    thread = ServerThread(HttpServer(broken))
    port = thread.start()
    with pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(f"http://127.0.0.1:{port}/", trust_env=False)
    with pytest.raises(ZeroDivisionError):
        thread.stop()


def test_the_environment_leads_official_clients_here(stub: ModelStub) -> None:
    told = stub.environment()
    assert told["OPENAI_BASE_URL"] == f"{stub.base_url}/v1"
    assert told["ANTHROPIC_BASE_URL"] == stub.base_url


def test_the_kit_needs_no_client_and_no_vocabulary() -> None:
    code = "import sys, podium.testing.llm; print({'httpx2', 'toktok'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


TEXTS = ["", "plain words", "  spaces\n\n and\ttabs ", "né 🧠 日本語 🏳️‍🌈", "x" * 500, "a_b-c(d)"]


@pytest.mark.parametrize("words", [Vocabulary, Words], ids=["o200k", "words"])
@pytest.mark.parametrize("text", TEXTS)
def test_pieces_spell_the_text(text: str, words, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podium.testing.llm.tokens.tokenizer", words)
    assert "".join(pieces(text, 1)) == text
    assert len(list(pieces(text, 1))) <= words().count([text])
    assert words().keep(text, 10_000) == text


def test_tokens_are_counted_with_a_real_vocabulary() -> None:
    assert (tokenizer().name, tokenizer().count(["hello world", "日本語"])) == ("o200k_base", 4)


def test_without_a_vocabulary_words_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "toktok", None)
    assert tokenizer.__wrapped__().name == "words"
    assert Words().count(["hello wonderful world."]) == 5


def test_it_runs_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "podium.testing.llm", "--say", "pong", "--rpm", "5"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        told = json.loads(process.stdout.readline())
        headers = {"authorization": f"Bearer {told['api_key']}"}
        answer = httpx2.post(told["base_url"] + CHAT, json=GPT, headers=headers)
        bill = json.loads(process.communicate("")[0])["bill"]["gpt-4o-mini"]
    assert answer.json()["choices"][0]["message"]["content"] == "pong"
    assert answer.headers["x-ratelimit-remaining-requests"] == "4"
    assert (bill["requests"], bill["usage"]["input"]) == (1, 7)
