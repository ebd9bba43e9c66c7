"""Events over HTTP: streams, pages and sockets with one cursor, over lost connections and kills."""

import asyncio
import json
from contextlib import contextmanager

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as open_socket

from podium.authoring.documents import load_workflow
from podium.authoring.following import followed
from podium.core.ids import parse_run_id
from podium.server.streams import run_frames

GATE = {
    "name": "gate",
    "tasks": [
        {"name": "first"},
        {"name": "go", "uses": "signal", "with": {"name": "go"}, "depends_on": ["first"]},
        *({"name": f"t{n}", "depends_on": ["go"]} for n in range(10)),
    ],
}
JSON = {"Accept": "application/json"}
STREAM = {"Accept": "text/event-stream"}


def parsed(text):
    """Return the frames of a stream as (id, event, data); comments are left out."""
    frames = []
    for block in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.splitlines() if not line.startswith(":")
        )
        if fields.keys() - {"retry"}:
            data = json.loads(fields["data"]) if "data" in fields else None
            frames.append((fields.get("id"), fields.get("event"), data))
    return frames


async def finished(api, definition=GATE):
    run = await api.start(definition)
    await api.post(f"/v1/runs/{run}/signals/go", json={})
    await api.end(run)
    return run


async def page(api, run, **params):
    answer = await api.get(f"/v1/runs/{run}/events", params=params, headers=JSON)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_page_holds_cloud_events_in_order(api):
    run = await finished(api)
    found = await page(api, run)
    numbers = [event["sequence"] for event in found["items"]]
    assert numbers == sorted(set(numbers))
    assert found["items"][0]["type"] == "orchestration.run.queued"
    assert found["items"][0]["subject"] == run
    required = {"specversion", "id", "source", "type"}
    assert all(required <= event.keys() for event in found["items"])
    assert {event["specversion"] for event in found["items"]} == {"1.0"}
    assert (found["next_cursor"], found["has_ended"]) == (None, True)


async def test_pages_follow_one_another_without_gap_and_without_duplicate(api):
    run = await finished(api)
    whole = (await page(api, run))["items"]
    found, cursor = [], ""
    while cursor is not None:
        part = await page(api, run, after=cursor, limit=3)
        found += part["items"]
        cursor = part["next_cursor"]
    assert found == whole


async def test_a_stream_holds_the_same_events_and_says_that_it_is_complete(api):
    run = await finished(api)
    answer = await api.get(f"/v1/runs/{run}/events", headers=STREAM)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("retry: 2000\nid: ")
    *frames, end = parsed(answer.text)
    assert [data for _, _, data in frames] == (await page(api, run))["items"]
    assert all((number, kind) == (str(e["sequence"]), e["type"]) for number, kind, e in frames)
    assert end[0] is None
    assert end[1] == "complete"
    assert end[2]["status"] == "completed"


async def test_a_run_that_did_not_complete_ends_with_error(api):
    run = await api.start(GATE)
    await api.app.run(run).cancel()
    await api.end(run)
    answer = await api.get(f"/v1/runs/{run}/events", headers=STREAM)
    _, kind, data = parsed(answer.text)[-1]
    assert (kind, data["status"]) == ("error", "cancelled")


async def test_a_stream_goes_on_after_every_id(api):
    run = await finished(api)
    whole = (await page(api, run))["items"]
    for cursor in [event["sequence"] for event in whole]:
        headers = STREAM | {"Last-Event-ID": str(cursor)}
        # The header counts: a browser that connects again still has the URL it began with.
        answer = await api.get(f"/v1/runs/{run}/events?after=0", headers=headers)
        *frames, end = parsed(answer.text)
        assert [data for _, _, data in frames] == [e for e in whole if e["sequence"] > cursor]
        assert end[1] == "complete"
        assert parsed(answer.text)[0][0] is not None


async def test_the_id_of_an_event_is_a_cursor_too(api):
    run = await finished(api)
    whole = (await page(api, run))["items"]
    assert (await page(api, run, after=whole[3]["id"]))["items"] == whole[4:]


@pytest.mark.parametrize(
    ("cursor", "status", "code"),
    [
        ("garbage", 400, "invalid_cursor"),
        ("-1", 400, "invalid_cursor"),
        ("1.5", 400, "invalid_cursor"),
        ("٣", 400, "invalid_cursor"),
        ("9" * 13, 400, "invalid_cursor"),
        ("999999", 400, "invalid_cursor"),
        ("run_0000zzzz:3", 404, "not_found"),
        ("other:3", 400, "invalid_cursor"),
    ],
)
@pytest.mark.parametrize("headers", [JSON, STREAM], ids=["page", "stream"])
async def test_a_bad_cursor_is_refused_before_the_stream_begins(api, cursor, status, code, headers):
    run = await finished(api)
    answer = await api.get(f"/v1/runs/{run}/events", params={"after": cursor}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_silent_stream_sends_heartbeats(api):
    run = await api.start(GATE)
    async with followed(api.app, run) as follower:
        frames = run_frames(parse_run_id(run), follower, heartbeat_s=0.01)
        assert (await anext(frames)).startswith(b"retry: 2000\nid: ")
        while await anext(frames) != b": heartbeat\n\n":
            pass
        await frames.aclose()


async def test_an_unknown_run_is_404(api):
    answer = await api.get("/v1/runs/run_0000zzzz/events", headers=STREAM)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


# --- over a socket ------------------------------------------------------------------------------


def started(server):
    answer = server.client.post("/v1/runs", json={"definition": GATE})
    assert answer.status_code == 202, answer.text
    return answer.json()["run_id"]


def go(server, run):
    assert server.client.post(f"/v1/runs/{run}/signals/go", json={}).status_code < 300


@contextmanager
def stream_of(server, run, **headers):
    """Give the lines of a stream."""
    with server.client.stream("GET", f"/v1/runs/{run}/events", headers=headers) as answer:
        assert answer.status_code == 200
        yield answer.iter_lines()


def ids(server, run):
    answer = server.client.get(f"/v1/runs/{run}/events", headers=JSON)
    return [event["sequence"] for event in answer.json()["items"]]


def test_a_live_stream_gives_what_happens_and_ends_with_the_run(server):
    run = started(server)
    seen = []
    with stream_of(server, run) as lines:
        for line in lines:
            if line == "event: orchestration.run.waiting":
                go(server, run)
            if line.startswith("id: "):
                seen.append(int(line[4:]))
        assert line == ""
    assert seen == ids(server, run)


def test_a_stream_that_has_nothing_to_tell_begins_with_an_id(server):
    run = started(server)
    server.app.run(run)
    with stream_of(server, run) as lines:
        last = next(line for line in lines if line == "event: orchestration.run.waiting")
        assert last
    cursor = ids(server, run)[-1]
    with stream_of(server, run, **{"Last-Event-ID": str(cursor)}) as lines:
        assert [next(lines), next(lines)] == ["retry: 2000", f"id: {cursor}"]


def url_of(server, run, query=""):
    return f"{server.url.replace('http', 'ws')}/v1/runs/{run}/ws{query}"


def heard(socket):
    """Return the messages of a socket up to its end, and how it was closed."""
    messages = []
    try:
        while True:
            messages.append(json.loads(socket.recv(timeout=20)))
    except ConnectionClosed as closed:
        return messages, closed.rcvd.code


def test_a_socket_tells_the_same_with_the_same_cursor(server):
    run = started(server)
    go(server, run)
    server.wait(run)
    whole = server.client.get(f"/v1/runs/{run}/events", headers=JSON).json()["items"]
    with open_socket(url_of(server, run)) as socket:
        messages, code = heard(socket)
    assert messages[:-1] == whole
    assert (messages[-1]["type"], code) == ("complete", 1000)
    middle = whole[5]["sequence"]
    with open_socket(url_of(server, run, f"?after={middle}")) as socket:
        assert heard(socket)[0][:-1] == whole[6:]


@pytest.mark.parametrize(("cursor", "code"), [("garbage", 4400), ("999999", 4400)])
def test_a_socket_says_what_is_wrong_with_a_cursor(server, cursor, code):
    run = started(server)
    with open_socket(url_of(server, run, f"?after={cursor}")) as socket:
        messages, closed = heard(socket)
    assert (messages[0]["code"], closed) == ("invalid_cursor", code)


def test_a_socket_of_an_unknown_run_is_closed_as_not_found(server):
    with open_socket(url_of(server, "run_0000zzzz")) as socket:
        assert heard(socket)[1] == 4404


def test_a_server_that_leaves_tells_its_streams(server):
    run = started(server)
    with stream_of(server, run) as lines, open_socket(url_of(server, run)) as socket:
        next(line for line in lines if line == "event: orchestration.run.waiting")
        server.loop.call_soon_threadsafe(server._stop.set)
        assert "event: closing" in list(lines)
        messages, code = heard(socket)
        assert (messages[-1]["type"], code) == ("closing", 1012)


# --- the feed -----------------------------------------------------------------------------------


async def feed(api, **params):
    answer = await api.get("/v1/events", params=params, headers=JSON)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_feed_tells_of_all_runs_in_the_order_of_their_commits(api):
    start = (await feed(api))["cursor"]
    runs = await asyncio.gather(*(finished(api) for _ in range(5)))
    found = (await feed(api, after=start))["items"]
    for run in runs:
        of_run = [e["event"] for e in found if e["event"]["source"] == f"/v1/runs/{run}"]
        assert of_run == (await page(api, run))["items"]
    assert len(found) == sum([len((await page(api, run))["items"]) for run in runs])


async def test_pages_of_the_feed_follow_one_another(api):
    start = cursor = (await feed(api))["cursor"]
    await finished(api)
    whole = (await feed(api, after=start))["items"]
    found = []
    while cursor is not None:
        part = await feed(api, after=cursor, limit=4)
        found += part["items"]
        cursor = part["next_cursor"]
    assert found == whole


async def test_the_feed_is_narrowed_by_types(api):
    start = (await feed(api))["cursor"]
    await finished(api)
    found = (await feed(api, after=start, types="run.completed,run.queued"))["items"]
    assert [e["event"]["type"].rpartition(".")[2] for e in found] == ["queued", "completed"]


async def test_the_feed_of_one_organization_holds_nothing_of_another(api):
    start = (await feed(api))["cursor"]
    other = api.app.on_behalf_of("other")
    expressions = api.app.engine.registry.expressions
    workflow = load_workflow("tasks: [{name: a}]", expressions=expressions).workflow
    await (await other.start(workflow)).wait()
    assert (await feed(api, after=start))["items"] == []


@pytest.mark.parametrize("cursor", ["garbage", "1", "1.x", "99999.1"])
async def test_a_bad_cursor_of_the_feed_is_refused(api, cursor):
    answer = await api.get("/v1/events", params={"after": cursor}, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


def test_the_feed_streams_what_happens_and_goes_on_where_it_was_left(server):
    def read(cursor, wanted):
        """Read the stream of the feed up to an event; return the types and the last id."""
        types, last = [], cursor
        headers = {"Last-Event-ID": cursor} if cursor else {}
        with server.client.stream("GET", "/v1/events", headers=headers) as answer:
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if line.startswith("retry"):
                    begun.append(started(server) if not begun else "")
                last = value if name == "id" else last
                types += [value.removeprefix("orchestration.")] if name == "event" else []
                if not line and types and types[-1] == wanted:
                    return types, last
        raise AssertionError(types)

    begun = []
    first, cursor = read("", "run.waiting")
    go(server, begun[0])
    second, _ = read(cursor, "run.completed")
    answer = server.client.get(f"/v1/runs/{begun[0]}/events", headers=JSON)
    whole = [event["type"].removeprefix("orchestration.") for event in answer.json()["items"]]
    assert first + second == whole
