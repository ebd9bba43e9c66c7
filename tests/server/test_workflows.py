"""Workflows over HTTP: checked, published, compared, put back; budgets and agents beside them."""

from typing import Any

import pytest
from tests.server.conftest import Api

from podium.authoring.agents import remember_agents
from podium.core.agents import AgentSpec

FIRST = {"name": "greet", "version": "1", "tasks": [{"name": "hello"}]}
SECOND = {"name": "greet", "version": "2", "tasks": [{"name": "hello"}, {"name": "bye"}]}


async def publish(api: Api, definition: Any, **more: Any) -> dict[str, Any]:
    answer = await api.post("/v1/workflows", json={"definition": definition, **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_versions_are_counted_and_the_last_one_is_active(api: Api):
    first, second = await publish(api, FIRST), await publish(api, SECOND)
    assert [first["number"], second["number"]] == [1, 2]
    versions = (await api.get("/v1/workflows/greet/versions")).json()["items"]
    assert [(each["label"], each["active"]) for each in versions] == [("2", True), ("1", False)]


async def test_publishing_the_same_content_again_is_the_same_version(api: Api):
    first = await publish(api, FIRST)
    await publish(api, SECOND)
    again = await publish(api, FIRST)
    assert (again["version"], again["number"]) == (first["version"], 1)
    assert again["active"]


async def test_a_version_may_be_recorded_without_being_taken(api: Api):
    await publish(api, FIRST)
    assert not (await publish(api, SECOND, activate=False))["active"]
    run = await api.post("/v1/runs", json={"workflow": "greet"})
    steps = (await api.get(f"/v1/runs/{run.json()['run_id']}/steps")).json()["items"]
    assert [step["path"] for step in steps] == ["hello"]


async def test_a_version_is_shown_with_its_definition_and_its_outline(api: Api):
    await publish(api, SECOND)
    shown = (await api.get("/v1/workflows/greet", params={"version": "2"})).json()
    assert [task["name"] for task in shown["definition"]["tasks"]] == ["hello", "bye"]
    assert shown["plan"]["waves"] == [["hello", "bye"]]


@pytest.mark.parametrize("word", ["rollback", "activate"])
async def test_new_runs_go_back_to_an_older_version(api: Api, word: str):
    first = await publish(api, FIRST)
    await publish(api, SECOND)
    answer = await api.post(f"/v1/workflows/greet/{word}", json={"version": "1"})
    assert (answer.status_code, answer.json()["active"]) == (200, True)
    run = (await api.post("/v1/runs", json={"workflow": "greet"})).json()["run_id"]
    assert first["version"].startswith((await api.get(f"/v1/runs/{run}")).json()["version"])


async def test_two_versions_are_compared(api: Api):
    await publish(api, FIRST)
    await publish(api, SECOND)
    told = (await api.get("/v1/workflows/greet/diff", params={"old": "1"})).json()
    assert not told["equal"]
    assert any(line.startswith("+") and "bye" in line for line in told["diff"])
    same = (await api.get("/v1/workflows/greet/diff", params={"old": "1", "new": "1"})).json()
    assert (same["equal"], same["diff"]) == (True, [])


async def test_a_sound_definition_is_outlined_and_not_stored(api: Api):
    answer = await api.post("/v1/definitions/validate", json={"definition": SECOND})
    assert (answer.status_code, answer.json()["name"]) == (200, "greet")
    assert (await api.get("/v1/workflows")).json()["items"] == []


async def test_every_fault_of_a_definition_is_told_with_its_place(api: Api):
    text = "name: bad\ntasks:\n  - {name: a, depends_on: [b]}\n  - {name: b, depends_on: [a]}\n"
    text += "  - {name: c, depends_on: [nowhere], usse: noop}\n"
    for path in ("/v1/definitions/validate", "/v1/workflows", "/v1/runs"):
        answer = await api.post(path, json={"definition": text})
        told = answer.json()
        assert answer.status_code == 422
        assert {"cycle", "unknown_dependency", "unknown_field"} <= {
            fault["code"] for fault in told["faults"]
        }
        assert all(fault["line"] for fault in told["faults"])


async def test_a_definition_may_not_be_larger_than_its_limit(api: Api):
    definition = "name: big\n#" + "x" * 256 * 1024 + "\ntasks: [{name: a}]"
    answer = await api.post("/v1/workflows", json={"definition": definition})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    "path",
    ["/v1/workflows/nowhere", "/v1/workflows/nowhere/versions", "/v1/workflows/nowhere/diff?old=1"],
)
async def test_an_unknown_workflow_is_not_found(api: Api, path: str):
    answer = await api.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_an_unknown_version_lists_those_that_exist(api: Api):
    await publish(api, FIRST)
    answer = await api.post("/v1/workflows/greet/activate", json={"version": "9"})
    assert answer.status_code == 404
    assert "1 (1)" in answer.json()["fix"]


# -- budgets -------------------------------------------------------------------------------------


async def test_a_budget_is_set_shown_and_forgotten(api: Api):
    rule = {"scope": "workflow", "key": "greet", "per": "day", "limits": {"usd": 2.5}}
    answer = await api.put("/v1/budgets", json=rule)
    assert answer.status_code == 200, answer.text
    assert answer.json()["limits"]["usd"] == 2.5
    assert len((await api.get("/v1/budgets")).json()["rules"]) == 1
    await api.put("/v1/budgets", json={**rule, "remove": True})
    assert (await api.get("/v1/budgets")).json()["rules"] == []


@pytest.mark.parametrize(
    "change",
    [
        *({"limits": {}}, {"limits": {"usd": -1}}, {"limits": {"usd": "much"}}),
        *({"limits": {"calls": 1.5}}, {"limits": {"time": "long"}}, {"per": "year"}),
        *({"scope": "planet"}, {"on_limit": "explode"}),
    ],
)
async def test_what_is_no_budget_is_refused(api: Api, change: dict[str, Any]):
    body = {"scope": "organization", "limits": {"usd": 1}, **change}
    answer = await api.put("/v1/budgets", json=body)
    assert answer.status_code == 422, answer.text
    assert (await api.get("/v1/budgets")).json()["rules"] == []


async def test_a_grant_raises_the_limits_of_an_account(api: Api):
    body = {"account": "workflow:greet@total", "amounts": {"usd": 1.5, "calls": 3}}
    answer = await api.post("/v1/budgets/grants", json=body)
    assert (answer.status_code, answer.json()["granted"]["usd"]) == (200, 1.5)
    [account] = (await api.get("/v1/budgets")).json()["items"]
    assert (account["account"], account["granted"]["calls"]) == ("workflow:greet@total", 3)


# -- agents, breakers, dead letters --------------------------------------------------------------


async def test_agents_tell_whether_a_model_or_rules_answer(api: Api):
    remember_agents({"judge": AgentSpec(name="judge", fallback="python:served_tasks:double")})
    found = (await api.get("/v1/agents/judge")).json()
    assert (found["slug"], found["mode"], found["status"]) == ("judge", "rules", "healthy")
    assert "judge" in [each["slug"] for each in (await api.get("/v1/agents")).json()["items"]]
    missing = await api.get("/v1/agents/juge")
    assert (missing.status_code, missing.json()["fix"]) == (404, "Did you mean 'judge'?")


async def test_breakers_and_dead_letters_are_lists(api: Api):
    for path in ("/v1/breakers", "/v1/dead-letters", "/v1/dead-letters?status=discarded"):
        assert (await api.get(path)).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("verb", ["replay", "discard"])
async def test_an_unknown_dead_letter_is_not_found(api: Api, verb: str):
    answer = await api.post(f"/v1/dead-letters/stp_00009999_1/{verb}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
