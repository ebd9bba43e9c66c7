"""What attempts wrote, over HTTP: pages, a live tail, and nothing for other organizations."""

import asyncio
import json
import sys
import threading

import msgspec
import pytest
from tests.server.conftest import Api, Server

from podium.server.access import Caller, LocalTrust

TALKS = {"name": "talks", "tasks": [{"name": "a", "uses": "python:talking:talk", "with": {}}]}
GATED = {
    "name": "gated",
    "tasks": [
        {"name": "a", "uses": "python:talking:talk", "with": {}},
        {"name": "gate", "depends_on": ["a"], "uses": "signal", "with": {"name": "go"}},
        {"name": "b", "depends_on": ["gate"], "uses": "python:talking:talk", "with": {}},
    ],
}


@pytest.fixture(autouse=True)
def talking(settings, tmp_path, monkeypatch):
    # Not printed: the runner of the tests takes the standard output away from a running server.
    (tmp_path / "talking.py").write_text(
        "import logging\n"
        "def talk():\n"
        "    for n in range(3): logging.getLogger('talking').warning('line %s', n)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("talking", None)


@pytest.fixture
def settings(settings):
    return msgspec.structs.replace(settings, task_modules=("talking",))


async def kept(api):
    await api.app.engine.registry.services.logbook.flush()


async def test_lines_come_in_pages(api: Api):
    run = await api.start(TALKS)
    await api.end(run)
    await kept(api)
    first = (await api.get(f"/v1/runs/{run}/logs?limit=2")).json()
    assert [line["text"] for line in first["items"]] == ["line 0", "line 1"]
    assert {line["step"] for line in first["items"]} == {"a"}
    rest = (await api.get(f"/v1/runs/{run}/logs?limit=2&after={first['next_cursor']}")).json()
    assert [line["text"] for line in rest["items"]] == ["line 2"]
    assert rest["next_cursor"] is None
    assert (await api.get(f"/v1/runs/{run}/logs?step=b")).json()["items"] == []


async def test_lines_of_an_unknown_run_are_not_found(api: Api):
    assert (await api.get("/v1/runs/run_00000099/logs")).status_code == 404


async def test_lines_of_another_organization_are_not_found(api: Api):
    run = await api.start(TALKS)
    await api.end(run)
    await kept(api)
    trust = LocalTrust("elsewhere")
    trust._caller = Caller(organization="elsewhere", role="admin", name="eve")
    api.service.state.authenticator = trust
    for accept in ("application/json", "text/event-stream"):
        answer = await api.get(f"/v1/runs/{run}/logs", headers={"Accept": accept})
        assert answer.status_code == 404
    assert (await api.get("/v1/doctor")).status_code == 404


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=5000"])
async def test_a_wrong_parameter_is_told(api: Api, query):
    assert (await api.get(f"/v1/runs/run_00000001/logs?{query}")).status_code == 400


def test_lines_are_followed_until_the_run_ends(server: Server):
    run = server.client.post("/v1/runs", json={"definition": GATED}).json()["run_id"]
    seen, events, half = [], [], threading.Event()

    def follow():
        headers = {"Accept": "text/event-stream"}
        with server.client.stream("GET", f"/v1/runs/{run}/logs", headers=headers) as stream:
            for line in stream.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    events.append(value)
                elif name == "data" and events[-1] == "log":
                    seen.append(json.loads(value)["text"])
                if len(seen) == 3:
                    half.set()

    reader = threading.Thread(target=follow)
    reader.start()
    assert half.wait(10)
    signalled = server.app.run(run).signal("go")
    asyncio.run_coroutine_threadsafe(signalled, server.loop).result(10)
    reader.join(10)
    assert seen == ["line 0", "line 1", "line 2"] * 2
    assert events[-1] == "complete"


def test_whoever_comes_back_gets_the_rest(server: Server):
    run = server.client.post("/v1/runs", json={"definition": TALKS}).json()["run_id"]
    server.wait(run)
    path, stream = f"/v1/runs/{run}/logs", {"Accept": "text/event-stream"}
    text = server.client.get(path, headers=stream).text
    ids = [line[4:] for line in text.splitlines() if line.startswith("id: ")]
    assert len(ids) == 3, text
    rest = server.client.get(path, headers={**stream, "Last-Event-ID": ids[1]}).text
    assert [line[4:] for line in rest.splitlines() if line.startswith("id: ")] == ids[2:]


# --- the doctor ---------------------------------------------------------------------------------


async def test_the_doctor_answers_by_section(api: Api):
    await api.end(await api.start(TALKS))
    everything = (await api.get("/v1/doctor")).json()
    assert everything["ok"] is True
    assert everything["sections"][0]["section"] == "1.1"
    one = (await api.get("/v1/doctor?section=3.2")).json()["sections"]
    assert [section["title"] for section in one] == ["Checkpoint approvals missing"]
    refused = await api.get("/v1/doctor?section=9")
    assert (refused.status_code, refused.json()["podium_code"]) == (400, "PDM-R170")


async def test_a_viewer_may_not_examine(api: Api):
    trust = LocalTrust(api.settings.organization)
    trust._caller = Caller(organization=api.settings.organization, role="viewer", name="eve")
    api.service.state.authenticator = trust
    assert (await api.get("/v1/doctor")).status_code == 403
