"""A browser on the built pages, and the service they talk to.

Needs Chromium and the built interface (`make ui`); without one of them the tests say so and are
skipped. Every page fails its test if it logged an error: a refused script is one.
"""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from podium.server.pages import BUILT
from podium.settings import Settings

ROOT = Path(__file__).parents[2]
TASKS = ROOT / "tests" / "server" / "tasks"
PATIENCE_MS = 10_000
NARROW = {"width": 390, "height": 760}


def _service() -> Any:
    """Return the module of the service's own fixtures, so that there is one of each."""
    place = ROOT / "tests" / "server" / "conftest.py"
    spec = importlib.util.spec_from_file_location("served_for_pages", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SERVICE = _service()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.syspath_prepend(str(TASKS))
    return Settings(
        database_url=f"sqlite:///{tmp_path}/podium.db",
        task_modules=("served_tasks",),
    )


@pytest.fixture
def authenticator() -> Any:
    """Whom the server asks who somebody is; tests about keys give another one."""
    return None


@pytest.fixture
def server(settings: Settings, authenticator: Any) -> Iterator[Any]:
    service = SERVICE.Server(settings)
    service.authenticator = authenticator
    with service as running:
        yield running


@pytest.fixture(scope="session")
def built() -> Path:
    if not (BUILT / "index.html").is_file():
        pytest.skip("THE WEB INTERFACE IS NOT BUILT: `make ui` builds it")
    return BUILT


# For one module, not for the session: while it is there, its loop runs in this thread, and no
# test of another room could run one of its own.
@pytest.fixture(scope="module")
def browser(built: Path) -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
    if not path:
        pytest.skip("NO CHROMIUM: install it, or name it in CHROMIUM, to test the web interface")
    with sync_playwright() as playwright:
        # Without a sandbox of its own: it may run as root, and it sees our own pages only.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def logged() -> list[str]:
    """What pages logged as errors; a test that expects one takes it out."""
    return []


@pytest.fixture
def page(context: BrowserContext, logged: list[str]) -> Iterator[Page]:
    page = context.new_page()

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            logged.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: logged.append(str(error)))
    yield page
    # What the server refuses, the browser logs by itself; the pages show it.
    ours = [text for text in logged if not text.startswith("Failed to load resource")]
    assert ours == []


def start(server: Any, definition: dict[str, Any], **more: Any) -> str:
    """Start a definition and return the id of its run."""
    answer = server.client.post("/v1/runs", json={"definition": definition, **more})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["run_id"])


def task(name: str, uses: str = "noop", *after: str, **more: Any) -> dict[str, Any]:
    """Return a task of a definition."""
    return {"name": name, "uses": uses, "depends_on": list(after), **more}


@pytest.fixture
def starting(server: Any) -> Any:
    """Return `start` on the server, and `task` beside it."""

    def begin(name: str, *tasks: dict[str, Any], **more: Any) -> str:
        return start(server, {"name": name, "tasks": list(tasks)}, **more)

    return begin


@pytest.fixture(name="task")
def task_maker() -> Any:
    return task
