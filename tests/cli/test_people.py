"""People: approvals, signals, and what continues a run that waited for them."""

import sys

import pytest


@pytest.fixture
def waiting(podium, flows):
    result = podium("run", flows / "gate.yaml")
    assert result.code == 6
    return podium("approvals", "list", "--json").json["items"][0]["approval_id"]


def test_a_run_that_needs_a_person_exits_6_and_prints_the_command(podium, flows, golden):
    result = podium("run", flows / "gate.yaml")
    assert (result.code, result.out) == (6, "")
    golden("run-waiting", result.err)


def test_the_json_document_of_a_waiting_run_names_its_approvals(podium, flows):
    result = podium("run", flows / "gate.yaml", "--json")
    assert (result.code, result.json["status"]) == (6, "waiting")
    assert result.json["approvals"] == ["apr_00000001_2"]


def test_yes_approves_every_checkpoint_and_says_so(podium, flows):
    result = podium("run", flows / "gate.yaml", "--yes")
    assert (result.code, result.json) == (0, {"text": "hello"})
    assert "Approved apr_00000001_2 (step 'publish') because of --yes." in result.err
    [row] = podium("approvals", "list", "--all", "--json").json["items"]
    assert row["decided_by"] == "yes-flag"


def test_yes_approves_what_a_child_run_asks(podium, flows):
    result = podium("run", f"{flows}/cli_flows.py:parent", "--yes")
    assert result.json == {"approved": True, "payload": None}


def test_an_approval_without_an_engine_is_durable_and_recover_goes_on(podium, waiting):
    result = podium("approvals", "approve", waiting, "--comment", "fine")
    assert (result.code, "podium recover" in result.err) == (0, True)
    assert podium("recover").code == 0
    shown = podium("runs", "show", "run_00000001", "--json").json
    assert (shown["status"], shown["output"]) == ("completed", {"text": "hello"})


def test_the_same_command_with_its_key_goes_on_after_the_approval(podium, flows):
    command = ("run", flows / "gate.yaml", "--idempotency-key", "k")
    podium(*command)
    podium("approvals", "approve", "apr_00000001_2")
    assert podium(*command).json == {"text": "hello"}


def test_a_rejection_fails_the_run(podium, waiting):
    assert podium("approvals", "reject", waiting, "--comment", "too loud").code == 0
    result = podium("runs", "show", "run_00000001", "--json").json
    assert (result["status"], result["error"]["code"]) == ("failed", "PDM-T020")
    assert result["error"]["why"] == "too loud"


def test_an_edited_payload_is_what_the_run_gets(podium, flows):
    podium("run", f"{flows}/cli_flows.py:asks")
    podium("approvals", "approve", "apr_00000001_1", "--payload", '{"text": "better"}')
    podium("recover")
    output = podium("runs", "show", "run_00000001", "--json").json["output"]
    assert output == {"approved": True, "payload": {"text": "better"}}


def test_repeating_a_decision_is_harmless_and_another_one_is_a_conflict(podium, waiting):
    assert podium("approvals", "approve", waiting).code == 0
    assert podium("approvals", "approve", waiting).code == 0
    result = podium("approvals", "reject", waiting)
    assert (result.code, "PDM-C020" in result.err) == (4, True)


@pytest.mark.parametrize(("name", "code"), [("apr_00000009_1", 3), ("nonsense", 2)])
def test_an_approval_that_does_not_exist_is_told_apart(podium, waiting, name, code):
    assert podium("approvals", "approve", name).code == code


def test_an_approval_shows_what_is_to_be_approved(podium, flows):
    podium("run", f"{flows}/cli_flows.py:asks")
    assert podium("approvals", "show", "apr_00000001_1").json == {"text": "hello"}


def test_approvals_are_listed_until_they_are_decided(podium, waiting, golden):
    golden("approvals-list", podium("approvals", "list").out)
    podium("approvals", "approve", waiting)
    assert "Nothing waits for a person." in podium("approvals", "list").err


def test_a_signal_is_kept_until_the_run_goes_on(podium, flows):
    podium("run", f"{flows}/cli_flows.py:waits", "--timeout", "50ms")
    result = podium("signal", "run_00000001", "go", "--payload", '{"n": 1}')
    assert (result.code, "has got the signal 'go'" in result.err) == (0, True)
    podium("recover")
    assert podium("runs", "show", "run_00000001", "--json").json["output"] == {"n": 1}


def test_a_payload_that_is_not_json_is_refused(podium, waiting):
    result = podium("approvals", "approve", waiting, "--payload", "{oops")
    assert (result.code, "PDM-R066" in result.err) == (2, True)


def test_a_decision_on_code_that_cannot_be_imported_here_is_recorded(podium, flows, tmp_path):
    (tmp_path / "gone_soon.py").write_text(
        "import podium\n@podium.workflow\nasync def once() -> bool:\n"
        "    return (await podium.approval('ok')).approved\n"
    )
    assert podium("run", "gone_soon.py").code == 6
    (tmp_path / "gone_soon.py").unlink()
    del sys.modules["gone_soon"]
    result = podium("approvals", "approve", "apr_00000001_1", "--json")
    assert (result.code, result.json["applied"]) == (0, False)
    assert podium("runs", "list", "--json").json["items"][0]["status"] == "waiting"


FOUR_EYES = """
name: pay
tasks:
  - {name: transfer, checkpoint: before, approval: {four_eyes: true}}
"""


def test_yes_does_not_stand_in_for_a_second_person(podium, tmp_path):
    (tmp_path / "pay.yaml").write_text(FOUR_EYES)
    assert podium("run", "pay.yaml", "--yes").code == 6
    [row] = podium("approvals", "list", "--json").json["items"]
    mine = podium("approvals", "approve", row["approval_id"], "--json")
    assert mine.code == 2
    assert "second person" in mine.err + mine.out
    assert podium("approvals", "approve", row["approval_id"], "--by", "somebody-else").code == 0


def test_a_result_is_sent_back_from_the_terminal(podium, tmp_path):
    (tmp_path / "draft.yaml").write_text("tasks: [{name: a, checkpoint: after, with: {x: 1}}]")
    assert podium("run", "draft.yaml", "--no-wait").code == 6
    [first] = podium("approvals", "list", "--json").json["items"]
    sent = podium("approvals", "reject", first["approval_id"], "--rework", "--comment", "shorter")
    assert "sent back" in sent.err
    podium("recover")
    [second] = podium("approvals", "list", "--json").json["items"]
    assert second["approval_id"] != first["approval_id"]
    edit = ("approvals", "approve", second["approval_id"], "--payload", '{"x": 2}')
    assert podium(*edit).code == 0
    shown = podium("approvals", "show", second["approval_id"], "--json").json
    assert shown["changes"] == [{"op": "replace", "path": "/x", "old": 1, "new": 2}]
