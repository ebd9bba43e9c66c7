"""doctor, config, db, init, and settings."""

import sys

import pytest

from podium.cli.hiding import hide

OF_THE_MACHINE = {"disk", "disk space", "memory", "processors"}


def states(result):
    return {check["name"]: check["state"] for check in result.json["checks"]}


def test_doctor_is_content_with_a_fresh_folder(podium, tmp_path):
    result = podium("doctor", "--json")
    assert (result.code, result.json["ok"]) == (0, True)
    assert not (tmp_path / ".podium").exists()


def test_doctor_checks_a_store_in_use(podium, flows):
    podium("run", flows / "greet.yaml")
    found = states(podium("doctor", "--json"))
    # How busy and how full the machine is, is not ours to say.
    ours = {name: state for name, state in found.items() if name not in OF_THE_MACHINE}
    assert set(ours.values()) == {"ok"}, ours
    assert {"integrity", "store", "processes", "runs", "sqlite", "disk"} <= found.keys()


def test_doctor_sees_runs_that_nobody_drives(podium, flows):
    podium("run", flows / "gate.yaml")
    assert states(podium("doctor", "--json"))["runs"] == "ok"
    podium("approvals", "approve", "apr_00000001_2")
    assert states(podium("doctor", "--json"))["runs"] == "warn"


def test_doctor_fails_on_a_file_that_is_no_store(podium, tmp_path):
    (tmp_path / "x.db").write_bytes(b"something else entirely" * 500)
    result = podium("doctor", "--store", "sqlite:///x.db", "--json")
    assert (result.code, states(result)["store"]) == (5, "fail")


def test_doctor_finds_a_damaged_page(podium, flows, tmp_path):
    podium("run", f"{flows}/cli_flows.py:adds", "-i", "n=300")
    path = tmp_path / ".podium" / "podium.db"
    body = bytearray(path.read_bytes())
    body[4096 * 3 : 4096 * 4] = b"\xff" * 4096
    path.write_bytes(body)
    (tmp_path / ".podium" / "podium.db-wal").write_bytes(b"")
    assert podium("doctor").code == 5


def test_config_shows_each_value_with_its_source(podium, tmp_path, monkeypatch):
    (tmp_path / "podium.yaml").write_text("capacity: 7\nworkflow: {max_retries: 1}\n")
    monkeypatch.setenv("PODIUM_ORGANIZATION", "acme")
    found = podium("config", "show", "--store", "sqlite:///s.db", "--json").json
    sources = {name: each["source"] for name, each in found.items()}
    assert sources["database_url"] == "flag"
    assert sources["organization"] == "PODIUM_ORGANIZATION"
    assert (sources["capacity"], found["capacity"]["value"]) == ("podium.yaml", 7)
    assert sources["log_level"] == "default"


def test_secrets_are_hidden():
    assert hide("postgresql://u:pw@host/db", "database_url") == "postgresql://u:•••@host/db"
    assert hide({"api_key": "sk-1", "kind": "openai"}, "llm") == {
        "api_key": "•••",
        "kind": "openai",
    }
    assert hide("${OPENAI_KEY}", "api_key") == "${OPENAI_KEY}"


def test_the_workflow_block_of_the_project_gives_defaults_to_runs(podium, flows, tmp_path):
    (tmp_path / "podium.yaml").write_text("workflow: {max_retries: 0, timeout: 50ms}\n")
    (tmp_path / "w.yaml").write_text(
        "tasks: [{name: a, uses: 'python:cli_flows:broken', with: {}}]"
    )
    sys.path.insert(0, str(flows))
    document = podium("run", "w.yaml", "--json").json
    assert [step["attempts"] for step in document["steps"]] == [1]


@pytest.mark.parametrize(
    ("text", "code"),
    [("capcity: 5", "PDM-R040"), ("capacity: many", "PDM-R041"), ("a: [", "PDM-D"), ("5", "R043")],
)
def test_a_settings_file_that_is_wrong_says_how(podium, tmp_path, text, code):
    (tmp_path / "podium.yaml").write_text(text)
    result = podium("config", "show")
    assert (result.code, code in result.err) == (2, True)


def test_a_named_settings_file_must_exist(podium, monkeypatch):
    monkeypatch.setenv("PODIUM_CONFIG", "none.yaml")
    assert "PDM-R043" in podium("runs", "list").err


def test_db_migrate_makes_and_keeps_the_schema(podium):
    first = podium("db", "migrate", "--json").json
    again = podium("db", "migrate", "--json").json
    assert (first["changed"], again["changed"]) == (True, False)
    assert first["schema_version"] == again["schema_version"]


def test_init_makes_a_project_that_runs(podium, tmp_path, monkeypatch):
    result = podium("init", "mine", "--template", "etl")
    assert (result.code, "podium run workflow.yaml" in result.err) == (0, True)
    monkeypatch.chdir(tmp_path / "mine")
    assert podium("run", "workflow.yaml").json["loaded"] == 10


def test_init_never_overwrites(podium, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("precious")
    result = podium("init", "mine")
    assert (result.code, "PDM-C031" in result.err) == (4, True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]


def test_an_unknown_template_is_not_found(podium):
    assert podium("init", "mine", "--template", "reviw").code == 3


def test_dead_letters_are_listed(podium):
    assert podium("dead-letters", "list", "--json").json == {"items": [], "next_cursor": None}


def test_commands_that_only_read_register_no_process(podium, flows):
    podium("run", flows / "gate.yaml")
    before = podium("doctor", "--json").json
    for command in (["runs", "list"], ["runs", "explain", "run_00000001"], ["approvals", "list"]):
        podium(*command)
    assert podium("doctor", "--json").json["checks"][5] == before["checks"][5]
