"""Each rule finds what it is for, and leaves alone what only looks like it."""

import pytest
from review.catalogue import RULES
from review_run import found

# (rule, code with the defect on line 2, code that resembles it)
RISKS = [
    ("R001", "\neval(x)", "\neval('1')\nmodel.eval(x)"),
    ("R001", "import builtins\nbuiltins.exec(f'{x}')", "def exec(x): 'Doc.'\nexec(x)"),
    ("R002", "import os\nos.system('ls ' + x)", "import os\nos.system('clear')\nmy.os.system(x)"),
    ("R002", "from os import popen as p\np(x)", "def p(x): 'Doc.'\np(x)"),
    ("R003", "import subprocess as s\ns.run(x, shell=True)", "import subprocess as s\ns.run([x])"),
    ("R003", "from subprocess import Popen\nPopen(args=x, shell=True)", "Popen(x, shell=True)"),
    ("R003", "import subprocess\nsubprocess.call(f'ls {x}', shell=True)",
     "import subprocess\nsubprocess.call(f'ls {FOLDER} -l', shell=True)"),
    ("R004", "import pickle\npickle.load(x)", "import pickle\npickle.dumps(x)"),
    ("R005", "import yaml\nyaml.load(x)", "import yaml\nyaml.load(x, yaml.SafeLoader)"),
    ("R005", "import yaml\nyaml.unsafe_load(x)", "import yaml\nyaml.load(x, **options)"),
    ("R006", "import tempfile\ntempfile.mktemp()", "import tempfile\ntempfile.mkdtemp()"),
    ("R007", "try: f()\nexcept: g()", "try: f()\nexcept: raise"),
    ("R008", "try: f()\nexcept Exception: pass", "try: f()\nexcept KeyError: pass"),
    ("R008", "try: f()\nexcept BaseException: ...", "try: f()\nexcept Exception: log()"),
    ("R009", "\nf = lambda: 0\ndef _f(x=[]): f()"[1:], "\ndef _f(x=()): pass"),
    ("R009", "from collections import deque\ndef _f(*, x=deque()): pass",
     "def _f(*, x=None, y): pass"),
    ("R010", "import hashlib\nhashlib.md5(x)", "import hashlib\nhashlib.sha256(x)"),
    ("R010", "import hashlib\nhashlib.new('SHA1', x)",
     "import hashlib\nhashlib.sha1(x, usedforsecurity=False)\nhashlib.new(name, x)"),
    ("R011", "import requests\nrequests.get(x)", "import requests\nrequests.get(x, timeout=1)"),
    ("R011", "from urllib.request import urlopen\nurlopen(x)",
     "from urllib.request import urlopen\nurlopen(x, None, 5)"),
    ("R012", "\nc.execute(f'SELECT a FROM b WHERE c = {x}')",
     "c.execute('SELECT a FROM b WHERE c = ?', (x,))\nc.execute(f'SELECT a FROM {TABLE}')"),
    ("R012", "\nc.execute('delete from b where c = ' + x + ' and d')", "job.execute('go ' + x)"),
    ("R012", "\nc.execute('INSERT INTO b VALUES (%s)' % x)", "c.execute(statement)"),
    ("R012", "\nc.executescript('UPDATE b SET c = {}'.format(x))", "c.execute('SELECT 1')"),
    ("R013", "\npassword = 'correct1horse'", "password = 'password'\nport = 'correct1horse'"),
    ("R013", "\nconnect(api_key='abc123def456')", "connect(api_key='${API_KEY_1}')"),
    ("R013", "\nx = {'token': 'abc123def456'}", "x = {'token': 'https://id.example/v2'}"),
    ("R013", "\ndef _f(*, secret='abc123def456'): pass", "def _f(*, secret='SHOP_SECRET_2'): pass"),
    ("R013", "\nx.secret_key = x['pwd'] = 'abc123def456'", "x.secret_key = x['pwd'] = y"),
    ("R014", "import httpx\nhttpx.get(x, verify=False)", "check(x, verify=False)"),
    ("R014", "import ssl\nssl._create_unverified_context()", "import ssl\nssl.SSLContext()"),
    ("R014", "import ssl\nc.verify_mode = ssl.CERT_NONE",
     "import ssl\nc.verify_mode = ssl.CERT_REQUIRED"),
    ("R015", "import tarfile\ntarfile.open(x).extractall()",
     "import tarfile\ntarfile.open(x).extractall(filter='data')"),
    ("R015", "import tarfile\nx.extractall()", "import tarfile, zipfile\nx.extractall()"),
    ("R016", "def _f():\n  try: g()\n  finally: return 1",
     "def _f():\n  try: g()\n  finally:\n    def h(): return 1"),
    ("R017", "\nassert (x, 'why')", "assert (x), 'why'\nassert ()"),
    ("R018", "import os\nos.chmod(x, 0o777)", "import os\nos.chmod(x, 0o755)"),
    ("R018", "\npath.chmod(mode=0o666)", "path.chmod(0o644)"),
    ("R019", "\ncompile(x, 'f', 'exec')", "import re\nre.compile(x)\ncompile('1', 'f', 'eval')"),
]  # fmt: skip


def written(folder, text, name="app.py"):
    """Write a documented module, so that line 1 of `text` stays line 1."""
    (folder / name).write_text(text)
    return [(rule, line) for rule, line in found(folder, name) if rule != "D001"]


@pytest.mark.parametrize(("rule", "bad", "good"), RISKS)
def test_a_risky_construct_is_found_and_its_harmless_double_is_not(tmp_path, rule, bad, good):
    line = 3 if rule == "R016" else 2
    assert written(tmp_path, bad) == [(rule, line)]
    assert written(tmp_path, good, "good.py") == []


def test_every_risk_in_the_catalogue_is_tried():
    assert {rule for rule, _, _ in RISKS} == {rule for rule in RULES if rule.startswith("R")}


def test_a_name_that_a_parameter_hides_is_not_taken_for_the_library(tmp_path):
    text = "import requests\ndef _f(requests): return requests.get(1)"
    assert written(tmp_path, text) == []


BRANCHES = [
    ("if a: x()\n  elif b: y()\n  else: z()", 3),
    ("for a in b: x()\n  else: y()", 2),
    ("while a and b or c: x()", 4),
    ("return [a for a in b if a if c]", 4),
    ("return a if b else c", 2),
    ("try: x()\n  except A: y()\n  except B: z()", 3),
    ("match a:\n    case 1: x()\n    case _ if b: y()\n    case _: z()", 3),
    ("with a: x()", 1),
    ("def g():\n    if a: x()", 1),
]


@pytest.mark.parametrize(("body", "branches"), BRANCHES)
def test_branches_are_counted_as_documented(tmp_path, body, branches):
    padding = "\n".join("  if a: x()" for _ in range(11 - branches))
    assert written(tmp_path, f"def _f():\n{padding}\n  {body}") == [("C001", 1)]
    less = "\n".join("  if a: x()" for _ in range(10 - branches))
    assert written(tmp_path, f"def _f():\n{less}\n  {body}") == []


def test_a_function_of_61_lines_is_long_and_one_of_60_is_not(tmp_path):
    assert written(tmp_path, "def _f():\n" + "  x()\n" * 60) == [("C002", 1)]
    assert written(tmp_path, "def _f():\n" + "  x()\n" * 59) == []


def test_the_first_statement_on_the_fifth_level_is_deep(tmp_path):
    levels = ["with a:", "for b in c:", "try:", "if d:", "while e:"]
    lines = [" " * (i + 1) + text for i, text in enumerate(levels)]
    text = "\n".join(["def _f():", *lines, "      x()", "   finally: y()"])
    assert written(tmp_path, text) == [("C003", 6)]
    assert written(tmp_path, text.replace("while e:\n      x()", "x()")) == []


def test_elif_is_not_a_level(tmp_path):
    chain = "\n".join(f"  elif a == {number}: x()" for number in range(6))
    assert written(tmp_path, f"def _f():\n  if a: x()\n{chain}") == []


def test_parameters_are_those_a_caller_may_pass(tmp_path):
    assert written(tmp_path, "def _f(a, /, b, c, d, *, e, f, g): pass") == [("C004", 1)]
    assert written(tmp_path, "class _C:\n def f(self, a, b, c, d, e, f, *g, **h): pass") == []


DOCUMENTED = [
    "def _f(): pass",
    "class _C:\n def f(self): pass",
    "def f():\n 'Doc.'\n def g(): pass",
    "class C:\n 'Doc.'\n def __init__(self): pass",
    "class C:\n 'Doc.'\n @x.setter\n def x(self, y): pass",
    "from typing import overload\n@overload\ndef f(): ...",
    "import typing\nclass C:\n 'Doc.'\n @typing.override\n def f(self): ...",
]


@pytest.mark.parametrize("text", DOCUMENTED)
def test_what_is_private_or_documented_elsewhere_needs_no_docstring(tmp_path, text):
    (tmp_path / "app.py").write_text(f"'Doc.'\n{text}")
    assert found(tmp_path) == []


def test_public_names_without_docstring_are_found(tmp_path):
    (tmp_path / "app.py").write_text("\nclass C:\n async def f(self): pass\ndef g(): pass")
    assert found(tmp_path) == [("D001", 1), ("D002", 2), ("D003", 3), ("D003", 4)]


@pytest.mark.parametrize("name", ["tests/app.py", "test_app.py", "conftest.py", "_app.py"])
def test_tests_and_private_modules_need_no_docstrings(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("def f(): pass")
    assert found(tmp_path, name) == []


def test_an_empty_package_file_needs_no_docstring_and_a_full_one_does(tmp_path):
    (tmp_path / "__init__.py").write_text("# nothing here\n")
    assert found(tmp_path, "__init__.py") == []
    (tmp_path / "__init__.py").write_text("x = 1\n")
    assert found(tmp_path, "__init__.py") == [("D001", 1)]
