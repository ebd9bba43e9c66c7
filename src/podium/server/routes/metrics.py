"""Figures for Prometheus."""

from typing import Annotated, Any, Final

from litestar import Request, Response, get
from litestar.params import HeaderParameter

from podium.errors import NotFoundError
from podium.server.access import Permission
from podium.server.metrics import Metrics
from podium.settings import Settings

__all__ = ["ROUTES"]


@get(
    "/metrics",
    opt={"needs": Permission.READ, "public_if": "metrics_public"},
    summary="Figures for Prometheus",
)
async def metrics(
    request: Request[Any, Any, Any],
    accept: Annotated[str, HeaderParameter(name="Accept")] = "",
) -> Response[bytes]:
    """Return the figures of this process as text, in the format of Prometheus or OpenMetrics.

    They name the workflows of everybody on this server, so callers of another organization than
    the server's own are told that there is nothing here.
    """
    settings: Settings = request.app.state.settings
    caller = request.scope["state"].get("caller")
    if caller is not None and caller.organization != settings.organization:
        fix = "GET /openapi.json lists every path."
        raise NotFoundError("There is no such path.", fix=fix, code="PDM-R414")
    figures: Metrics = request.app.state.metrics
    body, media_type = await figures.exposition(accept)
    return Response(body, headers={"Content-Type": media_type})


ROUTES: Final[tuple[Any, ...]] = (metrics,)
