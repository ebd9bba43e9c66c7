"""A finding counts only if its quote is at its file and line: nobody is believed."""

import pytest
from review_run import entry, findings_of, verified


@pytest.fixture
def claim(tmp_path):
    (tmp_path / "app.py").write_text("'Doc.'\neval(x)\n")
    (finding,) = findings_of(tmp_path)
    return finding


INVENTED = [
    ({"line": 1}, "the quote is not"),
    ({"line": 4}, "has no line 4"),
    ({"line": 0}, "has no line 0"),
    ({"line": -1}, "has no line -1"),
    ({"quote": "eval(y)"}, "the quote is not"),
    ({"quote": "eval(x"}, "the quote is not"),
    ({"quote": " eval(x)"}, "the quote is not"),
    ({"quote": ""}, "the quote is not"),
    ({"column": 0}, "no such column"),
    ({"column": 99}, "no such column"),
    ({"file": "no_such.py"}, "another file"),
    ({"file": "other.py"}, "another file"),
    ({"file": "../app.py"}, "another file"),
    ({"file": "/etc/passwd"}, "another file"),
    ({"severity": "fatal"}, "not a finding"),
    ({"rule": "R1"}, "not a finding"),
    ({"rule": "R001\n"}, "not a finding"),
    ({"line": True}, "not a finding"),
    ({"line": "2"}, "not a finding"),
    ({"column": None}, "not a finding"),
    ({"message": "x" * 501}, "not a finding"),
    ({"fix": ["x"]}, "not a finding"),
]


@pytest.mark.parametrize(("change", "reason"), INVENTED)
def test_an_invented_finding_is_rejected_with_its_reason(tmp_path, claim, change, reason):
    (tmp_path / "other.py").write_text("'Doc.'\neval(x)\n")
    verdict = verified(entry(tmp_path), {**claim, **change})
    assert verdict["findings"] == []
    assert reason in verdict["rejected"][0]["reason"]


@pytest.mark.parametrize("thing", ["text", None, 7, [], {}])
def test_what_is_no_finding_at_all_is_rejected(tmp_path, claim, thing):
    verdict = verified(entry(tmp_path), thing, claim)
    assert verdict["findings"] == [claim]
    assert len(verdict["rejected"]) == 1


def test_findings_in_a_file_that_changed_since_the_plan_are_rejected(tmp_path, claim):
    file = entry(tmp_path)
    (tmp_path / "app.py").write_text("'Doc!'\neval(x)\n")
    verdict = verified(file, claim)
    assert verdict["findings"] == []
    assert verdict["changed"] == "changed during review: other content than planned"
    assert verdict["rejected"][0]["reason"] == verdict["changed"]


OUTSIDE = "outside the reviewed folder"
PATHS = [
    ("../secret.py", OUTSIDE),
    ("link/secret.py", OUTSIDE),
    ("/etc/passwd", OUTSIDE),
    ("", "not a regular file"),
    ("a\0b", "cannot be read (ValueError)"),
]


@pytest.mark.parametrize(("path", "reason"), PATHS)
def test_no_entry_leads_out_of_the_reviewed_folder(tmp_path, path, reason):
    (tmp_path / "secret.py").write_text("'Doc.'\neval(x)\n")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    verdict = verified({"root": str(root), "path": path, "size": 0, "sha256": ""})
    assert verdict["changed"] == f"changed during review: {reason}"


def test_rejected_claims_are_limited_and_counted(tmp_path, claim):
    verdict = verified(entry(tmp_path), *[{**claim, "line": 9}] * 70)
    assert (len(verdict["rejected"]), verdict["omitted"]) == (50, 20)
