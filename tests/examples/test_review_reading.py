"""Whatever bytes a file holds, reviewing it gives findings and never a failure."""

import os
import warnings

import pytest
from review.plan import plan
from review_run import entry, findings_of, found, verified

BROKEN = [
    (b"x = 1\nif:\n", 2, "invalid syntax"),
    (b"x = 1\ny = '\0'\n", 2, "null byte"),
    (b"x = 1\ny = '\xff'\n", 2, "does not match its encoding"),
    (b"# coding: no-such-encoding\n", 1, "not usable"),
    (b"# coding: hex\n", 1, "not usable"),
    (b"# coding: raw_unicode_escape\nx = '\\ud800'\n", 1, "encoding"),
    (b"x = 1\ny = " + b"9" * 5000, 2, "limit"),
    (b"(" * 5000, 1, "nested"),
    (b"-" * 100_000 + b"1", 1, "nested"),
    (b"x = 1" + b" + 1" * 100_000, 1, "nested"),
]


@pytest.mark.parametrize(("data", "line", "reason"), BROKEN)
def test_a_file_that_cannot_be_parsed_is_one_finding_that_is_verified(tmp_path, data, line, reason):
    (tmp_path / "app.py").write_bytes(data)
    assert found(tmp_path) == [("P001", line)]
    findings = findings_of(tmp_path)
    assert reason in findings[0]["message"]
    assert verified(entry(tmp_path), *findings)["findings"] == findings


@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf'Doc.'\n", b"'Doc.'\x0c\nx = 1"])
def test_unusual_but_valid_files_are_clean(tmp_path, data):
    (tmp_path / "app.py").write_bytes(data)
    assert found(tmp_path) == []


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_lines_are_counted_as_python_counts_them(tmp_path, end):
    text = end.join(["'Doc.'", "a = '\x0b\x1c\u2028'", "eval(x)"])
    (tmp_path / "app.py").write_bytes(text.encode())
    assert found(tmp_path) == [("R001", 3)]
    assert findings_of(tmp_path)[0]["quote"] == "eval(x)"


def test_the_declared_encoding_is_used_for_quotes_and_columns(tmp_path):
    text = "# coding: latin-1\n'Doc.'\nx = 'ä'; eval(x)\n"
    (tmp_path / "app.py").write_bytes(text.encode("latin-1"))
    (finding,) = findings_of(tmp_path)
    assert (finding["quote"], finding["column"]) == ("x = 'ä'; eval(x)", 10)


def test_code_inside_a_long_f_string_is_quoted_from_a_line_that_exists(tmp_path):
    (tmp_path / "app.py").write_text("'Doc.'\nx = f'''a\nb {eval(y)}'''\n")
    findings = findings_of(tmp_path)
    assert [each["rule"] for each in findings] == ["R001"]
    assert verified(entry(tmp_path), *findings)["findings"] == findings


def test_a_line_of_half_a_megabyte_is_quoted_in_part_and_verified(tmp_path):
    (tmp_path / "app.py").write_text("'Doc.'\neval(x); y = '" + "a" * 500_000 + "'\n")
    findings = findings_of(tmp_path)
    assert len(findings[0]["quote"]) == 200
    assert verified(entry(tmp_path), *findings)["findings"] == findings


def test_findings_of_one_file_are_limited_and_the_rest_is_counted(tmp_path):
    (tmp_path / "app.py").write_text("'Doc.'\n" + "eval(x)\n" * 1000)
    assert len(findings_of(tmp_path)) == 200


def test_reviewing_prints_no_warning_about_the_reviewed_code(tmp_path):
    (tmp_path / "app.py").write_text("'Doc.'\nx = '\\d'\nassert (x, 'y')\n1 is 1\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert found(tmp_path) == [("R017", 3)]
    assert caught == []


def tree(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("'Doc.'\n")


def planned(folder, **options):
    return [file["path"] for file in plan(str(folder), **options)["files"]]


def test_files_are_listed_in_a_fixed_order_without_what_is_not_ours(tmp_path):
    tree(tmp_path, "b.py", "a/z.py", "a.py", "a/b/c.py", "notes.txt", "A.py", ".hidden.py")
    tree(tmp_path, ".git/x.py", "node_modules/x.py", "__pycache__/x.py", "site-packages/x.py")
    tree(tmp_path, "env/pyvenv.cfg", "env/lib/x.py")
    assert planned(tmp_path) == ["A.py", "a.py", "a/b/c.py", "a/z.py", "b.py"]


def test_the_limit_takes_the_first_files_and_says_how_many_there_are(tmp_path):
    tree(tmp_path, "a.py", "b.py", "c.py")
    limited = plan(str(tmp_path), limit=2)
    assert ([file["path"] for file in limited["files"]], limited["files_found"]) == (
        ["a.py", "b.py"],
        3,
    )


def test_links_pipes_and_huge_files_are_skipped_with_a_reason(tmp_path):
    tree(tmp_path, "a.py")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "link.py").symlink_to(tmp_path / "a.py")
    (tmp_path / "huge.py").write_text("#" * 1_000_001)
    os.mkfifo(tmp_path / "pipe.py")
    listed = plan(str(tmp_path))
    assert [file["path"] for file in listed["files"]] == ["a.py"]
    assert [(each["path"], each["reason"]) for each in listed["skipped"]] == [
        ("huge.py", "larger than 1,000,000 bytes"),
        ("link.py", "a symbolic link"),
        ("pipe.py", "not a regular file"),
    ]


def test_a_file_whose_name_is_not_text_is_skipped_and_named_readably(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.py")).write_text("")
    (tmp_path / "new\nline.py").write_text("")
    skipped = plan(str(tmp_path))["skipped"]
    assert [each["reason"] for each in skipped] == ["the name is not plain text"] * 2
    assert skipped[0]["path"] == "caf\\udce9.py"


def test_a_single_file_can_be_reviewed(tmp_path):
    tree(tmp_path, "a.py", "b.py")
    assert planned(tmp_path / "b.py") == ["b.py"]


def test_without_a_path_the_source_folder_here_is_reviewed_or_else_the_sample(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert "shop/accounts.py" in planned("")
    tree(tmp_path, "src/mine.py")
    assert planned("") == ["mine.py"]
    assert plan("")["path"] == "src"


WRONG = [
    ({"path": "no-such-folder"}, "There is no 'no-such-folder'"),
    ({"limit": -1}, "limit is -1"),
    ({"output_dir": "a-file/reports"}, "cannot be written"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_a_plan_that_cannot_work_is_refused_at_the_start(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("")
    with pytest.raises(ValueError, match=message):
        plan(**{"path": str(tmp_path), **options})


def test_a_file_that_vanishes_after_the_plan_gives_nothing_to_its_reviewers(tmp_path):
    tree(tmp_path, "app.py")
    file = entry(tmp_path)
    (tmp_path / "app.py").unlink()
    verdict = verified(file)
    assert verdict["findings"] == []
    assert verdict["changed"].startswith("changed during review: cannot be read")
