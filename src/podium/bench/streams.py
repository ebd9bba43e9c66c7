"""H2: a thousand followers of one run over HTTP; how long after its commit each event arrives.

The followers are sockets of another process, so that what they cost is not the server's. Both
processes read the same clock of the machine: a commit is noted when the engine tells of it, an
arrival when the bytes of its event are there.
"""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from podium.app import connect_server
from podium.authoring.client import App
from podium.bench.bodies import paced
from podium.bench.measure import Meter, Sample, latency, rss_mb
from podium.bench.workloads import Sizes
from podium.core import events as ev
from podium.server.serving import Address, serve
from podium.settings import Settings

__all__ = ["main", "measure_followers"]

PROGRAM: Final = "import sys; from podium.bench.streams import main; main(sys.argv[1:])"
READY: Final = b"ready\n"

Arrival = tuple[int, int, float]
"""Number of a follower, sequence of an event, and when it came."""


async def measure_followers(folder: Path, sizes: Sizes) -> Sample:
    """Let a run take its steps at an even pace while many follow it."""
    settings = Settings(database_url=f"sqlite:///{folder}/h2.db")
    stopping, url = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with connect_server(settings, role="all") as app, asyncio.TaskGroup() as group:
        group.create_task(
            serve(app, Address(port=0), settings=settings, told=url.set_result, stopping=stopping)
        )
        try:
            return await _follow(app, await url, sizes)
        finally:
            stopping.set()


async def _follow(app: App, url: str, sizes: Sizes) -> Sample:
    commits: dict[int, float] = {}

    def note(run_no: int, first_seq: int, at_us: int, records: Sequence[ev.Event]) -> None:
        commits.update(dict.fromkeys(range(first_seq, first_seq + len(records)), _now()))

    run = await app.start(paced, input=sizes.paced)
    stop = app.engine.listen(run.run_no, note)
    crowd = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, url, f"/v1/runs/{run.id}/events", str(sizes.followers),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert crowd.stdout is not None
    await crowd.stdout.readuntil(READY)
    meter, before = Meter(app), (await run.row()).last_seq
    await run.signal("go", 1)
    arrivals = msgspec.msgpack.decode(await crowd.stdout.read(), type=list[Arrival])
    await crowd.wait()
    stop()
    told = {event.sequence async for event in app.follow(run.id, after=before)}
    return _sample(meter, sizes, commits, told, arrivals)


def _sample(
    meter: Meter,
    sizes: Sizes,
    commits: Mapping[int, float],
    told: set[int],
    arrivals: Sequence[Arrival],
) -> Sample:
    live = [arrival for arrival in arrivals if arrival[1] in told]
    what = f"{sizes.followers:,} followers of one run, {len(told):,} events"
    sample = meter.sample(
        "H2", what, steps=len(told), count=len(live), unit="events/s",
        seconds=[at - commits[seq] for _, seq, at in live],
    )  # fmt: skip
    once = {(follower, seq) for follower, seq, _ in live}
    sample.facts = {
        "lost": sizes.followers * len(told) - len(once),
        "twice": len(live) - len(once),
        "rss_mb": rss_mb(),
        "worst_ms": round(max(at - commits[seq] for _, seq, at in live) * 1000, 1),
    }
    sample.latency = latency([at - commits[seq] for _, seq, at in live])
    return sample


def _now() -> float:
    return time.perf_counter()


# --- the other process --------------------------------------------------------------------------


class _Follower(asyncio.Protocol):
    """One connection: notes when each event came, and marks its waiting and its end."""

    def __init__(self, number: int, arrivals: list[Arrival], marks: "asyncio.Queue[int]") -> None:
        self._number = number
        self._arrivals = arrivals
        self._marks = marks
        self._rest = b""
        self._is_ready = False

    def data_received(self, data: bytes) -> None:
        """Take in some bytes."""
        at = _now()
        *frames, self._rest = (self._rest + data).split(b"\n\n")
        for frame in frames:
            _, found, tail = (b"\n" + frame).partition(b"\nid: ")
            if found:
                self._arrivals.append((self._number, int(tail.partition(b"\n")[0]), at))
            is_waiting = b"event: orchestration.run.waiting\n" in frame
            if b"event: complete\n" in frame or (is_waiting and not self._is_ready):
                self._is_ready = True
                self._marks.put_nowait(self._number)


def main(arguments: Sequence[str]) -> None:
    """Follow a run until it ends; write what arrived when to stdout."""
    url, path, count = arguments
    asyncio.run(_crowd(url, path, int(count)))


async def _crowd(url: str, path: str, count: int) -> None:
    place = urlsplit(url)
    loop = asyncio.get_running_loop()
    arrivals: list[Arrival] = []
    marks: asyncio.Queue[int] = asyncio.Queue()
    request = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\nAccept: text/event-stream\r\n\r\n"
    for number in range(count):
        follower = partial(_Follower, number, arrivals, marks)
        host, port = place.hostname or "", place.port or 80
        transport, _ = await loop.create_connection(follower, host, port)
        transport.write(request.encode())
    await _marks(marks, count)
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    await _marks(marks, count)
    sys.stdout.buffer.write(msgspec.msgpack.encode(arrivals))


async def _marks(marks: "asyncio.Queue[int]", count: int) -> None:
    """Wait until every follower has reached its next mark."""
    for _ in range(count):
        await marks.get()
