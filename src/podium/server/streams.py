"""Event streams as bytes: server-sent events and messages of a socket, with one cursor for both.

The first frame carries an id, silence is broken by heartbeats, and a stream that is over says
so: `complete` or `error` at the end of the run, `closing` when this process leaves. Frames that
are no event of the run carry no id, so that whoever collects ids sees each event once.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar.response import Stream

from podium.authoring.client import App
from podium.core.ids import parse_run_id, run_id
from podium.core.states import RunStatus
from podium.errors import RequestError
from podium.runtime.answers import unknown_run
from podium.runtime.feeds import FeedFollower
from podium.runtime.followers import Follower, invalid_cursor
from podium.runtime.notices import Notice

__all__ = [
    "HEARTBEAT",
    "HEARTBEAT_S",
    "RETRY",
    "End",
    "cursor_of",
    "feed_frames",
    "is_of",
    "run_frames",
    "sse",
    "wants_json",
]

HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = 2000
RETRY: Final = f"retry: {RETRY_MS}\n".encode()
"""How long a client waits before it connects again."""
HEARTBEAT: Final = b": heartbeat\n\n"
CURSOR_DIGITS_MAX: Final = 12


def sse(frames: AsyncGenerator[bytes], *, app: App) -> Stream:
    """Return the answer that streams frames; nothing on the way may keep or gather them."""
    return Stream(
        _while_admitted(frames, app),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
    )


async def _while_admitted(frames: AsyncGenerator[bytes], app: App) -> AsyncGenerator[bytes]:
    """Pass frames on until the caller's key ends: whoever lost it gets nothing more."""
    async with aclosing(frames):
        async for each in frames:
            if not await app.keys.is_admitted():
                return
            yield each


def wants_json(accept: str) -> bool:
    """Return whether a caller asks for a page rather than for a stream."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return "application/json" in kinds and "text/event-stream" not in kinds


def cursor_of(run: str, *, last_event_id: str, after: str) -> int:
    """Return the sequence number after which a caller wants to read.

    A browser that connects again sends `Last-Event-ID` beside the URL it began with, so the
    header counts. The `id` of an event (`run_…:7`) serves as well as its sequence.
    """
    given = last_event_id.strip() or after.strip()
    if not given:
        return 0
    owner, colon, number = given.rpartition(":")
    if colon and owner != run:
        raise unknown_run(_run_no(owner))
    if not (number.isascii() and number.isdecimal() and len(number) <= CURSOR_DIGITS_MAX):
        raise _garbage(given)
    return int(number)


def _run_no(text: str) -> int:
    try:
        return parse_run_id(text)
    except RequestError:
        raise _garbage(text) from None


def _garbage(given: str) -> RequestError:
    return invalid_cursor(
        f"{given[:80]!r} is no cursor of a run.",
        fix="Use the id of the last event you received, or leave it out to begin at the start.",
    )


@dataclass(frozen=True, slots=True)
class End:
    """How a stream is over."""

    kind: str
    """`complete`, `error` or `closing`."""
    data: dict[str, Any]

    @classmethod
    def of(cls, run_no: int, follower: Follower) -> "End":
        """Return the end of the stream of a run, as its follower sees it."""
        data: dict[str, Any] = {"run_id": run_id(run_no), "status": follower.status.label}
        data |= {"reason": follower.reason} if follower.reason else {}
        data |= {"sequence": follower.cursor}
        if not follower.has_ended:
            return cls("closing", data)
        return cls("complete" if follower.status is RunStatus.COMPLETED else "error", data)

    def frame(self) -> bytes:
        """Return it as one of the server-sent events."""
        return f"event: {self.kind}\ndata: ".encode() + msgspec.json.encode(self.data) + b"\n\n"

    def text(self) -> str:
        """Return it as a message of a socket."""
        return msgspec.json.encode({"type": self.kind, **self.data}).decode()


def _frames(notices: Sequence[Notice]) -> bytes:
    return b"".join([notice.frame for notice in notices])


async def run_frames(
    run_no: int, follower: Follower, *, heartbeat_s: float = HEARTBEAT_S
) -> AsyncGenerator[bytes]:
    """Yield the stream of a run; what gathered while a client was slow goes out together."""
    first = await follower.next(0)
    if first:
        yield RETRY + _frames(first)
    elif not follower.has_ended:
        # Nothing to tell yet, but whoever loses this connection knows where to go on.
        yield RETRY + f"id: {follower.cursor}\n\n".encode()
    else:
        yield RETRY + f"id: {follower.cursor}\n".encode() + End.of(run_no, follower).frame()
        return
    while not (follower.has_ended or follower.is_closing):
        notices = await follower.next(heartbeat_s)
        if notices:
            yield _frames(notices)
        elif not (follower.has_ended or follower.is_closing):
            yield HEARTBEAT
    yield End.of(run_no, follower).frame()


async def feed_frames(
    follower: FeedFollower, types: Sequence[str], *, heartbeat_s: float = HEARTBEAT_S
) -> AsyncGenerator[bytes]:
    """Yield the stream of the feed, only events of these types; it ends when the process does.

    Ids are given for what is passed over, too: they keep the place without an event.
    """
    yield RETRY + f"id: {follower.cursor}\n\n".encode()
    while not follower.is_closing:
        told = await follower.next(heartbeat_s)
        frames = [
            f"id: {each.cursor}\nevent: {each.notice.event.type}\ndata: ".encode()
            + each.notice.body
            + b"\n\n"
            for each in told
            if is_of(types, each.notice.event.type)
        ]
        if frames:
            yield b"".join(frames)
        elif not follower.is_closing:
            yield f"id: {follower.cursor}\n: heartbeat\n\n".encode() if told else HEARTBEAT
    yield End("closing", {"cursor": str(follower.cursor)}).frame()


def is_of(types: Sequence[str], event_type: str) -> bool:
    """Return whether an event is of one of these types or families; of any, if there are none."""
    name = event_type.removeprefix("orchestration.")
    return not types or any(name == each or name.startswith(f"{each}.") for each in types)
