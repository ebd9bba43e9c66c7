"""Webhooks on the command line: made, shown without secrets, tested, parked and replayed."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from standardwebhooks.webhooks import Webhook

URL = "https://example.com/hook"


@pytest.fixture
def made(podium):
    """Make an outgoing webhook."""
    return podium("webhooks", "create", URL, "--events", "orchestration.run.*", "--json").json


@pytest.fixture
def receiver():
    """Give a server that answers 204 and notes what came."""
    came = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments):
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, came
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_secret_is_printed_once(podium, made):
    assert made["secret"].startswith("whsec_")
    for command in (("list",), ("show", made["webhook_id"])):
        for mode in ((), ("--json",)):
            assert "whsec_" not in podium("webhooks", *command, *mode).out
    rotated = podium("webhooks", "rotate", made["webhook_id"], "--json").json
    assert rotated["secret"] != made["secret"]


def test_a_webhook_is_switched_off_and_on_and_forgotten(podium, made):
    hook = made["webhook_id"]
    assert podium("webhooks", "disable", hook, "--json").json["active"] is False
    assert "off" in podium("webhooks", "list").out
    assert podium("webhooks", "enable", hook, "--json").json["active"] is True
    assert podium("webhooks", "delete", hook).code == 0
    missing = podium("webhooks", "show", hook, "--json")
    assert (missing.code, missing.json["error"]["code"]) == (3, "PDM-R416")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["http://127.0.0.1/"], "PDM-R152"),
        ([URL, "--events", "steps"], "PDM-R153"),
        ([URL, "--start", "order"], "PDM-R153"),
        ([], "PDM-R153"),
        (["--start", "a", "--signal", "b"], "PDM-R153"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(podium, arguments, code):
    refused = podium("webhooks", "create", *arguments, "--json")
    assert (refused.code, refused.json["error"]["code"]) == (2, code)
    assert podium("webhooks", "list", "--json").json["items"] == []


def test_an_incoming_webhook_says_where_messages_come_in(podium):
    made = podium("webhooks", "create", "--start", "order", "--pointer", "/data")
    assert "/v1/webhooks/in/whk_" in made.err
    assert "starts order" in podium("webhooks", "list").out


def test_a_test_message_arrives_signed(podium, receiver, monkeypatch):
    port, came = receiver
    monkeypatch.setenv("PODIUM_EGRESS_ALLOW", f"localhost:{port}")
    made = podium("webhooks", "create", f"http://localhost:{port}/", "--json").json
    tested = podium("webhooks", "test", made["webhook_id"], "--json")
    assert (tested.code, tested.json["code"]) == (0, 204)
    [(headers, body)] = came
    assert Webhook(made["secret"]).verify(body, headers)["type"] == "orchestration.webhook.test"


def test_a_run_tells_before_its_process_ends(podium, receiver, monkeypatch, tmp_path):
    port, came = receiver
    monkeypatch.setenv("ORCHESTRATION_PROGRESS_WEBHOOK_URL", f"http://127.0.0.1:{port}/")
    (tmp_path / "flow.yaml").write_text("tasks: [{name: a}]")
    assert podium("run", "flow.yaml").code == 0
    told = b"".join(body for _, body in came)
    assert b"orchestration.run.completed" in told
    rows = podium("webhooks", "deliveries", "whk_progress", "--json").json["items"]
    assert {row["status"] for row in rows} == {"delivered"}
    again = podium("webhooks", "replay", "whk_progress", "--delivery", rows[0]["delivery_id"])
    assert "1 due again" in again.err
    assert "pending" in podium("webhooks", "deliveries", "whk_progress").out


def test_a_receiver_that_is_not_there_is_told_in_words(podium, monkeypatch):
    monkeypatch.setenv("PODIUM_EGRESS_ALLOW", "localhost:1")
    made = podium("webhooks", "create", "http://localhost:1/", "--json").json
    tested = podium("webhooks", "test", made["webhook_id"])
    assert tested.code == 1
    assert "No answer" in tested.err
