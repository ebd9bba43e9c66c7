"""The web interface: one page at all its addresses, and the files it is made of.

Public, as they hold nothing: what they show comes from the API, which asks for a key.
"""

from typing import Any, Final

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from podium.server.access import Permission
from podium.server.pages import PageFile, asset, entry

__all__ = ["ADDRESSES", "ROUTES"]

PUBLIC: Final = {"needs": Permission.PUBLIC}
ADDRESSES: Final = ("/", "/agents", "/approvals", "/runs/{run:str}", "/workflows")
"""What a browser may load or reload; the page itself reads from its address what to show."""


@get(list(ADDRESSES), opt=PUBLIC, include_in_schema=False)
async def page(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return the page of the web interface."""
    return _answer(entry(), request)


@get("/assets/{name:str}", opt=PUBLIC, include_in_schema=False)
async def page_asset(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return a script, a style sheet, a font or a drawing of the interface."""
    found = asset(name)
    if found is None:
        raise NotFoundException
    return _answer(found, request)


def _answer(file: PageFile, request: Request[Any, Any, Any]) -> Response[bytes]:
    body, headers = file.in_encoding(request.headers.get("accept-encoding", ""))
    return Response(body, media_type=file.media_type, headers=headers)


ROUTES: Final[tuple[Any, ...]] = (page, page_asset)
