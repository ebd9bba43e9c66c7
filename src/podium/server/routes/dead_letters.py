"""Dead letters: steps that were given up, to be done again or let go."""

from typing import Any, Final

from litestar import get, post
from litestar.params import FromPath, FromQuery

from podium.authoring.recovery import letter_id
from podium.core.ids import parse_step_id, run_id
from podium.core.states import RunStatus
from podium.ports.store import OutcomeRow
from podium.server.access import Permission
from podium.server.dependencies import CallersApp
from podium.server.holdings import DeadLetterPage
from podium.server.parameters import Cursor, Limit, place_of
from podium.server.records import dead_letter_shape
from podium.server.shapes import Acted

__all__ = ["ROUTES"]

READ: Final = {"needs": Permission.READ}
OPERATE: Final = {"needs": Permission.OPERATE}

Letter = FromPath[str]


@get("/v1/dead-letters", opt=READ, summary="List dead letters")
async def list_dead_letters(
    app: CallersApp, status: FromQuery[str] = "parked", limit: Limit = 100, cursor: Cursor = ""
) -> DeadLetterPage:
    """List parked work, oldest first; each letter is named by the record id of its step."""
    if cursor:
        place_of(cursor, parse_step_id)
    rows = await app.dead_letters.list(status=status, limit=limit, after=cursor)
    more = letter_id(rows[-1]) if len(rows) == limit else None
    return DeadLetterPage(items=[dead_letter_shape(row) for row in rows], next_cursor=more)


@post(
    "/v1/dead-letters/{letter:str}/replay",
    status_code=202,
    opt=OPERATE,
    summary="Do parked work again",
)
async def replay(letter: Letter, app: CallersApp) -> Acted:
    """Run the step again with all its recoveries, in its run."""
    return _acted(await app.dead_letters.replay(letter))


@post(
    "/v1/dead-letters/{letter:str}/discard",
    status_code=202,
    opt=OPERATE,
    summary="Give up parked work",
)
async def discard(letter: Letter, app: CallersApp) -> Acted:
    """Take the step from the list for good; its run stays as it is."""
    return _acted(await app.dead_letters.discard(letter))


def _acted(outcome: OutcomeRow) -> Acted:
    return Acted(run_id=run_id(outcome.run_no), status=RunStatus(outcome.status).label)


ROUTES: Final[tuple[Any, ...]] = (list_dead_letters, replay, discard)
