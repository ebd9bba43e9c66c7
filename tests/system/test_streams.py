"""A stream over a thousand lost connections and killed servers: no gap, no duplicate."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow]

RECONNECTS = 1000
KILLS_AT = (200, 500, 800)
ITEMS = 900
PATIENCE_S = 30.0
SEED = 20261121
FAN = {
    "name": "fan",
    "inputs": {"items": {"type": "array"}},
    "tasks": [
        {
            "name": "each",
            "for_each": "${{ inputs.items }}",
            "max_parallel": 4,
            "uses": "sleep",
            "with": {"duration": 0.02},
        }
    ],
}


class Service:
    """`podium serve` on one store, killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self.kills = 0
        self.url = ""

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "podium", "serve", "--port", "0", "--json"],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = json.loads(self._process.stdout.readline())["url"]

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()
        self.kills += 1

    def kill_and_start(self) -> None:
        self.kill()
        self.start()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    service.start()
    yield service
    service.kill()


class Reader:
    """A client that remembers the id of the last event it got whole, and nothing else."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.events: list[dict] = []
        self.last_id = ""
        self.is_over = False
        # An answer that is not read to its end takes its connection with it.
        self._client = httpx.Client(timeout=PATIENCE_S)

    def close(self) -> None:
        self._client.close()

    def read(self, url: str, frames: int) -> None:
        """Connect, take some events, and cut the connection."""
        headers = {"Accept": "text/event-stream"}
        headers |= {"Last-Event-ID": self.last_id} if self.last_id else {}
        path = f"{url}/v1/runs/{self.run}/events"
        with self._client.stream("GET", path, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            number, kind, data = "", "", ""
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    number = value
                elif name == "event":
                    kind = value
                elif name == "data":
                    data = value
                elif not line and data:
                    self._take(number, kind, json.loads(data))
                    number, kind, data = "", "", ""
                    frames -= 1
                if self.is_over or frames == 0:
                    return

    def _take(self, number: str, kind: str, data: dict) -> None:
        if kind in {"complete", "error", "closing"}:
            self.is_over = kind != "closing"
            return
        self.last_id = number
        self.events.append(data)


def test_a_thousand_lost_connections_and_killed_servers_lose_and_repeat_nothing(service):
    body = {"definition": FAN, "input": {"items": list(range(ITEMS))}}
    answer = httpx.post(f"{service.url}/v1/runs", json=body, timeout=PATIENCE_S)
    assert answer.status_code == 202, answer.text
    reader, dice = Reader(answer.json()["run_id"]), random.Random(SEED)
    connections = 0
    while not reader.is_over:
        frames = dice.choice((1, 1, 2, 3))
        reader.read(service.url, frames if connections < RECONNECTS else -1)
        connections += 1
        if connections in KILLS_AT:
            service.kill_and_start()
    reader.close()
    assert connections > RECONNECTS
    assert service.kills == len(KILLS_AT)
    whole, cursor = [], ""
    while cursor is not None:
        page = httpx.get(
            f"{service.url}/v1/runs/{reader.run}/events",
            params={"after": cursor, "limit": 1000},
            headers={"Accept": "application/json"},
            timeout=PATIENCE_S,
        ).json()
        whole += page["items"]
        cursor = page["next_cursor"]
    numbers = [event["sequence"] for event in reader.events]
    assert numbers == sorted(set(numbers))
    assert reader.events == whole
    assert whole[-1]["type"] == "orchestration.run.completed"
    done = [each for each in whole if each["type"] == "orchestration.step.completed"]
    assert len(done) == ITEMS + 1
