"""The audit log: whatever changes anything leaves a line, and no line can be changed unseen."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import apsw
import pytest
from litestar.routes import HTTPRoute
from tests.server.conftest import Api

from podium.core.access import CHAIN_START, AuditEntry, ChainFault, chained
from podium.runtime.auditing import Auditor
from podium.server.access import NEEDS, Permission, handlers_of

HELLO = {"name": "hello", "tasks": [{"name": "first"}]}
ASK = {"name": "ask", "tasks": [{"name": "publish", "checkpoint": "before"}]}
WAIT = {"name": "wait", "tasks": [{"name": "w", "uses": "signal", "with": {"name": "go"}}]}
FAIL = {
    "name": "fail",
    "settings": {"max_retries": 0},
    "tasks": [{"name": "f", "uses": "python:served_tasks:double", "with": {"nonsense": 1}}],
}


NIGHTLY = {"name": "nightly", "workflow": "hello", "cron": "0 3 * * *"}
BACKFILL = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-03T00:00:00Z"}


async def opened(api: Api) -> Api:
    """Let everything that follows come from an administrator with a key."""
    made = await api.app.keys.create("admin", name="ada")
    api.client.headers["Authorization"] = f"Bearer {made.key}"
    return api


async def lines(api: Api) -> list[dict[str, Any]]:
    """Return the log, oldest first."""
    found: list[dict[str, Any]] = (await api.get("/v1/audit?limit=1000")).json()["items"]
    return found[::-1]


# --- every verb ---------------------------------------------------------------------------------


class Deeds:
    """What must have happened before each verb can succeed."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.made = 0

    async def run(self, definition: Any, *statuses: str) -> str:
        """Start a run and wait until it is somewhere."""
        run = await self.api.start(definition)
        while True:
            status = (await self.api.get(f"/v1/runs/{run}/status")).json()["status"]
            if status in statuses:
                return run
            await asyncio.sleep(0)

    async def start(self) -> Any:
        return await self.post("/v1/runs", {"definition": HELLO})

    def verb(self, verb: str, definition: Any = WAIT, status: str = "waiting") -> "Deed":
        async def deed() -> Any:
            run = await self.run(definition, status)
            return await self.post(f"/v1/runs/{run}/actions/{verb}", {})

        return deed

    async def resume(self) -> Any:
        run = await self.run(WAIT, "waiting")
        await self.post(f"/v1/runs/{run}/actions/pause", {})
        return await self.post(f"/v1/runs/{run}/actions/resume", {})

    async def signal(self) -> Any:
        run = await self.run(WAIT, "waiting")
        return await self.post(f"/v1/runs/{run}/signals/go", {"payload": 1})

    async def decide(self) -> Any:
        await self.run(ASK, "waiting")
        [asked] = (await self.api.get("/v1/approvals")).json()["items"]
        path = f"/v1/approvals/{asked['approval_id']}/decision"
        return await self.post(path, {"decision": "approve"})

    async def budget(self) -> Any:
        rule = {"scope": "organization", "per": "day", "limits": {"usd": 20}}
        return await self.api.client.request("PUT", "/v1/budgets", json=rule)

    async def grant(self) -> Any:
        wish = {"account": "organization:default@total", "amounts": {"usd": 5}}
        return await self.post("/v1/budgets/grants", wish)

    async def publish(self) -> Any:
        return await self.post("/v1/workflows", {"definition": HELLO})

    async def activate(self) -> Any:
        await self.publish()
        return await self.post("/v1/workflows/hello/activate", {"version": "1"})

    async def create_key(self) -> Any:
        return await self.post("/v1/keys", {"role": "viewer"})

    def on_key(self, verb: str) -> "Deed":
        async def deed() -> Any:
            made = (await self.create_key()).json()
            return await self.post(f"/v1/keys/{made['key_id']}/{verb}", {})

        return deed

    async def create_organization(self) -> Any:
        return await self.post("/v1/organizations", {"slug": "acme"})

    async def bulk(self) -> Any:
        await self.run(WAIT, "waiting")
        return await self.post("/v1/runs/actions/cancel", {"status": ["waiting"]})

    def on_schedule(self, method: str, verb: str, body: Any = None) -> "Deed":
        async def deed() -> Any:
            made = (await self.create_schedule()).json()
            path = f"/v1/schedules/{made['schedule_id']}{verb}"
            return await self.send(method, path, body)

        return deed

    async def create_schedule(self) -> Any:
        await self.publish()
        self.made += 1
        wish = NIGHTLY | {"name": f"nightly-{self.made}"}
        return await self.post("/v1/schedules", wish)

    async def update_schedule(self) -> Any:
        made = (await self.create_schedule()).json()
        wish = NIGHTLY | {"name": made["name"], "cron": "0 4 * * *"}
        return await self.send("PUT", f"/v1/schedules/{made['schedule_id']}", wish)

    async def resume_schedule(self) -> Any:
        made = (await self.create_schedule()).json()["schedule_id"]
        await self.post(f"/v1/schedules/{made}/pause", {})
        return await self.post(f"/v1/schedules/{made}/resume", {})

    def on_webhook(self, method: str, verb: str, body: Any = None) -> "Deed":
        async def deed() -> Any:
            made = (await self.create_webhook()).json()
            return await self.send(method, f"/v1/webhooks/{made['webhook_id']}{verb}", body)

        return deed

    async def create_webhook(self) -> Any:
        return await self.post("/v1/webhooks", {"workflow": "hello"})

    async def post(self, path: str, body: Any) -> Any:
        return await self.send("POST", path, body)

    async def send(self, method: str, path: str, body: Any) -> Any:
        more = {} if body is None else {"json": body}
        answer = await self.api.client.request(method, path, **more)
        assert answer.status_code < 300, answer.text
        return answer


Deed = Callable[[], Awaitable[Any]]


def deeds(api: Api) -> dict[tuple[str, str], Deed]:
    """Return how to do what each route does, so that it succeeds."""
    make = Deeds(api)
    verbs = {
        "abort": make.verb("abort"),
        "cancel": make.verb("cancel"),
        "fork": make.verb("fork", HELLO, "completed"),
        "pause": make.verb("pause"),
        "rerun": make.verb("rerun", HELLO, "completed"),
        "resume": make.resume,
        "retry": make.verb("retry", FAIL, "failed"),
        "skip": make.verb("skip", FAIL, "failed"),
    }
    actions = {("POST", f"/v1/runs/{{run:str}}/actions/{verb}"): d for verb, d in verbs.items()}
    return actions | {
        ("POST", "/v1/runs"): make.start,
        ("POST", "/v1/runs/{run:str}/signals/{name:str}"): make.signal,
        ("POST", "/v1/approvals/{approval:str}/decision"): make.decide,
        ("PUT", "/v1/budgets"): make.budget,
        ("POST", "/v1/budgets/grants"): make.grant,
        ("POST", "/v1/workflows"): make.publish,
        ("POST", "/v1/workflows/{name:str}/activate"): make.activate,
        ("POST", "/v1/workflows/{name:str}/rollback"): make.activate,
        ("POST", "/v1/keys"): make.create_key,
        ("POST", "/v1/keys/{key_id:str}/rotate"): make.on_key("rotate"),
        ("POST", "/v1/keys/{key_id:str}/revoke"): make.on_key("revoke"),
        ("POST", "/v1/organizations"): make.create_organization,
        ("POST", "/v1/runs/actions/{verb:str}"): make.bulk,
        ("POST", "/v1/schedules"): make.create_schedule,
        ("PUT", "/v1/schedules/{schedule:str}"): make.update_schedule,
        ("DELETE", "/v1/schedules/{schedule:str}"): make.on_schedule("DELETE", ""),
        ("POST", "/v1/schedules/{schedule:str}/pause"): make.on_schedule("POST", "/pause", {}),
        ("POST", "/v1/schedules/{schedule:str}/resume"): make.resume_schedule,
        ("POST", "/v1/schedules/{schedule:str}/trigger"): make.on_schedule("POST", "/trigger", {}),
        ("POST", "/v1/schedules/{schedule:str}/backfill"): make.on_schedule(
            "POST", "/backfill", BACKFILL
        ),
        ("POST", "/v1/webhooks"): make.create_webhook,
        ("PATCH", "/v1/webhooks/{webhook:str}"): make.on_webhook(
            "PATCH", "", {"description": "of the shop"}
        ),
        ("DELETE", "/v1/webhooks/{webhook:str}"): make.on_webhook("DELETE", ""),
        ("POST", "/v1/webhooks/{webhook:str}/rotate"): make.on_webhook("POST", "/rotate", {}),
    }


def changing(api: Api) -> set[tuple[str, str]]:
    """Return method and path of every route that changes something for a caller with a key."""
    found = set()
    for route in api.service.routes:
        for handler in handlers_of(route):
            changes = handler.opt[NEEDS] not in {Permission.READ, Permission.PUBLIC}
            if changes and isinstance(route, HTTPRoute):
                methods = handler.http_methods - {"GET", "HEAD", "OPTIONS"}
                found |= {(method, route.path) for method in methods}
    return found


async def test_every_route_that_changes_something_leaves_a_line(api: Api):
    await opened(api)
    known = deeds(api)
    for operation, deed in known.items():
        before = len(await lines(api))
        assert (await deed()).status_code < 300, operation
        assert len(await lines(api)) > before, operation
    mine = {(method, path) for method, path in changing(api) if not told_elsewhere(path)}
    assert mine == set(known), "a new route changes something: show here that it leaves a line"


def told_elsewhere(path: str) -> bool:
    """Tell routes that need parked work or a listener, and the aliases of the seeds."""
    return path.startswith(("/v1/dead-letters/", "/api/")) or path in {
        "/v1/webhooks/{webhook:str}/test",
        "/v1/webhooks/{webhook:str}/replay",
    }


async def test_a_line_says_who_did_what_to_what_by_which_request(api: Api):
    await opened(api)
    run = await api.start(WAIT)
    sent = {"X-Request-Id": "order-66"}
    await api.post(f"/v1/runs/{run}/actions/cancel", json={}, headers=sent)
    line = (await lines(api))[-1]
    [key] = await api.app.keys.list()
    assert (line["by"], line["via"], line["action"], line["subject"]) == (
        "ada", "http", "run.cancel", run,
    )  # fmt: skip
    assert (line["request_id"], line["key_id"]) == ("order-66", key.key_id)
    assert line["organization"] == "default"


async def test_what_is_refused_or_only_read_leaves_no_line(api: Api):
    await opened(api)
    run = await api.start(HELLO)
    await api.end(run)
    before = await lines(api)
    for path in ("/v1/runs", f"/v1/runs/{run}", "/v1/keys", "/v1/audit/verify"):
        await api.get(path)
    refused = await api.post(f"/v1/runs/{run}/actions/cancel", json={})
    assert refused.status_code == 409
    assert await lines(api) == before


async def test_the_log_holds_no_payload(api: Api):
    await opened(api)
    definition = {"name": "secretive", "tasks": [{"name": "a"}], "inputs": {"text": {}}}
    await api.start(definition, input={"text": "canary-4711"})
    run = await api.start(WAIT)
    await api.post(f"/v1/runs/{run}/signals/go", json={"payload": "canary-4711"})
    assert "canary-4711" not in (await api.get("/v1/audit")).text


async def test_a_program_of_its_own_keeps_no_log(api: Api):
    """Embedded use pays for no transaction that nobody reads."""
    commits = api.app.engine.store.stats.commits
    await api.app.audit.record("run.cancel", "run_00000001")
    assert api.app.engine.store.stats.commits == commits
    assert await api.app.audit.organizations() == []


async def test_the_log_comes_newest_first_a_page_at_a_time(api: Api):
    await opened(api)
    for _ in range(4):
        await api.post("/v1/keys", json={"role": "viewer"})
    first = (await api.get("/v1/audit?limit=3")).json()
    rest = (await api.get(f"/v1/audit?limit=3&cursor={first['next_cursor']}")).json()
    assert [row["seq"] for row in first["items"] + rest["items"]] == [5, 4, 3, 2, 1]
    assert rest["next_cursor"] is None


# --- the chain ----------------------------------------------------------------------------------


async def logged(api: Api, organization: str = "default", count: int = 6) -> str:
    """Write some lines; return the head of the chain."""
    acting = api.app.acting_as("eve")
    for number in range(count):
        await acting.audit.record("run.cancel", f"run_{number}", organization=organization)
    report = await api.app.audit.verify(organization=organization)
    assert (report.fault, report.rows) == (None, count)
    return report.head


def tamper(api: Api, *statements: str) -> None:
    """Change the log as somebody with the file and a reason would: past the triggers."""
    path = api.settings.database_url.removeprefix("sqlite:///")
    with closing(apsw.Connection(path)) as connection:
        connection.set_busy_timeout(5000)
        connection.execute("pragma ignore_check_constraints = on")
        for name in ("audit_stays", "audit_is_kept"):
            connection.execute(f"drop trigger if exists {name}")
        for statement in statements:
            connection.execute(statement)


HEAD_FOLLOWS = (
    "update audit_head set seq = (select max(seq) from audit where organization = 'ORG'), "
    "hash = (select hash from audit where organization = 'ORG' order by seq desc limit 1) "
    "where organization = 'ORG'"
)
EDITS = [
    (["update audit set actor = 'nobody' where seq = 3"], ChainFault.CHANGED, 3),
    (["update audit set detail = '{}' where seq = 6"], ChainFault.CHANGED, 6),
    (["update audit set at_us = at_us + 1 where seq = 1"], ChainFault.CHANGED, 1),
    (["update audit set hash = 'HASH' where seq = 2"], ChainFault.CHANGED, 2),
    (["delete from audit where seq = 3"], ChainFault.MISSING, 3),
    (["delete from audit where seq = 1"], ChainFault.MISSING, 1),
    (["delete from audit where seq > 4"], ChainFault.CUT, 5),
    (["delete from audit where true"], ChainFault.CUT, 1),
    (
        [
            "delete from audit where seq = 3",
            "update audit set seq = seq - 1 where seq > 3",
            HEAD_FOLLOWS,
        ],
        ChainFault.CHANGED,
        3,
    ),
    (
        [
            "update audit set seq = -seq where seq in (2, 4)",
            "update audit set seq = 6 + seq where seq < 0",
        ],
        ChainFault.CHANGED,
        2,
    ),
]


async def test_every_edit_is_found_where_it_is_and_harms_no_other_log(api: Api):
    for number, (statements, fault, at) in enumerate(EDITS):
        name = f"org{number}"
        await logged(api, name)
        await logged(api, f"{name}-untouched")
        own = [text if "ORG" in text else f"{text} and organization = 'ORG'" for text in statements]
        tamper(api, *(text.replace("ORG", name).replace("HASH", "0" * 64) for text in own))
        report = await api.app.audit.verify(organization=name)
        assert (report.fault, report.at) == (fault, at), statements
        assert (await api.app.audit.verify(organization=f"{name}-untouched")).fault is None


async def test_a_log_cut_together_with_its_head_is_found_by_a_head_kept_elsewhere(api: Api):
    head = await logged(api)
    follows = HEAD_FOLLOWS.replace("ORG", "default")
    tamper(api, "delete from audit where seq > 4", follows)
    assert (await api.get("/v1/audit/verify")).json()["whole"]
    report = (await api.get(f"/v1/audit/verify?head={head}")).json()
    assert (report["whole"], report["fault"], report["at"]) == (False, "cut", 5)


async def test_a_log_written_anew_is_found_by_a_head_kept_elsewhere(api: Api):
    head = await logged(api)
    previous, statements = CHAIN_START, []
    for row in await api.app.engine.store.audit("default"):
        facts = {name: getattr(row, name) for name in AuditEntry.__struct_fields__}
        entry = AuditEntry(**facts | {"by": "mallory"})
        new = chained(entry, seq=row.seq, previous=previous)
        previous = new.hash
        change = f"actor = 'mallory', hash = '{new.hash}'"
        statements.append(f"update audit set {change} where seq = {new.seq}")
    tamper(api, *statements, HEAD_FOLLOWS.replace("ORG", "default"))
    assert (await api.app.audit.verify()).fault is None
    assert (await api.app.audit.verify(head=head)).fault is ChainFault.CHANGED


async def test_a_head_stays_good_while_the_log_grows(api: Api):
    head = await logged(api)
    await api.app.acting_as("eve").audit.record("run.cancel", "run_9")
    report = await api.app.audit.verify(head=head)
    assert (report.fault, report.rows) == (None, 7)


async def test_what_is_no_head_is_refused(api: Api):
    for head in ("x", "1", "1:", "-1:" + "0" * 64, "²:" + "0" * 64, "1:00"):
        answer = await api.get("/v1/audit/verify", params={"head": head})
        assert (answer.status_code, answer.json()["podium_code"]) == (400, "PDM-R129"), head


async def test_the_store_itself_refuses_to_change_the_log(api: Api):
    await logged(api)
    path = Path(api.settings.database_url.removeprefix("sqlite:///"))
    for statement in ("update audit set actor = 'x'", "delete from audit"):
        assert "append-only" in refusal(path, statement)


def refusal(path: Path, statement: str) -> str:
    with closing(apsw.Connection(str(path))) as connection:
        connection.set_busy_timeout(5000)
        with pytest.raises(apsw.ConstraintError) as caught:
            connection.execute(statement)
    return str(caught.value)


# --- many at once -------------------------------------------------------------------------------


async def test_lines_that_come_at_once_share_a_transaction_and_all_arrive(api: Api):
    store = api.app.engine.store
    acting = api.app.acting_as("eve")
    commits = store.stats.commits
    await asyncio.gather(*(acting.audit.record("x", str(number)) for number in range(200)))
    assert store.stats.commits - commits < 20
    rows = await store.audit("default", limit=1000)
    assert {row.subject for row in rows} == {str(number) for number in range(200)}
    assert (await acting.audit.verify()).fault is None


async def test_a_caller_who_gives_up_holds_nobody_up(api: Api):
    auditor = Auditor(api.app.engine.store)

    def entry(number: int) -> AuditEntry:
        return AuditEntry(
            organization="default", at_us=1, by="eve", action="x", subject=str(number)
        )

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(auditor.append(entry(number))) for number in range(50)]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
    kept = [task.result().subject for task in tasks if not task.cancelled()]
    assert len(kept) >= 33
    found = {row.subject for row in await api.app.engine.store.audit("default", limit=1000)}
    assert set(kept) <= found


async def test_what_is_on_its_way_leaves_a_line_also_when_nobody_waits_for_it(api: Api):
    """A verb lies in the inbox of its run from the first moment on; it will be done."""
    acting = api.app.acting_as("eve")
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await acting.audit.seen(asyncio.Event().wait(), "run.cancel", "run_00000001")
    [row] = await acting.audit.list()
    assert (row.action, row.subject) == ("run.cancel", "run_00000001")
