"""Who asks: every way in which a key can be wrong has a code and a text of its own."""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.conftest import PATIENCE_S, Api, Server

from podium.app import connect_server
from podium.authoring.client import App
from podium.core.access import Role, make_key
from podium.core.states import RunStatus
from podium.errors import AccessError, RequestError, StoreError
from podium.server.access import ROLES, Permission
from podium.server.authentication import open_authenticator, read_authorization
from podium.server.rates import BURST_S, RateLimited, Rates
from podium.server.serving import Address, refuse_open_network
from podium.settings import Settings

DAY_US = 86_400_000_000
WAIT = {"name": "wait", "tasks": [{"name": "w", "uses": "signal", "with": {"name": "go"}}]}
R = TypeVar("R")


async def refusal(api: Api, authorization: str | None, path: str = "/v1/runs") -> dict[str, str]:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await api.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, str] = answer.json()
    return found


async def refused(api: Api, headers: dict[str, str]) -> None:
    """Return once the server refuses these headers, five seconds from now at the latest."""
    async with asyncio.timeout(5):
        while (await api.get("/v1/runs", headers=headers)).status_code == 200:
            pass


async def ended_key(app: App, how: str) -> str:
    made = await app.keys.create("viewer", expires_in_us=0 if how == "expired" else DAY_US)
    if how == "revoked":
        await app.keys.revoke(made.row.key_id)
    return made.key


# --- 401 ----------------------------------------------------------------------------------------


async def test_without_any_key_callers_on_this_machine_are_trusted(api: Api):
    assert (await api.get("/v1/runs")).status_code == 200


async def test_from_the_first_key_on_every_request_needs_one(api: Api):
    made = await api.app.keys.create("admin")
    assert (await refusal(api, None))["code"] == "missing_credentials"
    ok = await api.get("/v1/runs", headers={"Authorization": f"Bearer {made.key}"})
    assert ok.status_code == 200


async def test_a_server_without_living_keys_stays_closed(api: Api):
    """Revoking the last key must not open the door to everybody."""
    made = await api.app.keys.create("admin")
    await api.app.keys.revoke(made.row.key_id)
    assert (await refusal(api, None))["code"] == "missing_credentials"


async def test_each_case_of_seed_001_has_its_own_code_and_text(api: Api):
    good = (await api.app.keys.create("viewer")).key
    cases = {
        None: "missing_credentials",
        f"Bearer  {good}": "malformed_authorization",
        f"Bearer {make_key(bytes(25))}": "unknown_key",
        f"Bearer {await ended_key(api.app, 'expired')}": "expired_key",
        f"Bearer {await ended_key(api.app, 'revoked')}": "revoked_key",
    }
    answers = {word: await refusal(api, header) for header, word in cases.items()}
    assert {word: body["code"] for word, body in answers.items()} == {w: w for w in answers}
    assert len({body["detail"] for body in answers.values()}) == len(cases)
    assert len({body["podium_code"] for body in answers.values()}) == len(cases)
    assert all(body["why"] and body["fix"] for body in answers.values())


async def test_a_double_space_is_named(api: Api):
    """Seed 001 warns of it; the answer must not leave anybody to guess."""
    good = (await api.app.keys.create("viewer")).key
    assert "more than one space" in (await refusal(api, f"Bearer  {good}"))["detail"]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "one word"),
        ("sk_1234567890abcdef", "one word"),
        ("Bearer", "no key"),
        ("Bearer ", "no key"),
        ("Basic dXNlcjpwYXNz", "another scheme"),
        ("Bearer sk_1234567890abcdef and more", "space within"),
        ("Bearer sk_1234567890abcdef ", "space within"),
        ("Bearer\tsk_1234567890abcdef", "one word"),
        ("Bearer \tsk_1234567890abcdef", "more than one space"),
    ],
)
def test_a_malformed_header_says_what_is_wrong_with_it(header: str, said: str):
    with pytest.raises(AccessError) as caught:
        read_authorization(header)
    assert caught.value.code_word == "malformed_authorization"
    assert said in caught.value.what


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_word_bearer_is_read_as_http_wants_it(scheme: str):
    assert read_authorization(f"{scheme} sk_1234567890abcdef") == "sk_1234567890abcdef"


@given(st.text())
def test_any_header_is_a_key_or_a_401(header: str):
    try:
        read_authorization(header)
    except AccessError as error:
        status = error.status
    else:
        status = 401
    assert status == 401


async def test_two_headers_are_refused(api: Api):
    good = (await api.app.keys.create("viewer")).key
    headers = [("Authorization", f"Bearer {good}"), ("Authorization", "Bearer sk_other")]
    answer = await api.get("/v1/runs", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "malformed_authorization")


async def test_no_answer_repeats_the_key(api: Api):
    good = (await api.app.keys.create("viewer")).key
    for header in (f"Bearer  {good}", f"Bearer {good}x", f"Basic {good}"):
        assert good[:12] not in str(await refusal(api, header))


async def test_health_needs_no_key(api: Api):
    await api.app.keys.create("viewer")
    for path in ("/v1/health/live", "/v1/health/ready", "/v1/health/scheduler"):
        assert (await api.get(path)).status_code == 200


async def test_a_server_whose_store_is_gone_still_says_that_it_is_alive(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    async def fail(version: int) -> None:
        raise StoreError("The disk is gone.")

    monkeypatch.setattr(api.app.engine.store, "keys_changed", fail)
    assert (await api.get("/v1/health/live")).status_code == 200
    assert (await api.get("/v1/runs")).status_code == 503


async def test_a_key_that_exists_is_refused_as_fast_as_one_that_does_not(api: Api):
    """No difference that can be measured: all keys are in memory, found by their hash."""
    app = api.app
    keys = [make_key(bytes(25)), await ended_key(app, "expired"), await ended_key(app, "revoked")]

    async def spent(key: str) -> float:
        began = time.perf_counter()
        with pytest.raises(AccessError):
            await app.keys.whose(key)
        return time.perf_counter() - began

    times: dict[str, list[float]] = {key: [] for key in keys}
    reads = app.engine.store.stats.reads
    for _ in range(200):
        for key in keys:
            times[key].append(await spent(key))
    medians = [statistics.median(found) for found in times.values()]
    assert app.engine.store.stats.reads - reads < 100
    assert max(medians) - min(medians) < 0.001


# --- 403 ----------------------------------------------------------------------------------------


def test_roles_are_the_same_words_everywhere():
    assert set(ROLES) == {role.value for role in Role}


async def test_a_role_that_may_not_is_told_which_permission_it_lacks(api: Api):
    key = (await api.app.keys.create("viewer")).key
    headers = {"Authorization": f"Bearer {key}"}
    answer = await api.post("/v1/runs", json={"workflow": "x"}, headers=headers)
    body = answer.json()
    assert (answer.status_code, body["code"]) == (403, "missing_scope")
    assert "'operate'" in body["detail"]
    assert "operator" in body["why"]


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_may_what_its_permissions_say(api: Api, role: Role):
    key = (await api.app.keys.create(role)).key
    headers = {"Authorization": f"Bearer {key}"}
    asked = {
        Permission.READ: await api.get("/v1/runs", headers=headers),
        Permission.OPERATE: await api.post("/v1/runs/run_00000001/actions/cancel", headers=headers),
        Permission.APPROVE: await api.post(
            "/v1/approvals/apr_00000001_1/decision", json={"decision": "approve"}, headers=headers
        ),
        Permission.AUTHOR: await api.post(
            "/v1/workflows/none/activate", json={"version": "1"}, headers=headers
        ),
        Permission.ADMIN: await api.get("/v1/keys", headers=headers),
    }
    allowed = {each for each, answer in asked.items() if answer.status_code != 403}
    assert allowed == ROLES[role]


# --- the life of a key --------------------------------------------------------------------------


async def test_a_key_that_is_revoked_elsewhere_is_refused_within_five_seconds(api: Api):
    made = await api.app.keys.create("viewer")
    headers = {"Authorization": f"Bearer {made.key}"}
    assert (await api.get("/v1/runs", headers=headers)).status_code == 200
    podium = [sys.executable, "-m", "podium", "keys", "revoke", made.row.key_id]
    command = [*podium, "--store", api.settings.database_url]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    await refused(api, headers)
    assert (await refusal(api, f"Bearer {made.key}"))["code"] == "revoked_key"


async def test_the_first_key_made_elsewhere_closes_a_running_server(api: Api):
    assert (await api.get("/v1/runs")).status_code == 200
    podium = [sys.executable, "-m", "podium", "keys", "create", "--role", "admin"]
    command = [*podium, "--store", api.settings.database_url]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    await refused(api, {})


async def test_the_last_use_of_a_key_is_noted(api: Api):
    made = await api.app.keys.create("viewer")
    for _ in range(3):
        await api.get("/v1/runs", headers={"Authorization": f"Bearer {made.key}"})
    async with asyncio.timeout(5):
        while (await api.app.keys.get(made.row.key_id)).last_used_us is None:
            pass


def test_a_revoked_key_gets_nothing_more_on_a_stream_that_is_open(server: Server):
    def done(work: Coroutine[Any, Any, R]) -> R:
        return asyncio.run_coroutine_threadsafe(work, server.loop).result(PATIENCE_S)

    made = done(server.app.keys.create("admin"))
    headers = {"Authorization": f"Bearer {made.key}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=PATIENCE_S) as client:
        run = client.post("/v1/runs", json={"definition": WAIT}).json()["run_id"]
        with client.stream("GET", f"/v1/runs/{run}/events") as stream:
            lines = stream.iter_lines()
            assert any(line.startswith("data") and "run.waiting" in line for line in lines)
            done(server.app.keys.revoke(made.row.key_id))
            done(server.app.run(run).signal("go"))
            assert not any(lines)
    assert done(server.app.run(run).status()) in {RunStatus.RUNNING, RunStatus.COMPLETED}


# --- rates --------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def granted(rates: Rates, key: str) -> int:
    for count in range(100_000):
        try:
            rates.take(key)
        except RateLimited:
            return count
    raise AssertionError


def test_an_idle_key_has_its_burst_and_then_its_rate():
    clock = Clock()
    rates = Rates(10, clock=clock)
    assert granted(rates, "a") == 10 * BURST_S
    clock.now += 1
    assert granted(rates, "a") in {9, 10}
    clock.now += 3600
    assert granted(rates, "a") == 10 * BURST_S


@pytest.mark.parametrize("rate", [0.001, 0.5, 1, 3])
def test_a_slow_rate_lets_one_request_pass(rate: float):
    assert granted(Rates(rate, clock=Clock()), "a") == max(1, int(rate * BURST_S))


def test_a_rate_of_nothing_is_no_limit():
    rates = Rates(0, clock=Clock())
    for _ in range(1000):
        rates.take("a")


def test_one_key_does_not_use_up_the_rate_of_another():
    rates = Rates(10, clock=Clock())
    granted(rates, "a")
    rates.take("b")


def test_who_comes_back_when_told_gets_in():
    clock = Clock()
    rates = Rates(0.5, clock=clock)
    granted(rates, "a")
    with pytest.raises(RateLimited) as caught:
        rates.take("a")
    clock.now += float(caught.value.headers["Retry-After"])
    rates.take("a")


async def test_too_many_requests_are_a_429_with_retry_after(api: Api):
    api.settings = Settings(database_url=api.settings.database_url, requests_per_second=0.001)
    key = (await api.app.keys.create("viewer")).key
    authenticator = await open_authenticator(api.app, api.settings)
    api.service.state.authenticator = authenticator
    headers = {"Authorization": f"Bearer {key}"}
    answers = [await api.get("/v1/runs", headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 429, 429, 429]
    assert answers[-1].json()["code"] == "rate_limited"
    assert int(answers[-1].headers["retry-after"]) >= 1


# --- the first key ------------------------------------------------------------------------------


def with_file(settings: Settings, path: Path) -> Settings:
    return Settings(database_url=settings.database_url, bootstrap_key_file=str(path))


async def test_a_bootstrap_file_gets_a_key_of_an_administrator_once(api: Api, tmp_path: Path):
    path = tmp_path / "key"
    for _ in range(2):
        authenticator = await open_authenticator(api.app, with_file(api.settings, path))
        assert not authenticator.is_open
    key = path.read_text("utf-8").strip()
    assert path.stat().st_mode & 0o777 == 0o600
    caller = await authenticator.authenticate({"authorization": f"Bearer {key}"})
    assert (caller.role, caller.name) == ("admin", "bootstrap")
    assert len(await api.app.keys.list()) == 1


async def test_a_mounted_bootstrap_key_is_taken_as_it_is(api: Api, tmp_path: Path):
    path = tmp_path / "key"
    path.write_text("sk_" + "a" * 40 + "\n", "utf-8")
    authenticator = await open_authenticator(api.app, with_file(api.settings, path))
    await authenticator.authenticate({"authorization": "Bearer sk_" + "a" * 40})


async def test_a_bootstrap_key_that_was_revoked_does_not_come_back(api: Api, tmp_path: Path):
    path = tmp_path / "key"
    await open_authenticator(api.app, with_file(api.settings, path))
    [row] = await api.app.keys.list()
    await api.app.keys.revoke(row.key_id)
    authenticator = await open_authenticator(api.app, with_file(api.settings, path))
    header = f"Bearer {path.read_text('utf-8').strip()}"
    with pytest.raises(AccessError) as caught:
        await authenticator.authenticate({"authorization": header})
    assert caught.value.code_word == "revoked_key"


@pytest.mark.parametrize("text", ["", "sk_short", "password", "sk_" + "a" * 39 + " b"])
async def test_a_bootstrap_file_without_a_key_is_refused(api: Api, tmp_path: Path, text: str):
    path = tmp_path / "key"
    path.write_text(text, "utf-8")
    with pytest.raises(RequestError) as caught:
        await open_authenticator(api.app, with_file(api.settings, path))
    assert caught.value.code == "PDM-R127"


async def test_a_bootstrap_file_nowhere_is_refused(api: Api, tmp_path: Path):
    with pytest.raises(RequestError) as caught:
        await open_authenticator(api.app, with_file(api.settings, tmp_path / "no" / "key"))
    assert caught.value.code == "PDM-R142"


async def test_only_a_closed_server_listens_to_a_network(api: Api):
    everywhere = Address(host="0.0.0.0")
    with pytest.raises(RequestError):
        refuse_open_network(everywhere, await open_authenticator(api.app, api.settings))
    await api.app.keys.create("admin")
    refuse_open_network(everywhere, await open_authenticator(api.app, api.settings))


def test_a_key_made_at_the_terminal_opens_a_server_that_starts_later(settings: Settings):
    async def make() -> str:
        async with connect_server(settings, role="all") as app:
            return (await app.keys.create("viewer")).key

    key = asyncio.run(make())
    with Server(settings) as server:
        assert server.client.get("/v1/runs").status_code == 401
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=server.url, headers=headers) as client:
            assert client.get("/v1/runs").status_code == 200
