"""Record what a program asks a provider, and play it back: the same run, at no cost.

`record` stands between a program and a provider (a stub or a real one) and writes each request
with its answer to a JSON file. `replay` answers from that file; a request that is not in it is
refused, and `with` ends with what differs. Headers are not written, and keys are taken out of
bodies.
"""

import difflib
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from podium.testing.llm.server import HttpServer, Request, Response, ServerThread

__all__ = ["RecordedCallMissing", "Tape", "record", "replay"]

VERSION: Final = 1
SCRUBBED: Final = "[scrubbed]"
SECRETS: Final = re.compile(r"\b(?:sk|key|pat|ghp|xox[a-z])-[\w-]{8,}|(?i:bearer) [\w.~+/-]{8,}=*")
KEY_HEADERS: Final = ("authorization", "x-api-key", "api-key")
PASSED_ON: Final = (*KEY_HEADERS, "content-type", "anthropic-version", "anthropic-beta")
DIFF_LINES_MAX: Final = 60
UPSTREAM_SECONDS_MAX: Final = 600.0


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One request and its answer; a body is JSON, or text where it is not."""

    path: str
    request: Any = None
    status: int = 200
    content_type: str = "application/json"
    response: Any = None
    text: str = ""
    """An answer that is not JSON: the events of a stream."""


class Recording(msgspec.Struct, kw_only=True):
    """What the file holds."""

    version: int = VERSION
    entries: list[Entry] = []


class RecordedCallMissing(AssertionError):
    """The program asked what was not recorded; the message shows what differs."""


class Tape:
    """A running recorder or player; point the program's `base_url` at it."""

    def __init__(self, server: HttpServer, close: Callable[[], None]) -> None:
        self.base_url = ""
        self._thread = ServerThread(server)
        self._close = close

    def __enter__(self) -> Self:
        self.base_url = f"http://127.0.0.1:{self._thread.start()}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.stop()
        if kind is None:
            self._close()


def record(path: str | Path, *, upstream: str, secrets: Sequence[str] = ()) -> Tape:
    """Pass requests on to `upstream` and write all of them to `path` at the end of `with`.

    `upstream` is the address of a stub or a provider, up to where the path of a request begins.
    API keys of the requests, `secrets`, and whatever looks like a key become `[scrubbed]`. Nothing
    is written if the block raises. Needs `podium[http]`.
    """
    recorder = Recorder(upstream.rstrip("/"), set(secrets))
    server = HttpServer(recorder.answer, at_stop=recorder.hang_up)
    return Tape(server, lambda: recorder.write(Path(path)))


def replay(path: str | Path) -> Tape:
    """Answer from a file that `record` wrote; each answer once, or again by idempotency key.

    Requests are compared by path and JSON body. One that is not in the file, or is asked too
    often, is refused with status 400, and `with` raises `RecordedCallMissing`.
    """
    recording = msgspec.json.decode(Path(path).read_bytes(), type=Recording)
    player = Player(recording.entries, str(path))
    return Tape(HttpServer(player.answer), player.check)


class Recorder:
    """Passes requests on and remembers them."""

    def __init__(self, upstream: str, secrets: set[str]) -> None:
        self._upstream = upstream
        self._secrets = secrets
        self._entries: list[Entry] = []
        # Optional: the client comes with the extra `podium[http]`.
        self._client = import_module("httpx2").AsyncClient(timeout=UPSTREAM_SECONDS_MAX)

    async def answer(self, request: Request) -> Response:
        """Ask the provider, remember and return its whole answer."""
        for name in KEY_HEADERS:
            self._secrets.add(request.headers.get(name, "").removeprefix("Bearer ").strip())
        headers = {n: request.headers[n] for n in PASSED_ON if n in request.headers}
        entry = Entry(path=request.path)
        self._entries.append(entry)
        answer = await self._client.request(
            request.method, self._upstream + request.path, headers=headers, content=request.body
        )
        entry.request = json_of(self._scrub(request.body.decode()))
        entry.status = answer.status_code
        entry.content_type = answer.headers.get("content-type", "")
        told = self._scrub(answer.text)
        if entry.content_type.startswith("application/json"):
            entry.response = json_of(told)
        else:
            entry.text = told
        kept = {"content-type": entry.content_type}
        return Response(status=entry.status, headers=kept, body=answer.content)

    async def hang_up(self) -> None:
        """Close the connections to the provider."""
        await self._client.aclose()

    def write(self, path: Path) -> None:
        """Write everything as JSON that people can read and compare."""
        encoded = msgspec.json.encode(Recording(entries=self._entries))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(encoded, indent=1) + b"\n")

    def _scrub(self, text: str) -> str:
        for secret in filter(None, self._secrets):
            text = text.replace(secret, SCRUBBED)
        return SECRETS.sub(SCRUBBED, text)


class Player:
    """Answers from entries."""

    def __init__(self, entries: list[Entry], source: str) -> None:
        self._source = source
        self._all = entries
        self._left: dict[bytes, list[Entry]] = defaultdict(list)
        for entry in entries:
            self._left[identity(entry.path, entry.request)].append(entry)
        self._by_key: dict[str, Entry] = {}
        self._missing: list[str] = []

    async def answer(self, request: Request) -> Response:
        """Return the recorded answer, or a refusal that says what differs."""
        asked = json_of(SECRETS.sub(SCRUBBED, request.body.decode()))
        key = request.headers.get("idempotency-key", "")
        entry = self._by_key.get(key) if key else None
        if entry is None:
            left = self._left[identity(request.path, asked)]
            entry = left.pop(0) if left else None
        if entry is None:
            return self._refuse(request.path, asked)
        if key:
            self._by_key[key] = entry
        headers = {"content-type": entry.content_type}
        if entry.text:
            return Response(status=entry.status, headers=headers, body=events_of(entry.text))
        body = msgspec.json.encode(entry.response)
        return Response(status=entry.status, headers=headers, body=body)

    def check(self) -> None:
        """Raise `RecordedCallMissing` if anything was asked that was not recorded."""
        if self._missing:
            raise RecordedCallMissing("\n\n".join(self._missing))

    def _refuse(self, path: str, asked: Any) -> Response:
        told = self._difference(path, asked)
        self._missing.append(told)
        error = {"type": "invalid_request_error", "message": told, "code": "not_recorded"}
        body = msgspec.json.encode({"type": "error", "error": error})
        return Response(status=400, headers={"content-type": "application/json"}, body=body)

    def _difference(self, path: str, asked: Any) -> str:
        mine = shown(asked)
        others = [shown(entry.request) for entry in self._all if entry.path == path]
        if mine in others:
            return f"{path} was asked more often than {self._source} has it:\n" + "\n".join(mine)
        near = max(others, key=lambda other: likeness(mine, other), default=[])
        lines = list(difflib.unified_diff(near, mine, "recorded", "asked", lineterm=""))
        hint = "record it anew if the program was meant to change"
        head = f"{path} asked what {self._source} does not have; {hint}:\n"
        return head + "\n".join(lines[:DIFF_LINES_MAX])


def identity(path: str, body: Any) -> bytes:
    """Return what two requests share if they ask the same; the order of keys does not matter."""
    return path.removeprefix("/v1").encode() + msgspec.json.encode(body, order="deterministic")


def likeness(mine: list[str], other: list[str]) -> float:
    """Return how much two bodies have in common."""
    return difflib.SequenceMatcher(None, mine, other, autojunk=False).quick_ratio()


def shown(body: Any) -> list[str]:
    """Return a body as lines that can be compared."""
    encoded = msgspec.json.encode(body, order="deterministic")
    return msgspec.json.format(encoded, indent=1).decode().splitlines()


def json_of(text: str) -> Any:
    """Return a body as a value; None for none, the text itself where it is not JSON."""
    try:
        return msgspec.json.decode(text) if text else None
    except msgspec.DecodeError:
        return text


async def events_of(text: str) -> AsyncGenerator[bytes, None]:
    """Send a recorded stream event by event."""
    for event in text.split("\n\n"):
        if event:
            yield f"{event}\n\n".encode()
