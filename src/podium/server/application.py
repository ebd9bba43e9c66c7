"""The service as one ASGI application: routes, access, errors and the description of all three."""

from collections.abc import Sequence
from functools import partial

from litestar import Litestar

from podium.authoring.client import App
from podium.runtime.telemetry import Telemetry
from podium.server.access import Authenticator, admit, check_routes
from podium.server.authentication import KeyAuthenticator
from podium.server.bodies import PodiumRequest
from podium.server.definitions import Definitions
from podium.server.dependencies import DEPENDENCIES
from podium.server.description import describe
from podium.server.health import Health
from podium.server.limits import BODY_BYTES_MAX, Doorkeeper
from podium.server.metrics import Meter, Metrics
from podium.server.parameters import known_only
from podium.server.problems import answer
from podium.server.routes import NOUNS, routes
from podium.settings import Settings

__all__ = ["assemble", "build", "furnish"]


def build(
    app: App,
    *,
    settings: Settings,
    authenticator: Authenticator | None = None,
    nouns: Sequence[str] = NOUNS,
) -> Litestar:
    """Return the service over a running `App`; raises `InternalError` for an unguarded route."""
    service = assemble(tuple(nouns))
    furnish(service, app, settings=settings, authenticator=authenticator)
    return service


def assemble(nouns: tuple[str, ...] = NOUNS) -> Litestar:
    """Return the routes with what guards and answers them, and nothing yet to speak about."""
    service = Litestar(
        route_handlers=list(routes(nouns)),
        guards=[admit, known_only],
        dependencies=DEPENDENCIES,
        exception_handlers={Exception: answer},
        request_class=PodiumRequest,
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,
        openapi_config=None,
    )
    check_routes(service.routes)
    description = partial(describe, nouns)
    service.state.update({"description": description, "routed": service.asgi_handler})
    return service


def furnish(
    service: Litestar,
    app: App,
    *,
    settings: Settings,
    authenticator: Authenticator | None = None,
) -> None:
    """Let an assembled service speak about `app`, and about no other one any more."""
    telemetry = Telemetry()
    app.engine.observe(telemetry.note)
    metrics = Metrics(app, telemetry)
    service.state.update(
        {
            "podium": app,
            "settings": settings,
            "definitions": Definitions(settings),
            "health": Health(app),
            "metrics": metrics,
            "authenticator": authenticator or KeyAuthenticator(app),
        }
    )
    # Around everything: an unknown path gets an id and a doorkeeper, too, and is counted.
    metrics.meter = Meter(Doorkeeper(service.state.routed))
    service.asgi_handler = metrics.meter
