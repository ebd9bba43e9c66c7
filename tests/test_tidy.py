"""The repository keeps its house rules, and every rule finds the sample that breaks it."""

import re

import pytest

import tidy

TREE = tidy.read_tree(tidy.ROOT)
PAPERS = dict.fromkeys(re.findall(r"[A-Z]+\S*", "".join(tidy.needed_files({}))), "")

# (rule, path, text that breaks it); words are cut so that this file keeps the rules itself
BROKEN_FILES = [
    ("banned_calls", "src/podium/core/a.py", "import datetime\ndatetime.datetime.now()"),
    ("banned_calls", "tests/core/test_a.py", "from datetime import datetime as d\nd.now()"),
    ("banned_calls", "src/podium/runtime/a.py", "from datetime import date\ndate.today()"),
    ("banned_calls", "src/podium/core/a.py", "import datetime as d\nd.datetime.utcnow()"),
    ("banned_calls", "src/podium/core/a.py", "import datetime as d\nd.datetime.today()"),
    ("banned_calls", "src/podium/runtime/a.py", "from time import time\ntime()"),
    ("banned_calls", "src/podium/runtime/a.py", "import time\ntime.time_ns()"),
    ("banned_calls", "src/podium/runtime/a.py", "import asyncio\nasyncio.create_task(f())"),
    ("banned_calls", "src/podium/runtime/a.py", "import asyncio\nasyncio.ensure_future(f())"),
    ("banned_calls", "src/podium/runtime/a.py", "import asyncio as a\na.get_event_loop()"),
    ("banned_calls", "src/podium/runtime/a.py", "import asyncio\nasyncio.wait_for(x, 1)"),
    ("banned_calls", "src/podium/runtime/a.py", "print('here')"),
    ("banned_calls", "tests/runtime/test_a.py", "import time\ntime.sleep(0.1)"),
    ("banned_calls", "tests/runtime/test_a.py", "from asyncio import sleep\nsleep(0.1)"),
    ("bare_suppressions", "src/podium/a.py", "x = 1  # no" + "qa"),
    ("bare_suppressions", "src/podium/a.py", "x = 1  # type" + ": ignore"),
    ("change_fragments", "changes/Faster Runs.added.md", "Runs are faster.\n"),
    ("change_fragments", "changes/faster.improved.md", "Runs are faster.\n"),
    ("change_fragments", "changes/faster.added.md", "runs are faster"),
    ("change_fragments", "changes/faster.added.md", "# Runs\n\nThey are faster.\n"),
    ("foreign_places", "docs/a.md", "see /wor" + "k/main/docs"),
    ("foreign_places", "requirements/a.txt", "--index-url https://py" + "pi.org/simple"),
    ("long_code", "src/podium/a.py", "x = '" + "a" * 100 + "'"),
    ("long_code", "src/podium/a.py", "x = 1\n" * 601),
    ("long_code", "src/podium/a.py", "def f():\n" + "    x = 1\n" * 70),
    ("machine_locks", "uv.lock", ""),
    ("machine_locks", "ui/package-lock.json", '{"resolved": "https://…"}'),
    ("missing_docstrings", "src/podium/a.py", "x = 1"),
    ("postponed_work", "src/podium/a.py", "# TO" + "DO: later"),
    ("postponed_work", "docs/a.md", "FIX" + "ME"),
    ("vague_names", "src/podium/core/utils.py", ""),
    ("vague_names", "src/podium/helpers/a.py", ""),
]

# (rule, a whole tree that breaks it)
BROKEN_TREES = [
    ("dead_modules", {"src/podium/a.py": "", "src/podium/b.py": "import podium.c"}),
    ("dead_modules", {"src/podium/a.py": "import podium.a"}),
    ("dead_modules", {"src/podium/a.py": "", "tests/test_a.py": "import podium.a"}),
    ("error_pages", {"src/podium/a.py": "'PDM-" + "D999'"}),
    ("error_pages", {"docs/errors/PDM-" + "D999.md": ""}),
    ("needed_files", {"README.md": ""}),
    ("too_many_suppressions", {"src/podium/a.py": ("f()  # no" + "qa: F821\n") * 2}),
    ("too_many_suppressions", {"src/podium/a.py": ("f()  # pyright" + ": strict\n") * 2}),
]

ALLOWED_FILES = [
    ("src/podium/adapters/clock.py", '"""Clock."""\nimport time\ntime.time_ns()'),
    ("src/podium/cli/a.py", '"""Prints."""\nprint(1)'),
    ("src/podium/runtime/a.py", '"""Spawns."""\ngroup.create_task(f())'),
    ("tests/system/test_a.py", "import time\ntime.sleep(1)"),
    ("tests/core/test_a.py", "import asyncio\nasyncio.sleep(0)"),
    ("changes/12.fixed.md", "A run no longer waits.\n\nMigration: nothing to do.\n"),
    ("src/podium/a.py", '"""Reads."""\nx = 1  # no' + "qa: F821\n"),
]

USES_OF_A = [
    ("src/podium/b.py", "import podium.a"),
    ("src/podium/b.py", "from podium import a"),
    ("src/podium/b.py", "from podium.a import thing"),
    ("src/podium/b.py", "from . import a"),
    ("src/podium/b.py", "from .a import thing"),
    ("src/podium/c/d.py", "from ..a import thing"),
    ("src/podium/__init__.py", "lazy = {'thing': '.a'}"),
    ("src/podium/__init__.py", "lazy = {'thing': 'podium.a:thing'}"),
    ("src/podium/b.py", "import_module(f'podium.{name}')"),
    ("pyproject.toml", 'podium = "podium.a:main"'),
]


def test_the_repository_is_tidy():
    complaints = "\n".join(tidy.inspect(TREE))
    assert not complaints, f"the rules stand in scripts/tidy.py\n{complaints}"


def test_the_whole_tree_is_read_and_nothing_generated():
    assert {"LICENSE", "Makefile", "pyproject.toml", ".ci/run", "src/podium/errors.py"} <= {*TREE}
    assert not [path for path in TREE if path.startswith((".venv/", ".git/", ".tools/"))]


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN_FILES)
def test_each_file_rule_finds_its_sample(rule, path, text):
    assert list(getattr(tidy, rule)(path, text))


@pytest.mark.parametrize(("rule", "files"), BROKEN_TREES)
def test_each_tree_rule_finds_its_sample(rule, files):
    assert list(getattr(tidy, rule)(files))


@pytest.mark.parametrize(("path", "text"), ALLOWED_FILES)
def test_the_rules_leave_good_code_alone(path, text):
    assert not [complaint for rule in tidy.FILE_RULES for complaint in rule(path, text)]


@pytest.mark.parametrize(("path", "text"), USES_OF_A)
def test_a_used_module_is_not_dead(path, text):
    complaints = tidy.dead_modules({"src/podium/a.py": "", path: text})
    assert not [complaint for complaint in complaints if complaint.startswith("src/podium/a.py")]


def test_a_fixture_may_break_every_rule_but_name_no_machine():
    files = {"tests/a/fixtures/b.py": "def broken(:  # TO" + "DO\n", **PAPERS}
    assert not tidy.inspect(files)
    assert tidy.inspect(files | {"tests/a/fixtures/c.txt": "/wor" + "k/main"})


def test_every_rule_is_proven_by_a_sample():
    rules = {rule.__name__ for rule in (*tidy.FILE_RULES, *tidy.TREE_RULES)}
    assert rules == {sample[0] for sample in (*BROKEN_FILES, *BROKEN_TREES)}


def test_every_banned_call_is_proven_by_a_sample():
    samples = [(path, text) for rule, path, text in BROKEN_FILES if rule == "banned_calls"]
    found = "".join(line for sample in samples for line in tidy.banned_calls(*sample))
    assert {call for call in tidy.BANNED_CALLS if f" {call}()" in found} == {*tidy.BANNED_CALLS}
