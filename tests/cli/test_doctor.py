"""podium doctor by section, on stores in all states; podium bundle; podium runs logs."""

import json
import zipfile

import apsw
import pytest

from podium.authoring.bundle import hide_secrets
from podium.authoring.doctor import SECTIONS, Check, sections_of, worst
from podium.errors import RequestError


def checks_of(result):
    return {check["name"]: check for check in result.json["checks"]}


# --- sections -----------------------------------------------------------------------------------


def test_sections_are_those_of_the_two_playbooks():
    assert list(SECTIONS) == [
        *("1.1", "1.2", "1.3", "1.4"),
        *("3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7"),
    ]


def test_a_number_means_a_section_or_all_that_begin_so():
    assert sections_of("3.2") == ["3.2"]
    assert sections_of("1") == sections_of("1.") == ["1.1", "1.2", "1.3", "1.4"]
    assert sections_of("") == list(SECTIONS)


@pytest.mark.parametrize("wanted", ["2", "3.8", "3.22", "checkpoints"])
def test_a_section_that_is_none_is_refused_with_the_list(podium, wanted):
    with pytest.raises(RequestError):
        sections_of(wanted)
    result = podium("doctor", "--section", wanted)
    assert (result.code, "PDM-R170" in result.err, "3.7" in result.err) == (2, True, True)


@pytest.mark.parametrize("section", list(SECTIONS))
def test_every_section_is_content_with_a_store_in_order(podium, flows, section):
    podium("run", flows / "greet.yaml")
    result = podium("doctor", "--section", section, "--json")
    assert result.code == 0
    assert {check["section"] for check in result.json["checks"]} == {section}
    assert {check["state"] for check in result.json["checks"]} <= {"ok", "skip", "warn"}
    assert len(result.json["checks"]) >= 2


@pytest.mark.parametrize("section", ["1.1", "3.2", "3.7"])
def test_every_section_says_that_the_store_is_broken(podium, tmp_path, section):
    (tmp_path / "x.db").write_bytes(b"something else entirely" * 500)
    result = podium("doctor", "--section", section, "--store", "sqlite:///x.db", "--json")
    assert result.code == 5
    assert "PDM-S006" in checks_of(result)["store"]["detail"]


def test_people_read_it_under_headings(podium, flows):
    podium("run", flows / "greet.yaml")
    out = podium("doctor").out
    assert "3.2  Checkpoint approvals missing" in out
    assert out.index("1.1  Workflow") < out.index("3.7  Manual")


def test_a_failed_run_is_found_in_its_section(podium, flows):
    podium("run", f"{flows}/cli_flows.py:fails")
    found = checks_of(podium("doctor", "--section", "3.7", "--json"))["failed runs"]
    assert (found["state"], "run_00000001" in found["detail"]) == ("warn", True)
    assert "podium runs retry" in found["fix"]


def test_an_approval_that_waits_is_told_with_its_organization(podium, flows):
    podium("run", flows / "gate.yaml", "--no-wait")
    found = checks_of(podium("doctor", "--section", "3.2", "--json"))
    assert "1 of default" in found["approvals"]["detail"]
    assert found["approval rows"]["state"] == "ok"


def test_a_run_waits_for_a_person_whom_nobody_asked(podium, flows, tmp_path):
    podium("run", flows / "gate.yaml", "--no-wait")
    with apsw.Connection(str(tmp_path / ".podium" / "podium.db")) as db:
        db.execute("delete from approval")
    result = podium("doctor", "--section", "3.2", "--json")
    assert (result.code, checks_of(result)["approval rows"]["state"]) == (5, "fail")


def test_a_child_workflow_that_is_not_active_is_found(podium, flows, tmp_path):
    (tmp_path / "parent.yaml").write_text(
        "name: parent\ntasks: [{name: c, uses: 'workflow:lost'}]\n"
    )
    podium("workflows", "publish", "parent.yaml")
    found = checks_of(podium("doctor", "--section", "3.3", "--json"))["child definitions"]
    assert (found["state"], "lost in parent" in found["detail"]) == ("fail", True)


def test_an_address_that_is_none_is_found(podium, flows, monkeypatch):
    monkeypatch.setenv("ORCHESTRATION_PROGRESS_WEBHOOK_URL", "hooks.example.test/x")
    podium("run", flows / "greet.yaml")
    result = podium("doctor", "--section", "3.6", "--json")
    assert (result.code, checks_of(result)["progress webhook"]["state"]) == (5, "fail")
    assert "hooks.example" not in result.out


def test_where_the_store_is_named_is_told_and_not_what_it_says(podium, tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/elsewhere.db")
    podium("db", "migrate")
    found = checks_of(podium("doctor", "--section", "1.1", "--json"))
    assert found["database credentials"]["detail"] == "sqlite, from DATABASE_URL"
    assert found["database connection"]["state"] == "ok"


def test_slow_questions_are_measured_and_told(podium, flows):
    podium("run", flows / "greet.yaml")
    found = checks_of(podium("doctor", "--section", "1.4", "--json"))["slow queries"]
    assert all(name in found["detail"] for name in ("newest runs", "failed runs", " ms"))


def test_the_worst_of_many():
    checks = [Check("a", "ok", ""), Check("b", "warn", ""), Check("c", "skip", "")]
    assert (worst(checks), worst([])) == ("warn", "ok")


# --- bundle -------------------------------------------------------------------------------------


def bundle_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def test_a_bundle_has_everything_about_a_run(podium, flows, tmp_path):
    podium("run", f"{flows}/cli_flows.py:fails")
    result = podium("bundle", "run_00000001", "--json")
    assert result.code == 0
    path = tmp_path / result.json["file"]
    assert path.stat().st_mode & 0o077 == 0
    files = bundle_of(path)
    assert set(files) == {
        "README.txt",
        *(f"{name}.json" for name in ("run", "explain", "definition", "approvals", "billed")),
        *(f"{name}.json" for name in ("relatives", "doctor", "settings", "environment")),
        *("events.jsonl", "logs.jsonl", "manifest.json"),
    }
    assert json.loads(files["run.json"])["status"] == "failed"
    assert json.loads(files["events.jsonl"].splitlines()[0])["type"] == "orchestration.run.queued"
    assert json.loads(files["explain.json"])["code"]
    assert set(json.loads(files["manifest.json"])["files"]) == set(files) - {"manifest.json"}


def test_payloads_are_left_out_unless_asked_for(podium, tmp_path):
    (tmp_path / "greet.yaml").write_text(
        "inputs: {who: {type: string}}\ntasks: [{name: a, with: {text: '${{ inputs.who }}'}}]\n"
    )
    podium("run", "greet.yaml", "-i", "who=Hadrian")
    podium("bundle", "run_00000001")
    podium("bundle", "run_00000001", "--with-payloads", "--output", "full.zip")
    assert not any(b"Hadrian" in body for body in bundle_of("run_00000001.zip").values())
    assert b"Hadrian" in bundle_of("full.zip")["run.json"]


def test_secrets_are_taken_out_of_every_file(podium, tmp_path, monkeypatch):
    secret = "sk-canary-0123456789abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    monkeypatch.setenv("PODIUM_OTHER", "canary-in-a-variable")
    (tmp_path / "leak.yaml").write_text(
        "tasks:\n- {name: a, uses: shell, max_retries: 0,\n"
        f"   with: {{command: [sh, -c, 'echo {secret} >&2; exit 3']}}}}\n"
    )
    podium("run", "leak.yaml")
    podium("bundle", "run_00000001", "--with-payloads")
    for name, body in bundle_of("run_00000001.zip").items():
        assert secret.encode() not in body, name
        assert b"canary-in-a-variable" not in body, name


def test_a_bundle_never_overwrites(podium, flows):
    podium("run", flows / "greet.yaml")
    assert podium("bundle", "run_00000001").code == 0
    assert podium("bundle", "run_00000001").code == 4


def test_a_bundle_of_nothing_is_not_found(podium, flows):
    podium("run", flows / "greet.yaml")
    assert podium("bundle", "run_00000099").code == 3


def test_values_whose_names_are_secret_are_hidden():
    shown = hide_secrets({"Authorization": "x", "tokens": 5, "a": [{"api_key": "${OK}"}]})
    assert shown == {"Authorization": "[hidden]", "tokens": 5, "a": [{"api_key": "${OK}"}]}


# --- logs ---------------------------------------------------------------------------------------


@pytest.fixture
def talking(tmp_path, monkeypatch):
    (tmp_path / "talk.py").write_text(
        "import logging\n"
        "def talk(name: str) -> str:\n"
        "    print('hello', name)\n"
        "    logging.getLogger('talk').warning('logged')\n"
        "    print('\\x1b[31mred')\n"
        "    return name\n"
    )
    (tmp_path / "talk.yaml").write_text(
        "tasks: [{name: a, uses: 'python:talk:talk', with: {name: ada}}]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return "talk.yaml"


def test_what_a_task_printed_is_read_with_its_run(podium, talking):
    podium("run", talking)
    result = podium("runs", "logs", "run_00000001")
    lines = [line.split(maxsplit=1)[1] for line in result.out.splitlines()]
    assert lines[0] == "a  stdout hello ada"
    assert lines[1] == "a  warn talk: logged"
    # What a task wrote must not steer the terminal.
    assert (lines[2], "\x1b" in result.out) == ("a  stdout \ufffd[31mred", False)


def test_logs_are_one_document_for_programs(podium, talking):
    podium("run", talking)
    items = podium("runs", "logs", "run_00000001", "--step", "a", "--json").json["items"]
    assert [item["text"] for item in items][:2] == ["hello ada", "logged"]
    assert podium("runs", "logs", "run_00000001", "--step", "b", "--json").json["items"] == []
    assert len(podium("runs", "logs", "run_00000001", "--tail", "1").out.splitlines()) == 1


def test_following_ends_with_the_run(podium, talking):
    podium("run", talking)
    result = podium("runs", "logs", "run_00000001", "--follow", "--json")
    assert result.lines[0]["text"] == "hello ada"


def test_what_tasks_print_does_not_spoil_the_document(podium, talking):
    result = podium("run", talking, "--json")
    assert result.json["status"] == "completed"
    assert "hello ada" in result.err


def test_logs_of_an_unknown_run_are_not_found(podium, talking):
    podium("run", talking)
    assert podium("runs", "logs", "run_00000099").code == 3
