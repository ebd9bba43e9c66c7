"""Errors over HTTP: problem documents in the words of the command line; bodies read strictly."""

import json
import logging
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from litestar import get
from tests.server.conftest import Api

from podium.errors import (
    AccessError,
    ConflictError,
    DefinitionError,
    Fault,
    InternalError,
    NotFoundError,
    PodiumError,
    RequestError,
    StoreError,
)
from podium.server import application
from podium.server.bodies import fit, parse
from podium.server.problems import BadParts, problem
from podium.server.shapes import StartRun


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (RequestError("x"), 400, "invalid_request"),
        (NotFoundError("x"), 404, "not_found"),
        (ConflictError("x"), 409, "wrong_state"),
        (ConflictError("x", code_word="recovery_in_flight"), 409, "recovery_in_flight"),
        (ConflictError("x", code="PDM-C010"), 422, "idempotency_key_reuse"),
        (AccessError("x", code_word="unknown_key", status=401), 401, "unknown_key"),
        (DefinitionError([Fault(code="PDM-D102", message="x")]), 422, "cycle"),
        (DefinitionError([Fault(code="PDM-D001", message="x")]), 400, "syntax_error"),
        (StoreError("x"), 503, "store_unavailable"),
        (InternalError("x"), 500, "internal_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_kind_of_error_has_its_status_and_its_word(error: PodiumError, status: int, word: str):
    told = problem(error)
    assert (told.status, told.code, told.podium_code) == (status, word, error.code)


def test_a_problem_says_what_why_and_how_to_fix_it():
    error = ConflictError("No.", why="Because.", fix="Wait.", state="running", allowed=["pause"])
    told = problem(error, request_id="req_1")
    assert (told.detail, told.why, told.fix) == ("No.", "Because.", "Wait.")
    assert (told.state, told.allowed, told.request_id) == ("running", ("pause",), "req_1")
    assert told.docs == f"docs/errors/{error.code}.md"


async def test_a_problem_goes_out_as_one(api: Api):
    answer = await api.get("/v1/runs/run_00009999")
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["request_id"] == answer.headers["x-request-id"]
    assert told["type"] == "urn:podium:error:not_found"
    assert told["docs"] == "docs/errors/PDM-R404.md"


async def test_our_own_fault_is_told_without_its_inside(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("secret inside")

    monkeypatch.setattr(type(api.app), "list_runs", broken)
    with caplog.at_level(logging.ERROR, logger="podium.server"):
        answer = await api.get("/v1/runs")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret inside" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.json()["request_id"] in {getattr(r, "request_id", "") for r in caplog.records}


async def test_a_store_that_cannot_be_used_is_a_503_that_says_when_to_come_back(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    async def unusable(*_: Any, **__: Any) -> Any:
        raise StoreError("The disk is full.", code="PDM-S005")

    monkeypatch.setattr(type(api.app), "list_runs", unusable)
    answer = await api.get("/v1/runs")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_unknown_paths_and_methods_are_problems_too(api: Api):
    missing = await api.get("/v1/nowhere")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert missing.json()["request_id"] == missing.headers["x-request-id"]
    wrong = await api.client.delete("/v1/runs")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= {name.strip() for name in wrong.headers["allow"].split(",")}


# -- bodies --------------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[2]
VALUES = [b"{}", b'{"a": [1, 2.5, "x", null, true]}', '{"ü": "\\ud83d\\ude00"}'.encode(), b" [] \n"]
BROKEN = {
    b"": "syntax_error",
    b"{": "syntax_error",
    b'{"a": 1,}': "syntax_error",
    b"{'a': 1}": "syntax_error",
    b"{} {}": "syntax_error",
    b"nul": "syntax_error",
    b'{"a": 1, "a": 2}': "duplicate_key",
    b'{"b": {"a": 1, "a": 1}}': "duplicate_key",
    b'{"a": NaN}': "number_out_of_range",
    b'{"a": 1e999}': "number_out_of_range",
    b'{"a": 99999999999999999999}': "number_out_of_range",
    b'{"a": "\\u0000"}': "invalid_text",
    b'{"a": "\\ud800"}': "invalid_text",
    b"[" * 33 + b"]" * 33: "too_deep",
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000: "too_deep",
}


@pytest.mark.parametrize("text", VALUES)
def test_sound_json_is_read_as_it_is(text: bytes):
    assert parse(text) == json.loads(text)


@pytest.mark.parametrize(("text", "word"), BROKEN.items(), ids=lambda value: str(value)[:30])
def test_json_that_others_would_bend_is_refused(text: bytes, word: str):
    with pytest.raises(DefinitionError) as caught:
        parse(text)
    told = problem(caught.value)
    assert told.faults[0].code == word
    assert told.status in {400, 422}
    assert told.faults[0].line


def test_what_looks_deep_inside_of_text_is_not():
    assert parse(b'{"a": "' + b"[" * 100 + b'\\"{"}') == {"a": "[" * 100 + '"{'}


@pytest.mark.parametrize("unit", [b'\\"', b'"', b"\\", b"[", b'"\\', b"{", b'["', b"\\u"])
def test_no_text_takes_more_time_than_its_length_explains(unit: bytes):
    begun_s = time.process_time()
    for head, tail in ((b'"', b""), (b"", b"\\"), (b"[", b'"')):
        with suppress(DefinitionError, RequestError):
            parse(head + unit * (500_000 // len(unit)) + tail)
    assert time.process_time() - begun_s < 5


@pytest.mark.parametrize(
    ("value", "word", "path"),
    [
        ({"workflw": "x"}, "unknown_field", "/workflw"),
        ({"workflow": 5}, "wrong_type", "/workflow"),
        ({"workflow": ""}, "out_of_range", "/workflow"),
        ({"priority": "5"}, "wrong_type", "/priority"),
        ({"priority": 101}, "out_of_range", "/priority"),
        ({"priority": True}, "wrong_type", "/priority"),
        ({"labels": {"a": 1}}, "wrong_type", "/labels/*"),
        ({"idempotency_key": "a b"}, "out_of_range", "/idempotency_key"),
        ({"idempotency_key": ""}, "out_of_range", "/idempotency_key"),
        ([], "wrong_type", ""),
    ],
)
def test_a_body_of_another_shape_is_refused_with_its_place(value: Any, word: str, path: str):
    with pytest.raises(BadParts) as caught:
        fit(value, StartRun)
    told = problem(caught.value)
    assert (told.status, told.code, told.path) == (422, word, path)


def test_an_unknown_field_suggests_the_nearest_one():
    with pytest.raises(BadParts) as caught:
        fit({"workflw": "x"}, StartRun)
    assert caught.value.fix == "Did you mean 'workflow'?"


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"content-type": "text/plain"}, b"{}", 415),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=b", 415),
        ({"content-type": "application/json; charset=utf-7"}, b"{}", 415),
        ({"content-type": "application/json"}, b'{"workflow": "\xff"}', 415),
        ({"content-type": "application/json"}, b"", 400),
        ({"content-type": "application/json"}, b"null", 422),
        ({"content-type": "application/json", "content-encoding": "gzip"}, b"\x1f\x8b\x08", 415),
    ],
)
async def test_a_body_that_is_no_json_is_refused(
    api: Api, headers: dict[str, str], content: bytes, status: int
):
    answer = await api.post("/v1/runs", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert (await api.get("/v1/runs")).json()["items"] == []


# -- the description -----------------------------------------------------------------------------


async def test_every_route_is_described_with_its_problems(api: Api):
    described = (await api.get("/openapi.json")).json()
    assert described["openapi"].startswith("3.1")
    names = [
        operation["operationId"]
        for methods in described["paths"].values()
        for operation in methods.values()
    ]
    assert len(names) == len(set(names))
    start = described["paths"]["/v1/runs"]["post"]
    assert {"202", "400", "401", "403", "409", "422", "503"} <= set(start["responses"])
    assert start["security"] == [{"key": []}]
    assert described["paths"]["/v1/health/live"]["get"]["security"] == []
    for reference in references(described):
        assert reference.removeprefix("#/components/schemas/") in described["components"]["schemas"]


async def test_the_reference_lists_every_path_with_what_it_needs(api: Api):
    described = (await api.get("/openapi.json")).json()
    page = (ROOT / "docs/reference/http.md").read_text("utf-8")
    rows = re.findall(r"^\| ([A-Z]+) \| `(.*?)` \| (\w+) \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(
        (method.upper(), path, operation["x-needs"])
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    )


def references(value: Any) -> list[str]:
    """Return every reference in a description."""
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for inner in value.values() for each in references(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in references(inner)]
    return []


async def test_the_example_of_a_start_is_one(api: Api):
    described = (await api.get("/openapi.json")).json()
    for content in described["paths"]["/v1/runs"]["post"]["requestBody"]["content"].values():
        assert fit(content["example"], StartRun).workflow == "review"


async def test_the_manual_is_a_page_without_scripts(api: Api):
    page = await api.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "/v1/runs/{run}/actions/retry" in page.text


def test_a_route_that_does_not_say_what_it_needs_stops_the_application(
    monkeypatch: pytest.MonkeyPatch,
):
    @get("/open")
    async def unguarded() -> str:
        return "hello"

    monkeypatch.setattr(application, "routes", lambda nouns: [unguarded])
    with pytest.raises(InternalError, match="/open"):
        application.assemble()
