"""Text of steps while they go on, over HTTP: from any moment on, and no further than the run."""

import asyncio
import json
import sys

import msgspec
import pytest
from tests.server.conftest import Api, Server

from podium.server.routes.text import text_frames

SPEAKING = {
    "name": "speaking",
    "tasks": [
        {"name": "a", "uses": "python:speaking:talk"},
        {"name": "gate", "depends_on": ["a"], "uses": "signal", "with": {"name": "go"}},
        {"name": "b", "depends_on": ["gate"], "uses": "python:speaking:talk"},
    ],
}


@pytest.fixture
def settings(settings):
    return msgspec.structs.replace(settings, task_modules=("speaking",))


@pytest.fixture(autouse=True)
def speaking(settings, tmp_path, monkeypatch):
    (tmp_path / "speaking.py").write_text(
        "import podium\ndef talk():\n    for word in ('one', ' two'): podium.stream(word)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("speaking", None)


def parsed(body: str) -> list[tuple[str, dict]]:
    frames = [
        dict(line.split(": ", 1) for line in each.splitlines()) for each in body.split("\n\n")
    ]
    return [(each["event"], json.loads(each["data"])) for each in frames if "event" in each]


async def at_rest(api: Api, run: str) -> None:
    """Wait until the run waits for its signal."""
    changed = asyncio.Event()
    api.app.engine.listen(api.app.run(run).run_no, lambda *_: changed.set())
    while (await api.get(f"/v1/runs/{run}")).json()["status"] != "waiting":
        await changed.wait()


async def test_text_comes_until_the_run_has_ended(api: Api):
    run = await api.start(SPEAKING)
    await at_rest(api, run)
    async with asyncio.TaskGroup() as group:
        told = group.create_task(api.get(f"/v1/runs/{run}/text"))
        while not api.app.engine.registry.services.streams.has_readers(run):  # noqa: ASYNC110
            await asyncio.sleep(0)
        await api.post(f"/v1/runs/{run}/signals/go", json={})
    answer = told.result()
    assert answer.headers["content-type"].startswith("text/event-stream")
    *texts, last = parsed(answer.text)
    assert last == ("complete", {"run_id": run, "status": "completed"})
    assert "".join(data["text"] for _, data in texts) == "one two"
    assert {(data["run"], data["step"]) for _, data in texts} == {(run, "b")}


async def test_silence_is_broken_by_heartbeats_and_ends_with_the_reader(api: Api):
    run = await api.start(SPEAKING)
    await at_rest(api, run)
    frames = text_frames(api.app, api.app.run(run), heartbeat_s=0.01)
    assert (await anext(frames)).startswith(b"retry: ")
    assert await anext(frames) == b": heartbeat\n\n"
    await frames.aclose()
    assert not api.app.engine.registry.services.streams.has_readers(run)


async def test_the_text_of_an_unknown_run_is_not_found(api: Api):
    assert (await api.get("/v1/runs/run_0000ffff/text")).status_code == 404


def test_a_server_that_leaves_says_so(server: Server):
    run = server.client.post("/v1/runs", json={"definition": SPEAKING}).json()["run_id"]
    with server.client.stream("GET", f"/v1/runs/{run}/text") as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("retry: ")
        server.loop.call_soon_threadsafe(server._stop.set)
        rest = list(lines)
    assert "event: closing" in rest
