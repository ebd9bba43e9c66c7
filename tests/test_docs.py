"""The documentation is true: its code runs, its definitions load, its commands exist."""

import ast
import asyncio
import inspect
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import msgspec
import pytest
import yaml

import podium
import state_diagram
from doc_blocks import (
    SHELLS,
    Block,
    anchors_of,
    blocks_of,
    command_fault,
    command_names,
    commands_of,
    links_of,
)
from podium.app import expressions
from podium.authoring import decorators
from podium.authoring.decorators import known_workflows
from podium.authoring.documents import load_workflow
from podium.cli.main import cli
from podium.core import cloudevents
from podium.core import events as ev
from podium.core.states import RunStatus, StepStatus
from podium.errors import DefinitionError
from podium.settings import Settings, merge_settings

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md"])
SHOWN = {"text", "mermaid", "toml", "ini", "sql", "promql", "makefile", "diff", "csv", "http"}
EXPRESSIONS_AND_WARNINGS = ("PDM-D3", "PDM-D9")
EXITS = {"R": 2, "R4": 3, "C": 4, "S": 5, "T": 1, "M": 1, "B": 1, "I": 70, "D": 2}


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# --- blocks -----------------------------------------------------------------------------------


class Reader:
    """Follows one page in a folder of its own, block after block, as a person would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed = ""
        self.names = {"__name__": "__main__"}

    def follow(self, block: Block) -> None:
        if block.file:
            target = self.folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, "utf-8")
        if block.language == "python":
            self.python(block)
        elif block.language in SHELLS and "run" in block.words:
            self.shell(block)
        elif block.language == "yaml":
            check_yaml(block)
        elif block.language == "json":
            check_json(block)
        elif "output" in block.words:
            assert_printed(block, self.printed)
        else:
            assert block.language in SHOWN | SHELLS, f"{block}: say what kind of block it is"

    def python(self, block: Block) -> None:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if "async" in block.words else 0
        code = compile(block.text, f"<{block}>", "exec", flags)
        if block.file:
            return
        with redirect_stdout(io.StringIO()) as printed:
            value = eval(code, self.names)
            if inspect.iscoroutine(value):
                asyncio.run(value)
        self.printed = printed.getvalue()

    def shell(self, block: Block) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            check=False,
            cwd=self.folder,
            env=shell_environment(self.folder),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{block}:\n{done.stdout}{done.stderr}"
        self.printed = done.stdout


def shell_environment(folder: Path) -> dict[str, str]:
    """Give a shell the two programs that the documentation calls."""
    programs = folder / ".programs"
    programs.mkdir(exist_ok=True)
    for name, arguments in (("podium", " -m podium"), ("python", "")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not is_a_setting(name)}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}


def is_a_setting(name: str) -> bool:
    return name.startswith("PODIUM_") or name == "DATABASE_URL"


def assert_printed(block: Block, printed: str) -> None:
    pattern = ".*?".join(re.escape(part) for part in block.text.strip().split("…"))
    assert re.fullmatch(pattern, printed.strip(), re.DOTALL), f"{block} was really:\n{printed}"


def check_yaml(block: Block) -> None:
    if "invalid" in block.words:
        check_invalid(block)
        return
    if "# instead of\n" in block.text:
        # What was wrong, and then what is right: pieces of a definition.
        yaml.safe_load(block.text.partition("# write\n")[2])
        return
    value = yaml.safe_load(block.text)
    if isinstance(value, list):
        return
    if "settings" in block.words:
        merge_settings(flags={}, environment={}, file=value)
    elif "fragment" not in block.words:
        load_workflow(block.text, source=str(block), expressions=expressions(), format="yaml")


def check_invalid(block: Block) -> None:
    wanted = {word for word in block.words if word.startswith("PDM-")}
    with pytest.raises(DefinitionError) as raised:
        load_workflow(block.text, source=str(block), expressions=expressions(), format="yaml")
    assert wanted <= {fault.code for fault in raised.value.faults}, str(block)


def check_json(block: Block) -> None:
    if "invalid" in block.words:
        check_invalid(block)
        return
    value = json.loads(block.text)
    if isinstance(value, dict) and "tasks" in value:
        load_workflow(block.text, source=str(block), expressions=expressions(), format="json")


@pytest.fixture
def workflows_as_before() -> Iterator[None]:
    """Forget the durable functions of a page: others may have their names in other rooms."""
    before = known_workflows()
    yield
    for name, made in known_workflows().items():
        if name not in before and not made.function.__module__.startswith("podium."):
            del decorators._KNOWN[name]


@pytest.mark.parametrize("page", PAGES, ids=named)
@pytest.mark.usefixtures("workflows_as_before")
def test_every_block_does_what_its_page_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in filter(is_a_setting, list(os.environ)):
        monkeypatch.delenv(name)
    reader = Reader(tmp_path)
    for block in blocks_of(page):
        reader.follow(block)


def test_a_wrong_block_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1)\n```\n\n```text output\n2\n```\n")
    first, second = blocks_of(page)
    reader = Reader(tmp_path)
    reader.follow(first)
    with pytest.raises(AssertionError, match=r"was really:\s+1"):
        reader.follow(second)


def test_a_definition_that_does_not_load_is_found(tmp_path: Path) -> None:
    block = Block(tmp_path, 1, ("yaml",), "tasks: [{name: a, depends_on: [b]}]\n")
    with pytest.raises(DefinitionError, match="PDM-D"):
        check_yaml(block)


# --- links and commands -----------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{named(page)} links to {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors_of(target), f"{named(page)} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_that_is_shown_exists(page: Path) -> None:
    faults = [fault for line in commands_of(page) if (fault := command_fault(cli, line))]
    assert not faults


@pytest.mark.parametrize(
    "line",
    ["podium runs lst", "podium run --nonsense f.yaml", "podium runs show a b c"],
)
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    assert command_fault(cli, line)


def test_the_commands_that_errors_advise_exist() -> None:
    advice = re.compile(r"`(podium [a-z][^`{]*)`")
    for module in sorted((ROOT / "src").rglob("*.py")):
        strings = [n.value for n in ast.walk(ast.parse(module.read_text("utf-8"))) if is_text(n)]
        for line in (found for text in strings for found in advice.findall(text)):
            assert not command_fault(cli, line), named(module)


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


# --- completeness -----------------------------------------------------------------------------


def text_of(page: str) -> str:
    return (DOCS / page).read_text("utf-8")


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    page = text_of("reference/settings.md")
    row = re.search(rf"^\| `{name}` (\|.*)$", page, re.MULTILINE)
    assert row, f"docs/reference/settings.md has no row for {name!r}"
    default = json.dumps(msgspec.to_builtins(getattr(Settings(), name)))
    assert f"| `{default}` |" in row[1]


@pytest.mark.parametrize("thing", [podium.App, podium.RunHandle])
def test_every_method_is_documented(thing: type) -> None:
    names = [name for name in vars(thing) if not name.startswith("_")]
    page = text_of("reference/python.md")
    assert not [name for name in names if not re.search(rf"`[^`]*\b{name}\b[^`]*` *[|,]", page)]


@pytest.mark.parametrize("name", podium.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert re.search(rf"^### `(podium\.)?{name}\b", text_of("reference/python.md"), re.MULTILINE)


def test_every_command_is_documented() -> None:
    page = text_of("reference/cli.md")
    assert not [name for name in command_names(cli) if name not in page]


@pytest.mark.parametrize("page", sorted((DOCS / "errors").glob("PDM-*.md")), ids=lambda p: p.stem)
def test_an_error_page_says_symptom_causes_and_fix(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.startswith(f"# {page.stem}: ")
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert heads == ["Symptom", "Causes", "Fix"]
    exit_code = EXITS[page.stem[4:6] if page.stem[4:6] in EXITS else page.stem[4]]
    assert page.stem.startswith(EXPRESSIONS_AND_WARNINGS) or f"exit code {exit_code} " in text


def test_the_state_page_is_drawn_from_the_tables() -> None:
    text = state_diagram.PAGE.read_text("utf-8")
    assert state_diagram.drawn(text) == text
    assert text.count("<!-- generated: ") == 5


@pytest.mark.parametrize("status", [*RunStatus, *StepStatus], ids=lambda s: s.label)
def test_every_status_is_explained(status: RunStatus | StepStatus) -> None:
    assert re.search(rf"^\| .*`{status.label}`.* \| (yes|no|) ?\|", text_of("reference/states.md"),
                     re.MULTILINE)  # fmt: skip


@pytest.mark.parametrize("record", [r.__name__ for r in ev.Event.__args__])
def test_every_journal_record_is_documented(record: str) -> None:
    assert f"| `{record}` |" in text_of("reference/events.md")


def test_every_event_type_that_is_documented_can_be_told() -> None:
    source = inspect.getsource(cloudevents)
    page = text_of("reference/events.md")
    for name in re.findall(r"`orchestration\.(\w+)\.\w+`", page):
        assert f'"{name}.' in source


def test_the_gotchas_guide_answers_all_ten_problems() -> None:
    problems = re.split(r"^## ", text_of("guides/gotchas.md"), flags=re.MULTILINE)[1:]
    assert [problem.partition(".")[0] for problem in problems] == [str(n) for n in range(1, 11)]
    assert all("\n- " in problem for problem in problems)


# --- the mission ------------------------------------------------------------------------------

PROOF = re.compile(r"`((?:tests|src)/[\w/]+\.py)::(\w+)`")
ROW = re.compile(r"^\| (S\d-\d+) \| (.+) \| (.+) \|$", re.MULTILINE)


@pytest.mark.parametrize("row", ROW.findall(text_of("mission.md")), ids=lambda row: row[0])
def test_what_the_mission_claims_is_proved_by_tests_that_exist(row: tuple[str, str, str]) -> None:
    proofs = PROOF.findall(row[2])
    assert proofs, f"{row[0]} names no test"
    for path, name in proofs:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        functions = {n.name for n in ast.walk(tree) if is_function(n)}
        assert name in functions, f"{row[0]}: {path} has no {name}"


def is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
