"""Secrets planted everywhere never appear in what podium keeps, prints, streams or answers.

Each canary is a key that podium knows: of a provider, in a header, in the environment. Tasks
print, log, raise and return what a program in trouble would; then every file of the store, every
answer of the service and every line of the log is searched, in every form a secret is likely
to be written in.
"""

import asyncio
import base64
import io
import json
import logging
import os
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from urllib.parse import quote

import httpx2 as httpx
import pytest

import podium
from podium.app import build_engine, connect_server
from podium.authoring.bundle import make_bundle
from podium.cli.logs import show_logs
from podium.server.application import build
from podium.settings import merge_settings

pytestmark = pytest.mark.system

CANARIES = {
    "OPENAI_API_KEY": "sk-canary/openai+0123456789=",
    "HOUSE_KEY": 'canary-of-the-house-"quoted"-42',
    "HEADER_KEY": "canary-in-a-header-77",
    # Nothing in the settings names these: a variable that says so, and a shape.
    "STRIPE_SECRET": "canary-of-a-task-31337",
    "LOOKS": "sk_canary0123456789abcdefghijklmnopqrstuvwxyz",
}
SETTINGS = {
    "llm": {
        "providers": {
            "house": {
                "kind": "openai",
                "base_url": "http://127.0.0.1:9/v1",
                "api_key": "${HOUSE_KEY}",
                "headers": {"X-Team": "${HEADER_KEY}"},
                "timeout": 1,
            }
        },
        "models": {"small": {"provider": "house", "model": "m", "context_window": 1000}},
    }
}

say = print
log = logging.getLogger("canaries")
log.setLevel(logging.INFO)


@podium.task(max_retries=1, retry_delay=0)
async def in_trouble(secret: str) -> None:
    say("about to use", secret)
    log.info("key=%s", secret)
    log.warning("request to https://x/?key=%s", quote(secret, safe=""))
    say(base64.b64encode(f"user:{secret}".encode()).decode())
    say(json.dumps({"authorization": f"Bearer {secret}"}))
    raise RuntimeError(f"401 for {secret}")


@podium.workflow
async def trouble() -> None:
    for name in CANARIES:
        await in_trouble(os.environ[name])


@podium.workflow
async def asks_a_model() -> object:
    return await podium.llm("say something", model="small")


def forms(secret):
    """Return what to search for."""
    yield secret
    if secret.startswith("sk_"):
        return
    yield json.dumps(secret)[1:-1]
    yield quote(secret, safe="")
    yield secret.encode().hex()
    body = base64.b64encode(b"user:" + secret.encode()).decode()
    yield body[8:-4]


def found_in(what, body):
    text = body if isinstance(body, bytes) else body.encode()
    return [
        (name, what)
        for name, secret in CANARIES.items()
        for form in forms(secret)
        if form.encode() in text
    ]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    file = {**SETTINGS, "database_url": f"sqlite:///{tmp_path}/store/podium.db"}
    return merge_settings(flags={}, environment={}, file=file)[0]


async def everything_that_leaves(settings):
    """Run into trouble, ask for everything, and return what came by where it came from."""
    seen = {}
    async with connect_server(settings, role="all") as app:
        service = build(app, settings=settings)
        transport = httpx.ASGITransport(service)
        runs = []
        for job in (trouble, asks_a_model):
            handle = await app.start(job)
            await handle.wait()
            runs.append(handle.id)
        await app.engine.registry.services.logbook.flush()
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            paths = ["/metrics", "/v1/runs", "/v1/doctor", "/openapi.json"]
            for run in runs:
                parts = ("", "/status", "/steps", "/explain", "/logs")
                paths += [f"/v1/runs/{run}{part}" for part in parts]
            for path in paths:
                seen[path] = (await client.get(path)).content
            for run in runs:
                path = f"/v1/runs/{run}/events"
                answer = await client.get(path, headers={"Accept": "application/json"})
                seen[path] = answer.content
        for run in runs:
            body = await make_bundle(
                app, run, settings=settings, shown_settings={}, with_payloads=True
            )
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                seen |= {f"bundle {name}": archive.read(name) for name in archive.namelist()}
    return seen


def test_no_canary_leaves_or_stays(settings, tmp_path):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        show_logs("debug", "json", secrets=podium_secrets(settings))
        try:
            seen = asyncio.run(everything_that_leaves(settings))
        finally:
            logging.getLogger("podium").handlers.clear()
    for path in Path(tmp_path).rglob("*"):
        if path.is_file():
            seen[str(path.relative_to(tmp_path))] = path.read_bytes()
    seen["log"] = err.getvalue()
    leaks = [leak for what, body in seen.items() for leak in found_in(what, body)]
    assert leaks == []
    # The run did fail, and its lines were kept: there was something to find.
    assert b"[secret]" in seen["/v1/runs/run_00000001/logs"]
    assert len(seen) > 20


def podium_secrets(settings):
    return build_engine(settings).registry.services.secrets


def test_the_search_finds_what_it_is_there_for():
    for secret in CANARIES.values():
        assert len(found_in("x", f"Bearer {secret}")) >= 1
        assert found_in("x", json.dumps([secret]))
        encoded = base64.b64encode(f"user:{secret}".encode()).decode()
        # What is known by its shape alone cannot be known in another shape.
        assert bool(found_in("x", encoded)) is not secret.startswith("sk_")
