"""Two organizations on one service: what belongs to the other one does not exist.

Every route that takes an id is asked twice, once with the id of something that the other
organization has and once with one that nothing has. The two answers must be the same bytes.
"""

import asyncio
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import apsw
import httpx2 as httpx
import pytest
from litestar.routes import HTTPRoute
from tests.server.conftest import Api
from tests.server.test_every_route import socket_messages

from podium.core.ids import approval_id, approval_no, pack_key, parse_run_id, run_id
from podium.server.access import NEEDS, Permission, handlers_of

NOBODYS_RUN = run_id(parse_run_id("run_00zzzzzz"))
ASK = {
    "name": "secret-plan",
    "tasks": [{"name": "publish", "with": {"text": "canary-of-acme"}, "checkpoint": "before"}],
}
HELLO = {"name": "hello", "tasks": [{"name": "first"}]}
CANARY = "canary-of-acme"

Ids = tuple[str, str]
"""The id of something of acme, and one of the same form that nothing has."""


@dataclass
class Tenants:
    """Acme, which has one of everything, and globex, which asks."""

    api: Api
    acme: dict[str, str]
    globex: dict[str, str]
    ids: dict[str, Ids]
    """By the name of the parameter that takes it."""

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask as globex."""
        return await self.api.client.request(method, path, headers=self.globex, **options)

    async def as_acme(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self.api.client.request(method, path, headers=self.acme, **options)


async def two(api: Api) -> Tenants:
    """Return two organizations; acme has a run that waits for an approval, and the rest."""
    keys = {}
    for slug in ("acme", "globex"):
        await api.app.organizations.create(slug)
        made = await api.app.keys.create("admin", organization=slug)
        keys[slug] = (made.row.key_id, {"Authorization": f"Bearer {made.key}"})
    acme, globex = keys["acme"][1], keys["globex"][1]
    tenants = Tenants(api, acme, globex, {})
    body = {"definition": ASK, "idempotency_key": "today", "labels": {"user": "ann"}}
    run = (await tenants.as_acme("POST", "/v1/runs", json=body)).json()["run_id"]
    approval = await first_approval(tenants)
    tenants.ids = {
        "run": (run, NOBODYS_RUN),
        "approval": (approval, approval_id(approval_no(parse_run_id(NOBODYS_RUN), 1))),
        "key_id": (keys["acme"][0], "key_0000000000"),
        "organization": ("acme", "nobody"),
        "workflow": ("secret-plan", "nobodys-plan"),
        "letter": park(api, run),
    }
    for noun, make in MAKERS.items():
        found = await make(tenants)
        if found is not None:
            tenants.ids[noun] = found
    return tenants


async def first_approval(tenants: Tenants) -> str:
    while True:
        items = (await tenants.as_acme("GET", "/v1/approvals")).json()["items"]
        if items:
            return str(items[0]["approval_id"])
        await asyncio.sleep(0)


def park(api: Api, run: str) -> Ids:
    """Park a step of a run, as a process that dies again and again does."""
    path = api.settings.database_url.removeprefix("sqlite:///")
    with closing(apsw.Connection(path)) as connection:
        connection.set_busy_timeout(5000)
        key = pack_key(parse_run_id(run), 1)
        connection.execute(
            "insert into dead_letter values (?, 'publish', 'interrupted', 1, 'parked')", (key,)
        )
    return f"stp_{run[4:]}_1", f"stp_{NOBODYS_RUN[4:]}_1"


async def make_schedule(tenants: Tenants) -> Ids | None:
    body = {"name": "nightly", "workflow": "secret-plan", "cron": "0 3 * * *"}
    return await made(tenants, "/v1/schedules", body, ("schedule_id", "id", "name"))


async def make_webhook(tenants: Tenants) -> Ids | None:
    body = {"url": "https://93.184.215.14/hook", "events": ["orchestration.run.completed"]}
    return await made(tenants, "/v1/webhooks", body, ("webhook_id", "id"))


async def made(tenants: Tenants, path: str, body: Any, names: tuple[str, ...]) -> Ids | None:
    """Make something of acme over HTTP; None if this service does not serve the noun."""
    answer = await tenants.as_acme("POST", path, json=body)
    if answer.status_code in {404, 405}:
        return None
    assert answer.status_code in {200, 201}, answer.text
    found = answer.json()
    name = str(next(found[each] for each in names if each in found))
    other = name[:-4] + ("zzzz" if not name.endswith("zzzz") else "yyyy")
    return name, other


MAKERS = {"schedule": make_schedule, "webhook": make_webhook}

PARAMETERS: Mapping[tuple[str, str], str | None] = {
    ("/api/admin/agents/", "slug"): None,
    ("/api/orchestrations/", "run"): "run",
    ("/v1/agents/", "slug"): None,
    ("/v1/approvals/", "approval"): "approval",
    ("/v1/dead-letters/", "letter"): "letter",
    ("/v1/executions/", "run"): "run",
    ("/v1/keys/", "key_id"): "key_id",
    ("/v1/organizations/", "slug"): "organization",
    ("/v1/runs/", "name"): None,
    ("/v1/runs/", "step"): "letter",
    ("/v1/runs/", "verb"): None,
    ("/v1/runs/", "run"): "run",
    ("/v1/schedules/", "schedule"): "schedule",
    ("/v1/webhooks/", "webhook"): "webhook",
    ("/v1/workflows/", "name"): "workflow",
}
"""What a parameter below a path names; None: nothing that belongs to anybody."""
PLACE = re.compile(r"\{([a-z_A-Z]+):[a-z]+\}")


def noun_of(path: str, name: str) -> str | None:
    for (start, parameter), noun in PARAMETERS.items():
        if path.startswith(start) and parameter == name:
            return noun
    raise AssertionError(f"{path}: what does {name!r} name, and whose is it? Teach this test.")


def operations(api: Api) -> list[tuple[str, str, Any]]:
    """Return path, method and example of every route that takes an id and asks for a key."""
    found = []
    for route in api.service.routes:
        for handler in handlers_of(route):
            takes_id = "{" in route.path and handler.opt[NEEDS] is not Permission.PUBLIC
            if takes_id and isinstance(route, HTTPRoute):
                methods = sorted(handler.http_methods - {"OPTIONS"})
                found += [(route.path, m, handler.opt.get("example")) for m in methods]
    return found


BODIES: Mapping[str, Any] = {
    "decision": {"decision": "approve"},
    "activate": {"version": "1"},
    "rollback": {"version": "1"},
}


def body_of(path: str, method: str, example: Any) -> dict[str, Any]:
    if method in {"GET", "HEAD", "DELETE"}:
        return {}
    fallback = BODIES.get(path.rpartition("/")[2])
    return {"json": example if example is not None else fallback} if example or fallback else {}


def told(answer: httpx.Response, ids: set[str]) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Return all of an answer but the ids, which differ because we sent them."""
    body = answer.content
    for each in sorted(ids, key=len, reverse=True):
        body = body.replace(each.encode(), b"ID")
    body = re.sub(rb"req_[0-9a-f]{32}", b"REQUEST", body)
    kept = [(name, value) for name, value in answer.headers.multi_items()
            if name not in {"x-request-id", "content-length", "date"}]  # fmt: skip
    return answer.status_code, body, kept


async def test_every_route_answers_for_a_foreign_id_as_for_an_unknown_one(api: Api):
    tenants = await two(api)
    before = await digest(tenants)
    compared = 0
    for path, method, example in operations(api):
        names = PLACE.findall(path)
        nouns = {name: noun_of(path, name) for name in names}
        if not any(nouns.values()):
            continue
        answers = []
        for which in (0, 1):
            place = path
            for name, noun in nouns.items():
                value = tenants.ids[noun][which] if noun else "x"
                place = re.sub(r"\{" + name + r":[a-z]+\}", value, place)
            answers.append(await tenants.ask(method, place, **body_of(path, method, example)))
        ids = {each for noun in nouns.values() if noun for each in tenants.ids[noun]}
        foreign, unknown = (told(answer, ids) for answer in answers)
        assert foreign == unknown, (method, path)
        assert foreign[0] in {404, 422, 400}, (method, path, answers[0].text)
        assert CANARY not in answers[0].text
        compared += foreign[0] == 404
    assert compared >= 25
    assert await digest(tenants) == before


async def digest(tenants: Tenants) -> list[str]:
    """Return what acme sees of its own things."""
    paths = ["/v1/runs", "/v1/approvals?pending=false", "/v1/keys", "/v1/workflows", "/v1/audit"]
    paths += [f"/v1/runs/{tenants.ids['run'][0]}/steps"]
    return [re.sub(r'"last_used_at":[^,]*', "", (await tenants.as_acme("GET", path)).text)
            for path in paths]  # fmt: skip


async def test_the_owner_gets_what_others_do_not(api: Api):
    """The other half: the ids in the test above are ids of things that exist."""
    tenants = await two(api)
    run, approval = tenants.ids["run"][0], tenants.ids["approval"][0]
    for path in (f"/v1/runs/{run}", f"/v1/runs/{run}/steps", f"/v1/runs/{run}/explain",
                 f"/v1/approvals/{approval}", f"/v1/keys/{tenants.ids['key_id'][0]}",
                 "/v1/organizations/acme", "/v1/workflows/secret-plan"):  # fmt: skip
        answer = await tenants.as_acme("GET", path)
        assert answer.status_code == 200, answer.text
    letters = (await tenants.as_acme("GET", "/v1/dead-letters")).json()["items"]
    assert [row["run_id"] for row in letters] == [run]
    for noun in ("schedule", "webhook"):
        if noun in tenants.ids:
            answer = await tenants.as_acme("GET", f"/v1/{noun}s/{tenants.ids[noun][0]}")
            assert answer.status_code == 200, answer.text


async def test_ids_in_bodies_and_queries_are_no_way_around(api: Api):
    tenants = await two(api)
    own = await start(tenants, tenants.globex)
    run, approval = tenants.ids["run"], tenants.ids["approval"]
    asked = [
        ("POST", f"/v1/runs/{own}/actions/resume", {"approval_id": approval}),
        ("POST", f"/v1/runs/{own}/actions/fork", {"step_record_id": steps_of(run)}),
        ("POST", f"/v1/runs/{own}/actions/retry", {"step_record_id": steps_of(run)}),
        ("POST", f"/v1/runs/{own}/actions/skip", {"step_record_id": steps_of(run)}),
        ("POST", "/v1/budgets/grants", {"account": accounts_of(run), "amounts": {"usd": 5}}),
        (
            "POST",
            "/v1/budgets/grants",
            {
                "account": ("organization:acme@total", "organization:none@total"),
                "amounts": {"usd": 5},
            },
        ),
        ("POST", "/v1/runs", {"workflow": tenants.ids["workflow"]}),
    ]
    for method, path, body in asked:
        answers = [await tenants.ask(method, path, json=chosen(body, which)) for which in (0, 1)]
        ids = {each for value in body.values() if isinstance(value, tuple) for each in value}
        foreign, unknown = (told(answer, ids | set(run)) for answer in answers)
        assert foreign == unknown, (path, answers[0].text, answers[1].text)
        assert foreign[0] >= 400, (path, answers[0].text)
    for query in ("approvals?pending=false&run=", "budgets?prefix=run:"):
        foreign, unknown = [
            told(await tenants.ask("GET", f"/v1/{query}{each}"), set(run)) for each in run
        ]
        assert foreign == unknown, query


def steps_of(runs: Ids) -> Ids:
    return f"stp_{runs[0][4:]}_1", f"stp_{runs[1][4:]}_1"


def accounts_of(runs: Ids) -> Ids:
    return f"run:{runs[0]}", f"run:{runs[1]}"


def chosen(body: Mapping[str, Any], which: int) -> dict[str, Any]:
    return {k: value[which] if isinstance(value, tuple) else value for k, value in body.items()}


async def start(tenants: Tenants, headers: dict[str, str], **more: Any) -> str:
    body = {"definition": HELLO, **more}
    answer = await tenants.api.post("/v1/runs", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["run_id"])


async def test_lists_show_ones_own_things_only(api: Api):
    tenants = await two(api)
    own = await start(tenants, tenants.globex)
    await api.app.run(own).wait()
    json = {"Accept": "application/json"}
    for path in ("runs", "approvals", "approvals?pending=false", "workflows", "keys", "audit",
                 "organizations", "budgets", "dead-letters", "schedules", "webhooks", "events",
                 "agents", "runs?workflow=secret-plan", "runs?label=user=ann"):  # fmt: skip
        headers = tenants.globex | json
        answer = await api.client.get(f"/v1/{path}", headers=headers)
        if answer.status_code == 404:
            continue
        assert answer.status_code == 200, answer.text
        for mark in ("acme", CANARY, "secret-plan", *(ids[0] for ids in tenants.ids.values())):
            assert mark not in answer.text, (path, mark)


async def test_a_verb_for_many_runs_finds_ones_own_only(api: Api):
    tenants = await two(api)
    wish = {"status": ["waiting", "running", "queued"], "workflow": "secret-plan"}
    for dry_run in (True, False):
        answer = await tenants.ask(
            "POST", "/v1/runs/actions/cancel", json=wish | {"dry_run": dry_run}
        )
        assert (answer.status_code, answer.json()["matched"]) == (202, 0)
    shown = (await tenants.as_acme("GET", f"/v1/runs/{tenants.ids['run'][0]}")).json()
    assert shown["status"] == "waiting"


async def test_a_budget_holds_for_the_organization_that_set_it(api: Api):
    tenants = await two(api)
    rule = {"scope": "workflow", "per": "day", "limits": {"usd": 0}}
    assert (await tenants.ask("PUT", "/v1/budgets", json=rule)).status_code == 200
    [kept] = await api.app.engine.store.budgets()
    assert kept.organization == "globex"
    listed = [(await ask("GET", "/v1/budgets")).json() for ask in (tenants.ask, tenants.as_acme)]
    assert [len(each["rules"]) for each in listed] == [1, 0]


async def test_two_organizations_may_use_the_same_idempotency_key(api: Api):
    tenants = await two(api)
    own = await start(tenants, tenants.globex, idempotency_key="today")
    assert own != tenants.ids["run"][0]
    assert await start(tenants, tenants.globex, idempotency_key="today") == own


async def test_two_organizations_may_publish_the_same_name(api: Api):
    tenants = await two(api)
    body = {"definition": {**HELLO, "name": "secret-plan"}}
    published = await tenants.ask("POST", "/v1/workflows", json=body)
    assert published.json()["number"] == 1
    theirs = (await tenants.as_acme("GET", "/v1/workflows/secret-plan")).json()
    assert theirs["definition"] != published.json()
    assert CANARY in str(theirs["definition"])


async def test_a_socket_tells_a_foreign_run_from_an_unknown_one_no_more(api: Api):
    tenants = await two(api)
    answers = []
    for run in tenants.ids["run"]:
        sent = await socket_messages(api, f"/v1/runs/{run}/ws", headers=tenants.globex)
        answers.append(re.sub(r"req_[0-9a-f]{32}", "REQUEST", str(sent).replace(run, "ID")))
    assert answers[0] == answers[1]
    assert CANARY not in answers[0]


async def test_nobody_sees_all_by_having_no_organization(api: Api):
    with pytest.raises(ValueError):
        api.app.on_behalf_of("")


async def test_only_operators_of_the_installation_make_organizations(api: Api):
    tenants = await two(api)
    refused = await tenants.ask("POST", "/v1/organizations", json={"slug": "initech"})
    assert (refused.status_code, refused.json()["code"]) == (403, "operator_only")
    home = await api.app.keys.create("admin")
    headers = {"Authorization": f"Bearer {home.key}"}
    made = await api.post("/v1/organizations", json={"slug": "initech"}, headers=headers)
    assert made.status_code == 201
    listed = (await api.get("/v1/organizations", headers=headers)).json()["items"]
    assert [row["slug"] for row in listed] == ["acme", "default", "globex", "initech"]
    own = (await tenants.ask("GET", "/v1/organizations")).json()["items"]
    assert [row["slug"] for row in own] == ["globex"]


async def test_operators_of_the_installation_do_not_see_the_runs_of_others(api: Api):
    tenants = await two(api)
    home = await api.app.keys.create("admin")
    headers = {"Authorization": f"Bearer {home.key}"}
    assert (await api.get("/v1/runs", headers=headers)).json()["items"] == []
    path = f"/v1/runs/{tenants.ids['run'][0]}"
    assert (await api.get(path, headers=headers)).status_code == 404
