"""Approvals over HTTP: what waits for a person, and what the person says."""

from typing import Any

import pytest
from tests.server.conftest import Api

from podium.server.access import Caller, LocalTrust

ASKS = {
    "name": "asks",
    "tasks": [
        {"name": "draft", "with": {"text": "a draft"}, "checkpoint": "after"},
        {
            "name": "publish",
            "depends_on": ["draft"],
            "with": {"text": "${{ tasks.draft.output.text }}"},
        },
    ],
}


async def asked(api: Api) -> tuple[str, dict[str, Any]]:
    """Return a run that waits, and the approval it waits for."""
    run = await api.start(ASKS)
    [approval] = (await api.get("/v1/approvals", params={"run": run})).json()["items"]
    return run, approval


async def decide(api: Api, approval: dict[str, Any], **body: Any) -> Any:
    return await api.post(f"/v1/approvals/{approval['approval_id']}/decision", json=body)


async def test_an_approval_shows_what_it_is_about(api: Api):
    run, approval = await asked(api)
    assert (approval["run_id"], approval["path"], approval["status"]) == (run, "draft", "pending")
    assert approval["payload"] == {"text": "a draft"}
    one = (await api.get(f"/v1/approvals/{approval['approval_id']}")).json()
    assert one == approval


async def test_an_approved_run_goes_on(api: Api):
    run, approval = await asked(api)
    answer = await decide(api, approval, decision="approve", comment="fine")
    assert (answer.status_code, answer.json()["run_id"]) == (200, run)
    assert (await api.end(run))["output"] == {"text": "a draft"}
    decided = (await api.get(f"/v1/approvals/{approval['approval_id']}")).json()
    assert (decided["status"], decided["comment"], decided["decided_by"]) == (
        *("approved", "fine", "local"),
    )


async def test_an_edit_goes_on_with_the_other_payload(api: Api):
    run, approval = await asked(api)
    await decide(api, approval, decision="edit", payload={"text": "better"})
    assert (await api.end(run))["output"] == {"text": "better"}


async def test_a_rejection_fails_the_run(api: Api):
    run, approval = await asked(api)
    await decide(api, approval, decision="reject")
    assert (await api.end(run))["status"] == "failed"


async def test_repeating_a_decision_is_harmless_and_another_one_is_refused(api: Api):
    _, approval = await asked(api)
    for _ in range(2):
        assert (await decide(api, approval, decision="approve")).status_code == 200
    answer = await decide(api, approval, decision="reject")
    assert (answer.status_code, answer.json()["code"]) == (409, "already_decided")


async def test_a_decision_may_be_bound_to_the_payload_that_was_seen(api: Api):
    _, approval = await asked(api)
    changed = await decide(api, approval, decision="approve", payload_hash="0" * 64)
    assert (changed.status_code, changed.json()["code"]) == (409, "payload_changed")
    same = approval["payload_hash"]
    assert (await decide(api, approval, decision="approve", payload_hash=same)).status_code == 200


async def test_the_run_resumes_by_the_id_of_its_approval(api: Api):
    run, approval = await asked(api)
    body = {"approval_id": approval["approval_id"]}
    assert (await api.post(f"/v1/runs/{run}/actions/resume", json=body)).status_code == 202
    assert (await api.end(run))["status"] == "completed"


async def test_a_run_is_not_resumed_by_the_approval_of_another(api: Api):
    (run, _), (_, other) = await asked(api), await asked(api)
    body = {"approval_id": other["approval_id"]}
    answer = await api.post(f"/v1/runs/{run}/actions/resume", json=body)
    assert answer.status_code == 404
    assert (await api.get(f"/v1/approvals/{other['approval_id']}")).json()["status"] == "pending"


class Operator(LocalTrust):
    """Everybody is an operator, who may start and steer, but not approve."""

    def __init__(self) -> None:
        self._caller = Caller(organization="default", role="operator", name="ops")


@pytest.fixture
def steered(api: Api) -> Api:
    api.authenticator = Operator()
    return api


async def test_who_may_steer_may_not_approve_by_resuming(steered: Api):
    run, approval = await asked(steered)
    body = {"approval_id": approval["approval_id"]}
    answer = await steered.post(f"/v1/runs/{run}/actions/resume", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
    assert (await decide(steered, approval, decision="approve")).status_code == 403
    assert (await steered.get(f"/v1/runs/{run}/status")).json()["status"] == "waiting"


async def test_lists_hold_what_is_pending_or_all_a_page_at_a_time(api: Api):
    approvals = [(await asked(api))[1] for _ in range(3)]
    await decide(api, approvals[1], decision="approve")
    pending = (await api.get("/v1/approvals")).json()["items"]
    assert [each["approval_id"] for each in pending] == [
        approvals[at]["approval_id"] for at in (0, 2)
    ]
    seen, cursor = [], ""
    while cursor is not None:
        query = {"pending": "false", "limit": 2, "cursor": cursor}
        page = (await api.get("/v1/approvals", params=query)).json()
        seen += [each["approval_id"] for each in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [each["approval_id"] for each in approvals]


@pytest.mark.parametrize(
    "body",
    [{}, {"decision": "aprove"}, {"decision": "approve", "by": "ann"}, {"decision": None}, []],
)
async def test_a_decision_that_is_none_is_refused(api: Api, body: Any):
    _, approval = await asked(api)
    path = f"/v1/approvals/{approval['approval_id']}/decision"
    assert (await api.post(path, json=body)).status_code == 422
    assert (await api.get(path.removesuffix("/decision"))).json()["status"] == "pending"


@pytest.mark.parametrize(("approval", "status"), [("apr_00009999_1", 404), ("nonsense", 400)])
async def test_an_unknown_approval_is_not_found(api: Api, approval: str, status: int):
    assert (await api.get(f"/v1/approvals/{approval}")).status_code == status
    answer = await decide(api, {"approval_id": approval}, decision="approve")
    assert answer.status_code == status
