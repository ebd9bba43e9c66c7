"""Circuit breakers: which models of which providers are not asked at present."""

from typing import Any, Final

from litestar import get

from podium.server.access import Permission
from podium.server.dependencies import CallersApp
from podium.server.holdings import BreakerPage, BreakerShape

__all__ = ["ROUTES"]

READ: Final = {"needs": Permission.READ}


@get("/v1/breakers", opt=READ, summary="List circuit breakers")
async def list_breakers(app: CallersApp) -> BreakerPage:
    """List the breakers of this process that have seen a call, by what they protect."""
    models = app.engine.registry.services.models
    found = {} if models is None else models.breakers()
    items = [
        BreakerShape(key=key, state=each.state, failures=each.failures)
        for key, each in sorted(found.items())
    ]
    return BreakerPage(items=items, next_cursor=None)


ROUTES: Final[tuple[Any, ...]] = (list_breakers,)
