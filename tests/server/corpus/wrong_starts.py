"""JSON that is read and does not fit the start of a run (rows 9, 12, 14, 18, 24)."""

from typing import Any

from cases import Case, posted

TOPS: dict[str, Any] = {"list": [], "text": "x", "number": 1, "null": None, "true": True}

MISSPELT = {
    "workfow": "workflow",
    "Workflow": "workflow",
    "inputs": "input",
    "idempotencyKey": "idempotency_key",
    "idempotency-key": "idempotency_key",
    "prioritiy": "priority",
    "label": "labels",
    "versoin": "version",
    "definitions": "definition",
    "budgets": "budget",
}
# field → values of a wrong type, with the pointer to what is wrong
WRONG: dict[str, dict[str, Any]] = {
    "workflow": {"number": 1, "list": ["x"], "map": {"name": "x"}, "true": True, "null": None},
    "version": {"number": 3, "float": 1.0, "list": [], "null": None},
    "definition": {"number": 1, "list": [], "true": True},
    "idempotency_key": {"number": 1, "list": [], "map": {}, "true": True},
    "priority": {"text": "high", "digits": "50", "float": 1.5, "true": True, "list": [1]},
    "labels": {"list": [], "text": "a=b", "number": 1, "pairs": [["a", "b"]]},
    "budget": {"number": 5, "text": "5 USD", "list": []},
}
RANGES: dict[str, dict[str, Any]] = {
    "priority": {"minus-one": -1, "101": 101, "huge": 2**62},
    "idempotency_key": {
        "of-256": "k" * 256,
        "with-a-space": "a b",
        "with-a-line-end": "a\nb",
        "with-an-accent": "é",
        "of-nothing": "",
    },
    "workflow": {"of-256": "w" * 256, "of-100000": "w" * 100_000},
    "version": {"of-256": "v" * 256},
}
LABELS: dict[str, tuple[Any, str]] = {
    "number": ({"a": 1}, "wrong_type"),
    "null": ({"a": None}, "wrong_type"),
    "map": ({"a": {}}, "wrong_type"),
    "value-of-256": ({"a": "x" * 256}, "out_of_range"),
    "name-of-256": ({"x" * 256: "a"}, "out_of_range"),
}
BUDGETS: dict[str, Any] = {
    "unknown-word": {"euros": 5},
    "negative": {"usd": -1},
    "zero-calls": {"calls": -1},
    "text": {"usd": "five"},
    "unit-unknown": {"time": "3 fortnights"},
    "true": {"tokens": True},
}


def beside(field: str, value: Any) -> dict[str, Any]:
    """Return a start with one field set, and a workflow where that is another one."""
    return (
        {field: value} if field in {"workflow", "definition"} else {"workflow": "x", field: value}
    )


CASES: list[Case] = [
    *(posted(f"body-is-a-{name}", value, 422, "wrong_type") for name, value in TOPS.items()),
    *(
        posted(
            f"field-{wrong}",
            {"workflow": "echo", wrong: 1},
            422,
            "unknown_field",
            at=f"/{wrong}",
            says=f"'{right}'",
        )
        for wrong, right in MISSPELT.items()
    ),
    posted("field-of-no-meaning", {"workflow": "echo", "xyzzy": 1}, 422, "unknown_field"),
    posted("field-of-a-prototype", {"workflow": "echo", "__proto__": {}}, 422, "unknown_field"),
    posted("field-without-a-name", {"workflow": "echo", "": 1}, 422, "unknown_field"),
    *(
        posted(f"{field}-is-a-{name}", beside(field, value), 422, "wrong_type", at=f"/{field}")
        for field, values in WRONG.items()
        for name, value in values.items()
    ),
    *(
        posted(f"{field}-{name}", beside(field, value), 422, "out_of_range", at=f"/{field}")
        for field, values in RANGES.items()
        for name, value in values.items()
    ),
    *(
        posted(f"label-{name}", beside("labels", value), 422, code)
        for name, (value, code) in LABELS.items()
    ),
    posted("label-of-ours", beside("labels", {"podium.x": "1"}), 400, "invalid_label"),
    *(
        posted(
            f"budget-{name}",
            {"workflow": "echo", "input": {"word": "a"}, "budget": value},
            422,
            "invalid_budget",
        )
        for name, value in BUDGETS.items()
    ),
    posted("neither-workflow-nor-definition", {"input": {}}, 422, "conflicting_fields"),
    posted("nothing-in-the-body", {}, 422, "conflicting_fields"),
    posted(
        "both-workflow-and-definition",
        {"workflow": "echo", "definition": {"name": "x", "tasks": [{"name": "a"}]}},
        422,
        "conflicting_fields",
    ),
    posted("workflow-unknown", {"workflow": "no-such"}, 404, "not_found"),
    posted("workflow-nearly-known", {"workflow": "ecko"}, 404, "not_found", says="'echo'"),
    posted("workflow-is-a-path", {"workflow": "../../etc/passwd"}, 404, "not_found"),
    posted("workflow-is-a-module", {"workflow": "os:system"}, 404, "not_found"),
    posted("workflow-with-a-bidi-mark", {"workflow": "echo\u202e"}, 404, "not_found"),
    posted("version-unknown", {"workflow": "echo", "version": "99"}, 404, "not_found"),
    posted("input-missing", {"workflow": "echo"}, 422, "missing_field"),
    posted("input-null", {"workflow": "echo", "input": None}, 422, "missing_field"),
    posted(
        "input-unknown",
        {"workflow": "echo", "input": {"word": "a", "wrod": 1}},
        422,
        "unknown_field",
    ),
    posted(
        "input-of-another-type", {"workflow": "echo", "input": {"word": 1}}, 422, "invalid_input"
    ),
    posted(
        "input-too-long", {"workflow": "echo", "input": {"word": "a" * 51}}, 422, "invalid_input"
    ),
    posted("input-is-a-list", {"workflow": "echo", "input": []}, 422, "invalid_input"),
    posted("input-is-text", {"workflow": "echo", "input": "word"}, 422, "invalid_input"),
    posted(
        "key-in-body-and-header-differ",
        {"workflow": "echo", "input": {"word": "a"}, "idempotency_key": "one"},
        422,
        "conflicting_fields",
        headers={"idempotency-key": "two"},
    ),
    posted(
        "key-in-the-header-too-long",
        {"workflow": "echo", "input": {"word": "a"}},
        400,
        "invalid_parameter",
        headers={"idempotency-key": "k" * 256},
    ),
    posted(
        "key-in-the-header-with-a-space",
        {"workflow": "echo", "input": {"word": "a"}},
        400,
        "invalid_parameter",
        headers={"idempotency-key": "a b"},
    ),
    posted(
        "key-used-with-another-body",
        {"workflow": "echo", "input": {"word": "other"}, "idempotency_key": "used"},
        422,
        "idempotency_key_reuse",
    ),
    posted(
        "key-used-with-another-workflow",
        {"workflow": "broken", "idempotency_key": "used"},
        422,
        "idempotency_key_reuse",
    ),
]
