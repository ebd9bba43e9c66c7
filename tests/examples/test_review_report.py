"""The report: the same bytes for the same findings, hostile text defused, nothing unapproved."""

import hashlib
import json
import random
from pathlib import Path

import pytest
from review.drafts import write_whole
from review.edit import build, edit
from review.markdown import code, plain, render
from review.plan import plan
from review.publish import publish
from review_run import drafted, findings_of, verdicts_of


def sources(folder):
    folder.mkdir()
    (folder / "a.py").write_text("'Doc.'\neval(x); eval(y)\n")
    (folder / "b.py").write_text("x = 1\nif:\n")
    return folder


def test_reviewing_twice_gives_the_same_hash(tmp_path):
    folder = sources(tmp_path / "src")
    first, second = drafted(folder, tmp_path / "one"), drafted(folder, tmp_path / "two")
    assert first["report_sha256"] == second["report_sha256"]


def test_the_order_of_the_verdicts_does_not_matter(tmp_path, examples):
    planned = plan(str(examples / "review" / "fixtures" / "planted"))
    verdicts = verdicts_of(planned)
    shuffled = random.Random(7).sample(verdicts, len(verdicts))
    assert build(planned, verdicts) == build(planned, shuffled)


def test_one_claim_of_several_reviewers_about_a_line_is_one_finding(tmp_path):
    planned = plan(str(sources(tmp_path / "src")))
    findings = build(planned, verdicts_of(planned))["findings"]
    assert [(each["rule"], each["file"], each["reviewer"]) for each in findings] == [
        ("R001", "a.py", "risky"),
        ("P001", "b.py", "complexity, documentation, risky"),
    ]


def test_findings_are_ranked_by_severity_and_then_by_the_burden_of_the_file(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\neval(x)\n")
    (tmp_path / "b.py").write_text("'Doc.'\neval(x)\neval(y)\n")
    planned = plan(str(tmp_path))
    findings = build(planned, verdicts_of(planned))["findings"]
    places = [(each["severity"], each["file"], each["line"]) for each in findings]
    assert places == [("high", "b.py", 2), ("high", "b.py", 3), ("high", "a.py", 2),
                      ("low", "a.py", 1)]  # fmt: skip


def test_a_file_without_verdict_is_listed_as_not_reviewed(tmp_path):
    planned = plan(str(sources(tmp_path / "src")))
    report = build(planned, verdicts_of(planned)[1:])
    assert report["not_reviewed"] == [{"path": "a.py", "reason": "its review failed"}]
    assert report["files"] == 1


def test_a_file_that_changed_is_listed_and_not_counted_as_reviewed(tmp_path):
    planned = plan(str(sources(tmp_path / "src")))
    (tmp_path / "src" / "a.py").write_text("")
    report = build(planned, verdicts_of(planned))
    assert (report["files"], report["rejected_count"]) == (1, 0)
    assert report["not_reviewed"][0]["path"] == "a.py"


HOSTILE = "x = '\x1b[31m```<script>\u202e|[a](http://b)' # `*_"


def test_source_text_cannot_format_the_report_or_reach_a_terminal(tmp_path):
    (tmp_path / "a.py").write_text(f"'Doc.'\neval(y); {HOSTILE}\n", encoding="utf-8")
    assert findings_of(tmp_path, "a.py")
    planned = plan(str(tmp_path))
    text = render(build(planned, verdicts_of(planned)))
    quoted = next(line for line in text.splitlines() if "eval(y)" in line)
    assert quoted.strip().startswith("````eval(y)")
    assert quoted.endswith("````")
    assert not {"\x1b", "\u202e"} & set(text)
    assert "\\x1b[31m" in quoted


def test_code_and_plain_text_stay_what_they_are():
    assert code("a`b``c") == "```a`b``c```"
    assert code("`a`") == "`` `a` ``"
    assert code("") == "`  `"
    assert plain("<b> *x* [y](z) | # `q`") == "\\<b\\> \\*x\\* \\[y\\](z) \\| \\# \\`q\\`"
    assert plain("a\nb\tc\x07") == "a\\\\nb    c\\\\x07"


def test_an_empty_folder_gives_a_report_that_says_so(tmp_path):
    draft = drafted(tmp_path, tmp_path / "out")
    text = Path(draft["draft_md"]).read_text(encoding="utf-8")
    assert "Files reviewed: 0 of 0 found" in text
    assert draft["summary"]["findings"] == 0


def test_publishing_writes_both_files_as_approved_and_removes_the_draft(tmp_path):
    draft = drafted(sources(tmp_path / "src"), tmp_path / "out")
    result = publish(draft, run_id="r_1")
    data = Path(result["report_json"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == result["report_sha256"] == draft["report_sha256"]
    markdown = Path(result["report_md"]).read_bytes()
    assert hashlib.sha256(markdown).hexdigest() == json.loads(data)["report_md_sha256"]
    assert (result["mode"], result["cost_usd"]) == ("rules", 0.0)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.md", "report.json"}


def test_publishing_again_after_a_crash_gives_the_same_result(tmp_path):
    draft = drafted(sources(tmp_path / "src"), tmp_path / "out")
    assert publish(draft) == publish(draft)


@pytest.mark.parametrize("name", ["draft_md", "draft_json"])
def test_a_draft_that_was_changed_after_the_approval_is_not_published(tmp_path, name):
    draft = drafted(sources(tmp_path / "src"), tmp_path / "out")
    with Path(draft[name]).open("a") as file:
        file.write(" ")
    with pytest.raises(ValueError, match="approved"):
        publish(draft)
    assert not (tmp_path / "out" / "report.md").exists()


def test_a_draft_that_is_gone_is_reported_with_what_to_do(tmp_path):
    draft = drafted(sources(tmp_path / "src"), tmp_path / "out")
    Path(draft["draft_md"]).unlink()
    with pytest.raises(FileNotFoundError, match="Run the edit step again"):
        publish(draft)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "report.md"
    target.mkdir()
    with pytest.raises(OSError, match=r"report\.md"):
        write_whole(target, b"new")
    assert list(tmp_path.iterdir()) == [target]


def test_the_output_of_the_run_is_small_whatever_was_found(tmp_path):
    (tmp_path / "app.py").write_text("'Doc.'\n" + "eval(x)\n" * 150)
    draft = drafted(tmp_path, tmp_path / "out")
    assert len(json.dumps(draft)) < 3000
    assert len(json.dumps(publish(draft))) < 2000


def test_a_run_whose_files_all_failed_still_reports(tmp_path):
    planned = plan(str(sources(tmp_path / "src")), output_dir=str(tmp_path / "out"))
    draft = edit(planned, [None, None])
    assert draft["summary"]["not_reviewed"] == 2
