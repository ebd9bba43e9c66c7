"""The review on whole trees: thirty planted defects, a clean shop, and the standard library."""

import json
import sysconfig
import time

import pytest
from review.edit import build
from review.plan import plan
from review_run import drafted, verdicts_of


def places(report):
    return sorted((each["file"], each["line"], each["rule"]) for each in report["findings"])


def reviewed(folder):
    planned = plan(str(folder))
    return build(planned, verdicts_of(planned))


def test_the_thirty_planted_defects_are_found_in_place_and_nothing_else(examples):
    fixtures = examples / "review" / "fixtures"
    planted = json.loads((fixtures / "planted.json").read_text())
    expected = sorted((each["file"], each["line"], each["rule"]) for each in planted)
    assert len(set(expected)) == 30
    assert places(reviewed(fixtures / "planted")) == expected


def test_every_rule_for_code_has_a_planted_defect(examples):
    fixtures = examples / "review" / "fixtures"
    planted = json.loads((fixtures / "planted.json").read_text())
    assert len({each["rule"] for each in planted}) == 26


def test_the_clean_sample_has_no_finding(examples):
    report = reviewed(examples / "review" / "fixtures" / "clean")
    assert report["files"] == 6
    assert places(report) == []


def test_our_own_source_is_reviewed_whole(examples):
    report = reviewed(examples.parent / "src" / "podium")
    assert report["files"] == report["files_found"] > 0
    assert report["by_severity"]["high"] == 0


def test_the_review_finds_nothing_in_itself(examples):
    report = reviewed(examples / "review" / "review")
    assert report["by_severity"] == {"high": 0, "medium": 0, "low": 0}


@pytest.mark.slow
def test_the_whole_standard_library_is_reviewed_within_minutes(tmp_path):
    started = time.perf_counter()
    folder = sysconfig.get_path("stdlib")
    draft = drafted(folder, tmp_path)
    assert draft["summary"]["files"] > 500
    assert draft["summary"]["not_reviewed"] <= 5
    assert draft["summary"]["rejected"] == 0
    assert time.perf_counter() - started < 180
