"""Definitions: faults, plans and versions."""

import pytest


def test_every_fault_is_told_at_once_with_its_place(podium, flows, golden):
    result = podium("validate", flows / "faulty.yaml")
    assert (result.code, result.out) == (2, "")
    golden("validate-faulty", result.err)


def test_faults_are_data_for_programs(podium, flows):
    result = podium("validate", flows / "faulty.yaml", "--json")
    assert (result.code, result.json["valid"]) == (2, False)
    assert {"code", "line", "column", "pointer", "message"} <= result.json["faults"][0].keys()


def test_a_sound_definition_is_valid(podium, flows):
    result = podium("validate", flows / "greet.yaml", "--json")
    assert (result.code, result.json["valid"], result.json["tasks"]) == (0, True, 2)


def test_validating_imports_no_code_of_the_user(podium, tmp_path):
    (tmp_path / "w.yaml").write_text("tasks: [{name: a, uses: 'python:not_there:f'}]")
    assert podium("validate", "w.yaml").code == 0


def test_a_plan_shows_what_waits_for_what(podium, flows, golden):
    golden("plan-gate", podium("plan", flows / "gate.yaml").out)


def test_a_plan_is_data_for_programs(podium, flows):
    plan = podium("plan", flows / "greet.yaml", "--json").json
    assert (plan["depth"], plan["width"], plan["waves"]) == (2, 1, [["each"], ["sum"]])


def test_a_plan_of_a_durable_function_says_that_it_is_one(podium, flows):
    assert podium("plan", f"{flows}/cli_flows.py:adds", "--json").json["kind"] == "code"


@pytest.fixture
def two_versions(podium, flows, tmp_path):
    text = (flows / "greet.yaml").read_text()
    (tmp_path / "two.yaml").write_text(text.replace("Hello", "Good day"))
    podium("workflows", "publish", flows / "greet.yaml")
    podium("workflows", "publish", "two.yaml")


def greeting(podium):
    return podium("run", "greet", "-i", 'names=["Ada"]').json["greetings"][0]["text"]


def test_the_last_published_version_is_active(podium, two_versions):
    versions = podium("workflows", "list", "greet", "--json").json["items"]
    assert [(row["number"], row["active"]) for row in versions] == [(2, True), (1, False)]
    assert greeting(podium) == "Good day, Ada!"


def test_a_rollback_makes_an_older_version_active(podium, two_versions):
    assert podium("workflows", "rollback", "greet", "1").code == 0
    assert greeting(podium) == "Hello, Ada!"


def test_a_run_may_name_its_version(podium, two_versions):
    result = podium("run", "greet", "--version", "1", "-i", 'names=["Ada"]')
    assert result.json["greetings"] == [{"text": "Hello, Ada!"}]


def test_a_diff_shows_what_changed(podium, two_versions, golden, tmp_path):
    golden("workflows-diff", podium("workflows", "diff", "greet", "1", "2").out)
    assert podium("workflows", "diff", "greet", "2", "two.yaml", "--json").json["equal"]


def test_an_inactive_version_is_recorded_only(podium, flows, two_versions, tmp_path):
    (tmp_path / "three.yaml").write_text((flows / "greet.yaml").read_text() + "description: new\n")
    result = podium("workflows", "publish", "three.yaml", "--inactive", "--json").json
    assert (result["number"], result["active"]) == (3, False)
    assert greeting(podium) == "Good day, Ada!"


@pytest.mark.parametrize("version", ["7", "no-such-label"])
def test_an_unknown_version_names_the_known_ones(podium, two_versions, version):
    result = podium("workflows", "show", "greet", version)
    assert (result.code, "Known: 2 (" in result.err) == (3, True)


def test_an_unknown_workflow_gets_a_suggestion(podium, two_versions):
    result = podium("workflows", "show", "gret")
    assert (result.code, "Did you mean 'greet'?" in result.err) == (3, True)
