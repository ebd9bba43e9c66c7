"""What a handler may ask for by name: the app as its caller sees it, the caller, and the rest.

async def list_things(app: CallersApp, caller: TheCaller) -> …
"""

from typing import Any, Final, TypeAlias

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide

from podium.authoring.client import App
from podium.server.access import Caller
from podium.server.definitions import Definitions
from podium.server.health import Health
from podium.server.problems import request_id_of

__all__ = ["DEPENDENCIES", "CallersApp", "TheCaller", "TheDefinitions", "TheHealth"]

CallersApp: TypeAlias = NamedDependency[App]
"""The app on behalf of the caller's organization: the things of others do not exist for it."""
TheCaller: TypeAlias = NamedDependency[Caller]
TheDefinitions: TypeAlias = NamedDependency[Definitions]
TheHealth: TypeAlias = NamedDependency[Health]


def _caller(request: Request[Any, Any, Any]) -> Caller:
    caller: Caller = request.state.caller
    return caller


def _app(request: Request[Any, Any, Any]) -> App:
    app: App = request.app.state.podium
    caller: Caller = request.state.caller
    scoped = app.on_behalf_of(
        caller.organization,
        by=caller.name,
        key_id=caller.key_id,
        request_id=request_id_of(request.scope),
    )
    scoped.admission = request.app.state.definitions.admission
    return scoped


def _definitions(state: State) -> Definitions:
    definitions: Definitions = state.definitions
    return definitions


def _health(state: State) -> Health:
    health: Health = state.health
    return health


DEPENDENCIES: Final = {
    "app": Provide(_app, sync_to_thread=False),
    "caller": Provide(_caller, sync_to_thread=False),
    "definitions": Provide(_definitions, sync_to_thread=False),
    "health": Provide(_health, sync_to_thread=False),
}
