"""One process that serves: the engine and uvicorn in one event loop, from start to drain.

A first SIGTERM or SIGINT drains: not ready any more, nothing new is begun, running attempts may
end within the grace, streams are told, and what is left goes back to the store. A second one
ends the process at once; the store knows what was acknowledged either way.
"""

import asyncio
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final

import uvicorn
from litestar import Litestar
from litestar.types import ASGIApp

from podium.authoring.client import App
from podium.errors import RequestError, StoreError
from podium.server.access import Authenticator
from podium.server.application import build
from podium.server.authentication import open_authenticator
from podium.server.declared import declare
from podium.server.outage import unavailable
from podium.server.routes import NOUNS
from podium.server.wire import BoundedHttp
from podium.settings import Settings

__all__ = ["GRACE_S", "Address", "keep_serving", "serve"]

log = logging.getLogger("podium.server")

GRACE_S: Final = 120.0
"""How long attempts may go on after the first signal (seed 002)."""
CLOSING_S: Final = 5.0
"""How long answers under way may take once everything else is done."""
PROBES: Final = ("health", "metrics")
"""What a process serves that does not serve the API."""
STAND_IN_S: Final = 2.0
"""How long to wait before the store is tried again."""
BACKLOG: Final = 2048


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 lets the system choose."""

    host: str = "127.0.0.1"
    port: int = 8470

    @property
    def is_loopback(self) -> bool:
        """Return whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def url(self, listener: socket.socket) -> str:
        """Return the URL under which a socket of this address is reached."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{listener.getsockname()[1]}"

    def bind(self) -> socket.socket:
        """Return a listening socket; raises `RequestError` if the address cannot be had."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # The protocol is named so that asyncio knows TCP by it, and sends small answers at once.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
        except OSError as error:
            listener.close()
            raise RequestError(
                f"Cannot listen on {self.host}:{self.port}.",
                why=error.strerror or str(error),
                fix="Stop what listens there, or choose another port: podium serve --port 0",
                code="PDM-R140",
            ) from error
        listener.listen(BACKLOG)
        return listener


class _Uvicorn(uvicorn.Server):
    """Uvicorn without a hand on the process's signals: they are for the engine, too."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the handlers as they are."""
        yield


async def serve(
    app: App,
    address: Address,
    *,
    settings: Settings,
    authenticator: Authenticator | None = None,
    grace_s: float = GRACE_S,
    told: Callable[[str], None] = lambda url: None,
    stopping: asyncio.Event | None = None,
) -> None:
    """Serve an open `app` until `stopping` is set (without it: until a signal comes), then drain.

    Returns as well when the engine has failed. `told` gets the URL once somebody can connect.
    """
    authenticator = authenticator or await open_authenticator(app, settings)
    refuse_open_network(address, authenticator)
    signals = _signals() if stopping is None else nullcontext(stopping)
    with signals as asked, address.bind() as listener:
        told(address.url(listener))
        service = _service(app, settings, authenticator)
        await _serve_on(listener, app, service, grace_s=grace_s, stopping=asked)


async def keep_serving(
    connect: Callable[[], App],
    address: Address,
    *,
    settings: Settings,
    grace_s: float = GRACE_S,
    told: Callable[[str], None] = lambda url: None,
    stopping: asyncio.Event | None = None,
) -> None:
    """Serve like `serve`; while the store cannot be used, say so and try it again and again.

    Raises `StoreError` if the store cannot be used at the very start.
    """
    has_served = False

    async def serve_once(listener: socket.socket, asked: asyncio.Event) -> None:
        nonlocal has_served
        async with connect() as app:
            authenticator = await open_authenticator(app, settings)
            refuse_open_network(address, authenticator)
            await declare(app, settings)
            if not has_served:
                told(address.url(listener))
            has_served = True
            service = _service(app, settings, authenticator)
            await _serve_on(listener, app, service, grace_s=grace_s, stopping=asked)

    signals = _signals() if stopping is None else nullcontext(stopping)
    # Connections that come between two servers wait in the queue of the socket.
    with signals as asked, address.bind() as listener:
        while not asked.is_set():
            try:
                await serve_once(listener, asked)
            except* StoreError as lost:
                if not has_served:
                    raise
                log.warning("store.lost", extra={"error": str(lost.exceptions[0])})
            if not asked.is_set():
                await _stand_in(listener, asked)


def _service(app: App, settings: Settings, authenticator: Authenticator) -> Litestar:
    nouns = PROBES if app.engine.options.role == "engine" else NOUNS
    return build(app, settings=settings, authenticator=authenticator, nouns=nouns)


async def _serve_on(
    listener: socket.socket,
    app: App,
    service: Litestar,
    *,
    grace_s: float,
    stopping: asyncio.Event,
) -> None:
    """Serve until asked to stop, then drain; or until the engine has failed."""
    server = _Uvicorn(_config(service))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener.dup()]), name="podium-http")
        ends = [group.create_task(each.wait()) for each in (stopping, app.engine.stopping)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        service.state.health.drain()
        if app.engine.failure is None:
            left = await app.engine.drain(grace_s)
            if left:
                log.warning("drain.cut_off", extra={"attempts": left})
        app.engine.audience.close()
        server.should_exit = True
        for end in ends:
            end.cancel()


async def _stand_in(listener: socket.socket, stopping: asyncio.Event) -> None:
    """Answer for a while that the store cannot be used."""
    server = _Uvicorn(_config(unavailable))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener.dup()]), name="podium-stand-in")
        with suppress(TimeoutError):
            async with asyncio.timeout(STAND_IN_S):
                await stopping.wait()
        server.should_exit = True


def refuse_open_network(address: Address, authenticator: Authenticator) -> None:
    """Refuse to listen to a network without keys; raises `RequestError`."""
    if not address.is_loopback and authenticator.is_open:
        raise RequestError(
            f"Will not listen on {address.host} without keys.",
            why="Whoever reaches this address could start and stop runs.",
            fix="Make a key first: podium keys create --role admin; or use --host 127.0.0.1.",
            code="PDM-R141",
        )


def _config(service: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        service,
        http=BoundedHttp,
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(CLOSING_S),
    )


@contextmanager
def _signals() -> Generator[asyncio.Event, None, None]:
    """Give what the first SIGTERM or SIGINT inside the block sets; end at the second one.

    Handlers are set explicitly, also because a process with number 1 has no default ones.
    """
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()

    count = 0

    # A plain handler, not the loop's: it must also work while a task blocks the loop.
    def note(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > 1:
            os._exit(128 + number)
        loop.call_soon_threadsafe(stopping.set)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
