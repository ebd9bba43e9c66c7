"""The older paths answer in their own words, and the seeds' own curl lines work unchanged."""

import json
import re
import shlex
import shutil
import subprocess
from typing import Any

import pytest

from podium.authoring.agents import remember_agents
from podium.core.agents import AgentSpec

KEY = "sk_placeholder"

# The command lines of the two guides, as they stand there.
GUIDE_LINES = {
    "scheduler": "curl https://api.orchestration-system.com/v1/health/scheduler",
    "health": 'curl -H "Authorization: Bearer YOUR_API_KEY" \\\n'
    "  https://api.orchestration-system.com/v1/health",
    "failed-executions": 'curl -H "Authorization: Bearer YOUR_API_KEY" \\\n'
    '  "https://api.orchestration-system.com/v1/executions?status=failed&limit=10"',
    "one-execution": 'curl -H "Authorization: Bearer YOUR_API_KEY" \\\n'
    "  https://api.orchestration-system.com/v1/executions/{executionId}",
}
BROKEN = {
    "name": "broken",
    "settings": {"max_parallel_steps": 2},
    "tasks": [
        {"name": "sound", "uses": "python:served_tasks:double", "with": {"number": 2}},
        {
            "name": "fails",
            "dependsOn": ["sound"],
            "uses": "python:served_tasks:broken",
            "max_retries": 0,
            "cache": {"ttl": "1h"},
        },
    ],
}
ASKING = {"name": "asking", "tasks": [{"name": "ask", "checkpoint": "before"}]}
CHILD = {
    "name": "child",
    "tasks": [{"name": "fails", "uses": "python:served_tasks:broken", "max_retries": 0}],
}
PARENT = {"name": "parent", "tasks": [{"name": "sub", "uses": "workflow:child", "max_retries": 0}]}


def camel(value: Any, path: str = "") -> list[str]:
    """Return the paths of keys that are not in camelCase; what users wrote is theirs."""
    found = []
    if isinstance(value, dict):
        for name, inner in value.items():
            if not re.fullmatch(r"[a-z][a-zA-Z0-9]*", name):
                found.append(f"{path}/{name}")
            if name not in {"input", "output", "payload"}:
                found += camel(inner, f"{path}/{name}")
    if isinstance(value, list):
        for inner in value:
            found += camel(inner, f"{path}/*")
    return found


async def failed_run(api) -> str:
    run = await api.start(BROKEN)
    await api.end(run)
    return run


async def waiting_run(api) -> tuple[str, str]:
    run = await api.start(ASKING)
    while True:
        page = (await api.get("/api/orchestrations/approvals")).json()
        if page["items"]:
            return run, page["items"][0]["approvalId"]


# --- the words --------------------------------------------------------------------------------


async def test_a_run_is_told_in_the_older_words(api):
    run = await failed_run(api)
    told = (await api.get(f"/api/orchestrations/{run}")).json()
    assert (told["runId"], told["executionId"], told["status"]) == (run, run, "failed")
    assert told["organizationSlug"] == "default"
    assert told["execution"]["concurrency"] == {"maxParallelSteps": 2}
    assert told["execution"]["caching"] == {"enabled": True, "tasks": ["fails"]}
    assert told["metadata"]["runtime"] == {"cache": {"hits": 0}, "subOrchestration": None}
    assert [step["status"] for step in told["steps"]] == ["completed", "failed"]
    assert told["steps"][1]["stepRecordId"].startswith("stp_")
    assert camel(told) == []


async def test_an_execution_is_the_same_run(api):
    run = await failed_run(api)
    one = (await api.get(f"/v1/executions/{run}")).json()
    assert one == (await api.get(f"/api/orchestrations/{run}")).json()


async def test_failed_executions_are_listed(api):
    run = await failed_run(api)
    await api.start(ASKING)
    told = (await api.get("/v1/executions?status=failed&limit=10")).json()
    assert [each["executionId"] for each in told["items"]] == [run]
    assert camel(told) == []


async def test_executions_come_in_pages(api):
    runs = [await failed_run(api) for _ in range(3)]
    found, cursor = [], ""
    while cursor is not None:
        page = (await api.get(f"/v1/executions?limit=2&cursor={cursor}")).json()
        found += [each["executionId"] for each in page["items"]]
        cursor = page["nextCursor"]
    assert found == runs[::-1]


async def test_the_status_says_what_may_be_done(api):
    run = await failed_run(api)
    told = (await api.get(f"/api/orchestrations/{run}/status")).json()
    assert told["status"] == "failed"
    assert {"retry", "skip", "abort"} <= set(told["allowedActions"])
    assert camel(told) == []


async def test_a_failed_child_is_found_from_its_parent(api):
    """Playbook 3: the parent's metadata names the child run, whose detail tells the error."""
    await api.post("/v1/workflows", json={"definition": CHILD})
    parent = await api.start(PARENT)
    await api.end(parent)
    told = (await api.get(f"/api/orchestrations/{parent}")).json()
    child = told["metadata"]["runtime"]["subOrchestration"]["childRunId"]
    assert told["steps"][0]["metadata"]["runtime"]["subOrchestration"]["childRunId"] == child
    assert (await api.get(f"/api/orchestrations/{child}")).json()["status"] == "failed"


# --- the actions ------------------------------------------------------------------------------


async def test_retry_takes_a_step_record_and_other_inputs(api, tmp_path):
    """Playbook 7: the exact `stepRecordId` comes from the run, and goes into the retry."""
    counter = tmp_path / "mended"
    flaky = {
        "name": "flaky",
        "tasks": [
            {
                "name": "fails",
                "uses": "python:served_tasks:flaky",
                "with": {"counter": str(tmp_path / "never")},
                "max_retries": 0,
            }
        ],
    }
    run = await api.start(flaky)
    await api.end(run)
    counter.touch()
    step = (await api.get(f"/api/orchestrations/{run}")).json()["steps"][0]["stepRecordId"]
    answer = await api.post(
        f"/api/orchestrations/{run}/actions/retry",
        json={
            "stepRecordId": step,
            "modifications": {"inputs": {"counter": str(counter)}, "agentOverrides": {}},
        },
    )
    assert answer.status_code == 202, answer.text
    assert answer.json()["runId"] == run
    assert (await api.end(run))["status"] == "completed"


async def test_skip_takes_a_substitute(api):
    run = await failed_run(api)
    answer = await api.post(f"/api/orchestrations/{run}/actions/skip", json={"output": 1})
    assert answer.status_code == 202, answer.text
    assert (await api.end(run))["status"] == "completed"


async def test_abort_needs_no_body(api):
    run, _ = await waiting_run(api)
    answer = await api.post(f"/api/orchestrations/{run}/actions/abort")
    assert (answer.status_code, answer.json()["status"]) == (202, "aborted")


async def test_resume_takes_an_approval(api):
    """Playbook 2: the continue payload includes `approvalId`."""
    run, approval = await waiting_run(api)
    shown = (await api.get("/api/orchestrations/approvals")).json()
    assert "conversationId" in shown["items"][0]
    assert camel(shown) == []
    answer = await api.post(
        f"/api/orchestrations/{run}/actions/resume", json={"approvalId": approval}
    )
    assert answer.status_code == 202, answer.text
    assert (await api.end(run))["status"] == "completed"


async def test_a_completed_run_refuses_with_its_state(api):
    """Playbook 7: `409 Conflict`, and now it says why."""
    run, approval = await waiting_run(api)
    await api.post(f"/api/orchestrations/{run}/actions/resume", json={"approvalId": approval})
    await api.end(run)
    answer = await api.post(f"/api/orchestrations/{run}/actions/retry", json={})
    told = answer.json()
    assert (answer.status_code, told["code"], told["state"]) == (409, "wrong_state", "completed")
    assert told["allowed"] == []


@pytest.mark.parametrize("word", ["stepRecordID", "step_record_id", "StepRecordId"])
async def test_a_misspelt_word_is_refused_with_the_right_one(api, word):
    answer = await api.post("/api/orchestrations/run_00000001/actions/retry", json={word: "x"})
    assert answer.status_code == 422
    assert "stepRecordId" in answer.json()["fix"]


async def test_a_known_agent_is_told_in_the_older_words(api):
    remember_agents({"risk": AgentSpec(name="risk", instructions="Find risks.")})
    told = (await api.get("/api/admin/agents/risk")).json()
    assert (told["slug"], told["mode"]) == ("risk", "rules")
    assert camel(told) == []


async def test_an_unknown_agent_is_named(api):
    answer = await api.get("/api/admin/agents/nobody")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_every_older_path_is_described(api):
    paths = (await api.get("/openapi.json")).json()["paths"]
    older = {path for path in paths if path.startswith(("/api/", "/v1/executions"))}
    assert len(older) == 10


# --- the guides, word for word ----------------------------------------------------------------


@pytest.mark.parametrize("name", GUIDE_LINES)
def test_the_curl_lines_of_the_guide_work_unchanged(server, name):
    """Only what stands for something is filled in: the host, the key, `{executionId}`."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    started = server.client.post("/v1/runs", json={"definition": BROKEN}).json()["run_id"]
    server.wait(started)
    line = GUIDE_LINES[name].replace("https://api.orchestration-system.com", server.url)
    line = line.replace("{executionId}", started).replace("YOUR_API_KEY", KEY)
    done = subprocess.run(
        [*shlex.split(line.replace("\\\n", " ")), "-s", "-S", "-w", "\n%{http_code}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    body, _, status = done.stdout.rpartition("\n")
    assert status == "200", body
    told = json.loads(body)
    if name == "failed-executions":
        assert [each["executionId"] for each in told["items"]] == [started]
    if name == "one-execution":
        assert (told["executionId"], told["error"]["detail"]) == (started, "it is broken")
