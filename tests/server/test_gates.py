"""Who may let a run pass, over HTTP: roles, four eyes, and no way around by another verb."""

from typing import Any

import pytest
from tests.server.conftest import Api

PAY = {
    "name": "pay",
    "tasks": [
        {
            "name": "transfer",
            "checkpoint": "before",
            "approval": {"four_eyes": True},
            "with": {"amount": 7},
        },
        {"name": "receipt", "depends_on": ["transfer"]},
    ],
}
RESULT = {"name": "draft", "tasks": [{"name": "a", "checkpoint": "after", "with": {"x": 1}}]}


async def keys(api: Api, *roles: str) -> list[dict[str, str]]:
    """Return the headers of one new key for each role, each with a name of its own."""
    made = [await api.app.keys.create(role, name=f"{role}{n}") for n, role in enumerate(roles)]
    return [{"Authorization": f"Bearer {each.key}"} for each in made]


async def started(api: Api, headers: dict[str, str], definition: Any = PAY) -> tuple[str, str]:
    answer = await api.post("/v1/runs", json={"definition": definition}, headers=headers)
    run = answer.json()["run_id"]
    found = await api.get("/v1/approvals", params={"run": run}, headers=headers)
    return run, found.json()["items"][0]["approval_id"]


async def say(api: Api, approval: str, headers: dict[str, str], **body: Any) -> Any:
    path = f"/v1/approvals/{approval}/decision"
    return await api.post(path, json={"decision": "approve", **body}, headers=headers)


async def test_whoever_asked_gets_four_eyes_and_somebody_else_gets_through(api: Api):
    ann, bob = await keys(api, "admin", "admin")
    run, approval = await started(api, ann)
    refused = await say(api, approval, ann)
    assert (refused.status_code, refused.json()["code"]) == (403, "four_eyes")
    assert (await say(api, approval, bob)).status_code == 200
    await api.app.run(run).wait()
    shown = (await api.get(f"/v1/approvals/{approval}", headers=bob)).json()
    assert (shown["requested_by"], shown["decided_by"]) == ("admin0", "admin1")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/approvals/{approval}/decision", {"decision": "approve"}),
        ("/v1/runs/{run}/actions/resume", {"approval_id": "{approval}"}),
    ],
)
async def test_who_may_operate_may_not_approve_by_any_path(api: Api, path: str, body: Any):
    _admin, operator = await keys(api, "admin", "operator")
    run, approval = await started(api, _admin)
    body = {name: value.format(approval=approval) for name, value in body.items()}
    at = path.format(run=run, approval=approval)
    answer = await api.post(at, json=body, headers=operator)
    assert answer.status_code == 403
    assert (await api.app.approval(approval)).status == 0


async def test_who_may_operate_cannot_skip_what_asks(api: Api):
    admin, operator = await keys(api, "admin", "operator")
    run, approval = await started(api, admin)
    actions = f"/v1/runs/{run}/actions"
    body = {"step": "transfer"}
    open_question = await api.post(f"{actions}/skip", json=body, headers=operator)
    assert (open_question.status_code, open_question.json()["code"]) == (409, "wrong_state")
    await say(api, approval, admin, decision="reject")
    await api.app.run(run).wait()
    assert (await api.post(f"{actions}/skip", json=body, headers=operator)).status_code == 202
    assert (await api.app.run(run).view()).status == "waiting"


async def test_a_result_is_sent_back_and_comes_again(api: Api):
    run = await api.start(RESULT)
    [first] = (await api.get("/v1/approvals", params={"run": run})).json()["items"]
    answer = await say(api, first["approval_id"], {}, decision="rework", comment="shorter")
    assert answer.status_code == 200
    [second] = (await api.get("/v1/approvals", params={"run": run})).json()["items"]
    assert second["approval_id"] != first["approval_id"]
    old = (await api.get(f"/v1/approvals/{first['approval_id']}")).json()
    assert (old["status"], old["rework"], old["comment"]) == ("rejected", True, "shorter")


async def test_an_unknown_stand_in_is_a_conflict_that_changes_nothing(api: Api):
    run = await api.start(RESULT)
    [approval] = (await api.get("/v1/approvals", params={"run": run})).json()["items"]
    await say(api, approval["approval_id"], {}, decision="reject")
    await api.app.run(run).wait()
    seq = (await api.get(f"/v1/runs/{run}")).json()["seq"]
    body = {"modifications": {"agent_overrides": {"risk": "other"}}}
    answer = await api.post(f"/v1/runs/{run}/actions/retry", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "unknown_agent")
    assert (await api.get(f"/v1/runs/{run}")).json()["seq"] == seq
