"""The files of the interface: where they are served, with which headers, and how large they are."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podium.server import pages
from podium.server.routes.pages import ADDRESSES

ROOT = Path(__file__).parents[2]
FIRST_LOAD_MAX = 400_000


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A checkout in which nothing was built."""
    monkeypatch.setattr(pages, "BUILT", tmp_path)
    _forget()
    yield
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    for cached in (pages.entry, pages.asset, pages._assets):
        cached.cache_clear()


def test_a_bare_checkout_gets_a_page_that_says_how_to_build(bare: None, server: Any) -> None:
    answer = server.client.get("/")

    assert answer.status_code == 200
    assert "make ui" in answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/runs/run_00000001", "/approvals", "/workflows"])
def test_every_address_answers_with_the_page_under_a_strict_policy(server: Any, path: str) -> None:
    answer = server.client.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    wanted = ("default-src 'self'", "object-src 'none'", "base-uri 'none'", "trusted-types 'none'")
    assert all(each in policy for each in wanted)
    assert "unsafe" not in policy


def test_the_page_holds_no_script_of_its_own(built: Path) -> None:
    text = (built / "index.html").read_text()

    assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
    assert "<style" not in text
    assert not re.search(r"(src|href)=\"(https?:)?//", text)


def test_an_unknown_path_is_a_problem_and_no_page(server: Any) -> None:
    answer = server.client.get("/v1/nothing")

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize("name", ["../index.html", "..%2findex.html", "nothing.js", "%2e%2e"])
def test_assets_are_found_by_their_names_and_nothing_else(server: Any, name: str) -> None:
    assert server.client.get(f"/assets/{name}").status_code == 404


def test_assets_are_packed_and_kept_for_ever(server: Any, built: Path) -> None:
    script = next(path for path in (built / "assets").glob("index-*.js"))

    answer = server.client.get(f"/assets/{script.name}")

    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"].endswith("immutable")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.content == script.read_bytes()
    plain = server.client.get(f"/assets/{script.name}", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers


def test_everything_together_is_smaller_than_the_first_load_may_be(built: Path) -> None:
    """All pages with their fonts: more than any first load."""
    files = [built / "index.html", *(built / "assets").iterdir()]

    size = sum(min(len(gzip.compress(it.read_bytes(), 9)), it.stat().st_size) for it in files)

    assert size <= FIRST_LOAD_MAX


def test_the_addresses_of_the_pages_are_those_the_server_answers() -> None:
    text = (ROOT / "ui" / "src" / "routes.tsx").read_text()

    paths = re.findall(r'path: "([^"]+)"', text)

    assert sorted(re.sub(r"\$(\w+)", r"{\1:str}", path) for path in paths) == sorted(ADDRESSES)


def test_no_text_becomes_markup_in_the_source() -> None:
    sources = [path.read_text() for path in (ROOT / "ui" / "src").rglob("*.ts*")]

    wrong = re.compile(r"dangerouslySet|innerHTML|insertAdjacent|\beval\(|localStorage")
    found = [match for text in sources for match in wrong.findall(text)]
    # Only the choice of colours is kept beyond the tab.
    assert set(found) == {"localStorage"}
    theme = (ROOT / "ui" / "src" / "parts" / "theme.ts").read_text()
    assert found.count("localStorage") == theme.count("localStorage")
