"""Runs over HTTP: started, listed, looked at."""

import asyncio

import pytest
from tests.server.conftest import Api, Server

HELLO = {"name": "hello", "tasks": [{"name": "first"}]}
DOUBLE = {
    "name": "double",
    "inputs": {"number": {"type": "integer"}},
    "tasks": [
        {
            "name": "twice",
            "uses": "python:served_tasks:double",
            "with": {"number": "${{ inputs.number }}"},
        }
    ],
}
WAITS = {"name": "waits", "tasks": [{"name": "ask", "checkpoint": "before"}]}


async def test_a_definition_sent_along_runs_to_its_end(api: Api):
    run = await api.start(DOUBLE, input={"number": 21})
    ended = await api.end(run)
    assert (ended["status"], ended["output"], ended["input"]) == ("completed", 42, {"number": 21})


def test_a_run_goes_over_a_real_socket(server: Server):
    answer = server.client.post("/v1/runs", json={"definition": DOUBLE, "input": {"number": 2}})
    assert answer.status_code == 202
    assert answer.headers["x-request-id"].startswith("req_")
    assert server.wait(answer.json()["run_id"])["output"] == 4


async def test_a_definition_may_be_yaml(api: Api):
    run = await api.start("name: short\ntasks: [{name: only}]")
    assert (await api.end(run))["workflow"] == "short"


async def test_a_published_workflow_is_started_by_name(api: Api):
    await api.post("/v1/workflows", json={"definition": DOUBLE})
    answer = await api.post("/v1/runs", json={"workflow": "double", "input": {"number": 4}})
    assert (await api.end(answer.json()["run_id"]))["output"] == 8


async def test_an_unknown_workflow_is_named_with_the_nearest_one(api: Api):
    await api.post("/v1/workflows", json={"definition": DOUBLE})
    answer = await api.post("/v1/runs", json={"workflow": "dubble"})
    assert answer.status_code == 404
    assert answer.json()["fix"] == "Did you mean 'double'?"


@pytest.mark.parametrize("body", [{}, {"workflow": "a", "definition": HELLO}])
async def test_a_start_names_one_thing(api: Api, body: dict):
    answer = await api.post("/v1/runs", json=body)
    assert (answer.status_code, answer.json()["podium_code"]) == (422, "PDM-R138")


# -- idempotency ---------------------------------------------------------------------------------


async def test_the_same_key_and_request_is_the_same_run(api: Api):
    body = {"definition": HELLO, "idempotency_key": "today"}
    answers = await asyncio.gather(*(api.post("/v1/runs", json=body) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["run_id"] for answer in answers}) == 1


async def test_the_key_may_stand_in_a_header(api: Api):
    key = {"Idempotency-Key": "today"}
    first = await api.post("/v1/runs", json={"definition": HELLO}, headers=key)
    second = await api.post("/v1/runs", json={"definition": HELLO, "idempotency_key": "today"})
    assert first.json()["run_id"] == second.json()["run_id"]


async def test_two_keys_that_differ_are_refused(api: Api):
    body = {"definition": HELLO, "idempotency_key": "one"}
    answer = await api.post("/v1/runs", json=body, headers={"Idempotency-Key": "two"})
    assert answer.status_code == 422
    assert (await api.get("/v1/runs")).json()["items"] == []


async def test_the_same_key_with_another_request_is_refused(api: Api):
    await api.start(DOUBLE, input={"number": 1}, idempotency_key="k")
    body = {"definition": DOUBLE, "input": {"number": 2}, "idempotency_key": "k"}
    answer = await api.post("/v1/runs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reuse")
    assert len((await api.get("/v1/runs")).json()["items"]) == 1


# -- what a definition from outside may name -----------------------------------------------------


@pytest.mark.parametrize(
    "task",
    [
        {"uses": "python:os:system", "with": {"command": "true"}},
        {"uses": "python:shutil:rmtree", "with": {"path": "/tmp/nowhere"}},
        {"uses": "python:served_tasks:join", "with": {"a": "b"}},
        {"uses": "python:served_tasks:os.system"},
        {"uses": "shell", "with": {"command": ["rm", "-rf", "/"]}},
        {"uses": "shell", "with": {"command": ["${{ inputs.program }}"]}},
        {"uses": "shell", "with": {"command": ["true"], "env": {"LD_PRELOAD": "/tmp/x.so"}}},
        {"uses": "shell", "with": {"command": ["true"], "env": {"PATH": "/tmp"}}},
    ],
    ids=lambda task: str(task)[:60],
)
async def test_a_definition_may_not_name_what_is_not_listed(api: Api, task: dict):
    definition = {"name": "evil", "inputs": {"program": {}}, "tasks": [{"name": "x", **task}]}
    for path, body in (
        ("/v1/runs", {"definition": definition, "input": {"program": "true"}}),
        ("/v1/workflows", {"definition": definition}),
    ):
        answer = await api.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "task_not_allowed")
    assert (await api.get("/v1/runs")).json()["items"] == []
    assert (await api.get("/v1/workflows")).json()["items"] == []


async def test_what_is_listed_may_be_named_inside_of_blocks_too(api: Api):
    inner = {"name": "deep", "uses": "shell", "with": {"command": ["true"]}}
    run = await api.start({"name": "nested", "tasks": [{"name": "block", "tasks": [inner]}]})
    assert (await api.end(run))["status"] == "completed"
    evil = {**inner, "with": {"command": ["false"]}}
    body = {"definition": {"name": "nested", "tasks": [{"name": "block", "tasks": [evil]}]}}
    assert (await api.post("/v1/runs", json=body)).status_code == 403


async def test_an_agent_from_outside_reads_no_file_of_the_server(api: Api):
    for tool in ("read_file", "grep"):
        agent = {"instructions": "Look.", "tools": [{"uses": tool, "roots": ["/etc"]}]}
        task = {"name": "x", "uses": "agent:spy", "with": {}}
        definition = {"name": "spies", "agents": {"spy": agent}, "tasks": [task]}
        answer = await api.post("/v1/runs", json={"definition": definition})
        assert (answer.status_code, answer.json()["code"]) == (403, "task_not_allowed")


async def test_no_file_is_read_for_a_definition_from_outside(api: Api):
    definition = {
        "name": "reads",
        "agents": {"a": {"instructions": "../../etc/passwd.txt"}},
        "tasks": [{"name": "x", "uses": "agent:a", "with": {}}],
    }
    answer = await api.post("/v1/runs", json={"definition": definition})
    assert answer.status_code == 422
    assert "root:" not in answer.text


# -- lists ---------------------------------------------------------------------------------------


async def test_pages_hold_every_run_once_while_more_are_started(api: Api):
    started = [await api.start(HELLO) for _ in range(7)]
    seen, cursor = [], ""
    while cursor is not None:
        page = (await api.get("/v1/runs", params={"limit": 3, "cursor": cursor})).json()
        seen += [each["run_id"] for each in page["items"]]
        cursor = page["next_cursor"]
        await api.start(HELLO)
    assert seen == started[::-1]


async def test_lists_are_filtered(api: Api):
    done = await api.start(HELLO, labels={"team": "a"})
    await api.end(done)
    waiting = await api.start(WAITS, labels={"team": "b"})
    await api.post(f"/v1/runs/{waiting}/actions/pause")
    for query, expected in (
        ("status=completed", [done]),
        ("status=success", [done]),
        ("status=paused,failed", [waiting]),
        ("status=paused&status=completed", [waiting, done]),
        ("workflow=waits", [waiting]),
        ("label=team=a", [done]),
        ("created_after=2099-01-01T00:00:00Z", []),
        ("created_before=2099-01-01T00:00:00%2B02:00", [waiting, done]),
        ("status=paused&workflow=hello", []),
    ):
        found = (await api.get(f"/v1/runs?{query}")).json()["items"]
        assert [each["run_id"] for each in found] == expected, query


@pytest.mark.parametrize(
    "query",
    [
        *("status=faild", "limit=0", "limit=1001", "limit=x", "cursor=nonsense", "label=team"),
        *("created_after=yesterday", "created_after=2026-01-01T00:00:00", "stauts=failed"),
    ],
)
async def test_a_list_refuses_what_it_does_not_understand(api: Api, query: str):
    answer = await api.get(f"/v1/runs?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]


# -- one run -------------------------------------------------------------------------------------


async def test_a_run_is_seen_from_every_side(api: Api):
    run = await api.start(DOUBLE, input={"number": 3}, labels={"team": "x"})
    await api.end(run)
    [step] = (await api.get(f"/v1/runs/{run}/steps")).json()["items"]
    assert (step["path"], step["status"], step["attempts"], step["output"]) == (
        *("twice", "completed", 1, 6),
    )
    status = (await api.get(f"/v1/runs/{run}/status")).json()
    assert (status["status"], status["steps"]) == ("completed", {"open": 0, "done": 1, "failed": 0})
    plan = (await api.get(f"/v1/runs/{run}/plan")).json()
    assert (plan["plan"]["waves"], plan["actual"]) == ([["twice"]], {"twice": "completed"})
    cost = (await api.get(f"/v1/runs/{run}/cost")).json()
    assert (cost["cost_usd"], cost["items"]) == (0.0, [])
    told = (await api.get(f"/v1/runs/{run}/explain")).json()
    assert told["sentence"] == "It completed."
    assert told["since_at"].endswith("Z")


async def test_the_steps_of_a_running_run_are_counted_as_of_now(api: Api):
    tasks = [
        {"name": "first", "uses": "python:served_tasks:double", "with": {"number": 1}},
        {"name": "last", "uses": "python:served_tasks:forever", "depends_on": ["first"]},
    ]
    run = await api.start({"name": "runs", "tasks": tasks})
    while (await api.get(f"/v1/runs/{run}")).json()["steps"] != {"open": 1, "done": 1, "failed": 0}:
        pass
    await api.post(f"/v1/runs/{run}/actions/abort")


async def test_a_failed_run_says_why(api: Api):
    task = {"name": "x", "uses": "python:served_tasks:broken", "max_retries": 0}
    failed = await api.end(await api.start({"name": "breaks", "tasks": [task]}))
    assert (failed["status"], failed["error"]["detail"]) == ("failed", "it is broken")
    assert "Traceback" not in str(failed)


async def test_steps_come_in_pages(api: Api):
    tasks = [{"name": f"t{n}"} for n in range(5)]
    run = await api.start({"name": "many", "tasks": tasks})
    await api.end(run)
    first = (await api.get(f"/v1/runs/{run}/steps?limit=3")).json()
    cursor = first["next_cursor"]
    rest = (await api.get(f"/v1/runs/{run}/steps?limit=3&cursor={cursor}")).json()
    assert [s["path"] for s in first["items"] + rest["items"]] == ["t0", "t1", "t2", "t3", "t4"]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("view", ["", "/status", "/steps", "/explain", "/plan", "/cost"])
async def test_an_unknown_run_is_not_found_from_any_side(api: Api, view: str):
    answer = await api.get(f"/v1/runs/run_00009999{view}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_step_comes_with_what_it_was_given_and_what_it_gave(api: Api) -> None:
    run = await api.start(DOUBLE, input={"number": 2})
    await api.end(run)
    [listed] = (await api.get(f"/v1/runs/{run}/steps")).json()["items"]
    step = (await api.get(f"/v1/runs/{run}/steps/{listed['step_record_id']}")).json()
    assert step == {**listed, "input": {"number": 2}}


async def test_a_step_that_cannot_be_told_its_input_yet_has_none(api: Api) -> None:
    gate = {"name": "gate", "uses": "signal", "with": {"name": "go"}}
    after = {"name": "b", "depends_on": ["gate"], "with": {"x": "${{ tasks.gate.output.x }}"}}
    run = await api.start({"name": "waits", "tasks": [gate, after]})
    steps = (await api.get(f"/v1/runs/{run}/steps")).json()["items"]
    for listed in steps:
        answer = await api.get(f"/v1/runs/{run}/steps/{listed['step_record_id']}")
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("step", ["stp_00000001_99", "stp_0000ffff_1", "nonsense"])
async def test_a_step_that_a_run_does_not_have_is_not_found(api: Api, step: str) -> None:
    run = await api.start(HELLO)
    answer = await api.get(f"/v1/runs/{run}/steps/{step}")
    assert answer.status_code == (400 if step == "nonsense" else 404)
