"""Where requests may go: a table of URLs, addresses in every disguise, and names that change."""

import asyncio
from ipaddress import ip_address

import pytest

from podium.adapters.egress import HttpEgress
from podium.runtime.egress import fault_in_entry, is_public, read_url

PUBLIC = "93.184.216.34"
ALLOWED = ("hooks.internal:9000", "10.1.0.0/16", "plain.internal")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?x=1",
        "http://example.com",
        "https://example.com:8443/",
        "http://example.com:8080/",
        "https://xn--bcher-kva.example/",
        f"https://{PUBLIC}/",
        "https://[2606:4700::1111]/",
        "http://hooks.internal:9000/a",
        "http://plain.internal/a",
        "http://10.1.2.3/a",
    ],
)
def test_a_url_that_may_be_asked(url):
    assert read_url(url, ALLOWED).target.startswith("/")


@pytest.mark.parametrize(
    "url",
    [
        # This machine and what is near it, in every way to write it.
        "http://localhost/",
        "http://LOCALHOST/",
        "http://localhost./",
        "http://a.localhost/",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1./",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[0:0:0:0:0:ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b:1::a00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2001:0:1::1]/",
        "http://[fe80::1]/",
        "http://[fe80::1%25eth0]/",
        "http://[fc00::1]/",
        "http://[ff02::1]/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://198.18.0.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        # Ports of other services, and what is no URL of ours.
        "http://example.com:22/",
        "http://example.com:6379/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://plain.internal:25/",
        "http://hooks.internal:9001/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "//example.com/",
        "example.com",
        "https://",
        "https:///path",
        "http://user@example.com/",
        "http://user:pass@example.com/",
        "http://example.com@127.0.0.1/",
        "http://127.0.0.1\\@example.com/",
        "http://example.com#@127.0.0.1/",
        "http://example.com/ a",
        "http://example.com/\r\nHost: a",
        "http://example.com/\x00",
        "http://exa\tmple.com/",
        "http://bücher.example/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://-a.example/",
        "http://a..example/",
        "http://[::1",
        "http://" + "a" * 2000 + "/",
    ],
)
def test_a_url_that_may_not_be_asked(url):
    with pytest.raises(ValueError, match=r"\w"):
        read_url(url, ALLOWED)


@pytest.mark.parametrize(
    "entry", ["hooks.internal", "hooks.internal:9000", "10.0.0.0/8", "fd00::/8", "[fd00::1]:80"]
)
def test_an_entry_of_the_list_is_a_host_or_a_network(entry):
    assert fault_in_entry(entry) == ""


@pytest.mark.parametrize("entry", ["", "10.0.0.0/40", "a:b", "http://x/", ":80"])
def test_other_entries_are_refused(entry):
    assert fault_in_entry(entry)


def test_an_address_of_this_machine_is_not_public_however_it_is_wrapped():
    assert not any(is_public(ip_address(text)) for text in ("::ffff:127.0.0.1", "2002:7f00:1::"))
    assert is_public(ip_address(PUBLIC))


# --- at the time of use -------------------------------------------------------------------------


class Receiver:
    """An HTTP server that answers what it is told and notes what came."""

    def __init__(self, answer=b"HTTP/1.1 204 No Content\r\n\r\n"):
        self.answer = answer
        self.requests = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error):
        self._server.close()

    async def _serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        self.requests.append((head.decode(), await reader.readexactly(length)))
        writer.write(self.answer)
        await writer.drain()
        writer.close()


def post(url, *, allowed=(), addresses=("127.0.0.1",), trusted=False, answer=None):
    """Post to a receiver under a name with these addresses; return the reply and what came."""

    async def scenario():
        looked_up = []

        async def resolve(host, port):
            looked_up.append(host)
            return [ip_address(each) for each in addresses]

        async with Receiver(*([answer] if answer else [])) as receiver:
            egress = HttpEgress([each.format(receiver.port) for each in allowed], resolve=resolve)
            target = url.format(port=receiver.port)
            reply = await egress.post(target, headers={"X-A": "1"}, body=b"hello", trusted=trusted)
            await egress.close()
        return reply, receiver.requests, looked_up

    return asyncio.run(scenario())


HOOK = "http://hooks.internal:{port}/in?a=1"


def test_a_listed_host_is_asked_under_its_name_at_the_address_that_was_judged():
    reply, [(head, body)], looked_up = post(HOOK, allowed=["hooks.internal:{}"])
    assert reply.code == 204
    assert head.startswith("POST /in?a=1 HTTP/1.1")
    assert "Host: hooks.internal:" in head
    assert "X-A: 1" in head
    assert body == b"hello"
    assert looked_up == ["hooks.internal"]


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], [PUBLIC, "127.0.0.1"], ["::ffff:a00:1"]],
)
def test_a_public_name_that_leads_inside_is_not_asked(addresses):
    reply, requests, _ = post("http://rebound.example:8080/", addresses=addresses)
    assert reply.code == 0
    assert reply.detail.startswith("egress_denied")
    assert requests == []


def test_a_listed_name_does_not_lead_to_a_metadata_service():
    reply, _, _ = post(HOOK, allowed=["hooks.internal:{}"], addresses=["169.254.169.254"])
    assert reply.detail.startswith("egress_denied")


def test_what_the_operator_wrote_may_lead_anywhere():
    reply, requests, _ = post("http://localhost:{port}/", trusted=True)
    assert reply.code == 204
    assert len(requests) == 1


def test_a_redirect_is_an_answer_and_is_not_followed():
    moved = b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    reply, requests, _ = post(HOOK, allowed=["hooks.internal:{}"], answer=moved)
    assert reply.code == 307
    assert len(requests) == 1


def test_a_wish_to_be_left_alone_is_read():
    busy = b"HTTP/1.1 429 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
    reply, _, _ = post(HOOK, allowed=["hooks.internal:{}"], answer=busy)
    assert (reply.code, reply.retry_after_s) == (429, 7.0)


def test_an_endless_answer_is_not_read():
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100_000
    reply, _, _ = post(HOOK, allowed=["hooks.internal:{}"], answer=endless)
    assert reply.code == 200


def test_nobody_there_is_told_in_words():
    reply, _, _ = post("http://localhost:1/", trusted=True)
    assert reply.code == 0
    assert "Connect" in reply.detail


def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    reply, _, _ = post(HOOK, allowed=["hooks.internal:{}"])
    assert reply.code == 204
