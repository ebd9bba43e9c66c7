"""Large runs stay small in the browser, and pages outlive their server."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from playwright.sync_api import Page, expect

ROOT = Path(__file__).parents[2]
TASKS = ROOT / "tests" / "server" / "tasks"
NODES_MAX = 1500
LONG_TASK_MAX_MS = 500
PATIENCE_S = 30

LONG_TASKS = """
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.longTasks.push(Math.round(entry.duration));
}).observe({ type: "longtask", buffered: true });
"""


def test_a_run_of_ten_thousand_steps_stays_small(
    server: Any, page: Page, starting: Any, task: Any
) -> None:
    run = starting(
        "backfill",
        task("row", "noop", for_each="${{ inputs.rows }}", max_parallel=500),
        input={"rows": list(range(9_999))},
    )
    server.wait(run)
    page.add_init_script(LONG_TASKS)
    page.goto(f"{server.url}/runs/{run}?tab=timeline")
    rows = page.get_by_role("table", name="Steps")
    expect(rows).to_contain_text("row")
    expect(page.get_by_role("tab", name="Timeline")).to_contain_text("10\u202f000", timeout=20_000)

    page.get_by_role("button", name="Unfold row").click()
    expect(page.get_by_text("10\u202f000 rows")).to_be_visible()
    page.mouse.move(400, 600)
    for _ in range(20):
        page.mouse.wheel(0, 20_000)
    expect(rows.get_by_role("row").filter(has_text="[9998]")).to_be_visible()

    assert page.evaluate("document.querySelectorAll('*').length") <= NODES_MAX
    assert max(page.evaluate("window.longTasks"), default=0) <= LONG_TASK_MAX_MS


class Process:
    """A server in a process of its own, which may be killed."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "PODIUM_DATABASE_URL": f"sqlite:///{folder}/podium.db",
            "PODIUM_TASK_MODULES": "served_tasks",
            "PYTHONPATH": str(TASKS),
        }
        self.folder = folder
        self.process: subprocess.Popen[str]

    def start(self) -> None:
        """Start it and wait until it listens: it says so on its error output."""
        command = [sys.executable, "-m", "podium", "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if str(self.port) in line:
                return
        raise AssertionError("the server ended before it listened")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    process.start()
    yield process
    process.kill()


@pytest.mark.system
def test_a_page_goes_on_after_its_server_was_killed(process: Process, page: Page) -> None:
    definition = {
        "name": "onboarding",
        "tasks": [
            {"name": "signed", "uses": "signal", "with": {"name": "signed"}},
            {"name": "welcome", "uses": "noop", "depends_on": ["signed"]},
        ],
    }
    body = {"definition": definition}
    run = httpx.post(f"{process.url}/v1/runs", json=body).json()["run_id"]
    page.goto(f"{process.url}/runs/{run}")
    expect(page.locator(".run-name [data-link=live]")).to_be_visible()

    process.kill()
    expect(page.get_by_text("The connection was lost")).to_be_visible()
    expect(page.get_by_role("heading", name="onboarding")).to_be_visible()
    process.start()

    expect(page.get_by_text("The connection was lost")).to_have_count(0, timeout=20_000)
    httpx.post(f"{process.url}/v1/runs/{run}/signals/signed", json={"payload": None})
    expect(page.locator(".run-name")).to_contain_text("completed", timeout=20_000)
