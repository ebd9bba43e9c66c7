"""Verbs over HTTP: 202 with where the run stands, 409 with what it takes instead."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Api

WAITS = {"name": "waits", "tasks": [{"name": "ask", "checkpoint": "before"}]}
HELLO = {"name": "hello", "tasks": [{"name": "first"}]}
LISTENS = {"name": "listens", "tasks": [{"name": "hear", "uses": "signal", "with": {"name": "go"}}]}


def flaky(counter: Path) -> dict[str, Any]:
    task = {"uses": "python:served_tasks:flaky", "with": {"counter": str(counter)}}
    return {"name": "flaky", "tasks": [{"name": "try", "max_retries": 0, **task}]}


async def act(api: Api, run: str, verb: str, body: Any = None, **headers: Any) -> Any:
    path = f"/v1/runs/{run}/actions/{verb}"
    return (
        await api.post(path, json=body, headers=headers)
        if body is not None
        else (await api.post(path, headers=headers))
    )


async def failed(api: Api, counter: Path) -> str:
    run = await api.start(flaky(counter))
    assert (await api.end(run))["status"] == "failed"
    return run


async def test_pause_and_resume(api: Api):
    run = await api.start(WAITS)
    paused = await act(api, run, "pause")
    assert (paused.status_code, paused.json()["status"]) == (202, "paused")
    resumed = await act(api, run, "resume")
    assert (resumed.status_code, resumed.json()["status"]) == (202, "waiting")


@pytest.mark.parametrize(("verb", "status"), [("cancel", "cancelled"), ("abort", "aborted")])
async def test_stopping_a_run_keeps_the_reason(api: Api, verb: str, status: str):
    run = await api.start(WAITS)
    answer = await act(api, run, verb, {"reason": "not needed"})
    assert (answer.status_code, answer.json()["run_id"]) == (202, run)
    ended = await api.end(run)
    assert (ended["status"], ended["reason"]) == (status, "not needed")


async def test_a_retry_runs_the_failed_step_again_in_place(api: Api, tmp_path: Path):
    run = await failed(api, tmp_path / "counter")
    (tmp_path / "counter").touch()
    answer = await act(api, run, "retry", {})
    assert (answer.status_code, answer.json()["run_id"]) == (202, run)
    ended = await api.end(run)
    assert (ended["status"], ended["output"], ended["generation"]) == ("completed", "mended", 2)


async def test_a_step_is_named_by_its_record_and_given_other_arguments(api: Api, tmp_path: Path):
    run = await failed(api, tmp_path / "counter")
    [step] = (await api.get(f"/v1/runs/{run}/steps")).json()["items"]
    other = tmp_path / "other"
    other.touch()
    body = {
        "step_record_id": step["step_record_id"],
        "modifications": {"inputs": {"counter": str(other)}},
    }
    assert (await act(api, run, "retry", body)).status_code == 202
    assert (await api.end(run))["output"] == "mended"


async def test_of_two_retries_at_once_one_is_accepted(api: Api, tmp_path: Path):
    run = await failed(api, tmp_path / "counter")
    (tmp_path / "counter").touch()
    answers = await asyncio.gather(act(api, run, "retry"), act(api, run, "retry"))
    assert sorted(answer.status_code for answer in answers) == [202, 409]
    refused = next(answer.json() for answer in answers if answer.status_code == 409)
    assert refused["code"] in {"recovery_in_flight", "wrong_state"}


async def test_a_skipped_step_takes_a_substitute_output(api: Api, tmp_path: Path):
    run = await failed(api, tmp_path / "counter")
    answer = await act(api, run, "skip", {"step": "try", "output": "by hand"})
    assert answer.status_code == 202
    ended = await api.end(run)
    assert (ended["status"], ended["output"]) == ("completed", "by hand")


async def test_a_fork_starts_a_new_run_and_leaves_the_old_one(api: Api):
    run = await api.start(HELLO, labels={"team": "x"})
    await api.end(run)
    answer = (await act(api, run, "fork", {"from_step": "first"})).json()
    assert answer["forked_from"] == run != answer["run_id"]
    new = await api.end(answer["run_id"])
    assert (new["forked_from"], new["labels"], new["status"]) == (run, {"team": "x"}, "completed")


async def test_a_signal_reaches_the_run_that_waits_for_it(api: Api):
    run = await api.start(LISTENS)
    answer = await api.post(f"/v1/runs/{run}/signals/go", json={"payload": {"a": [1, None]}})
    assert answer.status_code == 202
    assert (await api.end(run))["output"] == {"a": [1, None]}


@pytest.mark.parametrize("verb", ["cancel", "abort", "pause", "resume", "retry", "skip"])
async def test_a_closed_run_refuses_and_says_what_it_takes(api: Api, verb: str):
    run = await api.start(HELLO)
    before = await api.end(run)
    answer = await act(api, run, verb)
    told = answer.json()
    assert (answer.status_code, told["code"]) == (409, "wrong_state")
    assert told["state"] == "completed"
    assert "rerun" in told["fix"]
    assert (await api.get(f"/v1/runs/{run}")).json() == before


async def test_a_refusal_lists_the_verbs_of_the_state(api: Api):
    run = await api.start(WAITS)
    told = (await act(api, run, "resume")).json()
    assert (told["state"], "pause" in told["allowed"]) == ("waiting", True)


async def test_no_edit_has_another_program_run(api: Api):
    task = {"name": "x", "uses": "shell", "with": {"command": ["true", "{"]}, "max_retries": 0}
    run = await api.start({"name": "shells", "tasks": [{**task, "checkpoint": "before"}]})
    [approval] = (await api.get("/v1/approvals", params={"run": run})).json()["items"]
    path = f"/v1/approvals/{approval['approval_id']}/decision"
    for arguments in ({"command": ["rm", "-rf", "/"]}, {"env": {"LD_PRELOAD": "/tmp/x.so"}}):
        body = {"decision": "edit", "payload": {**approval["payload"], **arguments}}
        edited = await api.post(path, json=body)
        assert (edited.status_code, edited.json()["code"]) == (403, "task_not_allowed")
        wish = {"step": "x", "modifications": {"inputs": arguments}}
        retried = await act(api, run, "retry", wish)
        assert (retried.status_code, retried.json()["code"]) == (403, "task_not_allowed")
    assert (await api.get(f"/v1/runs/{run}/status")).json()["status"] == "waiting"


# -- If-Match ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{}", '"{}"', 'W/"{}"'])
async def test_a_verb_may_be_bound_to_what_was_seen(api: Api, form: str):
    run = await api.start(WAITS)
    seq = (await api.get(f"/v1/runs/{run}/status")).json()["seq"]
    stale = await act(api, run, "pause", **{"If-Match": form.format(seq - 1)})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale")
    fresh = await act(api, run, "pause", **{"If-Match": form.format(seq)})
    assert fresh.status_code == 202


@pytest.mark.parametrize("value", ["abc", "-1", '"1.5"', "²", "9" * 30])
async def test_an_if_match_that_is_no_number_is_refused(api: Api, value: str):
    run = await api.start(WAITS)
    answer = await act(api, run, "pause", **{"If-Match": value.encode("latin-1")})
    assert answer.status_code in {400, 409}, answer.text
    assert (await api.get(f"/v1/runs/{run}/status")).json()["status"] == "waiting"


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("cancel", {"reasn": "x"}),
        ("cancel", {"reason": 5}),
        ("retry", {"step_record_id": 7}),
        ("retry", {"modifications": {"agentOverrides": {}}}),
        ("fork", {"version": None}),
        ("skip", []),
    ],
)
async def test_a_verb_refuses_a_body_it_does_not_know(api: Api, verb: str, body: Any):
    run = await api.start(WAITS)
    answer = await act(api, run, verb, body)
    assert answer.status_code == 422, answer.text
    assert (await api.get(f"/v1/runs/{run}/status")).json()["status"] == "waiting"


@pytest.mark.parametrize("verb", ["cancel", "abort", "pause", "resume", "retry", "skip", "fork"])
async def test_an_unknown_run_is_not_found(api: Api, verb: str):
    answer = await act(api, "run_00009999", verb)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_step_of_another_run_is_not_found(api: Api, tmp_path: Path):
    run = await failed(api, tmp_path / "counter")
    for step in ("stp_00009999_1", "nowhere"):
        key = "step_record_id" if step.startswith("stp_") else "step"
        answer = await act(api, run, "retry", {key: step})
        assert answer.status_code in {404, 409}, answer.text
    assert (await api.get(f"/v1/runs/{run}/status")).json()["status"] == "failed"


# -- many runs -----------------------------------------------------------------------------------


async def test_many_runs_are_steered_by_a_filter_after_a_rehearsal(api: Api):
    waiting = [await api.start(WAITS, labels={"team": "a"}) for _ in range(3)]
    other = await api.start(WAITS, labels={"team": "b"})
    body = {"status": ["waiting"], "label": "team=a", "dry_run": True}
    rehearsed = (await api.post("/v1/runs/actions/cancel", json=body)).json()
    assert (rehearsed["matched"], rehearsed["dry_run"]) == (3, True)
    assert (await api.get(f"/v1/runs/{waiting[0]}/status")).json()["status"] == "waiting"
    done = await api.post("/v1/runs/actions/cancel", json={**body, "dry_run": False})
    assert (done.status_code, done.json()["applied"]) == (202, 3)
    for run in waiting:
        assert (await api.get(f"/v1/runs/{run}/status")).json()["status"] == "cancelled"
    assert (await api.get(f"/v1/runs/{other}/status")).json()["status"] == "waiting"


@pytest.mark.parametrize(
    ("verb", "body"),
    [("cancel", {}), ("cancel", {"status": ["runing"]}), ("explode", {"workflow": "waits"})],
)
async def test_steering_many_needs_a_filter_and_a_verb(api: Api, verb: str, body: Any):
    run = await api.start(WAITS)
    answer = await api.post(f"/v1/runs/actions/{verb}", json=body)
    assert answer.status_code in {400, 422}, answer.text
    assert (await api.get(f"/v1/runs/{run}/status")).json()["status"] == "waiting"
