"""The inputs of a run against the declarations of its workflow."""

from pathlib import Path
from typing import Any

import pytest

from podium.authoring.inputs import check_inputs, parse_cli_inputs
from podium.core.definition import Workflow
from podium.errors import DefinitionError, RequestError

DECLARED: dict[str, Any] = {
    "path": {"type": "string"},
    "limit": {"type": "integer", "default": 50, "minimum": 1},
    "tags": {"type": "array", "items": {"type": "string"}, "default": []},
    "mode": {"enum": ["rules", "model"], "default": "rules"},
}


def check(given: Any, inputs: Any = DECLARED) -> dict[str, Any]:
    return check_inputs(Workflow(name="w", inputs=inputs), given)


def refusal(given: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        check(given)
    return caught.value


def test_defaults_are_filled_in_and_given_values_kept() -> None:
    given = {"path": "src", "limit": 5}
    assert check(given) == {"path": "src", "limit": 5, "tags": [], "mode": "rules"}
    assert given == {"path": "src", "limit": 5}


def test_a_workflow_without_declarations_accepts_anything() -> None:
    assert check({"any": [1]}, inputs=None) == {"any": [1]}
    assert check(None, inputs=None) == {}


def test_a_missing_input_is_named_with_what_it_takes() -> None:
    error = refusal({})
    assert error.code == "PDM-R011"
    assert "'path' is missing; it takes text" in error.what


def test_an_unknown_input_is_refused_with_a_suggestion() -> None:
    error = refusal({"path": "x", "limt": 3})
    assert (error.code, error.fix) == ("PDM-R010", "Did you mean 'limit'?")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"path": 3}, "'path' is not accepted"),
        ({"path": "x", "limit": 0}, "'limit' is not accepted"),
        ({"path": "x", "limit": True}, "'limit' is not accepted"),
        ({"path": "x", "tags": ["a", {"b": 1}]}, "'tags[1]' is not accepted"),
        ({"path": "x", "mode": "modell"}, "'mode' is not accepted"),
        (["path"], "not an object"),
    ],
)
def test_a_wrong_value_is_refused_at_its_path(given: Any, said: str) -> None:
    error = refusal(given)
    assert error.code == "PDM-R012"
    assert said in error.what
    assert error.fix


def test_all_wrong_inputs_are_reported_together() -> None:
    text = str(refusal({"pth": "x", "limit": 0}))
    assert "3 inputs" in text
    assert "'pth'" in text
    assert "'path' is missing" in text
    assert "0 is less than the minimum of 1" in text


def test_a_long_value_is_not_echoed_in_full() -> None:
    assert len(refusal({"path": ["x" * 10_000]}).what) < 400


def test_no_schema_makes_the_validator_read_files(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text('{"type": "integer"}', "utf-8")
    with pytest.raises(DefinitionError) as caught:
        check({"x": 1}, inputs={"x": {"$ref": file.as_uri()}})
    assert caught.value.faults[0].code == "PDM-D207"


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("path=5", {"path": "5"}),
        ("path=", {"path": ""}),
        ("path=a=b", {"path": "a=b"}),
        ("limit=5", {"limit": 5}),
        ('tags=["a"]', {"tags": ["a"]}),
        ("path:=5", {"path": 5}),
        ('other:={"a": null}', {"other": {"a": None}}),
        ("other=5", {"other": "5"}),
    ],
)
def test_command_line_inputs_take_the_declared_type(pair: str, value: dict[str, Any]) -> None:
    assert parse_cli_inputs([pair], DECLARED) == value


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        (["path"], "PDM-R013"),
        (["=x"], "PDM-R013"),
        (["path=a", "path=b"], "PDM-R013"),
        (["path:=[1"], "PDM-R013"),
        (["path:=NaN"], "PDM-R013"),
        (["limit=many"], "PDM-R012"),
        (["tags=a"], "PDM-R012"),
    ],
)
def test_a_malformed_command_line_input_is_refused(pairs: list[str], code: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_cli_inputs(pairs, DECLARED)
    assert caught.value.code == code
    assert caught.value.fix
