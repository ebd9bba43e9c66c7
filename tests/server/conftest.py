"""The service for tests: `server` over a real socket, `api` in process; both on SQLite.

An `async def` test that takes `api` runs on the loop of its engine. A test that takes `server`
is a plain function: the server runs in a thread of its own, as its callers see it.
"""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx2 as httpx
import pytest
from litestar import Litestar

from podium.app import connect_server
from podium.authoring.client import App
from podium.server.application import assemble, furnish
from podium.server.serving import Address, serve
from podium.settings import Settings

PATIENCE_S = 30.0
TASKS = Path(__file__).parent / "tasks"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of a fresh store; definitions may name the functions of `served_tasks`."""
    monkeypatch.syspath_prepend(str(TASKS))
    return Settings(
        database_url=f"sqlite:///{tmp_path}/podium.db",
        task_modules=("served_tasks",),
        allow_shell=("true",),
    )


_IDLE: list[Litestar] = []


class Api:
    """An HTTP client on the application, without a socket; `app` is the engine's own app.

    A response is of httpx2; `api.get("/v1/runs")` is awaited inside of an `async def` test.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app: App
        self.client: httpx.AsyncClient
        self.authenticator: Any = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        async with connect_server(self.settings, role="all") as self.app:
            # Routes are put together once for many tests: that takes longer than most of them.
            self.service = _IDLE.pop() if _IDLE else assemble()
            furnish(
                self.service,
                self.app,
                settings=self.settings,
                authenticator=self.authenticator,
            )
            transport = httpx.ASGITransport(self.service)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1"
            ) as self.client:
                yield self
            _IDLE.append(self.service)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.get(path, **options)

    async def post(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.post(path, **options)

    async def put(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.put(path, **options)

    async def start(self, definition: Any, **more: Any) -> str:
        """Start a definition and return the id of its run."""
        answer = await self.post("/v1/runs", json={"definition": definition, **more})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["run_id"])

    async def end(self, run: str) -> dict[str, Any]:
        """Wait for the end of a run and return it."""
        await self.app.run(run).wait()
        found: dict[str, Any] = (await self.get(f"/v1/runs/{run}")).json()
        return found


@pytest.fixture
def api(settings: Settings) -> Api:
    return Api(settings)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test that takes an `Api` while its service is open."""
    api = next((v for v in pyfuncitem.funcargs.values() if isinstance(v, Api)), None)
    if api is None or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters

    async def test() -> None:
        async with asyncio.timeout(PATIENCE_S), api.opened():
            await pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})

    asyncio.run(test())
    return True


class Server:
    """A server with its engine, in a thread, on a port that the system chose."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.authenticator: Any = None
        self.url = ""
        self.app: App
        self.loop: asyncio.AbstractEventLoop
        self.client: httpx.Client
        self._answers = threading.Event()
        self._thread = threading.Thread(target=self._run, name="server")
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._answers.wait(PATIENCE_S)
        if self._failure is not None:
            raise self._failure
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE_S)
        return self

    def __exit__(self, *error: object) -> None:
        if self._failure is None:
            self.client.close()
            self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
            self._answers.set()
            raise

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with connect_server(self.settings, role="all") as self.app:
            await serve(
                self.app,
                Address(port=0),
                settings=self.settings,
                authenticator=self.authenticator,
                grace_s=1.0,
                told=self._listens,
                stopping=self._stop,
            )

    def _listens(self, url: str) -> None:
        self.url = url
        self._answers.set()

    def wait(self, run: str) -> dict[str, Any]:
        """Wait for the end of a run and return it."""
        ended = asyncio.run_coroutine_threadsafe(self.app.run(run).wait(), self.loop)
        ended.result(PATIENCE_S)
        found: dict[str, Any] = self.client.get(f"/v1/runs/{run}").json()
        return found


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with Server(settings) as running:
        yield running
