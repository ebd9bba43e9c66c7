"""The description of the service, for programs and as a page to read."""

from typing import Any, Final

import msgspec
from litestar import Request, Response, get

from podium.server.access import Permission
from podium.server.manual import CSP, manual

__all__ = ["ROUTES"]

READ: Final = {"needs": Permission.READ}


@get("/openapi.json", opt=READ, include_in_schema=False)
async def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return the description in OpenAPI 3.1."""
    body = msgspec.json.encode(request.app.state.description())
    return Response(body, media_type="application/json")


@get("/docs", opt=READ, include_in_schema=False)
async def docs(request: Request[Any, Any, Any]) -> Response[str]:
    """Return the description as a page without scripts."""
    page = manual(request.app.state.description())
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": CSP})


ROUTES: Final[tuple[Any, ...]] = (openapi, docs)
