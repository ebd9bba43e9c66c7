"""`podium run`: starting, following, reporting, and every way it can end."""

import pytest


def test_a_definition_runs_to_its_output(podium, flows):
    result = podium("run", flows / "greet.yaml")
    assert result.code == 0
    assert result.json["greetings"] == [{"text": "Hello, Ada!"}, {"text": "Hello, Bob!"}]
    assert "greet run_00000001 completed in" in result.err
    assert "Next:\n  smile\n" in result.err


def test_a_text_is_printed_as_it_is(podium, flows):
    assert podium("run", f"{flows}/cli_flows.py:lives", "-i", "left=1").out == "the last life\n"


def test_the_json_document_has_the_promised_keys(podium, flows):
    document = podium("run", flows / "greet.yaml", "--json").json
    promised = {"run_id", "status", "output", "error", "steps", "duration_ms", "cost_usd"}
    assert promised <= document.keys()
    assert (document["run_id"], document["status"]) == ("run_00000001", "completed")
    assert [step["path"] for step in document["steps"]] == ["each", "each[Ada]", "each[Bob]", "sum"]


def test_inputs_come_from_pairs_over_a_file(podium, flows, tmp_path):
    (tmp_path / "in.json").write_text('{"names": ["Cy"], "shout": true}')
    given = ["--input-file", "in.json", "-i", 'names=["Di"]']
    podium("run", flows / "greet.yaml", *given)
    shown = podium("runs", "show", "run_00000001", "--json").json
    assert shown["input"] == {"names": ["Di"], "shout": True}


def test_inputs_of_a_durable_function_take_the_types_of_its_parameters(podium, flows):
    result = podium("run", f"{flows}/cli_flows.py:adds", "-i", "n=4", "-i", "extra:=[1, 1]")
    assert result.json == 14


def test_an_input_that_is_not_declared_is_refused_before_anything_runs(podium, flows):
    result = podium("run", flows / "greet.yaml", "-i", "nmes=[]")
    assert (result.code, "Did you mean 'names'?" in result.err) == (2, True)
    assert podium("runs", "list", "--json").json["items"] == []


def test_a_module_with_one_workflow_needs_no_name(podium, flows):
    assert podium("run", flows / "single.py").json == {"text": "hello"}


def test_a_module_with_several_workflows_needs_a_name(podium, flows):
    result = podium("run", flows / "cli_flows.py")
    assert (result.code, "PDM-R064" in result.err) == (2, True)


@pytest.mark.parametrize(
    ("target", "code", "says"),
    [
        ("gret.yaml", 3, "Did you mean 'greet.yaml'?"),
        ("cli_flows.py:add", 3, "Did you mean 'adds'?"),
        ("faulty.yaml", 2, "Did you mean 'second'?"),
    ],
)
def test_a_target_that_cannot_be_run_is_told_what_to_run(podium, flows, target, code, says):
    result = podium("run", f"{flows}/{target}")
    assert (result.code, says in result.err) == (code, True)


def test_a_published_workflow_runs_by_its_name(podium, flows):
    podium("workflows", "publish", flows / "greet.yaml")
    assert podium("run", "greet", "-i", "names=[]").json["greetings"] == []
    assert podium("run", "gret").code == 3


def test_a_failure_is_told_with_step_trace_and_what_to_do(podium, flows, golden):
    result = podium("run", f"{flows}/cli_flows.py:fails")
    assert (result.code, result.out) == (1, "")
    golden("run-failed", result.err)


def test_a_failure_is_in_the_json_document(podium, flows):
    result = podium("run", f"{flows}/cli_flows.py:fails", "--json")
    error = result.json["error"]
    assert (result.code, error["code"], error["step"]) == (1, "PDM-T001", "broken")
    assert error["detail"] == "this is wrong"


def test_a_run_that_reaches_its_timeout_exits_124(podium, flows):
    assert podium("run", f"{flows}/cli_flows.py:never_ends").code == 124


def test_following_stops_when_the_time_is_up_and_the_run_stays(podium, flows):
    result = podium("run", f"{flows}/cli_flows.py:naps", "--timeout", "50ms")
    assert (result.code, "podium recover" in result.err) == (124, True)
    assert podium("runs", "list", "--json").json["items"][0]["status"] == "waiting"


def test_events_are_lines_of_json_in_order(podium, flows):
    events = podium("run", flows / "greet.yaml", "--events").lines
    assert events[0]["type"] == "orchestration.run.queued"
    assert events[-1]["type"] == "orchestration.run.completed"
    numbers = [event["sequence"] for event in events]
    assert numbers == sorted(set(numbers))
    assert events[0]["id"] == "run_00000001:1"


def test_the_same_key_finds_the_same_run_and_says_so(podium, flows):
    first = podium("run", flows / "greet.yaml", "--idempotency-key", "k", "--json").json
    again = podium("run", flows / "greet.yaml", "--idempotency-key", "k", "--json")
    assert again.json["run_id"] == first["run_id"]
    assert "Found run_00000001 by its idempotency key (completed): 3" in again.err


def test_the_same_key_with_another_input_is_a_conflict(podium, flows):
    podium("run", flows / "greet.yaml", "--idempotency-key", "k")
    other = podium("run", flows / "greet.yaml", "--idempotency-key", "k", "-i", "shout=true")
    assert (other.code, "PDM-C010" in other.err) == (4, True)


def test_a_durable_function_that_continues_as_new_is_followed(podium, flows):
    document = podium("run", f"{flows}/cli_flows.py:lives", "-i", "left=2", "--json").json
    assert document["output"] == "the last life"
    assert len(podium("runs", "list", "--json").json["items"]) == 3


def test_an_error_is_one_json_document_too(podium):
    result = podium("run", "nothing.yaml", "--json")
    assert (result.code, result.json["error"]["code"]) == (3, "PDM-R409")


def test_a_store_that_cannot_be_used_exits_5(podium, flows, tmp_path):
    (tmp_path / "text.db").write_text("not a database, for sure" * 100)
    result = podium("run", flows / "greet.yaml", "--store", "sqlite:///text.db")
    assert (result.code, "PDM-S006" in result.err) == (5, True)


def test_a_map_with_many_items_prints_few_lines(podium, flows):
    result = podium("run", f"{flows}/cli_flows.py:adds", "-i", "n=500")
    assert result.json == 249500
    assert len(result.err.splitlines()) < 10


def test_labels_are_kept_and_ours_are_hidden(podium, flows):
    podium("run", flows / "greet.yaml", "--label", "team=a")
    [found] = podium("runs", "list", "--label", "team=a", "--json").json["items"]
    assert found["labels"] == {"team": "a"}
    assert podium("runs", "list", "--label", "team=b", "--json").json["items"] == []
