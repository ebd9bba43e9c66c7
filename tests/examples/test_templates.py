"""What `podium init` copies is complete, and names that do not exist are answered."""

import pytest

from podium.errors import NotFoundError
from podium.templates import list_templates, template_dir, template_files


def test_templates_are_the_examples(examples):
    assert list_templates() == ["agent", "etl", "review"]
    for name in list_templates():
        found = (template_dir(name) / "workflow.yaml").read_bytes()
        assert found == (examples / name / "workflow.yaml").read_bytes()


def test_a_template_is_copied_without_what_runs_leave_behind(examples):
    files = template_files("review")
    names = {file.as_posix() for file in files}
    assert {"workflow.yaml", "review/plan.py", "agents/risky.md", "fixtures/planted.json"} <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("reveiw", "Did you mean 'review'"),
        ("../src", "Known: agent, etl, review."),
    ],
)
def test_a_template_that_does_not_exist_is_answered_with_those_that_do(name, answer):
    with pytest.raises(NotFoundError) as caught:
        template_dir(name)
    assert answer in str(caught.value)
