"""Whether the service lives and takes work, as it says itself."""

from typing import Any

import pytest
from tests.server.conftest import Api

from podium.errors import StoreError


async def parts(api: Api) -> dict[str, dict[str, Any]]:
    return {part["name"]: part for part in (await api.get("/v1/health")).json()["parts"]}


async def test_a_running_service_is_alive_ready_and_well(api: Api):
    assert (await api.get("/v1/health/live")).json() == {"status": "alive"}
    assert (await api.get("/v1/health/ready")).json()["ready"]
    told = (await api.get("/v1/health")).json()
    assert told["status"] == "ok"
    assert {"server", "store", "engine"} <= set(await parts(api))


async def test_a_draining_service_is_alive_and_not_ready(api: Api):
    api.service.state.health.drain()
    answer = await api.get("/v1/health/ready")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "reason": "draining"})
    assert (await api.get("/v1/health/live")).status_code == 200
    assert (await parts(api))["server"]["state"] == "degraded"


async def test_a_service_whose_engine_failed_is_not_ready_and_refuses_starts(api: Api):
    api.app.engine.failed(StoreError("The disk is full.", code="PDM-S005"))
    answer = await api.get("/v1/health/ready")
    assert (answer.status_code, answer.json()["reason"]) == (503, "store_unavailable")
    assert (await api.get("/v1/health/live")).status_code == 200
    start = await api.post("/v1/runs", json={"definition": {"name": "a", "tasks": [{"name": "b"}]}})
    assert (start.status_code, start.json()["code"]) == (503, "store_unavailable")
    assert int(start.headers["retry-after"]) > 0


async def test_a_store_that_does_not_answer_is_told(api: Api, monkeypatch: pytest.MonkeyPatch):
    async def unusable(*_: Any, **__: Any) -> Any:
        raise StoreError("The store is locked.", code="PDM-S007")

    for name in ("nodes", "keys_changed", "runs"):
        monkeypatch.setattr(api.app.engine.store, name, unusable)
    # What was known of keys is forgotten after a second.
    monkeypatch.setattr("podium.runtime.keyring.FRESH_US", 0)
    answer = await api.get("/v1/health/ready")
    assert (answer.status_code, answer.json()["reason"]) == (503, "store_unavailable")
    assert (await api.get("/v1/health/live")).status_code == 200
    store = (await api.service.state.health.parts()).parts[1]
    assert (store.state, store.reason) == ("down", "The store is locked.")
