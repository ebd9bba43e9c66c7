"""A server as its operators meet it: figures, log lines and the lines of attempts, for real."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest

pytestmark = pytest.mark.system

TASKS = """
import logging

def talks(name: str) -> str:
    print("printed for", name)
    logging.getLogger("house").info("logged for %s", name)
    return name

def breaks() -> None:
    raise ConnectionError("Connection timeout")
"""
GOOD = {
    "name": "good",
    "tasks": [{"name": "a", "uses": "python:house:talks", "with": {"name": "ada"}}],
}
BAD = {
    "name": "bad",
    "tasks": [{"name": "data-transform-123", "uses": "python:house:breaks", "max_retries": 0}],
}


@contextmanager
def serving(folder: Path, *arguments: str, **environment: str):
    """Start `podium serve` in a folder; give its URL and what it writes once it has ended."""
    (folder / "house.py").write_text(TASKS)
    with (folder / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "podium", "serve", "--port", "0", "--json", *arguments],
            cwd=folder,
            env={**os.environ, "PODIUM_TASK_MODULES": "house", **environment},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with httpx.Client(base_url=url, timeout=20) as client:
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def ended(client, definition, **headers):
    """Start a run and return it once it has ended."""
    answer = client.post("/v1/runs", json={"definition": definition}, headers=headers)
    assert answer.status_code == 202, answer.text
    run = answer.json()["run_id"]
    while client.get(f"/v1/runs/{run}/status").json()["status"] not in {"completed", "failed"}:
        time.sleep(0.02)
    return run


def lines_of(client, run, count):
    """Return the texts of a run's log once so many are kept."""
    while len(items := client.get(f"/v1/runs/{run}/logs").json()["items"]) < count:
        time.sleep(0.05)
    return [line["text"] for line in items]


def test_an_operator_finds_everything(tmp_path):
    with serving(tmp_path) as client:
        good, bad = ended(client, GOOD), ended(client, BAD)
        figures = client.get("/metrics").text
        assert 'tasks_completed_total{status="success"} 1.0' in figures
        assert 'tasks_completed_total{status="failed"} 1.0' in figures
        assert 'task_errors_total{code="PDM-T001"} 1.0' in figures
        # From `info` on, though the log of the process shows warnings.
        assert lines_of(client, good, 2) == ["printed for ada", "logged for ada"]
        assert client.get("/v1/doctor").json()["ok"] is True
    told = (tmp_path / "stderr").read_text()
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    [failed] = [line for line in lines if line["component"] == "TaskExecutor"]
    assert failed["level"] == "error"
    assert failed["message"] == "Task 'data-transform-123' failed: Connection timeout"
    assert failed["run_id"] == bad


def test_log_lines_of_people_keep_their_shape(tmp_path):
    with serving(tmp_path, PODIUM_LOG_FORMAT="text") as client:
        ended(client, BAD)
    shape = "ERROR [TaskExecutor] Task 'data-transform-123' failed: Connection timeout"
    assert any(line.startswith(shape) for line in (tmp_path / "stderr").read_text().splitlines())
