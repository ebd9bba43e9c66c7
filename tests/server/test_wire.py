"""Connections end: heads that do not end in size or in time are cut, sound ones are not."""

import socket
from urllib.parse import urlsplit

import pytest

from podium.server import wire

SOUND = b"GET /v1/health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
BEGINNINGS = {
    "nothing": b"",
    "a-word": b"GE",
    "a-line": b"GET / HTTP/1.1\r\n",
    "a-header": SOUND[:-2],
}


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(wire, "HEAD_WAIT_S", 0.3)


def connect(server) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def rest(line: socket.socket) -> bytes:
    found = b""
    while piece := line.recv(4096):
        found += piece
    return found


def test_who_does_not_finish_a_head_in_time_is_cut_off(server):
    for begun in BEGINNINGS.values():
        with connect(server) as line:
            line.sendall(begun)
            assert rest(line) == b""


def test_who_finishes_in_time_is_answered_and_may_ask_again(server):
    with connect(server) as line:
        for _ in range(3):
            line.sendall(SOUND)
            answer = b""
            while not answer.endswith(b'{"status":"alive"}'):
                answer += line.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200")


def test_the_time_for_a_head_does_not_cut_a_long_answer(server):
    """Streams of events last for hours: only heads are hurried."""
    run = server.client.post(
        "/v1/runs",
        json={"definition": {"name": "w", "tasks": [{"name": "a", "checkpoint": "before"}]}},
    ).json()["run_id"]
    head = "host: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n"
    with connect(server) as line:
        line.sendall(f"GET /v1/runs/{run}/events HTTP/1.1\r\n{head}".encode())
        assert b"200 OK" in line.recv(65536)
        line.settimeout(1.0)
        # Nothing more comes and nothing is cut: otherwise the end would be read.
        with pytest.raises(TimeoutError):
            rest(line)


def test_a_head_that_does_not_end_is_refused(server, monkeypatch):
    monkeypatch.setattr(wire, "HEAD_WAIT_S", 30.0)
    with connect(server) as line:
        answer = b""
        try:
            for _ in range(100):
                line.sendall(b"GET / HTTP/1.1\r\nx: " + b"a" * 65536)
            answer = rest(line)
        except (BrokenPipeError, ConnectionResetError):
            answer = answer or b"HTTP/1.1 400"
    assert answer.startswith(b"HTTP/1.1 400")
