"""Webhooks over HTTP: made, shown without secrets, delivered, and taken in once."""

import asyncio
import json
import time
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook

from podium.authoring.documents import load_workflow

SIGNAL = {
    "name": "gate",
    "tasks": [{"name": "go", "uses": "signal", "with": {"name": "paid"}}],
}
ORDER = "name: order\ninputs: {amount: {type: integer}}\ntasks: [{name: a}]"
FIELDS = {
    "webhook_id",
    "direction",
    "url",
    "events",
    "workflow",
    "signal",
    "pointer",
    "description",
    "active",
    "reason",
    "created_at",
}


@pytest.fixture
def settings(settings):
    return replace(settings, egress_allow=("127.0.0.1/32",))


async def made(api, **fields):
    answer = await api.post("/v1/webhooks", json=fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_secret_is_shown_once(api):
    hook = await made(api, url="https://example.com/hook")
    assert hook.keys() == FIELDS | {"secret"}
    assert hook["secret"].startswith("whsec_")
    path = f"/v1/webhooks/{hook['webhook_id']}"
    shown = (await api.get(path)).json()
    assert shown.keys() == FIELDS
    listed = await api.get("/v1/webhooks")
    assert listed.json() == {"items": [shown], "next_cursor": None}
    assert hook["secret"] not in listed.text
    rotated = await api.post(f"{path}/rotate", json={})
    assert rotated.json()["secret"] != hook["secret"]


async def test_a_webhook_is_changed_switched_and_deleted(api):
    hook = await made(api, url="https://example.com/hook", events=["orchestration.run.*"])
    path = f"/v1/webhooks/{hook['webhook_id']}"
    changed = await api.client.patch(path, json={"active": False, "description": "Pager"})
    assert changed.status_code == 200
    assert (changed.json()["active"], changed.json()["description"]) == (False, "Pager")
    assert changed.json()["url"] == hook["url"]
    assert (await api.client.delete(path)).status_code == 204
    assert (await api.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"url": "http://10.0.0.1/"}, 422, "url_not_allowed"),
        ({"url": "http://169.254.169.254/latest"}, 422, "url_not_allowed"),
        ({"url": "file:///etc/passwd"}, 422, "url_not_allowed"),
        ({"url": "https://user:pass@example.com/"}, 422, "url_not_allowed"),
        ({"url": "https://example.com:22/"}, 422, "url_not_allowed"),
        ({"url": "https://example.com/", "events": ["nothing"]}, 422, "invalid_webhook"),
        ({"url": "https://example.com/", "signal": "go"}, 422, "invalid_webhook"),
        ({"url": "https://example.com/", "secret": "abc"}, 422, "invalid_webhook"),
        ({}, 422, "invalid_webhook"),
        ({"workflow": "a", "signal": "b"}, 422, "invalid_webhook"),
        ({"workflow": "a", "pointer": "x"}, 422, "invalid_webhook"),
        ({"events": ["*"]}, 422, "invalid_webhook"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused_and_changes_nothing(api, body, status, code):
    answer = await api.post("/v1/webhooks", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await api.get("/v1/webhooks")).json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", ""),
        ("delete", ""),
        ("post", "/rotate"),
        ("post", "/test"),
        ("get", "/deliveries"),
        ("post", "/replay"),
    ],
)
async def test_an_unknown_webhook_is_404(api, method, path):
    body = {"json": {}} if method == "post" else {}
    answer = await api.client.request(
        method.upper(), f"/v1/webhooks/whk_0000000000000000{path}", **body
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


class Sink:
    """A receiver that verifies every message with the official library."""

    def __init__(self):
        self.secret = ""
        self.events = []
        self.came = asyncio.Event()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"
        return self

    async def __aexit__(self, *error):
        self._server.close()

    async def _serve(self, reader, writer):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.events.append(Webhook(self.secret).verify(body, headers))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()
        self.came.set()


async def test_events_arrive_signed_and_are_listed_as_delivered(api):
    async with Sink() as sink:
        port = int(sink.url.split(":")[2].split("/")[0])
        egress = api.app.engine.registry.services.egress
        egress._allowed = (*egress._allowed, f"127.0.0.1:{port}")
        hook = await made(api, url=sink.url, events=["orchestration.run.completed"])
        sink.secret = hook["secret"]
        path = f"/v1/webhooks/{hook['webhook_id']}"
        tested = (await api.post(f"{path}/test", json={})).json()
        assert tested == {"code": 204, "detail": "", "is_delivered": True}
        sink.came.clear()
        run = await api.start({"tasks": [{"name": "a"}]})
        await sink.came.wait()
        assert [event["type"] for event in sink.events] == [
            "orchestration.webhook.test",
            "orchestration.run.completed",
        ]
        assert sink.events[-1]["subject"] == run
        while True:
            [row] = (await api.get(f"{path}/deliveries")).json()["items"]
            if row["status"] == "delivered":
                break
        assert (row["attempts"], row["code"], row["due_at"]) == (1, 204, None)
        again = await api.post(f"{path}/replay", json={"delivery_id": row["delivery_id"]})
        assert (again.status_code, again.json()) == (202, {"replayed": 1})


# --- incoming -----------------------------------------------------------------------------------


def signed(secret, body, *, message_id="msg_1"):
    at = datetime.fromtimestamp(int(time.time()), UTC)
    signature = Webhook(secret).sign(message_id, at, body)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
        "Content-Type": "application/json",
    }


async def sent(api, hook, message, *, secret="", message_id="msg_1", body=None):
    body = json.dumps(message) if body is None else body
    headers = signed(secret or hook["secret"], body, message_id=message_id)
    path = f"/v1/webhooks/in/{hook['webhook_id']}"
    return await api.post(path, content=body.encode(), headers=headers)


async def publish(api, text=ORDER):
    expressions = api.app.engine.registry.expressions
    workflow = load_workflow(text, expressions=expressions).workflow
    await api.app.engine.registry.publish(workflow, organization=api.app.organization)


async def test_a_signed_message_starts_a_run_once(api):
    await publish(api)
    hook = await made(api, workflow="order", pointer="/data")
    first = await sent(api, hook, {"data": {"amount": 5}})
    again = await sent(api, hook, {"data": {"amount": 5}})
    other = await sent(api, hook, {"data": {"amount": 5}}, message_id="msg_2")
    assert [each.status_code for each in (first, again, other)] == [202, 202, 202]
    assert first.json()["run_id"] == again.json()["run_id"] != other.json()["run_id"]
    run = await api.end(first.json()["run_id"])
    assert run["input"] == {"amount": 5}


async def test_the_same_id_with_another_message_is_refused(api):
    await publish(api)
    hook = await made(api, workflow="order")
    await sent(api, hook, {"amount": 5})
    answer = await sent(api, hook, {"amount": 6})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reuse")


async def test_a_signed_message_is_a_signal_once(api):
    run = await api.start(SIGNAL)
    hook = await made(api, signal="paid")
    first = await sent(api, hook, {"run_id": run, "sum": 7})
    assert first.status_code == 202, first.text
    assert (await sent(api, hook, {"run_id": run, "sum": 7})).json() == first.json()
    await api.end(run)
    events = [event async for event in api.app.follow(run)]
    assert [e.type for e in events].count("orchestration.run.signalled") == 1


@pytest.mark.parametrize(
    ("spoil", "status", "code"),
    [
        ({"webhook-signature": "v1,AAAA"}, 401, "invalid_signature"),
        ({"webhook-signature": ""}, 401, "invalid_signature"),
        ({"webhook-timestamp": "1000000000"}, 401, "invalid_signature"),
        ({"webhook-id": "msg_other"}, 401, "invalid_signature"),
    ],
)
async def test_a_message_that_is_not_genuine_is_refused(api, spoil, status, code):
    hook = await made(api, workflow="order")
    headers = signed(hook["secret"], "{}") | spoil
    path = f"/v1/webhooks/in/{hook['webhook_id']}"
    answer = await api.post(path, content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("pointer", "body", "status", "code"),
    [
        ("/data", "{}", 422, "invalid_message"),
        ("", "not json", 422, "invalid_message"),
        ("/a/9", '{"a": [1]}', 422, "invalid_message"),
    ],
)
async def test_a_genuine_message_must_say_what_it_has_to(api, pointer, body, status, code):
    await publish(api)
    hook = await made(api, workflow="order", pointer=pointer)
    answer = await sent(api, hook, None, body=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_an_outgoing_webhook_takes_nothing_in(api):
    hook = await made(api, url="https://example.com/hook")
    answer = await sent(api, hook, {})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_signal_reaches_only_runs_of_the_same_organization(api):
    other = api.app.on_behalf_of("other")
    text = "name: gate\ntasks: [{name: go, uses: signal, with: {name: paid}}]"
    workflow = load_workflow(text, expressions=api.app.engine.registry.expressions).workflow
    run = await other.start(workflow)
    hook = await made(api, signal="paid")
    answer = await sent(api, hook, {"run_id": run.id})
    unknown = await sent(api, hook, {"run_id": "run_0000zzzz"}, message_id="msg_2")
    assert answer.status_code == unknown.status_code == 404
    assert answer.json()["code"] == unknown.json()["code"] == "not_found"
