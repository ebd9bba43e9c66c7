"""Whether the service lives and takes work; the only questions nobody needs a key for."""

from typing import Any, Final

from litestar import Response, get

from podium.server.access import Permission
from podium.server.dependencies import TheHealth
from podium.server.health import HealthShape, Liveness, Part, Readiness

__all__ = ["ROUTES"]

PUBLIC: Final = {"needs": Permission.PUBLIC}
READ: Final = {"needs": Permission.READ}


@get("/v1/health/live", opt=PUBLIC, summary="Is the process alive?")
async def live() -> Liveness:
    """Say that the process answers; it does so without a store, too."""
    return Liveness()


@get("/v1/health/ready", opt=PUBLIC, summary="Does the process take work?")
async def ready(health: TheHealth) -> Response[Readiness]:
    """Say whether new work may be sent here: 503 while starting, draining or without a store."""
    told = await health.readiness()
    return Response(told, status_code=200 if told.ready else 503)


@get("/v1/health/scheduler", opt=PUBLIC, summary="Are schedules run?")
async def scheduler(health: TheHealth) -> Response[Part]:
    """Say whether the ticks of schedules are taken: 503 while nobody takes them."""
    part = await health.scheduler()
    return Response(part, status_code=503 if part.state == "down" else 200)


@get("/v1/health", opt=READ, summary="How is each part?")
async def health_of_parts(health: TheHealth) -> HealthShape:
    """Return every part with its state, its reason, and when it last made progress."""
    return await health.parts()


ROUTES: Final[tuple[Any, ...]] = (live, ready, scheduler, health_of_parts)
