"""How far the built-in tools reach: files below their folders, hosts on their list."""

import os
import threading
from ipaddress import ip_address
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from podium.adapters.tools import beneath
from podium.adapters.tools.grep import grep
from podium.adapters.tools.http_get import http_get, is_public, refusal_of
from podium.adapters.tools.read_file import read_file
from podium.agents.tools import Grant, ToolRefused


@pytest.fixture
def grant(tmp_path):
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (inside / "a.txt").write_text("one\ntwo\nthree\n")
    (inside / "sub" / "b.py").write_text("import one\n")
    (inside / "binary").write_bytes(b"\0\1\2")
    (inside / "latin").write_bytes("é".encode("latin-1"))
    (inside / ".env").write_text("one secret")
    (tmp_path / "out.txt").write_text("one outside")
    (inside / "link").symlink_to(tmp_path / "out.txt")
    (inside / "inner").symlink_to(inside / "a.txt")
    (inside / "door").symlink_to(tmp_path)
    os.mkfifo(inside / "pipe")
    return Grant(roots=(inside.resolve(),))


def test_lines_are_read_with_their_numbers(grant):
    assert read_file("a.txt", 2, 1, grant=grant) == "a.txt, lines 2 to 2 of 3\n2: two"
    inside = str(grant.roots[0] / "a.txt")
    assert "1: one" in read_file(inside, grant=grant)
    assert "1: import one" in read_file("./sub/b.py", grant=grant)


@pytest.mark.parametrize(
    "path",
    [
        "../out.txt",
        "sub/../../out.txt",
        "sub/../a.txt",
        "/etc/passwd",
        "/dev/null",
        "link",
        "inner",
        "door/out.txt",
        "door",
        ".env",
        "sub/.hidden/x",
        "pipe",
        "binary",
        "latin",
        "sub",
        "",
        ".",
        "missing.txt",
        "a.txt/b",
        "a\0.txt",
        "x" * 5000,
        "//etc/passwd",
        "~/.ssh/id_rsa",
    ],
)
def test_what_lies_elsewhere_or_is_no_text_is_refused(grant, path):
    with pytest.raises(ToolRefused):
        read_file(path, grant=grant)


def test_a_file_that_is_too_large_is_refused(grant, monkeypatch):
    monkeypatch.setattr(beneath, "FILE_BYTES_MAX", 5)
    with pytest.raises(ToolRefused, match="bytes"):
        read_file("a.txt", grant=grant)


def open_files():
    found = Path("/proc/self/fd")
    return len(list(found.iterdir())) if found.exists() else 0


def test_descriptors_are_given_back(grant):
    read_file("sub/b.py", grant=grant)
    before = open_files()
    for path in ("sub/b.py", "link", "door/out.txt", "missing", "binary", "../x", "a.txt/b"):
        try:
            read_file(path, grant=grant)
        except ToolRefused:
            continue
    grep("one", grant=grant)
    grep("one", "a.txt", grant=grant)
    assert open_files() == before


def test_lines_are_numbered_as_editors_number_them(grant):
    (grant.roots[0] / "odd.py").write_text("a\x0cb\nc\u2028d\r\none more\n")
    assert "3: one more" in read_file("odd.py", grant=grant)
    assert "odd.py:3:" in grep("one more", grant=grant)


def test_grep_finds_lines_below_its_folders_only(grant):
    assert grep("one", grant=grant).splitlines() == ["a.txt:1: one", "sub/b.py:1: import one"]
    assert grep("one", files="*.py", grant=grant) == "sub/b.py:1: import one"
    assert grep("t(wo|hree)", "a.txt", grant=grant).count("\n") == 1
    assert grep("nothing", grant=grant) == "No line matches."
    assert "may be more" in grep(".", matches=1, grant=grant)


@pytest.mark.parametrize("path", ["..", "door", "/etc", "sub/..", "link", "missing"])
def test_grep_does_not_leave_its_folders(grant, path):
    with pytest.raises(ToolRefused):
        grep("one", path, grant=grant)


def test_a_pattern_that_takes_for_ever_does_not_exist(grant):
    (grant.roots[0] / "long.txt").write_text("a" * 1500 + "b\n")
    assert grep("(a+)+$", "long.txt", grant=grant) == "No line matches."
    with pytest.raises(ToolRefused, match="pattern"):
        grep("(", grant=grant)


HOSTS = ("example.org", "*.good.example", "10.0.0.5:8080", "[::1]:9000")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/",
        "http://example.org/a?b=c",
        "https://EXAMPLE.org",
        "https://docs.good.example/",
        "http://10.0.0.5:8080/",
        "http://[::1]:9000/",
    ],
)
def test_listed_hosts_may_be_asked(url):
    assert refusal_of(url, HOSTS) == ""


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://example.org.evil.example/",
        "https://evil.example/?example.org",
        "https://evil.example#example.org",
        "https://example.org@evil.example/",
        "https://user:pw@example.org/",
        "https://good.example/",
        "https://notgood.example/",
        "https://example.org:22/",
        "http://10.0.0.5/",
        "http://10.0.0.5:22/",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/",
        "http://localhost/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "ftp://example.org/",
        "javascript:alert(1)",
        "//example.org/",
        "example.org",
        "https:///x",
        "https://example.org\\@evil.example/",
        "https://example.org /",
        "https://example.org\r\nHost: evil.example",
        "https://example.org:99999/",
        "https://[bad/",
        "",
    ],
)
def test_other_urls_are_refused_before_anything_is_looked_up(url):
    assert refusal_of(url, HOSTS)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:0:7f00:1::1",
    ],
)
def test_private_addresses_are_seen_in_every_wrapping(text):
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_public_addresses_are_public(text):
    assert is_public(ip_address(text))


async def test_a_name_that_leads_inside_is_refused(sqlite_house):
    with pytest.raises(ToolRefused, match="not public"):
        await http_get("http://localhost:80/", grant=Grant(hosts=("localhost",)))


async def test_a_name_that_leads_inside_is_refused_although_its_port_is_listed(sqlite_house):
    with pytest.raises(ToolRefused, match="not public"):
        await http_get("http://localhost:8080/", grant=Grant(hosts=("localhost:8080",)))


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def pages(environ, start):
    path = environ["PATH_INFO"]
    kinds = {"/image": "image/png", "/zip": "text/plain"}
    headers = [("Content-Type", kinds.get(path, "text/plain"))]
    if path == "/zip":
        headers.append(("Content-Encoding", "gzip"))
    if path == "/away":
        start("302 Found", [("Location", "http://169.254.169.254/")])
        return [b""]
    start("200 OK", headers)
    if path == "/long":
        return [b"x" * 100_000] * 20
    return [f"{environ['HTTP_HOST']} {environ['QUERY_STRING']}".encode()]


@pytest.fixture
def site():
    server = make_server("127.0.0.1", 0, pages, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_listed_address_is_asked_with_its_own_name(sqlite_house, site):
    text = await http_get(f"http://{site}/a?b=c%20d", grant=Grant(hosts=(site,)))
    assert text == f"Status 200\n\n{site} b=c%20d"


async def test_a_redirect_is_told_and_not_followed(sqlite_house, site):
    text = await http_get(f"http://{site}/away", grant=Grant(hosts=(site,)))
    assert text.startswith("Status 302: it has moved to http://169.254.169.254/.")


@pytest.mark.parametrize("path", ["image", "zip", "long"])
async def test_what_is_no_text_or_too_long_is_refused(sqlite_house, site, path):
    with pytest.raises(ToolRefused):
        await http_get(f"http://{site}/{path}", grant=Grant(hosts=(site,)))
