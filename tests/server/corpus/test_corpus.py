"""Bad input: hundreds of wrong requests, each with its answer, and none that changes anything."""

import re
from collections import Counter

import broken_json
import pytest
import wrong_definitions
import wrong_moments
import wrong_objects
import wrong_requests
import wrong_starts
from cases import Case

CASES = [
    *broken_json.CASES,
    *wrong_starts.CASES,
    *wrong_definitions.CASES,
    *wrong_requests.CASES,
    *wrong_moments.CASES,
    *wrong_objects.CASES,
]
NAMED = {case.name: case for case in CASES}


@pytest.fixture(scope="module", autouse=True)
def nothing_changes(target):
    """A refused request leaves no trace in the store: none of all the cases together does."""
    before = target.content()
    yield
    assert target.content() == before


def ask(target, case: Case):
    path = re.sub(r"\{(\w+)\}", lambda name: target.names[name[1]], case.path)
    return target.http.request(case.method, path, content=case.body, headers=case.headers)


@pytest.mark.parametrize("name", NAMED)
def test_a_bad_request_is_refused_with_its_code(target, name):
    case = NAMED[name]
    answer = ask(target, case)
    shown = f"{answer.status_code} {answer.text[:600]}"
    assert answer.status_code == case.status, shown
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert not case.code or told["code"] == case.code, shown
    check_shape(told, answer)
    if case.at is not None:
        assert told.get("path") == case.at, shown
    assert case.says in " ".join([told["detail"], told.get("why", ""), told.get("fix", "")])
    if case.faults:
        found = told.get("faults") or [told]
        assert tuple(each["podium_code"] for each in found) == case.faults, shown


def check_shape(told: dict, answer) -> None:
    """A problem document has all its parts, and nothing of our inside or of others' data."""
    assert told["status"] == answer.status_code
    assert re.fullmatch(r"PDM-[A-Z]\d{3}", told["podium_code"])
    assert re.fullmatch(r"[a-z][a-z_]*", told["code"])
    assert told["title"]
    assert told["detail"]
    assert told["docs"] == f"docs/errors/{told['podium_code']}.md"
    assert told["request_id"] == answer.headers["x-request-id"]
    assert not re.search(r"Traceback|File \"|\.py\b.*line \d|0x[0-9a-f]{9,}", answer.text)
    assert "canary-" not in answer.text
    # An answer is small whatever was sent: what was sent is named, not repeated.
    assert len(answer.content) < 40_000
    if told["code"] == "wrong_state":
        assert told["state"]
        assert isinstance(told["allowed"], list)


def test_names_are_unique_and_the_corpus_is_large():
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []
    assert len(CASES) >= 400


def test_nothing_was_our_fault(target):
    """No request of the corpus made the server write an error into its log."""
    for case in CASES:
        assert case.status < 500
    assert "Traceback" not in target.log.read_text(), target.log.read_text()[-3000:]
