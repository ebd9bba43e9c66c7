"""What nobody thought of: requests generated from the service's own description (schemathesis).

None of them may make the service fail: a 5xx is our fault, whatever was sent.
"""

import os
from contextlib import suppress
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("PODIUM_FUZZ_EXAMPLES", "8"))
"""For each operation and mode; many more with PODIUM_FUZZ_EXAMPLES=500."""
SETTINGS = hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
ENDLESS = {"/v1/runs/{run}/events", "/v1/events"}
"""Streams: asked for as pages here."""


@pytest.fixture(scope="module")
def operations(keyed_target) -> dict[str, Any]:
    described = keyed_target.http.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(described)
    found = [each.ok() for each in schema.get_all_operations()]
    return {f"{each.method.upper()} {each.path}": each for each in found}


def faults(target, operation, mode: GenerationMode) -> list[str]:
    """Return what made the service fail, among generated requests for one operation."""
    found: list[str] = []

    @SETTINGS
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case) -> None:
        sent = case.as_transport_kwargs(base_url=target.url)
        headers = {
            name: value
            for name, value in dict(sent.get("headers") or {}).items()
            if name.lower() != "authorization"
        }
        if operation.path in ENDLESS:
            headers["Accept"] = "application/json"
        answer = target.http.request(
            sent["method"],
            sent["url"],
            params=sent.get("params"),
            headers={**headers, "authorization": target.http.headers["authorization"]},
            **body_of(sent),
        )
        if answer.status_code >= 500:
            found.append(f"{sent} -> {answer.status_code} {answer.text[:300]}")

    # An operation that takes nothing has nothing that could be wrong.
    with suppress(Unsatisfiable):
        ask()
    return found


def body_of(sent: dict[str, Any]) -> dict[str, Any]:
    if sent.get("json") is not None:
        return {"json": sent["json"]}
    data = sent.get("data")
    return {"content": data} if isinstance(data, bytes | str) else {}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_generated_request_makes_the_service_fail(keyed_target, operations, mode):
    found = {
        name: told
        for name, operation in operations.items()
        if (told := faults(keyed_target, operation, mode))
    }
    assert found == {}
    assert keyed_target.http.get("/v1/health/ready").status_code == 200
    assert "Traceback" not in keyed_target.log.read_text()


def test_the_description_is_sound_and_complete(operations):
    schema = next(iter(operations.values())).schema
    schema.validate()
    assert len(operations) > 30
