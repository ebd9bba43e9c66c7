"""`podium serve` as a process: it starts, drains, is killed, loses its store and comes back."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import httpx2 as httpx
import pytest
from tests.server.conftest import PATIENCE_S, TASKS

from podium.app import connect_server
from podium.authoring.client import App
from podium.errors import RequestError, StoreError
from podium.server.outage import unavailable
from podium.server.serving import Address, keep_serving
from podium.settings import Settings

pytestmark = pytest.mark.system

HELLO = {"name": "hello", "tasks": [{"name": "first"}]}


def pipes(folder: Path) -> list[Path]:
    """Return two pipes: what is read from them ends when somebody writes to them."""
    made = [folder / "first", folder / "second"]
    for pipe in made:
        os.mkfifo(pipe)
    return made


def reads(*pipes: Path) -> dict:
    """Return a definition whose steps read from pipes, one after the other."""
    tasks = [
        {
            "name": pipe.name,
            "uses": "python:served_tasks:read_pipe",
            "with": {"path": str(pipe)},
            "depends_on": [before.name for before in pipes[:at]],
        }
        for at, pipe in enumerate(pipes)
    ]
    return {"name": "reads", "tasks": tasks}


class Process:
    """`podium serve` in a folder of its own."""

    def __init__(self, folder: Path, *arguments: str, wrapper: tuple[str, ...] = ()) -> None:
        kept = {name: value for name, value in os.environ.items() if "PODIUM" not in name}
        path = os.pathsep.join([str(TASKS), os.environ.get("PYTHONPATH", "")])
        command = [*wrapper, sys.executable, "-m", "podium", "serve", "--port", "0", "--json"]
        self.popen = subprocess.Popen(
            [*command, *arguments],
            cwd=folder,
            env=kept | {"PYTHONPATH": path, "PODIUM_TASK_MODULES": "served_tasks"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        assert line, self.popen.stderr.read()
        self.client = httpx.Client(base_url=json.loads(line)["url"], timeout=PATIENCE_S)

    def start(self, definition: dict, **more: object) -> str:
        answer = self.client.post("/v1/runs", json={"definition": definition, **more})
        assert answer.status_code == 202, answer.text
        return answer.json()["run_id"]

    def ended(self, run: str) -> str:
        """Return how a run ended, once it has."""
        with self.client.stream("GET", f"/v1/runs/{run}/events") as events:
            for _ in events.iter_lines():
                pass
        return self.client.get(f"/v1/runs/{run}/status").json()["status"]

    def completed(self) -> set[str]:
        """Return the runs that have completed by now."""
        page = self.client.get("/v1/runs", params={"status": "completed", "limit": 100}).json()
        return {item["run_id"] for item in page["items"]}

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def exit_code(self) -> int:
        return self.popen.wait(PATIENCE_S)


@contextmanager
def serving(folder: Path, *arguments: str, **options: tuple[str, ...]) -> Iterator[Process]:
    process = Process(folder, *arguments, **options)
    try:
        yield process
    finally:
        process.client.close()
        process.popen.kill()
        process.popen.communicate()


def test_sigterm_lets_running_attempts_end_and_hands_the_rest_on(tmp_path: Path):
    one, two = pipes(tmp_path)
    with serving(tmp_path) as first:
        run = first.start(reads(one, two))
        until_step(first, run, "running")
        first.signal(signal.SIGTERM)
        until_draining(first)
        one.write_text("now")
        assert first.exit_code() == 0
    with serving(tmp_path) as second:
        two.write_text("now")
        assert second.ended(run) == "completed"
        steps = second.client.get(f"/v1/runs/{run}/steps").json()["items"]
        # One attempt each: what ran came to its end before the process left, and the rest began
        # in the next one only.
        assert [(step["path"], step["attempts"]) for step in steps] == [("first", 1), ("second", 1)]


def until_step(process: Process, run: str, status: str) -> None:
    while True:
        items = process.client.get(f"/v1/runs/{run}/steps").json()["items"]
        if any(step["status"] == status for step in items):
            return


def until_draining(process: Process) -> None:
    while process.client.get("/v1/health/ready").json()["ready"]:
        pass
    until_s = time.monotonic() + 1
    while time.monotonic() < until_s:
        answer = process.client.get("/v1/health/ready")
        assert (answer.status_code, answer.json()["reason"]) == (503, "draining")
        assert process.client.get("/v1/health/live").status_code == 200


def test_what_does_not_end_within_the_grace_is_handed_back_without_charge(tmp_path: Path):
    pipe, _ = pipes(tmp_path)
    (tmp_path / "podium.yaml").write_text("agent: {graceful_shutdown_timeout: 0.1}")
    with serving(tmp_path) as first:
        run = first.start(reads(pipe))
        until_step(first, run, "running")
        first.signal(signal.SIGTERM)
        assert first.exit_code() == 0
    with serving(tmp_path) as second:
        until_step(second, run, "running")
        pipe.write_text("now")
        assert second.ended(run) == "completed"


def test_a_second_signal_ends_the_process_at_once(tmp_path: Path):
    pipe, _ = pipes(tmp_path)
    with serving(tmp_path) as process:
        until_step(process, process.start(reads(pipe)), "running")
        process.signal(signal.SIGTERM)
        until_draining(process)
        process.signal(signal.SIGTERM)
        assert process.exit_code() == 128 + signal.SIGTERM


def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path: Path):
    with serving(tmp_path) as first:
        runs = {first.start(HELLO, idempotency_key=f"k{n}") for n in range(30)}
        first.signal(signal.SIGKILL)
        first.exit_code()
    with serving(tmp_path) as second:
        while (found := second.completed()) != runs:
            assert found < runs


def test_open_streams_do_not_keep_a_process_from_leaving(tmp_path: Path):
    definition = {"name": "waits", "tasks": [{"name": "ask", "checkpoint": "before"}]}
    with serving(tmp_path) as process:
        run = process.start(definition)
        with process.client.stream("GET", f"/v1/runs/{run}/events") as events:
            lines = events.iter_lines()
            next(lines)
            process.signal(signal.SIGTERM)
            assert "event: closing" in list(lines)
        assert process.exit_code() == 0


def test_api_and_engine_may_be_processes_of_their_own(tmp_path: Path):
    with serving(tmp_path, "--role", "api") as api:
        run = api.start(HELLO)
        assert api.client.get(f"/v1/runs/{run}/status").json()["status"] == "queued"
        parts = api.client.get("/v1/health").json()["parts"]
        assert {part["name"]: part["state"] for part in parts}["engine"] == "off"
        with serving(tmp_path, "--role", "engine") as engine:
            assert api.ended(run) == "completed"
            assert engine.client.get("/v1/health/ready").status_code == 200
            assert engine.client.get("/v1/runs").status_code == 404


def test_it_works_as_process_number_one(tmp_path: Path):
    wrapper = ("unshare", "--pid", "--fork", "--kill-child")
    if subprocess.run([*wrapper, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine gives no namespaces")
    with serving(tmp_path, wrapper=wrapper) as process:
        children = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children")
        [inner] = children.read_text().split()
        os.kill(int(inner), signal.SIGTERM)
        assert process.exit_code() == 0


def test_the_network_is_not_served_without_keys(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "podium", "serve", "--host", "0.0.0.0", "--port", "0"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2
    assert "PDM-R141" in done.stderr


def test_a_port_that_is_taken_is_named():
    with Address(port=0).bind() as listener:
        port = listener.getsockname()[1]
        with pytest.raises(RequestError, match=str(port)):
            Address(port=port).bind()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_addresses_of_this_machine_are_known(host: str):
    assert Address(host).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "podium.internal", ""])
def test_addresses_of_a_network_are_known(host: str):
    assert not Address(host).is_loopback


def test_a_lost_store_is_told_and_the_server_comes_back(settings: Settings):
    with Lasting(settings) as server:
        run = server.ask("POST", "/v1/runs", json={"definition": HELLO}).json()["run_id"]
        server.lose_the_store()
        while server.ask("GET", "/v1/health/ready").status_code == 200:
            pass
        assert server.ask("GET", "/v1/health/live").status_code == 200
        answer = server.ask("GET", f"/v1/runs/{run}")
        if answer.status_code != 200:
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            assert int(answer.headers["retry-after"]) > 0
        while server.ask("GET", "/v1/health/ready").status_code == 503:
            pass
        assert server.ask("GET", f"/v1/runs/{run}").json()["run_id"] == run


def test_a_process_without_a_store_says_so_whatever_it_is_asked():
    async def ask(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(unavailable)
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            return await client.get(path)

    assert asyncio.run(ask("/v1/health/live")).status_code == 200
    assert asyncio.run(ask("/v1/health/ready")).json()["reason"] == "store_unavailable"
    answer = asyncio.run(ask("/v1/runs"))
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert int(answer.headers["retry-after"]) > 0


class Lasting:
    """A server that survives the loss of its store, in a thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._told = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def connect(self) -> App:
        self.app = connect_server(self.settings, role="all")
        return self.app

    async def _serve(self) -> None:
        self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        address = Address(port=0)
        await keep_serving(
            self.connect,
            address,
            settings=self.settings,
            told=self._listens,
            stopping=self._stop,
        )

    def _listens(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=PATIENCE_S)
        self._told.set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._told.wait(PATIENCE_S)
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)

    def ask(self, method: str, path: str, **options: object) -> httpx.Response:
        """Return an answer; a connection that ends with its server is made anew."""
        while True:
            with suppress(httpx.TransportError):
                return self.client.request(method, path, **options)

    def lose_the_store(self) -> None:
        lost = StoreError("The disk is full.", code="PDM-S005")
        self.loop.call_soon_threadsafe(self.app.engine.failed, lost)
