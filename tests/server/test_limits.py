"""What every request passes first: ids, sizes, times, and whom a server without keys trusts."""

import socket
import threading
from urllib.parse import urlsplit

import pytest
from tests.server.conftest import Api, Server

from podium.server import limits
from podium.server.access import LocalTrust

HELLO = {"definition": {"name": "hello", "tasks": [{"name": "first"}]}}


class WithKeys(LocalTrust):
    """As if a key existed: everybody is let in, but no machine is trusted for its name."""

    is_open = False

    def __init__(self) -> None:
        super().__init__("default")


@pytest.fixture
def keyed(api: Api) -> Api:
    api.authenticator = WithKeys()
    return api


async def test_each_request_has_an_id_of_its_own(api: Api):
    ids = [(await api.get("/v1/health/live")).headers["x-request-id"] for _ in range(2)]
    assert ids[0] != ids[1]


async def test_the_id_of_a_caller_is_kept(api: Api):
    answer = await api.get("/v1/runs", headers={"X-Request-Id": "trace-1.a"})
    assert answer.headers["x-request-id"] == "trace-1.a"


@pytest.mark.parametrize("given", ["a b", "x" * 65, "<script>", "ü".encode("latin-1"), ""])
async def test_an_id_that_could_do_harm_in_a_log_is_replaced(api: Api, given: str):
    answer = await api.get("/v1/runs", headers={"X-Request-Id": given})
    assert answer.headers["x-request-id"].startswith("req_")


# -- hosts and origins ---------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", ""])
@pytest.mark.parametrize("path", ["/v1/runs", "/v1/health/live", "/openapi.json", "/nowhere"])
async def test_without_keys_only_names_of_this_machine_are_answered(api: Api, host: str, path: str):
    answer = await api.get(path, headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8470", "127.0.0.1:1", "[::1]:8470"])
async def test_names_of_this_machine_are_answered(api: Api, host: str):
    assert (await api.get("/v1/runs", headers={"Host": host})).status_code == 200


async def test_with_keys_any_name_is_answered(keyed: Api):
    answer = await keyed.get("/v1/runs", headers={"Host": "podium.example"})
    assert answer.status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999"])
async def test_a_page_of_another_site_changes_nothing(api: Api, origin: str):
    answer = await api.post("/v1/runs", json=HELLO, headers={"Origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    assert (await api.get("/v1/runs")).json()["items"] == []


async def test_a_page_of_this_server_may(api: Api):
    headers = {"Origin": "http://127.0.0.1", "Host": "127.0.0.1"}
    assert (await api.post("/v1/runs", json=HELLO, headers=headers)).status_code == 202


async def test_no_answer_is_shared_with_other_sites(api: Api):
    answer = await api.get("/v1/runs", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control-")]


# -- sizes ---------------------------------------------------------------------------------------


async def test_a_body_of_more_than_a_megabyte_is_refused(api: Api):
    body = b'{"workflow": "' + b"x" * 1024 * 1024 + b'"}'
    answer = await api.post("/v1/runs", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_body_without_a_declared_length_is_refused_once_it_is_too_large(api: Api):
    async def endless():
        while True:
            yield b" " * 65536

    answer = await api.post(
        "/v1/runs", content=endless(), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413


async def test_more_headers_than_anybody_needs_are_refused(api: Api):
    many = {f"X-{n}": "a" for n in range(limits.HEADERS_MAX + 1)}
    large = {"X-Large": "a" * limits.HEADER_BYTES_MAX}
    for headers in (many, large):
        answer = await api.get("/v1/runs", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (431, "headers_too_large")


async def test_a_deep_body_is_refused_before_anything_recurses(api: Api):
    body = b'{"definition": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = await api.post("/v1/runs", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["faults"][0]["code"]) == (422, "too_deep")


# -- slow callers --------------------------------------------------------------------------------


def test_a_body_that_does_not_come_is_not_waited_for(
    server: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "BODY_WAIT_S", 0.05)
    head = b"POST /v1/runs HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    head += b"content-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    assert b" 408 " in exchange(server, head)
    assert server.client.get("/v1/health/live").status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/runs HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"GET /v1/runs HTTP/1.1\r\nhost: 127.0.0.1\r\nx: a\0b\r\n\r\n",
        b"GARBAGE\r\n\r\n",
    ],
)
def test_a_malformed_request_ends_its_connection(server: Server, head: bytes):
    assert b" 400 " in exchange(server, head)
    assert server.client.get("/v1/health/live").status_code == 200


def exchange(server: Server, sent: bytes) -> bytes:
    """Return all that a server answers to raw bytes until it closes the connection."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(sent)
        found = b""
        while part := connection.recv(65536):
            found += part
            if b"\r\n\r\n" in found and b" 408 " in found:
                break
        return found


def test_many_callers_are_answered_side_by_side(server: Server):
    answers: list[int] = []

    def call() -> None:
        answers.append(server.client.post("/v1/runs", json=HELLO).status_code)

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [202] * 20
