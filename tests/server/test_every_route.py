"""Deny by default: every route and method of the service, without a key and beside the paths."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import pytest
from litestar import Litestar, get
from litestar.routes import WebSocketRoute
from tests.server.conftest import Api

from podium.errors import InternalError
from podium.server.access import NEEDS, PUBLIC_IF, Permission, check_routes, handlers_of

PUBLIC = {
    # What a probe asks, and what a page needs before somebody has signed in: no data of anybody.
    "/",
    "/agents",
    "/approvals",
    "/assets/{name:str}",
    "/runs/{run:str}",
    "/v1/health/live",
    "/v1/health/ready",
    "/v1/health/scheduler",
    "/workflows",
}
"""The only routes that ask nobody who they are."""
SIGNED_OTHERWISE = {"/v1/webhooks/in/{webhook:str}"}
"""Routes whose callers prove themselves by a signature over the body."""
EVERY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
FILLED = re.compile(r"\{[a-z_]+:[a-z]+\}")


def operations(service: Litestar) -> Iterator[tuple[str, str, Permission]]:
    """Yield path, method and permission of everything that is served."""
    for route in service.routes:
        for handler in handlers_of(route):
            is_socket = isinstance(route, WebSocketRoute)
            methods = {"SOCKET"} if is_socket else handler.http_methods
            for method in sorted(methods):
                yield route.path, method, handler.opt[NEEDS]


def filled(path: str) -> str:
    return FILLED.sub("run_00000001", path)


async def closed(api: Api) -> None:
    await api.app.keys.create("admin")


async def test_every_route_says_what_it_needs_and_the_public_ones_are_these(api: Api):
    found = list(operations(api.service))
    assert all(isinstance(needs, Permission) for _, _, needs in found)
    public = {path for path, method, needs in found if needs is Permission.PUBLIC
              and method != "OPTIONS"}  # fmt: skip
    assert public - SIGNED_OTHERWISE <= PUBLIC


async def test_without_a_key_every_route_and_method_is_closed(api: Api):
    await closed(api)
    served = list(operations(api.service))
    public = {path for path, _, needs in served if needs is Permission.PUBLIC}
    asked = 0
    for path in {path for path, method, _ in served if method != "SOCKET"}:
        for method in EVERY_METHOD:
            answer = await api.client.request(method, filled(path), json={})
            asked += 1
            may_be_open = path in PUBLIC | SIGNED_OTHERWISE or method == "OPTIONS"
            assert may_be_open or answer.status_code in {401, 404, 405}, (method, path)
            takes = (path, method) in {(p, m) for p, m, _ in served}
            if takes and not may_be_open:
                assert answer.status_code == 401, (method, path)
    assert asked > 300
    assert public


async def test_answers_to_options_tell_methods_and_nothing_else(api: Api):
    await closed(api)
    for path, method, _ in operations(api.service):
        if method == "OPTIONS":
            answer = await api.client.request("OPTIONS", filled(path))
            assert (answer.status_code, answer.content) == (204, b""), path


@pytest.mark.parametrize(
    "path",
    [
        "/v1/runs/",
        "//v1/runs",
        "/v1//runs",
        "/v1/./runs",
        "/v1/health/../runs",
        "/v1/health/live/../../runs",
        "/v1/runs%2f",
        "/%76%31/runs",
        "/V1/runs",
        "/v1/runs;/v1/health/live",
        "/v1/runs/health/live",
        "/v1/runs?x=/v1/health/live",
        "/v1/runs#/v1/health/live",
        "/v1/keys/live",
        "/assets/../v1/runs",
        "/assets/..%2fv1%2fruns",
        "/v1/runs\x00",
    ],
)
async def test_no_way_of_writing_a_path_leads_around_the_guard(api: Api, path: str):
    """A suffix, a prefix or an encoding that a check on text would take for a public path."""
    await closed(api)
    answer = await raw_get(api, path)
    assert answer in {400, 401, 404, 405}


async def raw_get(api: Api, path: str) -> int:
    """Ask for a path as it is written, which a client would tidy up; return the status."""
    plain, _, query = path.partition("?")
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": plain, "raw_path": plain.encode(), "root_path": "",
        "query_string": query.encode(), "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
    }  # fmt: skip
    await api.service(scope, receive, send)
    status = sent[0]["status"]
    assert isinstance(status, int)
    return status


async def test_a_socket_without_a_key_is_closed_before_it_opens(api: Api):
    await closed(api)
    sockets = [path for path, method, _ in operations(api.service) if method == "SOCKET"]
    assert sockets
    for path in sockets:
        sent = await socket_messages(api, filled(path))
        assert [message["type"] for message in sent] == ["websocket.close"], path


async def socket_messages(
    api: Api, path: str, *, headers: Mapping[str, str] = MappingProxyType({})
) -> list[dict[str, object]]:
    """Connect and return what the server sends until it closes."""
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    sent_headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), *sent_headers], "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80), "subprotocols": [], "state": {},
    }  # fmt: skip
    await api.service(scope, receive, send)
    return sent


def test_a_service_with_a_route_that_says_nothing_does_not_start():
    @get("/open")
    async def forgotten() -> None: ...

    with pytest.raises(InternalError):
        check_routes(Litestar([forgotten], openapi_config=None).routes)


async def test_what_a_setting_opens_is_closed_by_default(api: Api):
    await closed(api)
    for route in api.service.routes:
        for handler in handlers_of(route):
            if PUBLIC_IF in handler.opt:
                assert not getattr(api.settings, handler.opt[PUBLIC_IF])
                assert (await api.get(route.path)).status_code == 401
