"""One server in a process of its own for the whole corpus, with runs in every state."""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

sys.path.insert(0, str(Path(__file__).parent))

TASKS = '''"""Functions that the corpus may name."""

import os.path

join = os.path.join


def echo(word: str) -> str:
    return word


def broken() -> None:
    raise ValueError("broken")


def _private() -> None:
    """Nobody's business."""
'''
ECHO = {
    "name": "echo",
    "inputs": {"word": {"type": "string", "maxLength": 50}},
    "tasks": [
        {
            "name": "say",
            "uses": "python:allowed_tasks:echo",
            "with": {"word": "${{ inputs.word }}"},
        }
    ],
}
BROKEN = {
    "name": "broken",
    "tasks": [{"name": "fail", "uses": "python:allowed_tasks:broken", "max_retries": 0}],
}
WAITING = {"name": "waiting", "tasks": [{"name": "ask", "checkpoint": "before"}]}
CANARY = "canary-6f1c2f0b8d"

# What an engine notes about itself and its own work, and no caller has asked for: which node is
# up, who drives a run, and that a verb was refused. All the rest belongs to callers.
OWN_TABLES = frozenset({"node", "outcome"})
OWN_COLUMNS = {"store": {"clock_us"}, "run": {"home", "home_epoch", "updated_us"}}


class Target:
    """The server under test, the ids that cases name, and its store from outside."""

    def __init__(self, url: str, database: Path, log: Path, pid: int) -> None:
        self.url = url
        self.database = database
        self.log = log
        self.pid = pid
        self.http = httpx2.Client(base_url=url, timeout=30)
        self.names: dict[str, str] = {}

    def start(self, definition: dict[str, Any], ends: str, **more: Any) -> str:
        told = self.http.post("/v1/runs", json={"definition": definition, **more})
        assert told.status_code == 202, told.text
        run: str = told.json()["run_id"]
        for _ in range(3000):
            if self.http.get(f"/v1/runs/{run}/status").json()["status"] == ends:
                return run
        raise AssertionError(f"{run} did not come to be {ends}")

    def prepare(self) -> None:
        """Bring a run into each state that cases speak of."""
        word = {"input": {"word": CANARY}, "idempotency_key": "used"}
        self.names["done"] = self.start(ECHO, "completed", **word)
        self.names["failed"] = self.start(BROKEN, "failed")
        self.names["waiting"] = self.start(WAITING, "waiting")
        self.names["aborted"] = self.start(WAITING, "waiting")
        aborted = self.http.post(f"/v1/runs/{self.names['aborted']}/actions/abort", json={})
        assert aborted.status_code == 202, aborted.text
        [asked] = self.http.get("/v1/approvals").json()["items"]
        self.names["approval"] = asked["approval_id"]

    def content(self) -> dict[str, str]:
        """Return a hash of each table: two equal ones are two equal stores."""
        found = {}
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as store:
            names = store.execute("select name from sqlite_master where type = 'table'").fetchall()
            for (name,) in names:
                if name not in OWN_TABLES:
                    columns = [each[1] for each in store.execute(f'pragma table_info("{name}")')]
                    theirs = [each for each in columns if each not in OWN_COLUMNS.get(name, ())]
                    rows = store.execute(f'select {", ".join(theirs)} from "{name}"')
                    text = repr(sorted(map(repr, rows)))
                    found[name] = hashlib.sha256(text.encode()).hexdigest()
        return found

    def resident_kb(self) -> int:
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0])


@contextmanager
def serving(place: Path, **settings: str) -> Iterator[Target]:
    """Serve from a fresh store in a process of its own."""
    for module in ("allowed_tasks", "allowed_tasks2"):
        (place / f"{module}.py").write_text(TASKS)
    log = place / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "podium", "serve", "--port", "0", "--json", "--grace", "1s"],
            cwd=place,
            env=os.environ
            | {"PODIUM_TASK_MODULES": "allowed_tasks", "PODIUM_ALLOW_SHELL": "true"}
            | settings,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        url, database = json.loads(line)["url"], place / ".podium" / "podium.db"
        found = Target(url, database, log, process.pid)
        yield found
        found.http.close()
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with serving(tmp_path_factory.mktemp("corpus")) as found:
        found.prepare()
        yield found


@pytest.fixture(scope="module")
def keyed_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Return a server of its own that asks for a key, and an administrator to ask it."""
    place = tmp_path_factory.mktemp("keyed")
    key = place / "key"
    key.write_text("sk_" + "0123456789abcdef" * 4)
    with serving(place, PODIUM_BOOTSTRAP_KEY_FILE=str(key)) as found:
        found.http.headers["authorization"] = f"Bearer {key.read_text()}"
        found.prepare()
        yield found
