"""Each file of the corpus is refused with exactly the faults that `expected.tsv` lists."""

import re
from pathlib import Path

import pytest

from podium.adapters.expressions.cel import CelExpressions
from podium.authoring.documents import load_workflow
from podium.errors import DefinitionError

# Files that are not UTF-8 text end in `.raw`, so that tools for text leave them alone.
CORPUS = Path(__file__).parent / "fixtures" / "bad_definitions"
EXPECTED = {
    name: faults
    for name, *faults in (
        line.split("\t") for line in (CORPUS / "expected.tsv").read_text("utf-8").splitlines()
    )
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", EXPECTED)
def test_a_bad_definition_is_refused_at_the_right_places(name: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        load_workflow((CORPUS / name).read_bytes(), source=name, expressions=CelExpressions())
    found = [f"{fault.code} {fault.line}:{fault.column}" for fault in caught.value.faults]
    assert found == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_fault_says_what_to_do_and_where(name: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        load_workflow((CORPUS / name).read_bytes(), source=name, expressions=CelExpressions())
    for fault in caught.value.faults:
        assert fault.fix
        assert fault.line > 0
        assert fault.message.endswith((".", "'", '"'))
    assert re.search(rf"{re.escape(name)}:\d+:\d+: PDM-D\d{{3}} ", str(caught.value))


def test_the_corpus_lists_every_file() -> None:
    files = {path.name for path in CORPUS.iterdir()} - {"expected.tsv"}
    assert files == EXPECTED.keys()
