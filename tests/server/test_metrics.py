"""/metrics: the names that dashboards know, true figures, and nothing for strangers."""

import asyncio
import logging

import msgspec
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from tests.server.conftest import Api

from podium.errors import StoreError
from podium.runtime import telemetry
from podium.runtime.telemetry import Telemetry
from podium.server.access import Caller, LocalTrust

CHAIN = {
    "name": "chain",
    "tasks": [
        {"name": "a", "uses": "python:served_tasks:double", "with": {"number": 2}},
        {"name": "b", "depends_on": ["a"]},
    ],
}
BROKEN = {
    "name": "broken",
    "settings": {"max_retries": 1, "retry_delay": 0},
    "tasks": [{"name": "x", "uses": "python:served_tasks:broken", "with": {}}],
}


async def figures(api, **options):
    """Return samples by name and labels."""
    answer = await api.get("/metrics", **options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in prometheus(answer.text)
        for sample in family.samples
    }


async def test_the_names_of_the_contract_are_there_from_the_first_moment(api):
    found = await figures(api)
    for name in (
        ("tasks_completed_total", "success"),
        ("tasks_completed_total", "failed"),
        ("task_duration_seconds_count",),
        ("task_duration_seconds_bucket", "+Inf"),
        ("orchestration_step_queue_seconds_count",),
    ):
        assert found[name] == 0


async def test_what_a_run_did_is_counted(api):
    await api.end(await api.start(CHAIN))
    found = await figures(api)
    assert found["tasks_completed_total", "success"] == 2
    # What only marks a place takes no time, and would make tasks look fast.
    assert found["task_duration_seconds_count",] == 1
    assert found["orchestration_step_queue_seconds_count",] == 1
    assert found["orchestration_runs_started_total", "chain"] == 1
    assert found["orchestration_runs_completed_total", "chain", "completed"] == 1
    assert found["orchestration_sla_total", "chain", "met"] == 1
    assert found["orchestration_run_duration_seconds_count", "chain"] == 1
    assert found["agent_capacity", f"node-{api.app.engine.node.node_id}"] == 1000
    assert found["podium_store_commits_total",] > 0
    assert found["http_requests_total", "/v1/runs", "202", "POST"] == 1


async def test_what_waits_is_a_gauge(api):
    gate = {"name": "gate", "tasks": [{"name": "wait", "uses": "signal", "with": {"name": "go"}}]}
    run = await api.start(gate)
    found = await figures(api)
    assert found["orchestration_open_runs", "gate", "waiting"] == 1
    assert found["task_queue_depth", "gate"] == 0
    await api.app.run(run).abort()
    assert ("orchestration_open_runs", "gate", "waiting") not in await figures(api)


def test_the_depth_of_the_queue_is_what_finds_no_room(settings):
    asyncio.run(full_house(Api(msgspec.structs.replace(settings, capacity=1))))


async def full_house(api):
    wide = {
        "name": "wide",
        "tasks": [
            {"name": name, "uses": "python:served_tasks:forever", "with": {}} for name in "abc"
        ],
    }
    async with api.opened():
        run = await api.start(wide)
        found = await figures(api)
        assert found["task_queue_depth", "wide"] == 2
        agent = f"node-{api.app.engine.node.node_id}"
        assert (found["agent_utilization", agent], found["agent_running", agent]) == (1, 1)
        await api.app.run(run).abort()


async def test_failures_are_counted_by_code_and_told_in_the_log(api, caplog):
    run = await api.start(BROKEN)
    await api.app.run(run).wait()
    found = await figures(api)
    assert found["tasks_completed_total", "failed"] == 1
    assert found["task_attempts_total", "failed"] == 1
    assert found["task_errors_total", "PDM-T001"] == 1
    told = [record.getMessage() for record in caplog.records if record.name == "podium.tasks"]
    assert told == [
        "Task 'x' failed and is tried again: it is broken",
        "Task 'x' failed: it is broken",
    ]


async def test_the_log_says_whether_a_run_found_something_to_do(api, caplog):
    caplog.set_level(logging.INFO, logger="podium.runs")
    run = await api.start(CHAIN)
    await api.end(run)
    [told] = [record for record in caplog.records if record.name == "podium.runs"]
    assert told.getMessage() == "Run of 'chain' started: 1 runnable steps"
    assert told.run_id == run


async def test_figures_are_there_without_a_store(api, monkeypatch):
    assert (await figures(api))["podium_store_up",] == 1

    async def refuses(organization=""):
        raise StoreError("gone")

    monkeypatch.setattr(api.app.engine.store, "open_counts", refuses)
    found = await figures(api)
    assert found["podium_store_up",] == 0
    assert ("tasks_completed_total", "success") in found


async def test_openmetrics_is_spoken_to_those_who_ask_for_it(api):
    answer = await api.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    names = {family.name for family in openmetrics(answer.text)}
    assert {"task_queue_depth", "tasks_completed", "task_duration_seconds"} <= names


async def test_unknown_paths_do_not_make_figures_of_their_own(api):
    for number in range(5):
        await api.get(f"/nothing/{number}")
    found = await figures(api)
    assert found["http_requests_total", "404", "GET", "unmatched"] == 5


class Strangers(LocalTrust):
    """Knows everybody as a viewer of another organization."""

    def __init__(self):
        super().__init__("elsewhere")
        self._caller = Caller(organization="elsewhere", role="viewer", name="eve")


async def test_callers_of_another_organization_see_no_figures(api):
    api.service.state.authenticator = Strangers()
    answer = await api.get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_setting_opens_figures_to_everybody(api):
    api.service.state.authenticator = Strangers()
    api.service.state.settings = msgspec.structs.replace(api.settings, metrics_public=True)
    assert (await api.get("/metrics")).status_code == 200
    assert (await api.get("/v1/runs/run_00000001")).status_code == 404


# --- without HTTP -------------------------------------------------------------------------------


def test_labels_are_bounded(monkeypatch):
    monkeypatch.setattr(telemetry, "NAMES_MAX", 3)
    told = Telemetry()
    names = [told._name("workflow", str(number)) for number in range(5)]
    assert names == ["0", "1", "2", telemetry.OTHER, telemetry.OTHER]
    assert told._name("workflow", "1") == "1"


def test_a_histogram_counts_up_to_each_bound():
    told = telemetry.Histogram()
    for seconds in (0.001, 0.0011, 7200):
        told.observe(seconds)
    found = dict(told.cumulative())
    assert (found["0.001"], found["0.0025"], found["3600.0"], found["+Inf"]) == (1, 2, 2, 3)
