"""H1: starting and reading runs over HTTP, beside a handler of the framework that does nothing.

Servers are processes of their own, callers are connections of this one that stay open: what is
measured is the way there and back, and what the server does for it.
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import uvicorn
from litestar import Litestar, get

from podium.bench.measure import Sample, latency, rss_mb
from podium.bench.workloads import Sizes

__all__ = ["main", "measure_service"]

CALLERS: Final = 16
READS: Final = 2000
SETTLE_S: Final = 1.0
"""How long a server is left alone before its memory is read."""
SERVE: Final = ("-m", "podium", "serve", "--port", "0", "--json")
BARE: Final = ("-c", "from podium.bench.service import main; main()")
DEFINITION: Final = {"name": "hello", "tasks": [{"name": "first"}]}
RUN: Final = {"run_id": "run_00000001", "workflow": "hello", "status": "completed"}


async def measure_service(folder: Path, sizes: Sizes) -> Sample:
    """Start runs from many callers, then read one again and again; and the same of nothing."""
    async with _server(folder, BARE) as (url, _):
        bare = await _Callers(url).call("GET", "/v1/runs/run_00000001", count=READS)
    async with _server(folder, SERVE) as (url, process):
        callers = _Callers(url)
        await callers.call("POST", "/v1/workflows", {"definition": DEFINITION}, count=1)
        await asyncio.sleep(SETTLE_S)
        idle_mb, begun_s = rss_mb(process), time.perf_counter()
        starts = await callers.call("POST", "/v1/runs", {"workflow": "hello"}, count=sizes.requests)
        wall_s = time.perf_counter() - begun_s
        reads = await callers.call("GET", "/v1/runs/run_00000001", count=READS)
        facts = {"rss_idle_mb": idle_mb, "rss_mb": rss_mb(process)}
    for name, seconds in (("start", starts), ("get", reads), ("bare_get", bare)):
        told = latency(seconds)
        facts |= {f"{name}_p50_ms": told.p50_ms, f"{name}_p99_ms": told.p99_ms}
    return Sample(
        system="podium",
        workload="H1",
        what=f"{sizes.requests:,} starts over HTTP from {CALLERS} callers, then {READS:,} reads",
        wall_s=round(wall_s, 4),
        rate=round(len(starts) / wall_s, 1),
        unit="starts/s",
        latency=latency(starts),
        facts=facts,
    )


@asynccontextmanager
async def _server(folder: Path, command: tuple[str, ...]) -> AsyncGenerator[tuple[str, int]]:
    """Start a server and give its address and its process; it is killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield msgspec.json.decode(await process.stdout.readline())["url"], process.pid
    finally:
        process.kill()
        await process.wait()


class _Callers:
    """Connections to one server, each of which sends its next request after its last answer."""

    def __init__(self, url: str) -> None:
        self._place = urlsplit(url)
        self._left = 0
        self._seconds: list[float] = []

    async def call(self, method: str, path: str, body: Any = None, *, count: int) -> list[float]:
        """Send `count` requests; return how long each took. Raises for an answer that is no 2xx."""
        request = self._request(method, path, body)
        self._left, self._seconds = count, []
        async with asyncio.TaskGroup() as group:
            for _ in range(min(CALLERS, count)):
                group.create_task(self._one(request))
        return self._seconds

    def _request(self, method: str, path: str, body: Any) -> bytes:
        content = b"" if body is None else msgspec.json.encode(body)
        head = f"{method} {path} HTTP/1.1\r\nhost: {self._place.netloc}\r\n"
        if content:
            head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n"
        return head.encode() + b"\r\n" + content

    async def _one(self, request: bytes) -> None:
        host, port = self._place.hostname, self._place.port
        reader, writer = await asyncio.open_connection(host, port)
        while self._left > 0:
            self._left -= 1
            begun_s = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            body = await reader.readexactly(int(length))
            self._seconds.append(time.perf_counter() - begun_s)
            if not head.startswith(b"http/1.1 20"):
                raise RuntimeError(body.decode())
        writer.close()


# --- the other process --------------------------------------------------------------------------


@get("/v1/runs/{run:str}")
async def _nothing() -> dict[str, str]:
    """Return what is always the same."""
    return RUN


def main() -> None:
    """Serve the bare handler on a port that the system chose, and print where."""
    config = uvicorn.Config(
        Litestar([_nothing], openapi_config=None, logging_config=None),
        port=0, http="httptools", log_config=None, access_log=False,
    )  # fmt: skip
    listener = config.bind_socket()
    listener.listen(CALLERS)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    sys.stdout.write(msgspec.json.encode({"url": url}).decode() + "\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listener])
