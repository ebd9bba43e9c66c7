"""Organizations: made by those who operate the installation, seen by their own members."""

from typing import Any, Final

from litestar import get, post
from litestar.params import FromPath, JSONBody

from podium.server.access import Permission
from podium.server.access_shapes import (
    CreateOrganization,
    Organization,
    OrganizationPage,
    organization_shape,
)
from podium.server.dependencies import CallersApp

__all__ = ["ROUTES"]

ADMIN: Final = {"needs": Permission.ADMIN}
CREATE: Final = {**ADMIN, "example": {"slug": "acme", "title": "Acme Labs"}}


@get("/v1/organizations", opt=ADMIN, summary="List organizations")
async def list_organizations(app: CallersApp) -> OrganizationPage:
    """List the caller's organization; all of them for administrators of the installation."""
    rows = await app.organizations.list()
    return OrganizationPage(items=[organization_shape(row) for row in rows], next_cursor=None)


@post("/v1/organizations", status_code=201, opt=CREATE, summary="Make an organization")
async def create_organization(app: CallersApp, data: JSONBody[CreateOrganization]) -> Organization:
    """Make an organization; its first key is made where the store is: `podium keys create`."""
    return organization_shape(await app.organizations.create(data.slug, title=data.title))


@get("/v1/organizations/{slug:str}", opt=ADMIN, summary="Get an organization")
async def get_organization(slug: FromPath[str], app: CallersApp) -> Organization:
    """Return one organization."""
    return organization_shape(await app.organizations.get(slug))


ROUTES: Final[tuple[Any, ...]] = (list_organizations, create_organization, get_organization)
