"""The tables of the language against its schema, its reference page and its error pages."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from podium.adapters.expressions.cel import FUNCTION_NAMES, CelExpressions
from podium.authoring.documents import load_workflow
from podium.authoring.schema import TABLES, definition_schema
from podium.core.actions import KINDS, LATER
from podium.core.ranges import RANGES

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs/reference/definitions.md").read_text("utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)
TABLE_ROWS = "\n".join(line for line in REFERENCE.splitlines() if line.startswith("|"))
CORPUS = ROOT / "tests/authoring/fixtures/bad_definitions"


def errors(document: Any) -> list[str]:
    validator = jsonschema_rs.validator_for(definition_schema(), offline=True)
    return [error.message for error in validator.iter_errors(document)]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_example_of_the_reference_loads_and_fits_the_schema(block: str) -> None:
    assert load_workflow(block, expressions=CelExpressions()).workflow.tasks
    assert errors(yaml.safe_load(block)) == []


@pytest.mark.parametrize(
    "name",
    [
        *("unknown-key-top.yaml", "unknown-key-task.yaml", "unknown-key-settings.yaml"),
        *("choice-checkpoint.yaml", "choice-join.yaml", "missing-until.yaml", "missing-tasks.yaml"),
        *("retries-negative.yaml", "max-parallel-zero.yaml", "wrong-type-tasks.yaml"),
        *("name-with-space.yaml", "inputs-not-a-schema.yaml", "priority-out-of-range.yaml"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(name: str) -> None:
    assert errors(yaml.safe_load((CORPUS / name).read_text("utf-8")))


def test_the_schema_is_plain_json() -> None:
    assert json.loads(json.dumps(definition_schema())) == definition_schema()


@pytest.mark.parametrize("table", TABLES)
def test_the_reference_names_every_key(table: str) -> None:
    for name, key in TABLES[table].items():
        for spelling in (name, *key.aliases):
            assert re.search(rf"\b{spelling}\b", TABLE_ROWS), spelling


def test_the_reference_names_every_kind_and_function() -> None:
    for name in (*KINDS, *LATER):
        assert f"`{name}" in REFERENCE, name
    for name in FUNCTION_NAMES:
        assert f"`{name}`" in REFERENCE, name


def test_every_range_of_a_key_exists() -> None:
    named = {key.range for table in TABLES.values() for key in table.values() if key.range}
    assert named == set(RANGES)


def test_every_fault_code_has_a_page_and_a_test() -> None:
    sources = [*ROOT.glob("src/podium/core/*.py"), *ROOT.glob("src/podium/authoring/*.py")]
    sources += ROOT.glob("src/podium/adapters/expressions/*.py")
    texts = "".join(path.read_text("utf-8") for path in sources)
    codes = set(re.findall(r"PDM-D\d{3}", texts))
    pages = {path.stem for path in ROOT.glob("docs/errors/PDM-D*.md")}
    tests = [path for room in ("core", "a*", "cli") for path in ROOT.glob(f"tests/{room}/*.py")]
    tests.append(CORPUS / "expected.tsv")
    tested = "".join(path.read_text("utf-8") for path in tests)
    assert codes <= pages
    assert [code for code in sorted(codes) if code not in tested] == []
