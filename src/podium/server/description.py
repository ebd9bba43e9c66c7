"""The service described in OpenAPI 3.1, made from the handlers themselves.

What every route has in common is added here once: the key it needs, its problems, an example of
its body (`opt={"example": …}`).
"""

from functools import cache
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute
from litestar.types import Method

from podium import __version__
from podium.server.access import NEEDS, Permission
from podium.server.dependencies import DEPENDENCIES
from podium.server.problems import MEDIA_TYPE, Problem
from podium.server.routes import routes

__all__ = ["describe"]

Json = Any

ABOUT: Final = (
    "Start durable runs of workflows, steer them, decide approvals, follow their events. "
    "Every error is a problem document (RFC 9457) with a machine word in `code`."
)
PROBLEMS: Final = {
    "400": "The request cannot be read.",
    "401": "No key, or one that is not accepted; `code` says which.",
    "403": "The key's role lacks the permission; or the definition names what it may not.",
    "404": "There is no such thing, or it belongs to another organization.",
    "409": "The state does not allow it now; `state` and `allowed` say what it allows.",
    "413": "The body is too large.",
    "415": "The body is not JSON in UTF-8.",
    "422": "The body was read and is not right; `faults` lists everything.",
    "429": "Too many requests; `Retry-After` says when to come back.",
    "503": "The store cannot be used now; nothing acknowledged is lost.",
}
SCHEMAS: Final = "#/components/schemas/"
PROBLEM: Final = {MEDIA_TYPE: {"schema": {"$ref": f"{SCHEMAS}Problem"}}}


@cache
def describe(nouns: tuple[str, ...]) -> dict[str, Json]:
    """Return the description of the routes of `nouns`, as JSON data; made once, never changed."""
    # An application of its own, never served: the one that serves has no pages of the framework.
    service = Litestar(
        route_handlers=list(routes(nouns)),
        dependencies=DEPENDENCIES,
        openapi_config=OpenAPIConfig(
            title="Podium",
            version=__version__,
            description=ABOUT,
            use_handler_docstrings=True,
            operation_id_creator=_operation_id,
            components=Components(
                security_schemes={"key": SecurityScheme(type="http", scheme="bearer")},
            ),
        ),
        logging_config=None,
    )
    described = service.openapi_schema.to_schema()
    described["components"]["schemas"] |= _problem_schemas()
    for route in service.routes:
        if isinstance(route, HTTPRoute) and route.path_format in described["paths"]:
            for handler in route.route_handlers:
                _complete(described["paths"][route.path_format], handler)
    return described


def _operation_id(handler: HTTPRouteHandler, method: Method, path_components: list[Any]) -> str:
    """Return the name of the function, or for one with several paths the last word of each."""
    if len(handler.paths) > 1:
        return str(path_components[-1])
    return handler.fn.__name__


def _complete(path: dict[str, Json], handler: HTTPRouteHandler) -> None:
    for method in handler.http_methods:
        operation = path.get(method.lower())
        if operation is None:
            continue
        needs: Permission = handler.opt[NEEDS]
        is_public = needs is Permission.PUBLIC
        operation["security"] = [] if is_public else [{"key": []}]
        operation["x-needs"] = needs.value
        has_body = "requestBody" in operation
        operation["responses"] |= {
            status: {"description": text, "content": PROBLEM}
            for status, text in PROBLEMS.items()
            if _may_answer(status, is_public=is_public, has_body=has_body)
        }
        if has_body and "example" in handler.opt:
            for content in operation["requestBody"]["content"].values():
                content["example"] = handler.opt["example"]


def _may_answer(status: str, *, is_public: bool, has_body: bool) -> bool:
    if status in {"413", "415", "422"}:
        return has_body
    return not (is_public and status in {"401", "403", "409", "429"})


def _problem_schemas() -> dict[str, Json]:
    _, parts = msgspec.json.schema_components([Problem], ref_template=SCHEMAS + "{name}")
    return parts
