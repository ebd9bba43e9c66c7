"""The examination of the whole installation, for those who operate it."""

import os
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, get
from litestar.params import QueryParameter

from podium.authoring.doctor import Patient, Section, examine
from podium.errors import NotFoundError
from podium.server.access import Permission
from podium.server.dependencies import TheCaller
from podium.settings import Settings

__all__ = ["ROUTES"]


class Examination(msgspec.Struct, kw_only=True):
    """What the checks of each section say."""

    ok: bool
    """No check fails; some may warn."""
    sections: Sequence[Section]


@get("/v1/doctor", opt={"needs": Permission.ADMIN}, summary="Examine the installation")
async def examine_all(
    request: Request[Any, Any, Any],
    caller: TheCaller,
    section: Annotated[str, QueryParameter(max_length=10, description="Such as 3.2, or 3.")] = "",
) -> Examination:
    """Go through the playbooks and say what is in order, what is not, and what to do.

    Nothing is changed. The answer names runs of everybody on this server, so administrators of
    another organization than the server's own are told that there is nothing here.
    """
    settings: Settings = request.app.state.settings
    if caller.organization != settings.organization:
        fix = "GET /openapi.json lists every path."
        raise NotFoundError("There is no such path.", fix=fix, code="PDM-R414")
    patient = Patient(request.app.state.podium, settings, os.environ)
    sections = await examine(patient, section)
    return Examination(ok=all(each.state != "fail" for each in sections), sections=sections)


ROUTES: Final[tuple[Any, ...]] = (examine_all,)
