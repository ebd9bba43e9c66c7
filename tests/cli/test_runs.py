"""`podium runs`: looking at runs and steering them."""

import pytest


@pytest.fixture
def failed(podium, flows):
    podium("run", f"{flows}/cli_flows.py:fails")
    return "run_00000001"


@pytest.fixture
def asleep(podium, flows):
    podium("run", f"{flows}/cli_flows.py:naps", "--timeout", "50ms")
    return "run_00000001"


def status(podium, run):
    return podium("runs", "show", run, "--json").json["status"]


def test_a_list_shows_the_newest_first(podium, flows, golden):
    podium("run", flows / "greet.yaml")
    podium("run", f"{flows}/cli_flows.py:fails")
    golden("runs-list", podium("runs", "list").out)


def test_a_list_is_filtered_and_paged(podium, flows, failed):
    podium("run", flows / "greet.yaml")
    assert len(podium("runs", "list", "--status", "failed", "--json").json["items"]) == 1
    assert len(podium("runs", "list", "--workflow", "greet", "--json").json["items"]) == 1
    page = podium("runs", "list", "--limit", "1", "--json").json
    rest = podium("runs", "list", "--cursor", page["next_cursor"], "--json").json
    assert [row["run_id"] for row in rest["items"]] == [failed]


def test_an_unknown_status_gets_a_suggestion(podium):
    result = podium("runs", "list", "--status", "faild")
    assert (result.code, "Did you mean 'failed'?" in result.err) == (2, True)


def test_show_has_the_steps_and_the_error(podium, failed, golden):
    golden("runs-show-failed", podium("runs", "show", failed).out)


def test_show_has_the_outputs_of_steps_in_json(podium, flows):
    podium("run", flows / "greet.yaml")
    document = podium("runs", "show", "run_00000001", "--json").json
    outputs = {step["path"]: step.get("output") for step in document["steps"]}
    assert outputs["sum"]["next"] == ["smile"]


def test_show_leaves_out_the_dullest_of_many_steps(podium, flows):
    podium("run", f"{flows}/cli_flows.py:adds", "-i", "n=30")
    result = podium("runs", "show", "run_00000001", "--steps", "5")
    assert "more steps" in result.err


def test_explain_is_one_sentence_and_a_command(podium, flows, golden):
    podium("run", flows / "gate.yaml")
    golden("runs-explain", podium("runs", "explain", "run_00000001").out)


def test_events_are_text_for_people_and_json_for_programs(podium, flows, golden):
    podium("run", flows / "gate.yaml", "--yes")
    golden("runs-events", podium("runs", "events", "run_00000001").out)
    lines = podium("runs", "events", "run_00000001", "--json", "--after", "5").lines
    assert lines[0]["sequence"] > 5
    assert {"id", "sequence", "subject", "type", "time", "data"} <= lines[0].keys()


@pytest.mark.parametrize("verb", ["show", "explain", "events", "cancel", "retry", "rerun"])
def test_a_run_that_does_not_exist_exits_3(podium, verb):
    assert podium("runs", verb, "run_0000zzzz").code == 3


def test_a_text_that_is_no_run_id_exits_2(podium):
    assert podium("runs", "show", "runn").code == 2


def test_pause_resume_and_cancel_work_without_an_engine(podium, asleep):
    assert podium("runs", "pause", asleep).code == 0
    assert status(podium, asleep) == "paused"
    assert podium("runs", "resume", asleep).code == 0
    assert podium("runs", "cancel", asleep, "--reason", "enough").code == 0
    assert status(podium, asleep) == "cancelled"


def test_a_verb_in_the_wrong_state_is_a_conflict_that_names_the_allowed_ones(podium, failed):
    result = podium("runs", "pause", failed)
    assert result.code == 4
    assert "Allowed now: abort, retry, skip." in result.err


def test_retry_opens_a_failed_run_for_recover(podium, failed):
    assert podium("runs", "retry", failed, "--json").json["status"] == "running"
    assert podium("recover").code == 1
    assert podium("runs", "list", "--json").json["items"][0]["generation"] == 2


def test_skip_takes_an_output_for_the_failed_step(podium, failed):
    assert podium("runs", "skip", failed, "--output", '"instead"').code == 0
    podium("recover")
    assert status(podium, failed) == "completed"


def test_a_verb_for_many_runs_is_rehearsed_first(podium, failed):
    rehearsed = podium("runs", "abort", "--status", "failed", "--dry-run", "--json").json
    assert rehearsed == {"dry_run": True, "runs": [failed]}
    assert status(podium, failed) == "failed"
    assert podium("runs", "abort", "--status", "failed").code == 0
    assert status(podium, failed) == "aborted"


def test_a_verb_without_a_run_or_a_filter_is_refused(podium):
    result = podium("runs", "cancel")
    assert (result.code, "PDM-R068" in result.err) == (2, True)


def test_one_run_that_refuses_does_not_stop_the_others(podium, flows, failed):
    podium("run", f"{flows}/cli_flows.py:naps", "--timeout", "50ms")
    result = podium("runs", "pause", "--status", "failed", "--status", "waiting", "--json")
    assert (result.code, result.json["refused"]) == (4, 1)
    assert status(podium, "run_00000101") == "paused"


def test_a_rerun_changes_inputs_and_keeps_the_old_run(podium, flows):
    podium("run", flows / "greet.yaml")
    result = podium("runs", "rerun", "run_00000001", "--set", 'names=["Eve"]', "--json")
    assert result.json["output"]["greetings"] == [{"text": "Hello, Eve!"}]
    shown = podium("runs", "show", result.json["run_id"], "--json").json
    assert shown["forked_from"] == "run_00000001"


def test_a_rerun_with_a_wrong_input_is_refused(podium, flows):
    podium("run", flows / "greet.yaml")
    result = podium("runs", "rerun", "run_00000001", "--set", "names:=5")
    assert (result.code, len(podium("runs", "list", "--json").json["items"])) == (2, 1)


def test_a_fork_keeps_what_came_before(podium, flows):
    podium("run", flows / "greet.yaml")
    result = podium("runs", "fork", "run_00000001", "sum", "--events")
    carried = [event for event in result.lines if event["type"] == "orchestration.run.carried"]
    assert [event["data"]["step"] for event in carried] == ["each"]


def test_recover_says_what_it_met_and_rests(podium, asleep, golden):
    result = podium("recover")
    assert result.code == 0
    golden("recover", result.err)
    assert "Nothing to recover." not in result.err


def test_recover_with_nothing_to_do_is_fine(podium):
    result = podium("recover", "--json")
    assert (result.code, result.json) == (0, {"runs": [], "counts": {}})
