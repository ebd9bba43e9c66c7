"""Who may do what: permissions, roles, and the guard in front of every route.

Deny by default: a route says in `opt={"needs": …}` which permission it takes, and an
application with a route that says nothing does not start. Who the caller is, an
`Authenticator` finds out; this module only compares.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, Protocol

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import BaseRoute

from podium.errors import AccessError, InternalError
from podium.runtime.correlation import bind_request
from podium.server.problems import request_id_of

__all__ = [
    "NEEDS",
    "ROLES",
    "Authenticator",
    "Caller",
    "LocalTrust",
    "Permission",
    "admit",
    "check_routes",
]

NEEDS: Final = "needs"
"""The key in a handler's `opt` under which its permission stands."""
PUBLIC_IF: Final = "public_if"
"""The key under which a handler may name the setting that opens it to everybody."""


class Permission(Enum):
    """What a route asks of its caller."""

    PUBLIC = "public"
    """Nobody is asked who they are."""
    READ = "read"
    OPERATE = "operate"
    """Start runs, steer them, send signals, work on dead letters and schedules."""
    APPROVE = "approve"
    AUTHOR = "author"
    """Publish definitions, make schedules and webhooks."""
    ADMIN = "admin"
    """Keys, organizations, the audit log, limits of budgets."""


_P: Final = Permission

ROLES: Final[Mapping[str, frozenset[Permission]]] = MappingProxyType(
    {
        "viewer": frozenset({_P.READ}),
        "operator": frozenset({_P.READ, _P.OPERATE}),
        "approver": frozenset({_P.READ, _P.APPROVE}),
        "author": frozenset({_P.READ, _P.OPERATE, _P.AUTHOR}),
        "admin": frozenset({_P.READ, _P.OPERATE, _P.APPROVE, _P.AUTHOR, _P.ADMIN}),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, as far as the service knows."""

    organization: str
    role: str
    key_id: str = ""
    """"" for a caller who needed no key."""
    name: str = ""
    """What stands as `by` in the journal and in the audit log."""

    def may(self, permission: Permission) -> bool:
        """Return whether the caller's role holds a permission."""
        return permission in ROLES.get(self.role, frozenset())

    def must(self, permission: Permission) -> None:
        """Raise `AccessError` 403 that names the permission, if the caller's role lacks it."""
        if not self.may(permission):
            raise _missing(self, permission)


class Authenticator(Protocol):
    """Finds out who asks."""

    @property
    def is_open(self) -> bool:
        """Whether no key exists yet: then whoever is on this machine is trusted."""

    async def look(self) -> None:
        """Look whether that is still so; costs nothing once a key exists."""

    async def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller of a request; raises `AccessError` with status 401.

        The names of `headers` are in lower case.
        """


class LocalTrust:
    """Trusts everybody: for a server that only this machine can reach, while no key exists."""

    is_open = True

    async def look(self) -> None:
        """See `Authenticator.look`; here it never changes."""

    def __init__(self, organization: str) -> None:
        self._caller = Caller(organization=organization, role="admin", name="local")

    async def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """See `Authenticator.authenticate`."""
        return self._caller


async def admit(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let the request through, with its caller in `state.caller`, or raise `AccessError`."""
    needs: Permission = handler.opt[NEEDS]
    if needs is Permission.PUBLIC or _is_opened(connection, handler):
        return
    authenticator: Authenticator = connection.app.state.authenticator
    caller = await authenticator.authenticate(connection.headers)
    caller.must(needs)
    connection.state.caller = caller
    bind_request(request_id_of(connection.scope), caller.organization)


def _is_opened(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> bool:
    """Return whether a setting, named in the handler's `opt`, opens the route to everybody."""
    setting = handler.opt.get(PUBLIC_IF)
    return setting is not None and bool(getattr(connection.app.state.settings, setting))


def _missing(caller: Caller, needs: Permission) -> AccessError:
    able = [role for role, held in ROLES.items() if needs in held]
    return AccessError(
        f"This needs the permission {needs.value!r}; the role {caller.role!r} does not have it.",
        why=f"Roles that have it: {', '.join(able)}.",
        fix=f"Use a key with one of these roles: `podium keys create --role {able[0]}`.",
        code="PDM-R110",
        code_word="missing_scope",
    )


def check_routes(routes: Iterable[BaseRoute]) -> None:
    """Refuse an application in which a route does not say what it needs.

    Answers to OPTIONS are made by the framework and only list methods: they are public.
    """
    for route in routes:
        for handler in handlers_of(route):
            if _only_lists_methods(handler):
                handler.opt.setdefault(NEEDS, Permission.PUBLIC)
            if not isinstance(handler.opt.get(NEEDS), Permission):
                raise InternalError(
                    f"The route {route.path} does not say which permission it needs.",
                    why="Routes are closed unless they say otherwise.",
                    fix="Add opt={'needs': Permission.…} to its handler.",
                )


def handlers_of(route: BaseRoute) -> list[BaseRouteHandler]:
    """Return the handlers of a route: one for each method, or the one of a socket."""
    found: Any = getattr(route, "route_handlers", None)
    return list(found) if found is not None else [route.route_handler]  # type: ignore[attr-defined]


def _only_lists_methods(handler: BaseRouteHandler) -> bool:
    return getattr(handler, "http_methods", None) == {"OPTIONS"}
