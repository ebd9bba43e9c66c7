"""Schedules over HTTP: made, looked at, steered, and refused with what is wrong."""

import asyncio

import pytest
from msgspec.structs import replace

from podium.app import connect_server
from podium.server.declared import declare
from podium.server.serving import Address, keep_serving

QUICK = {"name": "quick", "tasks": [{"name": "a"}]}
NIGHTLY = {"name": "nightly", "workflow": "quick", "cron": "30 2 * * *"}


@pytest.fixture
def published(api):
    async def publish():
        answer = await api.post("/v1/workflows", json={"definition": {**QUICK}})
        assert answer.status_code in {200, 201}, answer.text

    return publish


async def test_a_schedule_is_made_shown_and_listed(api, published):
    await published()
    made = await api.post("/v1/schedules", json={**NIGHTLY, "timezone": "Europe/Berlin"})
    assert made.status_code == 201, made.text
    shown = made.json()
    assert (shown["status"], shown["spec"]["cron"]) == ("active", ["30 2 * * *"])
    assert (await api.get("/v1/schedules/nightly")).json() == shown
    assert (await api.get(f"/v1/schedules/{shown['schedule_id']}")).json() == shown
    page = (await api.get("/v1/schedules?limit=1")).json()
    assert page["items"] == [shown]
    rest = (await api.get("/v1/schedules", params={"cursor": page["next_cursor"]})).json()
    assert rest == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cron": "* * * * * *"}, ["five fields", "30 2 * * *"]),
        ({"cron": "61 * * * *"}, ["0-59", "30 2 * * *"]),
        ({"timezone": "Mars/Olympus"}, ["IANA", "Europe/Berlin"]),
        ({"at": "2027-03-28T02:30", "timezone": "Europe/Berlin"}, ["gap", "on_gap"]),
        ({"every": "1ms"}, ["1s to 3650d", "15m"]),
        ({"jitter": -1}, ["0s to 1d"]),
        ({"overlap": "maybe"}, ["skip, buffer_one"]),
        ({"crom": "x"}, ["Did you mean 'cron'"]),
        ({"cron": "0 0 31 2 *"}, ["day-of-month"]),
        ({"priority": 101}, ["0 to 100"]),
        ({"runs_max": -1}, ["0 to 1,000,000,000"]),
        ({"catch_up": 0}, ["10s to 365d"]),
        ({"labels": {"a": 1}}, ["labels"]),
        ({"budget": {"usd": -1}}, ["budget"]),
        ({"name": "no name"}, ["1 to 63"]),
        ({"except": ["tomorrow"]}, ["2026-12-25"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
async def test_a_wrong_schedule_is_told_what_would_be_right(api, published, wrong, words):
    await published()
    answer = await api.post("/v1/schedules", json={**NIGHTLY, **wrong})
    assert answer.status_code == 422, answer.text
    assert all(word in answer.text.replace("\\u2026", "…") for word in words), answer.text
    assert (await api.get("/v1/schedules")).json()["items"] == []


async def test_a_schedule_is_paused_resumed_changed_and_deleted(api, published):
    await published()
    made = (await api.post("/v1/schedules", json=NIGHTLY)).json()
    paused = await api.post("/v1/schedules/nightly/pause", json={"comment": "holidays"})
    assert (paused.status_code, paused.json()["status"]) == (200, "paused")
    assert paused.json()["comment"] == "holidays"
    resumed = await api.post("/v1/schedules/nightly/resume")
    assert resumed.json()["status"] == "active"
    hourly = {"workflow": "quick", "cron": "0 * * * *"}
    stale = await api.client.put(
        "/v1/schedules/nightly", json=hourly, headers={"If-Match": str(made["revision"])}
    )
    assert (stale.status_code, stale.json()["code"]) == (409, "schedule_changed")
    fresh = str(resumed.json()["revision"])
    changed = await api.client.put(
        "/v1/schedules/nightly", json=hourly, headers={"If-Match": fresh}
    )
    assert changed.json()["spec"]["cron"] == ["0 * * * *"]
    assert (await api.client.delete("/v1/schedules/nightly")).status_code == 204
    assert (await api.get("/v1/schedules/nightly")).status_code == 404
    assert (await api.client.delete("/v1/schedules/nightly")).status_code == 404


async def test_a_run_is_started_now_and_its_tick_is_listed(api, published):
    await published()
    await api.post("/v1/schedules", json=NIGHTLY)
    key = {"idempotency_key": "k"}
    answer = await api.post("/v1/schedules/nightly/trigger", json=key)
    assert answer.status_code == 202, answer.text
    again = await api.post("/v1/schedules/nightly/trigger", json=key)
    run = answer.json()["run_id"]
    assert again.json()["run_id"] == run
    ended = await api.end(run)
    assert ended["status"] == "completed"
    [tick] = (await api.get("/v1/schedules/nightly/ticks")).json()["items"]
    assert (tick["run_id"], tick["kind"], tick["outcome"]) == (run, "manual", "started")


async def test_a_backfill_starts_past_ticks_once(api, published):
    await published()
    await api.post("/v1/schedules", json=NIGHTLY)
    span = {"start": "2026-11-01T00:00", "end": "2026-11-03T23:00"}
    dry = await api.post("/v1/schedules/nightly/backfill", json={**span, "dry_run": True})
    assert [tick["run_id"] for tick in dry.json()["items"]] == [None] * 3
    done = await api.post("/v1/schedules/nightly/backfill", json=span)
    assert done.status_code == 202
    again = await api.post("/v1/schedules/nightly/backfill", json=span)
    runs = [tick["run_id"] for tick in done.json()["items"]]
    assert [tick["run_id"] for tick in again.json()["items"]] == runs
    assert len(set(runs)) == 3
    ahead = await api.post(
        "/v1/schedules/nightly/backfill", json={"start": "2026-01-01", "end": "2999-01-01"}
    )
    assert ahead.status_code == 400


async def test_a_preview_shows_ticks_and_what_clocks_do(api, published):
    await published()
    document = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "start": "2027-03-27"}
    answer = await api.post("/v1/schedules/preview", params={"count": 2}, json=document)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert [tick["local_time"] for tick in shown["ticks"]] == [
        "2027-03-27T02:30:00+01:00",
        "2027-03-28T03:00:00+02:00",
    ]
    assert shown["ticks"][1]["note"] == "clocks go forward 60 min on this day"
    assert shown["meaning"] == ["At 02:30 every day"]
    await api.post("/v1/schedules", json=NIGHTLY)
    assert len((await api.get("/v1/schedules/nightly/preview?count=3")).json()["ticks"]) == 3


async def test_the_scheduler_tells_its_health_without_a_key(api, published):
    answer = await api.get("/v1/health/scheduler")
    assert answer.status_code == 200
    assert answer.json()["state"] == "ok"
    parts = (await api.get("/v1/health")).json()["parts"]
    assert "scheduler" in [part["name"] for part in parts]


async def test_declared_schedules_are_made_when_a_server_begins(api, published):
    await published()
    declared = {"nightly": {"workflow": "quick", "cron": "@daily"}, "bad": {"cron": "x"}}
    settings = replace(api.settings, schedules=declared)
    for _ in range(2):
        await declare(api.app, settings)
    [made] = (await api.get("/v1/schedules")).json()["items"]
    assert (made["name"], made["changed_by"], made["revision"]) == ("nightly", "podium.yaml", 1)


async def test_a_server_comes_up_with_what_its_settings_declare(api, published):
    await published()
    declared = {"nightly": {"workflow": "quick", "cron": "@daily"}}
    settings = replace(api.settings, schedules=declared)
    stopping = asyncio.Event()
    await keep_serving(
        lambda: connect_server(settings, role="all"),
        Address("127.0.0.1", 0),
        settings=settings,
        told=lambda url: stopping.set(),
        stopping=stopping,
    )
    assert len((await api.get("/v1/schedules")).json()["items"]) == 1
