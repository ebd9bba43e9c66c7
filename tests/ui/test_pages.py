"""The pages as people use them: in Chromium, with keyboard and mouse, on the real service."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from podium.errors import AccessError
from podium.server.access import Caller

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\u202eabc"


def row(page: Page, run: str) -> Any:
    return page.get_by_role("row").filter(has_text=run)


def test_a_run_that_begins_appears_in_the_open_list(
    server: Any, page: Page, starting: Any, task: Any
) -> None:
    page.goto(server.url)
    expect(page.get_by_text("Nothing has run yet")).to_be_visible()

    run = starting("digest", task("one"))

    expect(row(page, run)).to_contain_text("completed")
    expect(row(page, run)).to_contain_text("$0.00")


def test_runs_are_filtered_and_the_address_says_so(
    server: Any, page: Page, starting: Any, task: Any
) -> None:
    good, bad = starting("good", task("one")), starting("bad", task("a", BROKEN, max_retries=0))
    server.wait(bad)
    page.goto(server.url)

    page.get_by_role("button", name="Failed").click()

    expect(row(page, bad)).to_be_visible()
    expect(row(page, good)).to_have_count(0)
    assert "status=failed" in page.url
    page.reload()
    expect(row(page, bad)).to_be_visible()
    expect(row(page, good)).to_have_count(0)


BROKEN = "python:served_tasks:broken"


def test_keys_alone_lead_through_the_list(
    server: Any, page: Page, starting: Any, task: Any
) -> None:
    starting("older", task("one"))
    newer = starting("newer", task("one"))
    server.wait(newer)
    page.goto(server.url)
    expect(row(page, newer)).to_be_visible()

    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_text("1 run selected")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")

    page.wait_for_url(re.compile(f"/runs/{newer}"))
    expect(page.get_by_role("tab", name="Timeline")).to_be_visible()
    page.keyboard.press("2")
    expect(page.get_by_role("tab", name="Timeline")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.wait_for_url(re.compile("/approvals"))


def test_a_verb_for_many_runs_names_those_it_leaves_alone(
    server: Any, page: Page, starting: Any, task: Any
) -> None:
    done = starting("done", task("one"))
    waits = starting("waits", task("one", "signal", **{"with": {"name": "go"}}))
    server.wait(done)
    page.goto(server.url)
    expect(row(page, waits)).to_contain_text("waiting")

    page.get_by_role("checkbox", name="Select all").check()
    page.get_by_role("region", name="Selected runs").get_by_role("button", name="Cancel").click()

    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 run would refuse")
    expect(dialog).to_contain_text("completed")
    dialog.get_by_role("button", name="Cancel 1 run").click()
    expect(row(page, waits)).to_contain_text("cancelled")


def test_hostile_text_stays_text(server: Any, page: Page, starting: Any, task: Any) -> None:
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.on("dialog", lambda dialog: seen.append(f"dialog {dialog.message}"))
    asking = {"prompt": HOSTILE, "payload": {"text": HOSTILE}}
    waits = starting("asks", task("ok", "approval", **{"with": asking}))
    run = starting("told", task("one", "signal", **{"with": {"name": "go"}}))
    server.client.post(f"/v1/runs/{run}/signals/go", json={"payload": {"text": HOSTILE}})
    server.wait(run)

    for address in (f"/runs/{run}?tab=data", f"/runs/{run}?step=one", "/approvals"):
        page.goto(f"{server.url}{address}")
        expect(page.get_by_text("<script>alert(2)</script>").first).to_be_visible()
        expect(page.get_by_text("\\u202eabc").first).to_be_visible()
        assert page.locator("img").count() == 0
    page.goto(f"{server.url}/runs/{waits}")
    expect(page.get_by_role("link", name="Decide")).to_be_visible()
    assert [url for url in seen if not url.startswith(server.url)] == []


def test_a_refused_verb_is_told_in_the_words_of_the_server(
    server: Any, page: Page, starting: Any, task: Any
) -> None:
    run = starting("import", task("post", BROKEN, max_retries=0))
    server.wait(run)
    page.goto(f"{server.url}/runs/{run}")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("dialog")).to_be_visible()

    # Somebody else was faster.
    told = server.client.post(f"/v1/runs/{run}/actions/abort", json={"reason": "not needed"})
    assert told.status_code == 202
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()

    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("409")
    expect(alert).to_contain_text("wrong_state")
    expect(alert).to_contain_text("aborted")


def test_the_graph_shows_what_was_planned_and_what_became_of_it(
    server: Any, page: Page, starting: Any, task: Any
) -> None:
    run = starting(
        "orders",
        task("list"),
        task("check", "noop", "list", for_each=[1, 2, 3]),
        task("confirm", "signal", "check", **{"with": {"name": "go"}}),
        task("ship", "noop", "confirm"),
    )
    page.goto(f"{server.url}/runs/{run}")
    graph = page.locator(".graph")

    expect(graph.get_by_role("group", name="list: completed")).to_be_visible()
    expect(graph.get_by_role("group", name="check: completed")).to_contain_text("3 of 3")
    expect(graph.get_by_role("group", name="confirm: waiting")).to_be_visible()
    expect(graph.get_by_role("group", name="ship: planned")).to_be_visible()
    expect(page.get_by_role("region", name="Why")).to_contain_text("signal")

    server.client.post(f"/v1/runs/{run}/signals/go", json={"payload": {"ok": True}})

    expect(graph.get_by_role("group", name="ship: completed")).to_be_visible()
    graph.get_by_role("group", name="confirm: completed").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary", name="Step confirm")).to_contain_text('"ok": true')


def test_a_step_shows_its_error_and_each_of_its_attempts(
    server: Any, page: Page, starting: Any, task: Any
) -> None:
    run = starting("import", task("post", BROKEN, max_retries=2, retry_delay=0.01))
    server.wait(run)
    page.goto(f"{server.url}/runs/{run}?step=post")

    panel = page.get_by_role("complementary", name="Step post")
    expect(panel).to_contain_text("it is broken")
    expect(panel.get_by_role("listitem")).to_have_count(3)


def test_a_decision_is_edited_and_approved_by_keys_alone(
    server: Any, page: Page, starting: Any, task: Any
) -> None:
    run = starting(
        "orders",
        task("pay", "python:served_tasks:double", checkpoint="before", **{"with": {"number": 2}}),
    )
    page.goto(f"{server.url}/approvals")
    expect(page.get_by_role("heading", name="Start pay?")).to_be_visible()

    page.keyboard.press("e")
    editor = page.get_by_role("textbox", name="Payload, edited")
    expect(editor).to_be_focused()
    editor.fill('{"number": 21}')
    expect(page.get_by_role("region", name="What changes")).to_contain_text('+   "number": 21')
    page.keyboard.press("Escape")
    page.keyboard.press("a")

    expect(page.get_by_text("Nobody waits for you")).to_be_visible()
    assert server.wait(run)["output"] == 42


def test_who_decides_second_is_told_what_was_decided(
    server: Any, page: Page, starting: Any, task: Any
) -> None:
    run = starting("orders", task("pay", "noop", checkpoint="before"))
    page.goto(f"{server.url}/approvals")
    expect(page.get_by_role("heading", name="Start pay?")).to_be_visible()
    [asked] = server.client.get("/v1/approvals").json()["items"]
    path = f"/v1/approvals/{asked['approval_id']}/decision"
    assert server.client.post(path, json={"decision": "approve"}).is_success

    page.keyboard.press("r")

    expect(page.get_by_role("alert")).to_contain_text("already_decided")
    expect(page.get_by_text("Nobody waits for you")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("already_decided")
    assert server.wait(run)["status"] == "completed"


def test_an_edit_that_is_no_json_cannot_be_approved(
    server: Any, page: Page, starting: Any, task: Any
) -> None:
    starting("orders", task("pay", "noop", checkpoint="before"))
    page.goto(f"{server.url}/approvals")

    page.get_by_role("button", name="Edit").click()
    page.get_by_role("textbox", name="Payload, edited").fill("{")

    expect(page.get_by_text("This is no JSON yet")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_be_disabled()


def test_a_published_workflow_is_started_from_its_page(server: Any, page: Page, task: Any) -> None:
    definition = {
        "name": "doubling",
        "inputs": {"number": {"type": "integer", "default": 21}},
        "tasks": [
            task(
                "one", "python:served_tasks:double", **{"with": {"number": "${{ inputs.number }}"}}
            )
        ],
    }
    assert server.client.post("/v1/workflows", json={"definition": definition}).is_success
    page.goto(f"{server.url}/workflows?workflow=doubling")

    page.get_by_role("button", name="Start a run").click()
    expect(page.get_by_role("textbox", name="Input")).to_have_value('{\n  "number": 21\n}')
    page.get_by_role("dialog").get_by_role("button", name="Start").click()

    page.wait_for_url(re.compile("/runs/run_"))
    run = page.url.rsplit("/", 1)[-1].partition("?")[0]
    assert server.wait(run)["output"] == 42


KEY = "sk_0123456789abcdef"


class OneKey:
    """Takes one key."""

    is_open = False

    async def look(self) -> None:
        pass

    async def authenticate(self, headers: Any) -> Caller:
        if headers.get("authorization") == f"Bearer {KEY}":
            return Caller(organization="default", role="admin", name="somebody")
        raise AccessError(
            "No key was sent.",
            fix="Send one.",
            code="PDM-R110",
            code_word="missing_credentials",
            status=401,
        )


@pytest.mark.parametrize("authenticator", [OneKey()])
def test_a_key_opens_the_pages_and_stays_in_the_tab(server: Any, page: Page) -> None:
    page.goto(server.url)

    page.get_by_label("API key").fill("sk_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("401")
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    expect(page.get_by_text("Nothing has run yet")).to_be_visible()
    assert page.context.cookies() == []
    assert KEY not in page.evaluate("JSON.stringify(localStorage)")
    assert KEY not in page.url
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
