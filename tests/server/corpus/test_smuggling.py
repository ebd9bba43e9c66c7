"""Bytes that two readers of HTTP would read differently are refused, and the line is cut
(rows 16 and 17). Nothing here uses an HTTP library: it would not send such things.
"""

import socket
import threading
from urllib.parse import urlsplit

import pytest

HOST = b"host: 127.0.0.1\r\n"
BODY = b'{"workflow": "echo", "input": {"word": "a"}}'
PATIENCE_S = 10.0
START = b"POST /v1/runs HTTP/1.1\r\n" + HOST + b"content-type: application/json\r\n"
SMUGGLED = b"GET /v1/runs HTTP/1.1\r\n" + HOST + b"\r\n"

REFUSED = {
    "length-and-chunks": START
    + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks-and-length": START
    + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
    "two-lengths": START + b"content-length: 44\r\ncontent-length: 4\r\n\r\n" + BODY,
    "length-of-text": START + b"content-length: abc\r\n\r\n" + BODY,
    "length-negative": START + b"content-length: -1\r\n\r\n" + BODY,
    "length-with-plus": START + b"content-length: +44\r\n\r\n" + BODY,
    "length-beyond-64-bits": START + b"content-length: 99999999999999999999\r\n\r\n" + BODY,
    "length-hexadecimal": START + b"content-length: 0x2c\r\n\r\n" + BODY,
    "chunk-size-of-text": START + b"transfer-encoding: chunked\r\n\r\nxyz\r\n\r\n",
    "chunk-size-too-large": START + b"transfer-encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n",
    "space-before-the-colon": START + b"content-length : 44\r\n\r\n" + BODY,
    "name-with-a-space": b"GET /v1/health/live HTTP/1.1\r\n" + HOST + b"x y: 1\r\n\r\n",
    "name-of-nothing": b"GET /v1/health/live HTTP/1.1\r\n" + HOST + b": 1\r\n\r\n",
    "name-with-nul": b"GET /v1/health/live HTTP/1.1\r\n" + HOST + b"x\0y: 1\r\n\r\n",
    "value-with-nul": b"GET /v1/health/live HTTP/1.1\r\n" + HOST + b"x: a\0b\r\n\r\n",
    "value-with-a-bare-return": b"GET /v1/health/live HTTP/1.1\r\n" + HOST + b"x: a\rb\r\n\r\n",
    "no-method": b" /v1/health/live HTTP/1.1\r\n" + HOST + b"\r\n",
    "no-path": b"GET HTTP/1.1\r\n" + HOST + b"\r\n",
    "path-with-a-space": b"GET /v1/ health HTTP/1.1\r\n" + HOST + b"\r\n",
    "unknown-protocol": b"GET /v1/health/live FTP/1.1\r\n" + HOST + b"\r\n",
    "version-of-text": b"GET /v1/health/live HTTP/x.y\r\n" + HOST + b"\r\n",
    "tls-on-a-plain-port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "noise": bytes(range(256)),
    "another-protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
}


def address(target) -> tuple[str, int]:
    parts = urlsplit(target.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def answers_to(target, sent: bytes) -> bytes:
    """Return all that comes until the server cuts the line; fails if it does not."""
    with socket.create_connection(address(target), timeout=PATIENCE_S) as line:
        found = b""
        try:
            line.sendall(sent)
            while piece := line.recv(65536):
                found += piece
        except (BrokenPipeError, ConnectionResetError):
            pass
        return found


def statuses(answer: bytes) -> list[int]:
    return [int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


@pytest.mark.parametrize("name", REFUSED)
def test_what_two_readers_would_read_differently_is_refused_and_the_line_is_cut(target, name):
    """One refusal at most: whatever was smuggled behind the request is never answered."""
    answer = answers_to(target, REFUSED[name] + SMUGGLED)
    assert statuses(answer) in ([400], []), answer
    assert b'"items"' not in answer


def test_a_sound_request_on_the_same_kind_of_line_is_answered(target):
    """The counter-proof: the tests above fail for their one fault, not for something else."""
    sound = b"GET /v1/health/live HTTP/1.1\r\n" + HOST + b"connection: close\r\n\r\n"
    assert statuses(answers_to(target, sound)) == [200]


def test_a_header_of_many_lines_is_bounded(target):
    lines = b"".join(b"x-%d: 1\r\n" % number for number in range(1000))
    answer = answers_to(target, b"GET /v1/health/live HTTP/1.1\r\n" + HOST + lines + b"\r\n")
    assert statuses(answer) in ([431], [400])


def test_a_header_without_an_end_is_cut_off(target):
    """A megabyte of one header must not become a megabyte of memory for each line."""
    before = target.resident_kb()
    sent = b"GET /v1/health/live HTTP/1.1\r\nx: " + b"a" * 8_000_000
    answer = answers_to(target, sent)
    assert statuses(answer) in ([400], [431], [])
    assert target.resident_kb() - before < 20_000


def test_a_body_without_an_end_is_cut_off_at_the_limit(target):
    before = target.resident_kb()
    piece = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    sent = START + b"transfer-encoding: chunked\r\n\r\n" + piece * 160
    answer = answers_to(target, sent)
    assert statuses(answer) in ([413], [])
    assert target.resident_kb() - before < 20_000


def test_large_bodies_leave_no_memory_behind(target):
    before = target.resident_kb()
    for _ in range(5):
        target.http.post("/v1/runs", content=b"x" * 10_000_000)
    assert target.resident_kb() - before < 20_000


def test_many_lines_that_say_nothing_do_not_stop_others(target):
    """Two hundred callers who connect and wait are no reason to let others wait."""
    silent = [socket.create_connection(address(target), timeout=10) for _ in range(200)]
    try:
        for line in silent[:100]:
            line.sendall(START + b"content-length: 44\r\n\r\n{")
        told = []
        asking = threading.Thread(
            target=lambda: told.append(target.http.get("/v1/health/live").status_code)
        )
        asking.start()
        asking.join(5)
        assert told == [200]
    finally:
        for line in silent:
            line.close()


@pytest.mark.parametrize("value", ["a\r\nx-injected: 1", "a\nb", "a" * 65, "..", "é", ""])
def test_a_request_id_of_a_caller_cannot_write_headers(target, value):
    raw = b"GET /v1/health/live HTTP/1.1\r\n" + HOST + b"connection: close\r\n"
    answer = answers_to(target, raw + b"x-request-id: " + value.encode() + b"\r\n\r\n")
    head = answer.partition(b"\r\n\r\n")[0].lower()
    ids = [line for line in head.split(b"\r\n") if line.startswith(b"x-request-id:")]
    assert len(ids) <= 1
    assert b"x-injected" not in head.split(b"\r\n\r\n")[0] or b"x-injected: 1" not in head
